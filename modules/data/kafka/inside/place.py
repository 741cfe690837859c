"""Where the cluster is and as whom to log in, for each of the client libraries."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

MOUNT: Final = Path("/longhouse-kafka")
"""Where a pod finds what it shall do (``wanted.json``) and whom to trust (``ca.crt``)."""


MECHANISM: Final = "SCRAM-SHA-512"
"""How tenants prove who they are."""


def prefix(tenant: str) -> str:
    """What all names of a tenant begin with."""
    return f"{tenant}."


@dataclass(frozen=True)
class Place:
    """A cluster and a user of it. ``servers`` is where that user logs in, ``clients`` where tenants do."""

    servers: str
    clients: str
    username: str
    password: str = field(repr=False)
    mechanism: str
    ca: str

    def kafka_python(self) -> dict[str, Any]:
        """For kafka-python."""
        return {
            "bootstrap_servers": self.servers.split(","),
            "security_protocol": "SASL_SSL",
            "ssl_cafile": self.ca,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }

    def librdkafka(self) -> dict[str, Any]:
        """For confluent-kafka."""
        return _librdkafka(self.servers, self.ca, self.username, self.password, self.mechanism)

    def login(self, user: str, password: str, mechanism: str) -> dict[str, Any]:
        """For confluent-kafka, as a tenant."""
        return _librdkafka(self.clients, self.ca, user, password, mechanism)


def _librdkafka(servers: str, ca: str, user: str, password: str, mechanism: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": ca,
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
    }


def mounted(folder: Path = MOUNT) -> tuple[Place, dict[str, Any]]:
    """The place, and what else is wanted."""
    found = json.loads((folder / "wanted.json").read_text())
    return Place(**found.pop("place"), ca=str(folder / "ca.crt")), found
