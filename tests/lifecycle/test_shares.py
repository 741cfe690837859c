"""Who gets how many GPUs while all want more: the platform's queues and Kueue's own program before an API server of the tests' own.

No pod runs, and what was let in never ends: so what the queues come to is the same on any machine, however fast it is.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bench import control, gpus
from bench.control import PROFILE, Environment
from modules.kit import names
from policies.api_server import ApiServer, Programs
from policies.footprint import held_mib
from profiles.load import load
from sandbox import tools
from tests.live import PATIENCE_SECONDS

_LOAD = gpus.Load(nodes=20, tenants=4, jobs=80, pods=2, seconds=60)
_AT_ONCE = _LOAD.nodes // _LOAD.pods
"""Jobs that find room together."""
_OF_EACH = _LOAD.jobs // _LOAD.tenants
_FIRST, *_OTHERS = _LOAD.weights


@dataclass(frozen=True)
class Queues:
    """A platform with four tenants of weights 1 to 4, and Kueue."""

    server: ApiServer
    kueue: int
    entitled: dict[str, float]

    def submit(self, *tenants: str) -> None:
        """As many jobs from each, in turn."""
        with self.server.client() as client:
            for number in range(_OF_EACH):
                for tenant in tenants:
                    job = gpus.job(_LOAD, names.namespace(tenant), f"job-{number}", queued=True)
                    answer = client.create(job)
                    assert answer.status < 400, answer.message

    def comes_to(self, wanted: Callable[[Counter[str]], bool]) -> Counter[str]:
        """How many jobs each tenant has been let in with, as soon as that is what is wanted; or at the end of all patience."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not wanted(found := self._let_in()) and time.monotonic() < deadline:
            assert held_mib(self.kueue), "Kueue has ended"
            time.sleep(1)
        return found

    def _let_in(self) -> Counter[str]:
        words = ("get", "workloads", "--all-namespaces", "--output=json")
        found: list[dict[str, Any]] = json.loads(control.must(self.server, *words))["items"]
        homes = {names.namespace(tenant): tenant for tenant in _LOAD.weights}
        return Counter(
            homes[each["metadata"]["namespace"]]
            for each in found
            if control.holds(each, "QuotaReserved") and not control.holds(each, "Evicted")
        )


@pytest.fixture(scope="module")
def queues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queues]:
    """Deployed as any environment is, with nothing submitted."""
    folder = tmp_path_factory.mktemp("shares")
    tools.link((tools.PULUMI, tools.LANGUAGE_HOST, tools.KUBERNETES, tools.ETCD), folder / "bin")
    (folder / "api").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join((str(folder / "bin"), os.environ["PATH"])))
        with control.cluster(folder / "api", Programs.on_path()) as server:
            place = Environment(folder, server)
            place.prepare()
            place.write_profile(_LOAD.profile())
            profile = load(PROFILE, place.profiles)
            try:
                place.fleet("up")
                objects = list(place.objects())
            finally:
                place.forget()
            with control.queues_manager(server, objects, profile.queueing) as kueue:
                control.until(lambda: control.queues_are_open(server), kueue)
                yield Queues(server, kueue, gpus.entitled(profile))


def test_who_comes_first_may_borrow_all_that_is_idle(queues: Queues) -> None:
    queues.submit(_FIRST)
    assert queues.comes_to(lambda found: found.total() == _AT_ONCE) == {_FIRST: _AT_ONCE}


def test_when_all_want_more_each_has_what_quota_and_weight_entitle_it_to(queues: Queues) -> None:
    """Whoever had borrowed more gives it back."""
    wanted = {tenant: round(part * _AT_ONCE) for tenant, part in queues.entitled.items()}
    assert sorted(wanted.values()) == [1, 2, 3, 4]
    queues.submit(*_OTHERS)
    assert queues.comes_to(lambda found: found == wanted) == wanted


def test_what_one_no_longer_wants_the_others_borrow(queues: Queues) -> None:
    gone = _OTHERS[-1]
    control.must(queues.server, "delete", "jobs", "--all", f"--namespace={names.namespace(gone)}")
    found = queues.comes_to(lambda found: not found[gone] and found.total() == _AT_ONCE)
    assert found.total() == _AT_ONCE
    assert not found[gone]
    assert min(found[tenant] for tenant in (_FIRST, *_OTHERS[:-1])) >= 1
