"""TensorBoard: how large it is, and how long it stays."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modules.kit.model import Model
from modules.kit.quantities import Cpu, Memory

NAME: Final = "tensorboard"
"""Deployment of a tenant's namespace, and the service account that may end it."""

PORT: Final = 6006
"""TensorBoard's usual one."""


class TensorBoard(Model):
    """TensorBoard for each tenant that has a bucket. Nothing of it runs until somebody opens it."""

    idle_minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    """How long it stays after somebody last looked."""

    reload_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """How often it looks for what jobs have logged since."""

    cpu: Cpu = "100m"
    """Cores of one, from the tenant's quota while it is open."""

    memory: Memory = "1Gi"
    """Memory of one, which holds what it shows; from the tenant's quota while it is open."""
