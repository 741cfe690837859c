"""HDFS' programs: homes are brought to what is wanted, backed up, and put back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any

import pytest

from modules.data.hdfs.inside import access, backup, desired
from modules.data.hdfs.inside.backup import BackupError
from modules.data.hdfs.inside.desired import Desired, Home
from modules.data.hdfs.inside.webhdfs import HdfsError, Status
from modules.kit.inside.bucket import Bucket


@dataclass
class Read:
    raw: IO[bytes]

    def close(self) -> None:
        self.raw.close()


@dataclass
class Files:
    """A file system of a few lines: paths to what stands there."""

    there: dict[str, Status] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    quotas: dict[str, tuple[int, int]] = field(default_factory=dict)
    taken: dict[str, list[str]] = field(default_factory=dict)
    clock: int = 0

    def __post_init__(self) -> None:
        self.mkdirs("/", "755")

    def status(self, path: str) -> Status | None:
        return self.there.get(path)

    def children(self, path: str) -> Iterator[Status]:
        below = f"{path.rstrip('/')}/"
        yield from [
            each
            for name, each in sorted(self.there.items())
            if name.startswith(below) and name != "/" and "/" not in name[len(below) :]
        ]

    def mkdirs(self, path: str, permission: str) -> None:
        self.clock += 1
        self.there[path] = Status(path, True, "hdfs", "hdfs", permission, modified=self.clock)

    def delete(self, path: str) -> None:
        assert not self.there[path].snapshots, "a directory with snapshots cannot be deleted"
        for name in [each for each in self.there if each == path or each.startswith(f"{path}/")]:
            del self.there[name]

    def _change(self, path: str, **fields: Any) -> None:
        self.there[path] = replace(self.there[path], **fields)

    def set_owner(self, path: str, owner: str, group: str) -> None:
        self._change(path, owner=owner, group=group)

    def set_permission(self, path: str, permission: str) -> None:
        self._change(path, permission=permission)

    def set_times(self, path: str, modified: int) -> None:
        self._change(path, modified=modified)

    def quota(self, path: str) -> tuple[int, int]:
        return self.quotas.get(path, (-1, -1))

    def set_quota(self, path: str, names: int, space: int) -> None:
        self.quotas[path] = (names, space)

    def usage(self, path: str) -> tuple[int, int]:
        return sum(each.startswith(path) for each in self.there), 0

    def allow_snapshots(self, path: str) -> None:
        self._change(path, snapshots=True)

    def disallow_snapshots(self, path: str) -> None:
        assert not self.taken.get(path)
        self._change(path, snapshots=False)

    def snapshots(self, path: str) -> list[str]:
        return list(self.taken.get(path, []))

    def create_snapshot(self, path: str, name: str) -> str:
        self.taken.setdefault(path, []).append(name)
        root = f"{path}/.snapshot/{name}"
        for each in [name for name in self.there if name == path or name.startswith(f"{path}/")]:
            if ".snapshot" not in each:
                self.there[root + each.removeprefix(path)] = replace(
                    self.there[each], path=root + each.removeprefix(path), snapshots=False
                )
                if each in self.content:
                    self.content[root + each.removeprefix(path)] = self.content[each]
        return root

    def delete_snapshot(self, path: str, name: str) -> None:
        self.taken[path].remove(name)
        for each in [one for one in self.there if one.startswith(f"{path}/.snapshot/{name}")]:
            del self.there[each]

    def read(self, path: str) -> Read:
        return Read(io.BytesIO(self.content[path]))

    def write(self, path: str, stream: IO[bytes] | bytes, permission: str = "600") -> None:
        self.clock += 1
        content = stream if isinstance(stream, bytes) else stream.read()
        self.content[path] = content
        self.there[path] = Status(path, False, "hdfs", "hdfs", permission, len(content), self.clock)


def wanted(*tenants: str, delete: tuple[str, ...] = ()) -> Desired:
    return Desired((), "hdfs", "retained", dict.fromkeys(tenants, Home(100, 1000)), delete)


def said(files: Files, what: Desired) -> list[str]:
    lines: list[str] = []
    access.reconcile(files, what, lines.append)
    return lines


class TestAccess:
    def test_a_tenant_gets_a_home_of_its_own_with_its_quotas(self) -> None:
        files = Files()
        access.reconcile(files, wanted("atlas"), lambda line: None)
        home = files.there["/tenants/atlas"]
        assert (home.owner, home.permission, home.snapshots) == ("atlas", "700", True)
        assert files.quotas["/tenants/atlas"] == (100, 1000)
        assert files.there["/tenants"].permission == "711", "nobody lists who else is here"

    def test_a_second_run_changes_nothing_and_says_so(self) -> None:
        files = Files()
        said(files, wanted("atlas"))
        assert said(files, wanted("atlas")) == ["no change"]

    def test_what_somebody_changed_by_hand_is_brought_back(self) -> None:
        files = Files()
        said(files, wanted("atlas"))
        files.set_permission("/tenants/atlas", "777")
        files.set_quota("/tenants/atlas", 5, 5)
        said(files, wanted("atlas"))
        assert files.there["/tenants/atlas"].permission == "700"
        assert files.quotas["/tenants/atlas"] == (100, 1000)

    def test_a_removed_tenant_loses_its_home_at_once_and_its_data_is_kept_and_listed(self) -> None:
        files = Files()
        said(files, wanted("atlas", "borealis"))
        files.write("/tenants/atlas/note", b"mine")
        kept = access.reconcile(files, wanted("borealis"), lambda line: None)
        home = files.there["/tenants/atlas"]
        assert (home.owner, home.group, home.permission) == ("hdfs", "retained", "700")
        assert "/tenants/atlas/note" in files.there
        assert list(kept) == ["atlas"]
        assert files.there["/tenants/borealis"].owner == "borealis"

    def test_a_tenant_that_comes_back_finds_what_it_left(self) -> None:
        files = Files()
        said(files, wanted("atlas"))
        files.write("/tenants/atlas/note", b"mine")
        said(files, wanted())
        said(files, wanted("atlas"))
        assert files.there["/tenants/atlas"].owner == "atlas"
        assert files.content["/tenants/atlas/note"] == b"mine"

    def test_only_a_departed_tenants_data_is_deleted_snapshots_and_all(self) -> None:
        files = Files()
        said(files, wanted("atlas", "borealis"))
        files.create_snapshot("/tenants/atlas", "one")
        kept = access.reconcile(files, wanted(delete=("atlas",)), lambda line: None)
        assert "/tenants/atlas" not in files.there
        assert list(kept) == ["borealis"]


class TestRestore:
    def test_a_backup_that_is_not_there_is_named_with_those_that_are(self) -> None:
        class Empty:
            def snapshots(self) -> list[str]:
                return ["2026-11-20T00-00-00Z"]

        with pytest.raises(BackupError, match="there are 2026-11-20T00-00-00Z"):
            backup.restore(Files(), Empty(), "2026-01-01", "atlas", None)  # type: ignore[arg-type]

    def test_words_that_say_nothing_are_answered_with_those_that_do(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(desired, "mounted", wanted)
        monkeypatch.setattr(backup, "WebHdfs", lambda *_: Files())
        monkeypatch.setattr(Bucket, "mounted", lambda **_: None)
        with pytest.raises(BackupError, match="restore BACKUP"):
            backup.main(["restore"])


def test_a_refusal_carries_the_name_that_hdfs_gave_it() -> None:
    assert HdfsError("DSQuotaExceededException", "full").kind == "DSQuotaExceededException"
