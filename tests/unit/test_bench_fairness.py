"""Shares of GPUs, as the bench works them out from what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from bench import fairness, gpus
from bench.fairness import Sighting, Span, Window

_ALL = Window(0, 100)


def _span(
    tenant: str, begun: float, ended: float, *, job: str = "", gpus: int = 8, done: bool = True
) -> Span:
    return Span(tenant, job or f"{tenant}-{begun}", gpus, begun, ended, done)


def _seen(at: float, name: str, *, holds: bool, done: bool = False) -> Sighting:
    return Sighting(at, name, "a", "job", holds, done)


class TestSpans:
    def test_gpus_are_held_from_the_first_sighting_that_says_so_to_the_first_that_does_not(self) -> None:
        seen = [
            _seen(1, "pod", holds=False),
            _seen(2, "pod", holds=True),
            _seen(3, "pod", holds=True),
            _seen(5, "pod", holds=False, done=True),
            _seen(6, "pod", holds=False, done=True),
        ]
        assert fairness.spans(seen, 8) == [Span("a", "job", 8, 2, 5, True)]

    def test_what_was_taken_and_given_again_is_two(self) -> None:
        seen = [_seen(at, "pod", holds=bool(at % 2), done=at == 4) for at in (1, 2, 3, 4)]
        assert [(each.begun, each.ended, each.done) for each in fairness.spans(seen, 8)] == [
            (1, 2, False),
            (3, 4, True),
        ]

    def test_objects_are_told_apart(self) -> None:
        seen = [_seen(1, "one", holds=True), _seen(2, "two", holds=True), _seen(3, "one", holds=False)]
        assert [(each.begun, each.ended) for each in fairness.spans(seen, 8)] == [(1, 3)]


_HELD = (_span("a", 0, 10), _span("a", 10, 20), _span("b", 5, 15), _span("b", 30, 40))
_SUBMITTED = {each.job: 2.0 for each in _HELD}
_WANTED = {"a": 0.2, "b": 0.8}


class TestWindows:
    def test_all_wait_until_the_first_tenant_has_no_job_left_that_never_began(self) -> None:
        assert fairness.contended(_HELD, _SUBMITTED, 3) == Window(5, 10)

    def test_somebody_waits_until_every_job_has_begun(self) -> None:
        assert fairness.crowded(_HELD, _SUBMITTED) == Window(2, 30)

    def test_a_job_that_begins_again_waited_no_longer_than_until_it_first_began(self) -> None:
        again = (*_HELD, _span("a", 50, 60, job=_HELD[1].job))
        assert fairness.contended(again, _SUBMITTED, 0) == Window(2, 10)


class TestShares:
    def test_they_are_of_what_was_held_within_the_window(self) -> None:
        held = [_span("a", -50, 50), _span("b", 50, 60), _span("c", 200, 300)]
        assert fairness.shares(held, _ALL) == {"a": 50 / 60, "b": 10 / 60, "c": 0}

    def test_nothing_held_is_nobodys_share(self) -> None:
        assert fairness.shares([], _ALL) == {}

    def test_a_tenant_is_entitled_to_its_quota_and_to_the_rest_by_its_weight(self) -> None:
        assert fairness.entitled({"a": 8, "b": 24}, {"a": 1, "b": 2}, 80) == {"a": 24 / 80, "b": 56 / 80}


class TestIdle:
    def test_it_is_the_part_that_nobody_held(self) -> None:
        assert fairness.idle([_span("a", 0, 100), _span("b", 0, 50)], _ALL, 16) == 0.25

    def test_between_two_jobs_it_is_the_time_of_one_gpu(self) -> None:
        held = [_span("a", begun, begun + 18) for begun in (0, 20, 40, 60, 80)]
        assert fairness.between_jobs(held, _ALL, 8) == pytest.approx(2)

    def test_a_job_of_two_pods_waits_for_the_second_one(self) -> None:
        held = [_span("a", 0, 100, job="one"), _span("a", 50, 100, job="one")]
        assert fairness.waited_for(held, _ALL, 16) == 0.25

    def test_what_was_taken_from_a_job_is_lost(self) -> None:
        held = [_span("a", 0, 75), _span("b", 0, 25, done=False)]
        assert fairness.lost(held) == (1, 0.25)


def test_the_busiest_ten_seconds_count() -> None:
    assert fairness.busiest([0, 100, 101, 102, 109.9, 110]) == 0.4


def test_a_centile_is_one_of_the_values() -> None:
    assert fairness.centile(range(100), 99) == 99
    assert fairness.centile([3, 1, 2], 50) == 2
    assert fairness.centile([1], 99) == 1


class TestFaults:
    def test_there_are_none_where_shares_are_nearly_what_was_promised(self) -> None:
        assert fairness.faults(_WANTED, {"a": 0.205, "b": 0.795}, 0.01, 5) == []

    def test_a_share_that_is_off_is_told_with_the_tenants_name(self) -> None:
        (fault,) = fairness.faults(_WANTED, {"a": 0.22, "b": 0.78}, 0.01, 5)
        assert fault.startswith(
            "a had 22.00% of the GPUs' time while all waited, and is entitled to 20.00%: off by 10%"
        )

    def test_a_tenant_that_had_nothing_is_told(self) -> None:
        assert "a had 0.00%" in fairness.faults(_WANTED, {"b": 1.0}, 0.01, 5)[0]

    def test_gpus_that_idle_while_work_waits_are_told(self) -> None:
        (fault,) = fairness.faults(_WANTED, _WANTED, 0.2, 5)
        assert fault.startswith("work waited while GPUs idled: for 20.0% of the GPUs' time")

    def test_too_short_a_time_tells_nothing(self) -> None:
        (fault,) = fairness.faults(_WANTED, _WANTED, 0.01, 1.5)
        assert "tells nothing" in fault


class TestLoad:
    def test_the_default_can_be_shared_in_whole_jobs(self) -> None:
        assert not gpus.Load(200, 20, 2000, 2, 30).fault
        assert not gpus.Load(20, 4, 80, 2, 5).fault

    def test_nodes_that_cannot_are_refused_with_a_number_that_can(self) -> None:
        assert gpus.Load(30, 4, 80, 2, 5).fault.endswith("take a multiple of 20")
        assert gpus.Load(10, 4, 80, 1, 5).fault.endswith("take a multiple of 20"), "all would be promised"


class TestSightings:
    """What the API server's events are taken for."""

    @staticmethod
    def _event(how: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        meta = {
            "uid": "u",
            "namespace": "tenant-a",
            "labels": {"batch.kubernetes.io/job-name": "job-1"},
            "ownerReferences": [{"kind": "Job", "name": "job-1"}],
        }
        return {"type": how, "object": {"metadata": meta, "spec": spec, "status": status}}

    @pytest.mark.parametrize(
        ("how", "spec", "phase", "holds", "done"),
        [
            ("ADDED", {}, "Pending", False, False),
            ("MODIFIED", {"nodeName": "a100-0"}, "Pending", True, False),
            ("MODIFIED", {"nodeName": "a100-0"}, "Running", True, False),
            ("MODIFIED", {"nodeName": "a100-0"}, "Succeeded", False, True),
            ("MODIFIED", {"nodeName": "a100-0"}, "Failed", False, False),
            ("DELETED", {"nodeName": "a100-0"}, "Running", False, False),
        ],
    )
    def test_a_pod_holds_gpus_from_when_it_has_a_node_until_it_ends(
        self, how: str, spec: dict[str, Any], phase: str, holds: bool, done: bool
    ) -> None:
        found = gpus.pod(5, self._event(how, spec, {"phase": phase}))
        assert found == Sighting(5, "u", "tenant-a", "tenant-a/job-1", holds, done)

    @pytest.mark.parametrize(
        ("how", "conditions", "holds", "done"),
        [
            ("ADDED", {}, False, False),
            ("MODIFIED", {"QuotaReserved": "True"}, True, False),
            ("MODIFIED", {"QuotaReserved": "True", "Evicted": "True"}, True, False),
            ("MODIFIED", {"QuotaReserved": "False", "Evicted": "True"}, False, False),
            ("MODIFIED", {"QuotaReserved": "True", "Finished": "True"}, False, True),
            ("DELETED", {"QuotaReserved": "True"}, False, False),
        ],
    )
    def test_a_job_is_given_gpus_while_quota_is_reserved_for_it_and_it_is_not_finished(
        self, how: str, conditions: dict[str, str], holds: bool, done: bool
    ) -> None:
        status = {"conditions": [{"type": kind, "status": value} for kind, value in conditions.items()]}
        found = gpus.workload(5, self._event(how, {}, status))
        assert found == Sighting(5, "u", "tenant-a", "tenant-a/job-1", holds, done)
