"""Flink: what an application gets that states nothing itself, and a tenant's session cluster."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modules.kit.model import Model
from modules.kit.quantities import Cpu, Memory

ACCOUNT: Final = "flink"
"""Service account of Flink's pods in a tenant's namespace: they agree by ConfigMaps on who leads."""

SESSION: Final = "flink-session"
"""Name of a tenant's session cluster, and of the Service that leads to its JobManager."""

REST_PORT: Final = 8081
"""Where a JobManager takes jobs, and shows them."""


class Flink(Model):
    """Flink for all tenants that have a bucket. Nothing of it runs until somebody starts an application."""

    pod_cpu: Cpu = "500m"
    """Cores of each pod of an application that states none."""

    pod_memory: Memory = "2Gi"
    """Memory of each pod of an application that states none. All of the container's; a JobManager or a TaskManager works with 1Gi or more."""

    checkpoint_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    """How often an application keeps its state in the bucket that does not say itself; a transaction of Kafka ends as often."""


class FlinkSession(Model):
    """A session cluster: one JobManager and its TaskManagers that run all the time, for many small jobs of the tenant's people. They share its
    processes, and its rights."""

    task_managers: Annotated[int, Field(ge=1, le=1000)] = 1
    """TaskManagers."""

    cpu: Cpu = "500m"
    """Cores of each pod. A TaskManager has as many slots, a broken one counted as whole, and may use whole ones that idle."""

    memory: Memory = "2Gi"
    """Memory of each pod, the JobManager's too."""
