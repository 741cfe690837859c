"""Kafka: what an environment has of it, and what a tenant may have."""

from __future__ import annotations

from typing import Final

from modules.kit.model import Model
from modules.kit.network import Reach

NAMESPACE: Final = "kafka"
CLIENT_PORTS: Final = ()


class Kafka(Model):
    """Kafka of an environment."""

    @property
    def reach(self) -> Reach:
        """Where tenants call it."""
        return Reach("kafka", CLIENT_PORTS, namespace=NAMESPACE)


class KafkaShare(Model):
    """What a tenant may have of it."""
