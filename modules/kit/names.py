"""Every name that more than one part must agree on, and the shapes that names have.

Names of Kubernetes objects are DNS labels, at most 63 characters (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
A tenant's name is the stem of many others, which later live outside Kubernetes too, and it can never change; so it is held to the tightest of
their limits from the start: a MySQL user name has at most 32 characters
(https://dev.mysql.com/doc/refman/8.4/en/user-names.html).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

DNS_LABEL_PATTERN: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
LABEL_VALUE_PATTERN: Final = r"^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$"

DnsLabel = Annotated[
    str,
    Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=63, json_schema_extra={"format": "dns-label"}),
]
"""Name of a Kubernetes object: lower-case letters, digits and hyphens, a letter first."""

TenantName = Annotated[
    str,
    Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=32, json_schema_extra={"format": "dns-label"}),
]
"""Name of a tenant, short enough to be the stem of every name that derives from it."""

PoolName = Annotated[
    str,
    Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=40, json_schema_extra={"format": "dns-label"}),
]
"""Name of a node pool, short enough that `<pool>-<number>` names a node and the pool's name is a label value."""

LabelValue = Annotated[
    str,
    Field(
        pattern=LABEL_VALUE_PATTERN, min_length=1, max_length=63, json_schema_extra={"format": "label-value"}
    ),
]
"""A label's value. It cannot hold `@`, so an owner is a team's or person's name, not an address."""

COHORT: Final = "longhouse"
"""The one Kueue cohort in which all tenants' queues share."""

DEFAULT_QUEUE: Final = "default"
"""LocalQueue of a tenant's namespace that a job without a queue label is put in (Kueue's fixed name for it)."""

GPU_QUEUE: Final = "gpu"
"""LocalQueue of a tenant's namespace for work on GPU nodes."""

USES: Final = ("notebook", "training")
"""What a tenant's pods can be for (labels.USE); what says nothing is for training."""

DEFAULT_USE: Final = "training"

NAMESPACE_PREFIX: Final = "tenant-"
KUEUE_NAMESPACE: Final = "kueue-system"

RESERVED_PREFIXES: Final = ("kube-", "tenant-", "openshift-")
"""Stems that Kubernetes, or the platform itself, keeps for its own (`kube-`: Kubernetes, "Namespaces")."""

RESERVED_NAMES: Final = frozenset(
    {"default", "system", "longhouse", "admin", "root", "public", "all", "none", "platform"}
)
"""Names that read as something else than a tenant in a queue, label, bucket, database or access rule."""


def namespace(tenant: str) -> str:
    """The tenant's namespace."""
    return f"{NAMESPACE_PREFIX}{tenant}"


def cpu_cluster_queue(tenant: str) -> str:
    """The tenant's ClusterQueue for nodes without GPUs."""
    return f"{tenant}-cpu"


def gpu_cluster_queue(tenant: str) -> str:
    """The tenant's ClusterQueue for nodes with GPUs."""
    return f"{tenant}-gpu"


def budget_queue(queue: str, priority: str) -> str:
    """The queue beside a tenant's queue, of either kind, for work of a priority that has a budget. No tenant's name has a dot."""
    return f"{queue}.{priority}"


def node(pool: str, number: int) -> str:
    """Name of the pool's node with that number, from 0; for nodes that the platform's side names at all."""
    return f"{pool}-{number}"


def is_reserved(name: str) -> bool:
    """Whether a tenant may not have the name."""
    return name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES)
