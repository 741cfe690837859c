"""HDFS: what an environment has of it, and what a tenant may have."""

from __future__ import annotations

from typing import Final

from modules.kit.model import Model
from modules.kit.network import Reach

NAMESPACE: Final = "hdfs"
CLIENT_PORTS: Final = ()


class Hdfs(Model):
    """HDFS of an environment."""

    @property
    def reach(self) -> Reach:
        """Where tenants call it."""
        return Reach("hdfs", CLIENT_PORTS, namespace=NAMESPACE)


class HdfsShare(Model):
    """What a tenant may have of it."""
