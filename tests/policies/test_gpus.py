"""The rules for GPUs: what there is, what for, and who goes to nodes that have them."""

from __future__ import annotations

from typing import Any

import pytest

from policies.crossguard import policies
from policies.resource import UNKNOWN
from policies.rule import violations
from policies.rules.gpus import RULES
from tests.policies.objects import (
    DROP,
    Case,
    Edit,
    allowed,
    compliant,
    edited,
    expected,
    found,
    refused,
    resource,
)

_WEB = "Deployment tenant-atlas/web: "
_QUEUE = "metadata/labels/kueue.x-k8s.io~queue-name"
_USE = "spec/template/metadata/labels/longhouse.dev~use"
_SAID = "metadata/annotations/longhouse.dev~gpus"
_HAVE = "and the pools have: a100=nvidia.com/gpu mig=nvidia.com/mig-1g.10gb l4=nvidia.com/gpu.shared"
_TOLERATES = [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def _pod(path: str, value: Any = DROP) -> Edit:
    return Edit("web", f"spec/template/spec/{path}", value)


def _asks(
    limits: dict[str, Any], requests: dict[str, Any] | None = None, place: str = "containers/0"
) -> Edit:
    own = {"cpu": "1", "memory": "1Gi"}
    return _pod(
        f"{place}/resources",
        {"limits": {**own, **limits}, "requests": {**own, **(limits if requests is None else requests)}},
    )


def _work(resource: str, use: str | None = None, amount: str = "1") -> tuple[Edit, ...]:
    """A Deployment that asks for GPUs of a kind, in the queue for them."""
    label = (Edit("web", _USE, use),) if use else ()
    return (_asks({resource: amount}), Edit("web", _QUEUE, "gpu"), *label)


CASES = (
    allowed("a whole GPU for work that says nothing", *_work("nvidia.com/gpu")),
    allowed("whole GPUs for training", *_work("nvidia.com/gpu", "training", "8")),
    allowed("a slice for a notebook", *_work("nvidia.com/mig-1g.10gb", "notebook")),
    allowed("a turn for a notebook", *_work("nvidia.com/gpu.shared", "notebook")),
    allowed("a network adapter of the same vendor", *_work("nvidia.com/gpu"), _asks({"nvidia.com/roce": "1", "nvidia.com/gpu": "1"})),
    refused("LH-G-001", "a kind of GPU that is not there", f"{_WEB}container app asks for nvidia.com/mig-3g.40gb, {_HAVE}",
            *_work("nvidia.com/mig-3g.40gb")),
    refused("LH-G-001", "a mistyped GPU", f"{_WEB}container app asks for nvidia.com/gpus, {_HAVE}", *_work("nvidia.com/gpus")),
    refused("LH-G-001", "a GPU of another vendor", f"{_WEB}container app asks for amd.com/gpu, {_HAVE}", *_work("amd.com/gpu"),
            _asks({"amd.com/gpu": "1"})),
    refused("LH-G-001", "a GPU of a tenant that has none", _WEB + "container app asks for nvidia.com/gpu, and the pools have: none",
            *_work("nvidia.com/gpu"), Edit("namespace", _SAID)),
    refused("LH-G-002", "a whole GPU for a notebook",
            _WEB + "container app asks for nvidia.com/gpu, and for notebook there is: mig=nvidia.com/mig-1g.10gb l4=nvidia.com/gpu.shared",
            *_work("nvidia.com/gpu", "notebook")),
    refused("LH-G-002", "a turn for training", _WEB + "container app asks for nvidia.com/gpu.shared, and for training there is: a100=nvidia.com/gpu",
            *_work("nvidia.com/gpu.shared", "training")),
    refused("LH-G-002", "a slice for work that says nothing",
            _WEB + "container app asks for nvidia.com/mig-1g.10gb, and for training there is: a100=nvidia.com/gpu", *_work("nvidia.com/mig-1g.10gb")),
    refused("LH-G-002", "GPUs of a tenant that notebooks have nothing of",
            _WEB + "container app asks for nvidia.com/gpu.shared, and for notebook there is: none",
            *_work("nvidia.com/gpu.shared", "notebook"), Edit("namespace", _SAID + "-for-notebook")),
    refused("LH-G-002", "a use that nobody knows", _WEB + "pod asks for a GPU and is for fun, which is none of notebook, training",
            *_work("nvidia.com/gpu", "fun")),
    allowed("a use that nobody knows, without a GPU", Edit("web", _USE, "fun")),
    refused("LH-G-003", "less requested than limited", _WEB + "container app requests 1 of nvidia.com/gpu and is limited to 2",
            *_work("nvidia.com/gpu"), _asks({"nvidia.com/gpu": "2"}, {"nvidia.com/gpu": "1"})),
    refused("LH-G-003", "requested without a limit", _WEB + "container app requests nvidia.com/gpu without a limit",
            *_work("nvidia.com/gpu"), _asks({}, {"nvidia.com/gpu": "1"}), _asks({"nvidia.com/gpu": "1"}, place="initContainers/0")),
    refused("LH-G-003", "two turns", _WEB + "container app asks for 2 turns on a GPU, and gets no more of it than with 1",
            *_work("nvidia.com/gpu.shared", "notebook", "2")),
    refused("LH-G-003", "two kinds in one container", _WEB + "pod asks for more than one kind of GPU", *_work("nvidia.com/gpu.shared", "notebook"),
            _asks({"nvidia.com/gpu.shared": "1", "nvidia.com/mig-1g.10gb": "1"})),
    refused("LH-G-003", "two kinds in two containers", _WEB + "pod asks for more than one kind of GPU", *_work("nvidia.com/gpu.shared", "notebook"),
            _asks({"nvidia.com/mig-1g.10gb": "1"}, place="initContainers/0")),
    allowed("a limit alone, which is the request too", *_work("nvidia.com/gpu"), _asks({"nvidia.com/gpu": "1"}, {})),
    allowed("a number where others write text", *_work("nvidia.com/gpu"), _asks({"nvidia.com/gpu": 1}, {"nvidia.com/gpu": "1"})),
    refused("LH-G-004", "the taint without a GPU", _WEB + "pod tolerates the taint nvidia.com/gpu and asks for no GPU", _pod("tolerations", _TOLERATES)),
    allowed("the taint with a GPU", *_work("nvidia.com/gpu"), _pod("tolerations", _TOLERATES)),
    allowed("the taint of what another object makes, which was judged", _pod("tolerations", _TOLERATES),
            Edit("web", "metadata/ownerReferences", [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}])),
    allowed("the taint on the platform's own pods", Edit("kube", "spec/template/spec/tolerations", _TOLERATES)),
    refused("LH-G-005", "the queue for GPUs without one", _WEB + "waits in the queue gpu and asks for no GPU", Edit("web", _QUEUE, "gpu")),
    refused("LH-G-005", "the queue of a priority for GPUs without one", _WEB + "waits in the queue gpu.high and asks for no GPU",
            Edit("web", _QUEUE, "gpu.high")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_work_gets_the_gpus_that_are_for_it(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)


def test_a_namespace_that_is_not_declared_beside_the_work_is_taken_to_offer_nothing() -> None:
    web = resource(edited(_work("nvidia.com/gpu"))["web"])
    assert web.home == UNKNOWN
    assert [each.rule.id for each in violations(RULES, [web])] == ["LH-G-001", "LH-G-002"]


def test_work_without_gpus_needs_to_know_nothing_of_its_namespace() -> None:
    assert list(violations(RULES, [resource(compliant()["web"])])) == []


def test_rules_that_look_at_the_namespace_are_held_over_the_whole_stack() -> None:
    """The engine shows a policy over objects one object, and no namespace."""
    assert [each.name for each in policies(RULES[:2])] == ["stack-error"]
    assert [each.name for each in policies(RULES[2:])] == ["objects-error"]
