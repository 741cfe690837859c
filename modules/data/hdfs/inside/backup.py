"""Backs every tenant's home up to the bucket, and puts one back.

::

    python3 -m modules.data.hdfs.inside.backup                                # all homes
    python3 -m modules.data.hdfs.inside.backup restore latest atlas           # into /tenants/atlas/restored-<name of the backup>
    python3 -m modules.data.hdfs.inside.backup restore 2026-11-21T02-15-00Z atlas /tenants/atlas/as-it-was

A home is read from a snapshot of it, so a backup is one moment of each home, whatever its tenant goes on writing. Files that are
as they were in the backup before are not read again: the bucket copies them itself. So each backup is whole, and old ones may
expire. A restore makes a new directory and never writes over anything.
"""

from __future__ import annotations

import datetime
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any, Final, Protocol

from modules.data.hdfs.inside import desired
from modules.data.hdfs.inside.desired import ROOT
from modules.data.hdfs.inside.webhdfs import HdfsError, Status, WebHdfs
from modules.kit.inside.bucket import MANIFEST, Bucket, BucketError, Stored

LATEST: Final = "latest"
SNAPSHOT: Final = "backup-"
TRASH: Final = ".Trash"
ENTRIES: Final = "entries.jsonl"
_REPORT_FILES: Final = 500


class BackupError(Exception):
    """A backup or restore cannot be done; the text says why and what to do."""


class Content(Protocol):
    """A file that is being read."""

    @property
    def raw(self) -> Any: ...
    def close(self) -> None: ...


class FileSystem(Protocol):
    """What of WebHDFS is needed."""

    def status(self, path: str) -> Status | None: ...
    def children(self, path: str) -> Iterator[Status]: ...
    def mkdirs(self, path: str, permission: str) -> None: ...
    def set_owner(self, path: str, owner: str, group: str) -> None: ...
    def set_permission(self, path: str, permission: str) -> None: ...
    def set_times(self, path: str, modified: int) -> None: ...
    def quota(self, path: str) -> tuple[int, int]: ...
    def snapshots(self, path: str) -> list[str]: ...
    def create_snapshot(self, path: str, name: str) -> str: ...
    def delete_snapshot(self, path: str, name: str) -> None: ...
    def read(self, path: str) -> Content: ...
    def write(self, path: str, stream: IO[bytes] | bytes, permission: str = "600") -> None: ...


@dataclass(frozen=True)
class Entry:
    """A file or directory in a backup. ``path`` is below the home, empty for the home itself; ``stored`` is a file's content."""

    path: str
    directory: bool
    owner: str
    group: str
    permission: str
    modified: int
    stored: Stored | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Entry:
        """From a line of the list."""
        stored = facts["stored"]
        return cls(**{**facts, "stored": Stored(**stored) if stored else None})

    def same_content(self, status: Status) -> bool:
        """Whether the file is as it was. HDFS changes a file at its end only, and the time with it."""
        return self.stored is not None and (self.stored.size, self.modified) == (
            status.length,
            status.modified,
        )


def backup(files: FileSystem, bucket: Bucket, name: str, say: Callable[[str], None] = print) -> int:
    """Back every home up under a name; gives their number. The manifest comes last: what has one is whole."""
    before = bucket.snapshots()
    homes = {}
    for home in list(files.children(ROOT)):
        tenant = home.path.removeprefix(f"{ROOT}/")
        if not home.snapshots:
            continue  # the access program has yet to come by: there is nothing in it
        homes[tenant] = _home(files, bucket, name, tenant, before[-1] if before else None, say)
    bucket.put_json(f"{name}/{MANIFEST}", {"homes": homes})
    say(f"backed up {len(homes)} homes as {name}")
    return len(homes)


def _home(
    files: FileSystem, bucket: Bucket, name: str, tenant: str, before: str | None, say: Callable[[str], None]
) -> dict[str, Any]:
    home = f"{ROOT}/{tenant}"
    # One that was interrupted left its snapshot, which keeps what is deleted and counts against the quota.
    for left in files.snapshots(home):
        if left.startswith(SNAPSHOT):
            files.delete_snapshot(home, left)
    known = _known(bucket, before, tenant)
    root = files.create_snapshot(home, SNAPSHOT + name)
    counts = {"read": 0, "copied": 0}
    try:
        with tempfile.TemporaryFile("w+b") as listed:
            for number, status in enumerate(_walk(files, root), 1):
                entry = _entry(files, bucket, status, root, f"{name}/{tenant}", known, counts)
                listed.write(json.dumps(asdict(entry)).encode() + b"\n")
                if number % _REPORT_FILES == 0:
                    say(
                        f"{tenant}: {number} names so far, {counts['read']} files read, {counts['copied']} copied"
                    )
            listed.seek(0)
            entries = bucket.put(f"{name}/{tenant}/{ENTRIES}", listed)
    finally:
        files.delete_snapshot(home, SNAPSHOT + name)
    say(f"{tenant}: {counts['read']} files read, {counts['copied']} as they were")
    names, space = files.quota(home)
    return {"entries": entries.as_dict(), "quota": {"names": names, "space": space}}


