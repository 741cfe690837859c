"""What people and workloads may do in a tenant's namespace.

Three roles that each hold the one before, as ClusterRoles declared once and bound in each namespace: copied
into every namespace they would be three more objects per tenant, saying the same. No wildcard: what is not
named here, later operators' kinds too, is not granted until somebody names it. Nobody in a tenant may
change what fences it in: quotas, limits, network policies, roles and their bindings, service accounts.

Who may run a pod can have it read any secret of its namespace, so that editors write secrets but don't read
them keeps secrets off screens and out of logs; it is no wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from modules.foundation.tenants.config import Groups

ROLE_PREFIX: Final = "longhouse:tenant-"

WORKLOAD_ACCOUNT: Final = "workload"
"""Service account of a tenant for work that calls the API server: it may look, as a viewer may."""

CORE: Final = ""
READ: Final = ("get", "list", "watch")
WRITE: Final = ("create", "update", "patch", "delete", "deletecollection")
WRITE_ONE: Final = ("create", "update", "patch", "delete")
SPARK: Final = ("scheduledsparkapplications", "sparkapplications")
TRAINER: Final = ("trainingruntimes", "trainjobs")
EARLIER: Final = ("mpijobs", "paddlejobs", "pytorchjobs", "tfjobs", "xgboostjobs")
"""Kubeflow's kinds of before Trainer."""


class Role(StrEnum):
    """What somebody is to a tenant."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def cluster_role(self) -> str:
        """Name of the ClusterRole."""
        return f"{ROLE_PREFIX}{self.value}"


@dataclass(frozen=True)
class Grant:
    """Verbs on resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


_LOOK: Final = (
    Grant(
        CORE,
        (
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "persistentvolumeclaims",
            "pods",
            "pods/status",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ),
        READ,
    ),
    Grant(CORE, ("pods/log",), ("get",)),
    Grant("apps", ("controllerrevisions", "deployments", "replicasets", "statefulsets"), READ),
    Grant("autoscaling", ("horizontalpodautoscalers",), READ),
    Grant("batch", ("cronjobs", "jobs"), READ),
    Grant("discovery.k8s.io", ("endpointslices",), READ),
    Grant("events.k8s.io", ("events",), READ),
    Grant("jobset.x-k8s.io", ("jobsets",), READ),
    Grant("kubeflow.org", ("experiments", "suggestions", "trials", *EARLIER), READ),
    Grant("kueue.x-k8s.io", ("localqueues", "workloads"), READ),
    Grant("metrics.k8s.io", ("pods",), ("get", "list")),
    Grant("networking.k8s.io", ("networkpolicies",), READ),
    Grant("policy", ("poddisruptionbudgets",), READ),
    Grant("sparkoperator.k8s.io", SPARK, READ),
    Grant("trainer.kubeflow.org", TRAINER, READ),
    Grant("visibility.kueue.x-k8s.io", ("localqueues/pendingworkloads",), ("get",)),
)
_WORK: Final = (
    Grant(CORE, ("configmaps", "persistentvolumeclaims", "pods", "services"), WRITE),
    Grant(CORE, ("secrets",), WRITE_ONE),
    Grant(CORE, ("pods/attach", "pods/eviction", "pods/exec", "pods/portforward"), ("create",)),
    Grant("apps", ("deployments", "statefulsets"), WRITE),
    Grant("apps", ("deployments/scale", "statefulsets/scale"), ("get", "update", "patch")),
    Grant("autoscaling", ("horizontalpodautoscalers",), WRITE),
    Grant("batch", ("cronjobs", "jobs"), WRITE),
    Grant("jobset.x-k8s.io", ("jobsets",), WRITE),
    Grant("kubeflow.org", ("experiments", *EARLIER), WRITE),
    Grant("policy", ("poddisruptionbudgets",), WRITE),
    Grant("sparkoperator.k8s.io", SPARK, WRITE),
    Grant("trainer.kubeflow.org", TRAINER, WRITE),
)
_ANSWER_FOR: Final = (
    Grant(CORE, ("secrets",), READ),
    Grant("rbac.authorization.k8s.io", ("rolebindings", "roles"), READ),
)

GRANTS: Final = {
    Role.VIEWER: _LOOK,
    Role.EDITOR: _LOOK + _WORK,
    Role.ADMIN: _LOOK + _WORK + _ANSWER_FOR,
}
"""What each role may do."""


def members(groups: Groups, prefix: str) -> dict[Role, tuple[str, ...]]:
    """Groups by role as the API server knows them, with its prefix before each; roles that nobody has
    are left out."""
    named = {Role.VIEWER: groups.viewer, Role.EDITOR: groups.editor, Role.ADMIN: groups.admin}
    return {role: tuple(f"{prefix}{group}" for group in found) for role, found in named.items() if found}
