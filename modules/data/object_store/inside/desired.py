"""What the object store shall hold, as the deployment tells the programs inside the cluster: one JSON document."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FILE: Final = "desired.json"
MOUNT: Final = Path("/desired")
ADMIN: Final = Path("/admin")
"""Folder with ``access_key`` and ``secret_key`` of the account that may do all this, and ``ca.crt`` where no public authority
vouches for the server."""

COPY_PLACE: Final = Path("/copy-place")
COPY_KEY: Final = Path("/copy-key")
"""Folders with where the second S3 is, and with its key."""

PLACE_FILE: Final = "place.json"


@dataclass(frozen=True)
class Tenant:
    """A tenant's bucket and the user who may use it. ``secret_key`` is empty where somebody else makes keys."""

    name: str
    namespace: str
    bucket: str
    user: str
    quota: int
    keep_versions_days: int
    secret_key: str = field(repr=False, default="")


@dataclass(frozen=True)
class Writer:
    """The user that one store's backups are written by."""

    store: str
    user: str
    secret_key: str = field(repr=False, default="")


@dataclass(frozen=True)
class Folder:
    """The user of a service of the platform that keeps something in a folder of each tenant's bucket."""

    folder: str
    user: str
    secret_key: str = field(repr=False, default="")


@dataclass(frozen=True)
class Backups:
    """The bucket of the backups; ``quota`` 0 sets no bound."""

    bucket: str
    keep_days: int
    quota: int


@dataclass(frozen=True)
class Desired:
    """All of it. ``accounts`` says who makes users: `minio`, `iam` or `given`; every user and bucket that the platform makes
    begins with ``prefix``; ``metrics`` is the user that reads metrics, ``copier`` the one that copies all buckets elsewhere, and ``delete`` are tenants that are gone for good."""

    endpoint: str
    region: str
    accounts: str
    prefix: str
    backups: Backups
    tenants: tuple[Tenant, ...] = ()
    writers: tuple[Writer, ...] = ()
    folders: tuple[Folder, ...] = ()
    metrics: Writer | None = None
    copier: Writer | None = None
    delete: tuple[str, ...] = ()

    def as_json(self) -> str:
        """The document."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str) -> Desired:
        """From the document."""
        found: dict[str, Any] = json.loads(text)
        return cls(
            **{
                **found,
                "backups": Backups(**found["backups"]),
                "tenants": tuple(Tenant(**each) for each in found["tenants"]),
                "writers": tuple(Writer(**each) for each in found["writers"]),
                "folders": tuple(Folder(**each) for each in found["folders"]),
                "metrics": Writer(**found["metrics"]) if found["metrics"] else None,
                "copier": Writer(**found["copier"]) if found["copier"] else None,
                "delete": tuple(found["delete"]),
            }
        )
