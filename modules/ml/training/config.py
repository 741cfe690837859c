"""Training: the operators, the images of the runtimes, and what a job gets that states nothing itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modules.kit.model import Model
from modules.kit.quantities import Cpu, Memory

DEFAULTS: Final = "training-defaults"
"""ConfigMap of a tenant's namespace with the environment that its jobs get unasked."""

CHECKPOINTS: Final = "checkpoints"
"""Folder of a tenant's store in which each job keeps its checkpoints, below its own name."""

LOGS: Final = "tensorboard"
"""Folder of it in which each job logs for TensorBoard, below its own name."""

Image = Annotated[
    str,
    Field(
        min_length=1,
        max_length=300,
        pattern=r"^[a-z0-9][-a-z0-9._:]*(/[-a-z0-9._]+)+(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?$",
        json_schema_extra={"examples": ["registry.example.com/jax:25.10"]},
    ),
]
"""Reference of an image, with the registry that it is pulled from."""


class Runtimes(Model):
    """Images of the runtimes that jobs name."""

    torch: Image | None = None
    """Image of the runtime `torch`; null takes the platform's own, which has PyTorch for CPUs."""

    xgboost: Image | None = None
    """Image of the runtime `xgboost`; null takes the platform's own, which has XGBoost for CPUs."""

    jax: Image | None = None
    """Image of the runtime `jax`; null is no such runtime."""

    deepspeed: Image | None = None
    """Image of the runtime `deepspeed`, with an SSH server as upstream's has it; null is no such runtime."""


class Training(Model):
    """Training on many machines at once, for all tenants: Kubeflow's Trainer over JobSet."""

    replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Instances of each operator. One works, the others stand by."""

    cpu: Cpu = "100m"
    """Cores of each operator."""

    memory: Memory = "256Mi"
    """Memory of each operator."""

    worker_cpu: Cpu = "1"
    """Cores of a worker whose job states no resources."""

    worker_memory: Memory = "4Gi"
    """Memory of a worker whose job states no resources."""

    restarts: Annotated[int, Field(ge=0, le=1000)] = 10
    """How often a job begins again, all its workers at once, after one of them failed."""

    runtimes: Runtimes = Runtimes()
    """Images of the runtimes that jobs name."""

    earlier_kinds: bool = False
    """Whether the kinds of before run too: MPIJob, PaddleJob, PyTorchJob, TFJob and XGBoostJob, each by the operator of its time."""


class CheckpointStore(StrEnum):
    """Where a tenant's jobs keep what they go on from."""

    OBJECT_STORE = "object_store"
    HDFS = "hdfs"


class TrainingShare(Model):
    """How a tenant's jobs are set up."""

    checkpoints: CheckpointStore = CheckpointStore.OBJECT_STORE
    """Which of the tenant's stores its jobs keep checkpoints and logs in: `object_store`, its bucket, or `hdfs`, its home there."""
