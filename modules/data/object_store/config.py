"""the object store: what an environment has of it, and what a tenant may have."""

from __future__ import annotations

from typing import Final

from modules.kit.model import Model
from modules.kit.network import Reach

NAMESPACE: Final = "object-store"
CLIENT_PORTS: Final = ()


class ObjectStore(Model):
    """the object store of an environment."""

    @property
    def reach(self) -> Reach:
        """Where tenants call it."""
        return Reach("object-store", CLIENT_PORTS, namespace=NAMESPACE)


class ObjectStoreShare(Model):
    """What a tenant may have of it."""
