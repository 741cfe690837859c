"""GPUs and queues: that work runs on what its tenant was given, and on nothing else."""

from __future__ import annotations

from typing import Final

from modules.kit import labels, names
from policies.claim import CONTAINERS, WORKLOADS, each, forbid, over, over_pods, require
from policies.expression import (
    BODY,
    IN_TENANT,
    LABELS,
    META,
    NAMESPACE,
    OBJECT,
    POD_SPEC,
    SAID,
    SPEC,
    WHERE,
    AfterDot,
    Name,
    Words,
    any_key,
    any_of,
    either,
    text,
    words,
)
from policies.rule import Family, ResourceRule, Severity

_KUEUE: Final = "kueue.x-k8s.io/"
_TENANT: Final = LABELS[labels.TENANT]
_QUEUED: Final = (*WORKLOADS, "jobset.x-k8s.io/JobSet")
_QUEUE: Final = LABELS[labels.QUEUE]
_IN_GPU_QUEUE: Final = _QUEUE.matches(f"^{names.GPU_QUEUE}([.]|$)")
_QUEUES: Final = either(SAID[labels.QUEUES], f"{names.DEFAULT_QUEUE} {names.GPU_QUEUE}")
"""Those of the tenant."""
_WORKLOAD: Final = _KUEUE + "Workload"
"""What Kueue itself makes of work of any kind: what no rule sees as a job is seen here."""
_WAITS_IN: Final = either(SPEC["queueName"], _QUEUE)
_PRIORITY: Final = either(SPEC["priorityClassRef", "name"], LABELS[labels.PRIORITY])
_GROUP: Final = Name("group")
_KEY: Final = Name("key")
_TOLERATION: Final = Name("toleration")
_ENV: Final = Name("env")

_ADMITS: Final = over(
    _KUEUE + "ClusterQueue",
    require(
        SPEC["namespaceSelector", "matchLabels", "kubernetes.io/metadata.name"].eq(
            text(names.NAMESPACE_PREFIX, _TENANT)
        ),
        f"admits more than {names.NAMESPACE_PREFIX}", _TENANT,
    ),
    where=_TENANT.filled,
)  # fmt: skip

_COHORT: Final = over(
    _KUEUE + "ClusterQueue",
    require(SPEC["cohortName"].eq(names.COHORT), f"is not in the cohort {names.COHORT}"),
)

_PREEMPTION: Final = SPEC["preemption"]
_TAKES: Final = over(
    _KUEUE + "ClusterQueue",
    forbid(
        _PREEMPTION["borrowWithinCohort", "policy"].present
        & ~_PREEMPTION["borrowWithinCohort", "policy"].eq("Never"),
        "pushes out others' work to borrow (", _PREEMPTION["borrowWithinCohort", "policy"], ")",
    ),
    require(_PREEMPTION["reclaimWithinCohort"].eq("Any"), "does not take back what it lent"),
)  # fmt: skip

_COVERS: Final = over(
    _KUEUE + "ClusterQueue",
    *(
        require(
            any_of(SPEC["resourceGroups"], _GROUP, _GROUP["coveredResources"].has(name)),
            f"does not count {name}",
        )
        for name in ("cpu", "memory")
    ),
)

_OWN_QUEUE: Final = over(
    _KUEUE + "LocalQueue",
    require(
        text(names.NAMESPACE_PREFIX, SPEC["clusterQueue"]).eq(text(NAMESPACE, "-cpu"))
        | text(names.NAMESPACE_PREFIX, SPEC["clusterQueue"]).eq(text(NAMESPACE, "-gpu"))
        | text(names.NAMESPACE_PREFIX, SPEC["clusterQueue"]).eq(text(NAMESPACE, "-cpu.", AfterDot(META["name"])))
        | text(names.NAMESPACE_PREFIX, SPEC["clusterQueue"]).eq(text(NAMESPACE, "-gpu.", AfterDot(META["name"]))),
        "leads to ", SPEC["clusterQueue"],
    ),
    where=IN_TENANT,
)  # fmt: skip

_PUSHES: Final = over(
    "scheduling.k8s.io/PriorityClass",
    require(OBJECT["preemptionPolicy"].eq("Never"), "pushes out pods of lower priority"),
    forbid(OBJECT["globalDefault"].eq(True), "is the priority of every pod"),
)

_NODES: Final = over(
    _KUEUE + "ResourceFlavor",
    require(SPEC["nodeLabels", labels.POOL].filled, f"does not name its pool by the label {labels.POOL}"),
)

_DOORS: Final = over(
    _QUEUED,
    forbid(
        _QUEUE.present & ~_QUEUE.within(Words(_QUEUES)),
        "waits in the queue ", _QUEUE, ", and there is: ", _QUEUES,
    ),
    where=IN_TENANT,
    home=True,
)  # fmt: skip

# Where a tenant has no GPUs there is no such queue to send it to: LH-G-001 says so.
_GPU_DOOR: Final = over_pods(
    forbid(
        any_key(BODY["resources", "limits"], _KEY, _KEY.matches("^nvidia[.]com/")),
        WHERE, f" asks for a GPU and is not in the queue {names.GPU_QUEUE}",
        over=[CONTAINERS],
    ),
    where=IN_TENANT & ~_IN_GPU_QUEUE & ~META["ownerReferences"].filled & SAID[labels.GPUS].filled,
    home=True,
)  # fmt: skip

