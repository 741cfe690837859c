"""Labels that every object of the platform carries, and the keys under which others find them."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "longhouse.dev/"

TENANT: Final = PREFIX + "tenant"
OWNER: Final = PREFIX + "owner"
COMPONENT: Final = PREFIX + "component"
POOL: Final = PREFIX + "pool"
SITE: Final = PREFIX + "site"
REGION: Final = PREFIX + "region"
SPOT: Final = PREFIX + "spot"
LOCAL_SSD: Final = PREFIX + "local-ssd"
DATA_CLASS: Final = PREFIX + "data-class"
"""On a tenant's namespace: how far its data may go."""

RETAINED: Final = PREFIX + "retained"
"""On the lists of what a store keeps of tenants that are gone; its value is the store."""

USE: Final = PREFIX + "use"
"""On pods: what they are for. Which GPUs they may ask for depends on it."""

GPUS: Final = PREFIX + "gpus"
"""Annotation of a tenant's namespace: the GPUs that its work can get, as words `pool=resource`."""

GPUS_FOR: Final = PREFIX + "gpus-for-"
"""The same for one use, whose name follows."""

QUEUES: Final = PREFIX + "queues"
"""Annotation of a tenant's namespace: its LocalQueues, as words."""

BUDGETED: Final = PREFIX + "budgeted-priorities"
"""Annotation of a tenant's namespace: priorities that may be named in their own queues only, as words."""

QUEUE: Final = "kueue.x-k8s.io/queue-name"
"""Kueue's: the LocalQueue in which something waits."""

PRIORITY: Final = "kueue.x-k8s.io/priority-class"
"""Kueue's: the WorkloadPriorityClass that something has."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
PART_OF: Final = "app.kubernetes.io/part-of"
PLATFORM: Final = "longhouse"
"""Value of `managed-by` and `part-of`."""


def platform(component: str, owner: str) -> dict[str, str]:
    """Labels of an object that serves all tenants."""
    return {COMPONENT: component, OWNER: owner, MANAGED_BY: PLATFORM, PART_OF: PLATFORM}


def tenant(name: str, component: str, owner: str) -> dict[str, str]:
    """Labels of an object that belongs to one tenant."""
    return {TENANT: name, **platform(component, owner)}
