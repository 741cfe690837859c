"""Tuning: who looks for parameters, and how large the program is that does."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from modules.kit.model import Model
from modules.kit.quantities import Cpu, Memory

ACCOUNT: Final = "tuning"
"""Service account of studies' drivers in a tenant's namespace: they start and end trials there, and read what these print."""

PROGRAM: Final = "tuning-driver"
"""ConfigMap of a tenant's namespace with the driver's program."""


class Engine(StrEnum):
    """Who runs studies."""

    OPTUNA = "optuna"
    KATIB = "katib"


class Tuning(Model):
    """Tuning for all tenants. Nothing of it runs until somebody submits a study."""

    engine: Engine = Engine.OPTUNA
    """Who runs studies: `optuna` is a Job for each study, which keeps what it finds in the tenant's schema of MySQL; `katib` is Kubeflow's operator, which the platform does not bring: for a cluster that has it."""

    cpu: Cpu = "50m"
    """Cores of a study's driver."""

    memory: Memory = "384Mi"
    """Memory of a study's driver, which holds every trial of its study."""
