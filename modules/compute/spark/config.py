"""Spark: the operator's size, and what an application gets that states nothing itself."""

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
