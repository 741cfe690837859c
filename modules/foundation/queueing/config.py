"""Queueing: how work waits, shares and gives way."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modules.kit.model import FrozenMap, Model
from modules.kit.names import DnsLabel
from modules.kit.quantities import Cpu, Memory

Priority = Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000)]
"""Priority of work. Kubernetes keeps what lies above one billion for system pods, and a workload's priority is compared with a pod's
(https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#priorityclass)."""


class Reserved(Model):
    """Room on the pools without GPUs that no queue gives away."""

    cpu: Cpu = "500m"
    """Cores kept for the platform's own pods, over all pools without GPUs together."""

    memory: Memory = "1Gi"
    """Memory kept for the platform's own pods, over all pools without GPUs together."""


class WithinTenant(StrEnum):
    """Whom a tenant's own work may push out, as Kueue names it."""

    LOWER_PRIORITY = "LowerPriority"
    LOWER_OR_NEWER = "LowerOrNewerEqualPriority"
    NEVER = "Never"


class BetweenTenants(StrEnum):
    """How far a tenant that has less than its fair share of idle room may push out one that has more."""

    FINAL_SHARE = "final-share"
    INITIAL_SHARE = "initial-share"
    FINAL_THEN_INITIAL = "final-then-initial"


class Preemption(Model):
    """Who gives way to whom. A tenant always takes back what it lent, and nobody is pushed out so that another can borrow."""

    within_tenant: WithinTenant = WithinTenant.LOWER_PRIORITY
    """Whom a tenant's work pushes out of the tenant's own queue: work of lower priority (`LowerPriority`), also later work of the same (`LowerOrNewerEqualPriority`), or nobody (`Never`)."""

    between_tenants: BetweenTenants = BetweenTenants.FINAL_THEN_INITIAL
    """With fair sharing, when one borrower gives way to another: when the other has no more even afterwards (`final-share`), when it has less before (`initial-share`), or the first and, where that helps nobody, the second."""


class Queueing(Model):
    """The queueing operator and what all queues share."""

    fair_sharing: bool = True
    """Whether idle room is shared by the tenants' weights; otherwise the first to ask borrows it."""

    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Instances of the operator. One works, the others stand by."""

    priorities: Annotated[FrozenMap[DnsLabel, Priority], Field(min_length=1, max_length=20)]
    """Priority classes that work may name, with their values; higher goes first and preempts lower within a tenant's own queue."""

    budgeted: tuple[DnsLabel, ...] = ()
    """Priorities of which a tenant has no more than its `quota.budgets` gives it, and none where that names none. Work of such a priority waits in a queue of its own."""

    preemption: Preemption = Preemption()
    """Who gives way to whom."""

    ready_minutes: Annotated[int, Field(ge=1, le=1440)] = 20
    """Minutes in which all pods of admitted work have to be ready, and be so again after one failed; else it gives its room back and waits once more."""

    reserved: Reserved = Reserved()
    """Room on the pools without GPUs that no queue gives away: the platform's own pods need it."""
