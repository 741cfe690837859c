"""The rules for GPUs and queues."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policies.objects import DROP, Case, Edit, allowed, edited, expected, found, refused

_QUEUE = "ClusterQueue atlas-cpu: "
_DOOR = "LocalQueue tenant-atlas/default: "
_WEB = "Deployment tenant-atlas/web: "
_PRIORITY = "PriorityClass batch: "
_LABEL = "metadata/labels/kueue.x-k8s.io~queue-name"


def _queue(path: str, value: Any = DROP) -> Edit:
    return Edit("queue", f"spec/{path}", value)


def _pod(path: str, value: Any = DROP) -> Edit:
    return Edit("web", f"spec/template/spec/{path}", value)


def _gpus(list_: str = "containers") -> tuple[Edit, ...]:
    amount = {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}
    return (_pod(f"{list_}/0/resources", {"requests": amount, "limits": amount}),)


def _variable(value: str) -> Edit:
    return _pod("containers/0/env", [{"name": "NVIDIA_VISIBLE_DEVICES", "value": value}])


CASES = (
    refused("LH-Q-001", "every namespace", _QUEUE + "admits more than tenant-atlas", _queue("namespaceSelector", {})),
    refused("LH-Q-001", "nobody said", _QUEUE + "admits more than tenant-atlas", _queue("namespaceSelector")),
    refused(
        "LH-Q-001", "another tenant", _QUEUE + "admits more than tenant-atlas",
        _queue("namespaceSelector/matchLabels/kubernetes.io~metadata.name", "tenant-borealis"),
    ),
    allowed("a queue of the platform for every namespace", _queue("namespaceSelector", {}), Edit("queue", "metadata/labels")),
    refused("LH-Q-002", "no cohort", _QUEUE + "is not in the cohort longhouse", _queue("cohortName")),
    refused("LH-Q-002", "a cohort of its own", _QUEUE + "is not in the cohort longhouse", _queue("cohortName", "atlas")),
    refused(
        "LH-Q-003", "pushes out to borrow", _QUEUE + "pushes out others' work to borrow (LowerPriority)",
        _queue("preemption/borrowWithinCohort/policy", "LowerPriority"),
    ),
    refused("LH-Q-003", "never takes back", _QUEUE + "does not take back what it lent", _queue("preemption/reclaimWithinCohort", "Never")),
    refused("LH-Q-003", "nothing said of preemption", _QUEUE + "does not take back what it lent", _queue("preemption")),
    refused(
        "LH-Q-004", "memory uncounted", _QUEUE + "does not count memory",
        _queue("resourceGroups", [{"coveredResources": ["cpu"], "flavors": [{"name": "general", "resources": [{"name": "cpu", "nominalQuota": "1"}]}]}]),
    ),
    refused("LH-Q-005", "another tenant's queue", _DOOR + "leads to borealis-cpu", Edit("door", "spec/clusterQueue", "borealis-cpu")),
    refused("LH-Q-005", "a queue whose name only ends so", _DOOR + "leads to not-atlas-cpu", Edit("door", "spec/clusterQueue", "not-atlas-cpu")),
    allowed("the tenant's queue for GPUs", Edit("door", "spec/clusterQueue", "atlas-gpu")),
    refused("LH-Q-006", "preemption left to Kubernetes, which pushes out", _PRIORITY + "pushes out pods of lower priority", Edit("priority", "preemptionPolicy")),
    refused("LH-Q-006", "preemption", _PRIORITY + "pushes out pods of lower priority", Edit("priority", "preemptionPolicy", "PreemptLowerPriority")),
    refused("LH-Q-006", "the priority of all", _PRIORITY + "is the priority of every pod", Edit("priority", "globalDefault", True)),
    refused(
        "LH-Q-007", "a flavor of any pool", "ResourceFlavor general: does not name its pool by the label longhouse.dev/pool",
        Edit("flavor", "spec/nodeLabels/longhouse.dev~pool"),
    ),
    refused("LH-Q-008", "a queue that is not there", _WEB + "waits in the queue fast, which no tenant has", Edit("web", _LABEL, "fast")),
    allowed("the queue that work gets anyway", Edit("web", _LABEL, "default")),
    refused("LH-Q-009", "a GPU without its queue", _WEB + "container app asks for a GPU and is not in the queue gpu", *_gpus()),
    refused("LH-Q-009", "a GPU in another queue", _WEB + "init container setup asks for a GPU and is not in the queue gpu",
            *_gpus("initContainers"), Edit("web", _LABEL, "default")),
    allowed("a GPU in its queue", *_gpus(), Edit("web", _LABEL, "gpu")),
    allowed("a GPU of what another object makes, which is queued itself", *_gpus(),
            Edit("web", "metadata/ownerReferences", [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}])),
    refused("LH-Q-010", "every taint", _WEB + "pod tolerates every taint", _pod("tolerations", [{"operator": "Exists"}])),
    allowed("one taint", _pod("tolerations", [{"key": "nvidia.com/gpu", "operator": "Exists"}])),
    refused("LH-Q-011", "every GPU of the node", _WEB + "container app sets NVIDIA_VISIBLE_DEVICES", _variable("all")),
    refused("LH-Q-011", "the first GPU of the node", _WEB + "container app sets NVIDIA_VISIBLE_DEVICES", _variable("0")),
    allowed("no GPU of the node", _variable("void")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_work_runs_on_what_its_tenant_was_given(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)