def _walk(files: FileSystem, root: str) -> Iterator[Status]:
    """A directory and all below it, each before what is in it. The trash is left out."""
    found = files.status(root)
    if found is not None:
        yield found
    waiting = [root]
    while waiting:
        for status in files.children(waiting.pop()):
            if status.path == f"{root}/{TRASH}":
                continue
            yield status
            if status.directory:
                waiting.append(status.path)


def _entry(
    files: FileSystem,
    bucket: Bucket,
    status: Status,
    root: str,
    prefix: str,
    known: Mapping[str, Entry],
    counts: dict[str, int],
) -> Entry:
    path = status.path.removeprefix(root).removeprefix("/")
    stored: Stored | None = None
    if not status.directory:
        key = f"{prefix}/files/{path}"
        old = known.get(path)
        if old is not None and old.stored is not None and old.same_content(status):
            stored = _copy(bucket, old.stored, key)
            counts["copied"] += 1
        else:
            content = files.read(status.path)
            try:
                stored = bucket.put(key, content.raw)
            finally:
                content.close()
            if stored.size != status.length:
                raise BackupError(
                    f"{status.path} broke off at {stored.size} of {status.length} bytes: run this again"
                )
            counts["read"] += 1
    return Entry(
        path, status.directory, status.owner, status.group, status.permission, status.modified, stored
    )


def _copy(bucket: Bucket, old: Stored, key: str) -> Stored:
    """Let the object store copy what it has: in one call up to 5 GB, in parts beyond, as boto3 decides."""
    source = {"Bucket": bucket.bucket, "Key": bucket.prefix + old.key}
    bucket.client.copy(source, bucket.bucket, bucket.prefix + key)
    return Stored(key, old.size, old.sha256)


def _known(bucket: Bucket, name: str | None, tenant: str) -> dict[str, Entry]:
    """What an earlier backup has of a tenant, by path."""
    if name is None:
        return {}
    facts = bucket.get_json(f"{name}/{MANIFEST}")["homes"].get(tenant)
    return {entry.path: entry for entry in _entries(bucket, facts)} if facts else {}


def _entries(bucket: Bucket, facts: Mapping[str, Any]) -> Iterator[Entry]:
    with bucket.get(Stored(**facts["entries"])) as stream:
        for line in stream:
            yield Entry.of(json.loads(line))


def restore(
    files: FileSystem,
    bucket: Bucket,
    name: str,
    tenant: str,
    to: str | None,
    say: Callable[[str], None] = print,
) -> str:
    """Put a home's content into a new directory; gives its path. Raises BackupError for what is not there or in the way."""
    snapshots = bucket.snapshots()
    if name == LATEST and snapshots:
        name = snapshots[-1]
    if name not in snapshots:
        raise BackupError(f"there is no backup {name}: there are {', '.join(snapshots) or 'none'}")
    facts = bucket.get_json(f"{name}/{MANIFEST}")["homes"]
    if tenant not in facts:
        raise BackupError(
            f"backup {name} has no home of {tenant}: it has {', '.join(sorted(facts)) or 'none'}"
        )
    target = to or f"{ROOT}/{tenant}/restored-{name}"
    if files.status(target) is not None:
        raise BackupError(
            f"{target} is there, and nothing is written over: name another directory, or move it"
        )
    entries = list(_entries(bucket, facts[tenant]))
    try:
        for number, entry in enumerate(entries, 1):
            path = f"{target}/{entry.path}".rstrip("/")
            if entry.stored is None:
                files.mkdirs(path, entry.permission)
            else:
                with tempfile.SpooledTemporaryFile(2**22) as whole, bucket.get(entry.stored) as stream:
                    # To its end first, where a wrong byte shows: what is in HDFS is then what was backed up.
                    shutil.copyfileobj(stream, whole)
                    whole.seek(0)
                    files.write(path, whole, entry.permission)
            if number % _REPORT_FILES == 0:
                say(f"{tenant}: {number} of {len(entries)} names restored")
        # From below, since a directory's time changes with what is put into it; and the tenant can come in last.
        for entry in reversed(entries):
            path = f"{target}/{entry.path}".rstrip("/")
            files.set_permission(path, entry.permission)
            files.set_times(path, entry.modified)
            files.set_owner(path, entry.owner, entry.group)
    except HdfsError as error:
        if "Quota" in error.kind:
            raise BackupError(
                f"{target} does not fit into the quota of {tenant}: raise data.hdfs of the tenant, or restore elsewhere ({error})"
            ) from error
        raise
    say(f"restored {len(entries)} names of {tenant} from {name} to {target}")
    return target


def main(arguments: list[str]) -> None:
    """Run once."""
    wanted = desired.mounted()
    files = WebHdfs(wanted.addresses, str(desired.MOUNT / "ca.crt"))
    bucket = Bucket.mounted(
        say=lambda line: None
    )  # a line for each of thousands of files would hide the others
    match arguments:
        case []:
            backup(files, bucket, f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H-%M-%SZ}")
        case ["restore", name, tenant]:
            restore(files, bucket, name, tenant, None)
        case ["restore", name, tenant, to]:
            restore(files, bucket, name, tenant, to)
        case _:
            raise BackupError("write nothing to back up, or: restore BACKUP|latest TENANT [NEW DIRECTORY]")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (BackupError, BucketError, HdfsError) as error:
        sys.exit(f"error: {error}")
