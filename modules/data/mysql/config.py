"""MySQL: what an environment has of it, and what a tenant may have."""

from __future__ import annotations

from typing import Final

from modules.kit.model import Model
from modules.kit.network import Reach

NAMESPACE: Final = "mysql"
CLIENT_PORTS: Final = ()


class MySql(Model):
    """MySQL of an environment."""

    @property
    def reach(self) -> Reach:
        """Where tenants call it."""
        return Reach("mysql", CLIENT_PORTS, namespace=NAMESPACE)


class MySqlShare(Model):
    """What a tenant may have of it."""
