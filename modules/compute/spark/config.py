"""Spark: the operator's size, what an application gets that states nothing itself, and what a tenant can have beside applications."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modules.kit.model import Model
from modules.kit.quantities import Cpu, Memory

NAMESPACE: Final = "spark-operator"

ACCOUNT: Final = "spark"
"""Service account of drivers in a tenant's namespace: they start and stop executors there."""

DEFAULTS: Final = "spark-defaults"
"""ConfigMap of a tenant's namespace with the settings that its applications get unasked."""

EVENT_LOGS: Final = "spark-events"
"""Where in its bucket a tenant's applications log what they do."""

SparkMemory = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[gm]$", json_schema_extra={"examples": ["2g"]})]
"""Memory as Spark writes it: `g` and `m` are gibibytes and mebibytes."""


def quantity(memory: SparkMemory) -> str:
    """The same as Kubernetes writes it."""
    return f"{memory[:-1]}{'Gi' if memory.endswith('g') else 'Mi'}"


class Spark(Model):
    """Spark for all tenants, run by one operator."""

    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Instances of the operator and of its webhook. One works, the others stand by."""

    submissions: Annotated[int, Field(ge=1, le=50)] = 5
    """Applications that are started at the same time. Each takes a Java process of the operator for some seconds."""

    cpu: Cpu = "500m"
    """Cores of the operator."""

    memory: Memory = "2Gi"
    """Memory of the operator: a third of a gibibyte for each of its `submissions`, and as much for itself."""

    pod_memory: SparkMemory = "2g"
    """Memory of a driver or executor that states none. All of the container's: the heap is cut from it."""


class History(Model):
    """A history server of the tenant's own: what its applications did, after they are gone. Needs a bucket, where their logs are."""

    cpu: Cpu = "100m"
    """Cores that it asks for."""

    memory: SparkMemory = "1g"
    """Its memory, all of it: it keeps what it has read of the last fifty applications that were looked at."""


class Connect(Model):
    """A Spark Connect server of the tenant's own: a session that is always there, which notebooks and programs call."""

    executors: Annotated[int, Field(ge=1, le=1000)] = 1
    """Executors at most. They come when there is work for them and room in the queue, and go when there is none."""

    cpu: Cpu = "1"
    """Cores of the server, and of each executor."""

    memory: SparkMemory = "2g"
    """Memory of the server, and of each executor."""


class SparkShare(Model):
    """What a tenant has of Spark beside its applications. It stands in the tenant's namespace and counts against its quota."""

    history: History | None = None
    """A history server; `{}` for one of the usual size."""

    connect: Connect | None = None
    """A Spark Connect server; `{}` for one of the usual size."""
