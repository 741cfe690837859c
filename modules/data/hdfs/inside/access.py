"""Brings homes to what is wanted: a directory for each tenant that nobody else can enter, with its quotas.

It reads what is there and changes the difference. A tenant that is no longer wanted loses its home at once: the directory is given
to the superuser, so that a ticket that is good for hours opens nothing. Its content stays as it was, until the tenant is named
among those whose data may be deleted; a tenant that comes back finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from modules.data.hdfs.inside import desired
from modules.data.hdfs.inside.desired import ROOT, Desired, Home
from modules.data.hdfs.inside.webhdfs import Status, WebHdfs
from modules.kit.inside import retained

PRIVATE: Final = "700"
PASSAGE: Final = "711"
"""Who knows a name may go on to it; nobody may list who else is here."""


class FileSystem(Protocol):
    """What of WebHDFS is needed."""

    def status(self, path: str) -> Status | None: ...
    def children(self, path: str) -> Iterator[Status]: ...
    def mkdirs(self, path: str, permission: str) -> None: ...
    def delete(self, path: str) -> None: ...
    def set_owner(self, path: str, owner: str, group: str) -> None: ...
    def set_permission(self, path: str, permission: str) -> None: ...
    def quota(self, path: str) -> tuple[int, int]: ...
    def set_quota(self, path: str, names: int, space: int) -> None: ...
    def usage(self, path: str) -> tuple[int, int]: ...
    def allow_snapshots(self, path: str) -> None: ...
    def disallow_snapshots(self, path: str) -> None: ...
    def snapshots(self, path: str) -> list[str]: ...
    def delete_snapshot(self, path: str, name: str) -> None: ...


def reconcile(files: FileSystem, wanted: Desired, say: Callable[[str], None] = print) -> dict[str, str]:
    """Make it so, saying each change. Gives what is retained: the directory's name to a sentence on it."""
    changes = _Changes(files, say)
    changes.directory("/", wanted.superuser, wanted.superuser, PASSAGE)
    changes.directory(ROOT, wanted.superuser, wanted.superuser, PASSAGE)
    there = {each.path.removeprefix(f"{ROOT}/"): each for each in files.children(ROOT)}
    kept: dict[str, str] = {}
    # Access is taken before anything is given.
    for name in sorted(there.keys() - wanted.tenants.keys()):
        if name in wanted.delete_data:
            changes.destroy(there[name])
            continue
        changes.directory(there[name].path, wanted.superuser, wanted.retained_group, PRIVATE)
        names, space = files.usage(there[name].path)
        kept[name] = f"home of tenant {name}, which is gone: {names} names, {space} bytes with their copies"
    for name, home in sorted(wanted.tenants.items()):
        path = f"{ROOT}/{name}"
        # Quotas first: no moment in which the home is open and unbounded.
        if name not in there:
            files.mkdirs(path, PRIVATE)
        changes.quota(path, home)
        changes.directory(path, name, name, PRIVATE)
        changes.snapshots(path)
    if not changes.made:
        say("no change")
    return kept


class _Changes:
    """Single changes, each said when it is made."""

    def __init__(self, files: FileSystem, say: Callable[[str], None]) -> None:
        self._files, self._say = files, say
        self.made = 0

    def _said(self, line: str) -> None:
        self._say(line)
        self.made += 1

    def directory(self, path: str, owner: str, group: str, permission: str) -> None:
        """A directory with that owner and permission."""
        found = self._files.status(path)
        if found is None:
            self._files.mkdirs(path, permission)
            self._said(f"made {path}")
            found = self._files.status(path)
            assert found is not None
        if (found.owner, found.group) != (owner, group):
            self._files.set_owner(path, owner, group)
            self._said(f"gave {path} to {owner}:{group}, from {found.owner}:{found.group}")
        if found.permission != permission:
            self._files.set_permission(path, permission)
            self._said(f"set the permission of {path} to {permission}, from {found.permission}")

    def quota(self, path: str, home: Home) -> None:
        """The quotas of a home."""
        found = self._files.quota(path)
        if found != (home.names, home.space):
            self._files.set_quota(path, home.names, home.space)
            self._said(f"bounded {path} to {home.names} names and {home.space} bytes with their copies")

    def snapshots(self, path: str) -> None:
        """That snapshots may be taken, which backups need."""
        found = self._files.status(path)
        if found is not None and not found.snapshots:
            self._files.allow_snapshots(path)
            self._said(f"allowed snapshots of {path}")

    def destroy(self, home: Status) -> None:
        """A home with all in it. One of which snapshots may be taken cannot be deleted."""
        if home.snapshots:
            for name in self._files.snapshots(home.path):
                self._files.delete_snapshot(home.path, name)
            self._files.disallow_snapshots(home.path)
        self._files.delete(home.path)
        self._said(f"deleted {home.path} and all in it")


def main(report: Callable[[Mapping[str, str]], None] = retained.report) -> None:
    """Run once."""
    wanted = desired.mounted()
    kept = reconcile(WebHdfs(wanted.addresses, str(desired.MOUNT / "ca.crt")), wanted)
    report(kept)
    for name, why in kept.items():
        print(f"retained: {name}: {why}")


if __name__ == "__main__":
    main()
