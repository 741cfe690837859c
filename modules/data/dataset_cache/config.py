"""The dataset cache: which volumes, and how much of a node it may have."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modules.kit.model import Model
from modules.kit.names import DnsLabel
from modules.kit.network import Reach
from modules.kit.quantities import Cpu, Memory

NAME: Final = "dataset-cache"
"""Its namespace, and everything in it."""

PORT: Final = 8443
HOST: Final = f"{NAME}.{NAME}.svc"
"""Where it is called from inside the cluster."""

ENDPOINT: Final = f"https://{HOST}:{PORT}"


class DatasetCache(Model):
    """Copies of what is read from the object store, on the fast disk of each node of the pools that have one (`local_ssd`)."""

    storage_class: DnsLabel
    """StorageClass that makes volumes on a node's own fast disk, once a pod is there (`WaitForFirstConsumer`), and deletes them with their claims."""

    size: Memory
    """Volume on each node. What was not read for longest goes when it is full."""

    unread_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """How long a copy stays that nobody reads."""

    cpu: Cpu = "500m"
    """Cores that it asks for on each node."""

    memory: Memory = "512Mi"
    """Memory of it on each node."""

    @property
    def reach(self) -> Reach:
        """Where tenants' pods call it."""
        return Reach(NAME, (PORT,), namespace=NAME)
