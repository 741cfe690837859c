"""The rules for GPUs and queues."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policies.objects import DROP, Case, Edit, allowed, edited, expected, found, pod_spec, refused

_QUEUE = "ClusterQueue atlas-cpu: "
_DOOR = "LocalQueue tenant-atlas/default: "
_WEB = "Deployment tenant-atlas/web: "
_PRIORITY = "PriorityClass batch: "
_LABEL = "metadata/labels/kueue.x-k8s.io~queue-name"


_PRIORITY_OF = "metadata/labels/kueue.x-k8s.io~priority-class"
_BEYOND = "has the priority high, which has a budget, and waits in "


def _workload(queue: str) -> dict[str, Any]:
    """What Kueue makes of a job."""
    reference = {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": "high"}
    labels = {"longhouse.dev/tenant": "atlas", "longhouse.dev/owner": "atlas-team"}
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {"name": "unseen", "namespace": "tenant-atlas", "labels": labels},
        "spec": {
            "queueName": queue,
            "priorityClassRef": reference,
            "priority": 1000,
            "podSets": [{"name": "main", "count": 1, "template": {"spec": pod_spec()}}],
        },
    }


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
    allowed("the tenant's queue for a priority", Edit("door", "spec/clusterQueue", "atlas-gpu.high"), Edit("door", "metadata/name", "gpu.high")),
    refused("LH-Q-005", "another tenant's queue for a priority", "LocalQueue tenant-atlas/gpu.high: leads to borealis-gpu.high",
            Edit("door", "spec/clusterQueue", "borealis-gpu.high"), Edit("door", "metadata/name", "gpu.high")),
    refused("LH-Q-005", "a queue for a priority by another name", _DOOR + "leads to atlas-gpu.high", Edit("door", "spec/clusterQueue", "atlas-gpu.high")),
    refused("LH-Q-006", "preemption left to Kubernetes, which pushes out", _PRIORITY + "pushes out pods of lower priority", Edit("priority", "preemptionPolicy")),
    refused("LH-Q-006", "preemption", _PRIORITY + "pushes out pods of lower priority", Edit("priority", "preemptionPolicy", "PreemptLowerPriority")),
    refused("LH-Q-006", "the priority of all", _PRIORITY + "is the priority of every pod", Edit("priority", "globalDefault", True)),
    refused(
        "LH-Q-007", "a flavor of any pool", "ResourceFlavor general: does not name its pool by the label longhouse.dev/pool",
        Edit("flavor", "spec/nodeLabels/longhouse.dev~pool"),
    ),
    refused("LH-Q-008", "a queue that is not there", _WEB + "waits in the queue fast, and there is: default gpu gpu.high", Edit("web", _LABEL, "fast")),
    refused("LH-Q-008", "a budget that the tenant has not", _WEB + "waits in the queue default.high, and there is: default gpu gpu.high",
            Edit("web", _LABEL, "default.high")),
    refused("LH-Q-008", "a queue for GPUs of a tenant that has none", _WEB + "waits in the queue gpu, and there is: default",
            *_gpus(), Edit("web", _LABEL, "gpu"), Edit("namespace", "metadata/annotations/longhouse.dev~queues", "default")),
    allowed("the queue that work gets anyway", Edit("web", _LABEL, "default")),
    refused("LH-Q-009", "a GPU without its queue", _WEB + "container app asks for a GPU and is not in the queue gpu", *_gpus()),
    refused("LH-Q-009", "a GPU in another queue", _WEB + "init container setup asks for a GPU and is not in the queue gpu",
            *_gpus("initContainers"), Edit("web", _LABEL, "default")),
    allowed("a GPU in its queue", *_gpus(), Edit("web", _LABEL, "gpu")),
    allowed("a GPU of what another object makes, which is queued itself", *_gpus(),
            Edit("web", "metadata/ownerReferences", [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}])),
    refused("LH-Q-010", "every taint", _WEB + "pod tolerates every taint", _pod("tolerations", [{"operator": "Exists"}])),
    allowed("one taint", _pod("tolerations", [{"key": "example.com/spare", "operator": "Exists"}])),
    refused("LH-Q-011", "every GPU of the node", _WEB + "container app sets NVIDIA_VISIBLE_DEVICES", _variable("all")),
    refused("LH-Q-011", "the first GPU of the node", _WEB + "container app sets NVIDIA_VISIBLE_DEVICES", _variable("0")),
    refused("LH-Q-011", "whatever GPUs another field says", _WEB + "container app sets NVIDIA_VISIBLE_DEVICES",
            _pod("containers/0/env", [{"name": "NVIDIA_VISIBLE_DEVICES", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])),
    allowed("no GPU of the node", _variable("void")),
    allowed("no GPU of the node, as the launcher of an MPIJob says it", _variable("")),
    allowed("a budgeted priority in its queue", *_gpus(), Edit("web", _LABEL, "gpu.high"), Edit("web", _PRIORITY_OF, "high")),
    allowed("a priority without a budget", Edit("web", _PRIORITY_OF, "low")),
    allowed("a priority that has no budget here", Edit("web", _PRIORITY_OF, "high"),
            Edit("namespace", "metadata/annotations/longhouse.dev~budgeted-priorities")),
    refused("LH-Q-012", "a budgeted priority in the queue of all", _WEB + _BEYOND + "gpu", *_gpus(),
            Edit("web", _LABEL, "gpu"), Edit("web", _PRIORITY_OF, "high")),
    refused("LH-Q-012", "a budgeted priority in no queue of its own", _WEB + _BEYOND + "default", Edit("web", _PRIORITY_OF, "high")),
    refused("LH-Q-012", "a budgeted priority of work that no rule sees", "Workload tenant-atlas/unseen: " + _BEYOND + "gpu",
            Edit("unseen", "", _workload("gpu"))),
    allowed("work that no rule sees in the queue of its priority", Edit("unseen", "", _workload("gpu.high"))),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_work_runs_on_what_its_tenant_was_given(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)
