"""Who shall use tracking, as the deployment tells the program that sees to it: one JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

FILE: Final = "desired.json"
MOUNT: Final = Path("/longhouse-access")


@dataclass(frozen=True)
class Desired:
    """``digests`` are what is kept of each tenant's password, ``delete`` those tenants that are gone for good."""

    digests: Mapping[str, str] = field(repr=False)
    delete: tuple[str, ...] = ()

    def as_json(self) -> str:
        """The document."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str) -> Desired:
        """From the document."""
        found = json.loads(text)
        return cls(found["digests"], tuple(found["delete"]))