_BUDGETS: Final = over(
    (*_QUEUED, _WORKLOAD),
    forbid(
        _PRIORITY.present & _PRIORITY.within(words(SAID[labels.BUDGETED]))
        & ~_WAITS_IN.eq(text(f"{names.DEFAULT_QUEUE}.", _PRIORITY))
        & ~_WAITS_IN.eq(text(f"{names.GPU_QUEUE}.", _PRIORITY)),
        "has the priority ", _PRIORITY, ", which has a budget, and waits in ", either(_WAITS_IN, names.DEFAULT_QUEUE),
    ),
    where=IN_TENANT,
    home=True,
)  # fmt: skip

_EVERY_TAINT: Final = over_pods(
    forbid(
        _TOLERATION["operator"].eq("Exists") & ~_TOLERATION["key"].filled,
        "pod tolerates every taint",
        over=[each(_TOLERATION, POD_SPEC["tolerations"])],
    )
)

# An empty value is as `void`; the launcher of an MPIJob has one.
_DEVICES: Final = over_pods(
    forbid(
        _ENV["name"].eq("NVIDIA_VISIBLE_DEVICES")
        & (_ENV["valueFrom"].filled | (_ENV["value"].filled & ~_ENV["value"].among(("void", "none")))),
        WHERE, " sets NVIDIA_VISIBLE_DEVICES",
        over=[CONTAINERS, each(_ENV, BODY["env"])],
    )
)  # fmt: skip

RULES: Final = (
    ResourceRule(
        id="LH-Q-001",
        title="A tenant's queue admits that tenant's work only",
        reason="An empty selector lets every namespace spend the tenant's share.",
        fix="Select the tenant's namespace by kubernetes.io/metadata.name.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_ADMITS,
    ),
    ResourceRule(
        id="LH-Q-002",
        title="Every queue shares in the one cohort",
        reason="What a queue outside the cohort takes is counted nowhere, and what it leaves idle nobody gets.",
        fix=f"Set cohortName to {names.COHORT}.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_COHORT,
    ),
    ResourceRule(
        id="LH-Q-003",
        title="Queues take back what they lent, and never more",
        reason="One that pushes out others' work to borrow makes shares meaningless; one that cannot reclaim waits for its own GPUs.",
        fix="Set preemption.borrowWithinCohort.policy to Never and reclaimWithinCohort to Any.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_TAKES,
    ),
    ResourceRule(
        id="LH-Q-004",
        title="Every queue counts CPU and memory",
        reason="Work that asks for a resource that the queue does not cover is never admitted, and says so only in its events.",
        fix="Name cpu and memory among the coveredResources.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_COVERS,
    ),
    ResourceRule(
        id="LH-Q-005",
        title="A tenant's work waits in that tenant's queues",
        reason="A LocalQueue that leads to another tenant's ClusterQueue spends that tenant's share.",
        fix="Lead it to <tenant>-cpu or <tenant>-gpu, or, for a priority with a budget, to <tenant>-cpu.<priority> or <tenant>-gpu.<priority>.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_OWN_QUEUE,
    ),
    ResourceRule(
        id="LH-Q-006",
        title="Nobody goes first but by the queues",
        reason="A PriorityClass that preempts pushes out pods that a queue has admitted, past all shares.",
        fix="Set preemptionPolicy to Never and leave globalDefault away; say in a queue what goes first, by a WorkloadPriorityClass.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        references=("Kubernetes, Multi-tenancy: quality of service",),
        check=_PUSHES,
    ),
    ResourceRule(
        id="LH-Q-007",
        title="Every flavor stands for the nodes of one pool",
        reason="A flavor without the label admits work to any node, that of another kind of GPU too.",
        fix=f"Name the pool by the label {labels.POOL} among nodeLabels.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_NODES,
    ),
    ResourceRule(
        id="LH-Q-008",
        title="Work waits in a queue that there is",
        reason="Work that names a queue that its namespace does not have stays suspended and never says why.",
        fix=f"Write one that there is, or leave the label away for {names.DEFAULT_QUEUE}.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_DOORS,
    ),
    ResourceRule(
        id="LH-Q-009",
        title="What asks for a GPU waits in the queue for GPUs",
        reason="The default queue covers no GPU: such work is never admitted.",
        fix=f"Label it {labels.QUEUE}: {names.GPU_QUEUE}.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_GPU_DOOR,
    ),
    ResourceRule(
        id="LH-Q-010",
        title="No pod tolerates every taint",
        reason="Taints keep GPU nodes and clouds free for the work that was admitted to them.",
        fix="Name the taint that it is to tolerate by its key.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        references=("NSA/CISA Kubernetes Hardening Guide: Resource policies",),
        check=_EVERY_TAINT,
    ),
    ResourceRule(
        id="LH-Q-011",
        title="No container chooses its GPUs itself",
        reason="NVIDIA_VISIBLE_DEVICES=all shows it every GPU of the node, with what other tenants have in them, unasked and uncounted.",
        fix="Take it away and ask for GPUs by resources.limits; `void` hides those that an image asks for.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        references=("NVIDIA Container Toolkit, documentation: environment variables",),
        check=_DEVICES,
    ),
    ResourceRule(
        id="LH-Q-012",
        title="Work of a priority that has a budget waits in that priority's queue",
        reason="In any other queue it goes before all of the tenant's work without end, and what everybody calls urgent is not.",
        fix=f"Label it {labels.QUEUE}: {names.GPU_QUEUE}.<priority>, or {names.DEFAULT_QUEUE}.<priority> without GPUs, or take another priority; quota.budgets of the tenant's record says how much there is.",
        severity=Severity.ERROR,
        family=Family.QUEUES,
        check=_BUDGETS,
    ),
)
