"""Tracking: how many servers, and how large."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modules.data.mysql.config import ServiceSchema
from modules.kit.model import Model
from modules.kit.network import Reach
from modules.kit.quantities import Cpu, Memory

NAME: Final = "tracking"
"""Name of the bindings, and first part of the credentials' purposes."""

NAMESPACE: Final = "tracking"
PORT: Final = 5000

FOLDER: Final = "mlflow"
"""Folder of each tenant's bucket that artifacts are in."""

RESERVED: Final = frozenset({"default", "workspaces", "api", "ajax-api", "static-files"})
"""Names that no workspace may have (MLflow's `WorkspaceNameValidator`, and its own workspace)."""

SHORTEST: Final = 2
"""Characters of a workspace's name at least."""

WORKER_MEMORY: Final = "320Mi"
"""What a process of a server takes: 190 MiB once it has started (docs/tracking.md), and what requests hold meanwhile."""

POOL: Final = 2
POOL_OVERFLOW: Final = 1
"""Connections that each of MLflow's stores keeps, and opens beside them when it has to."""

_STORES: Final = 3
"""Stores of a process: experiments, models, workspaces."""

_WORKER_CONNECTIONS: Final = _STORES * (POOL + POOL_OVERFLOW) + 1
_OTHERS: Final = 4
"""Connections of what prepares a pod, and of the program that reconciles access."""


class Tracking(Model):
    """Tracking of experiments and models, for all tenants that have a bucket: MLflow's server."""

    replicas: Annotated[int, Field(ge=1, le=10)] = 2
    """Servers. All work; one is restarted at a time."""

    workers: Annotated[int, Field(ge=1, le=16)] = 2
    """Processes of each server, of which each takes some 320Mi."""

    cpu: Cpu = "500m"
    """Cores of each server."""

    memory: Memory = "1Gi"
    """Memory of each server."""

    scratch: Memory = "4Gi"
    """Room on the node of each server for artifacts that are being downloaded: the largest has to fit."""

    @property
    def reach(self) -> Reach:
        """Where tenants' pods call it."""
        return Reach(NAME, (PORT,), namespace=NAMESPACE)

    @property
    def database(self) -> ServiceSchema:
        """Its schema of MySQL, with as many connections as all servers may open."""
        connections = self.replicas * self.workers * _WORKER_CONNECTIONS + _OTHERS
        return ServiceSchema(NAME, NAMESPACE, connections)
