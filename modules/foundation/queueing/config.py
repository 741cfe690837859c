"""Queueing: how work waits, shares and gives way."""

from __future__ import annotations

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


class Queueing(Model):
    """The queueing operator and what all queues share."""

    fair_sharing: bool = True
    """Whether idle room is shared by the tenants' weights; otherwise the first to ask borrows it."""

    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Instances of the operator. One works, the others stand by."""

    priorities: Annotated[FrozenMap[DnsLabel, Priority], Field(min_length=1, max_length=20)]
    """Priority classes that work may name, with their values; higher goes first and preempts lower within a tenant's own queue."""

    reserved: Reserved = Reserved()
    """Room on the pools without GPUs that no queue gives away: the platform's own pods need it."""
