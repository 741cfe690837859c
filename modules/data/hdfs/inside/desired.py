"""What the programs are told: mounted as one file, which holds nothing secret but is read by nobody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

MOUNT: Final = Path("/longhouse-hdfs")
FILE: Final = "desired.json"

ROOT: Final = "/tenants"
"""Directory of all tenants' homes. The platform alone makes what is directly in it, so all of that is the platform's own."""


@dataclass(frozen=True)
class Home:
    """What a tenant has: most files and directories, and most bytes, counting copies."""

    names: int
    space: int


@dataclass(frozen=True)
class Desired:
    """Where the file system is, whose homes shall be in it, whose data may go, and who is superuser."""

    addresses: tuple[str, ...]
    superuser: str
    retained_group: str
    tenants: Mapping[str, Home] = field(default_factory=dict)
    delete_data: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Desired:
        """From its text."""
        facts = json.loads(text)
        return cls(
            tuple(facts["addresses"]),
            facts["superuser"],
            facts["retained_group"],
            {name: Home(**home) for name, home in facts["tenants"].items()},
            tuple(facts["delete_data"]),
        )

    @property
    def text(self) -> str:
        """As text."""
        return json.dumps(asdict(self), sort_keys=True)


def mounted() -> Desired:
    """What this program was told."""
    return Desired.of((MOUNT / FILE).read_text())
