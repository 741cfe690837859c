"""WebHDFS over HTTPS with Kerberos: the calls that the platform's programs make (https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html).

Whoever makes them is said by the environment, as MIT Kerberos reads it: ``KRB5_CLIENT_KTNAME`` names a keytab, from which GSSAPI
gets its own tickets (https://web.mit.edu/kerberos/krb5-latest/doc/basic/keytab_def.html, "Default client keytab").
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, cast
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter

PREFIX: Final = "/webhdfs/v1"
PATIENCE_SECONDS: Final = 300.0
"""How long NameNodes may be away, restarting, in safe mode or changing office, before a call is given up."""

_PAUSE_SECONDS: Final = 2.0
_TIMEOUT: Final = (10, 120)
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
"""A server that went without a word, with its pod's address, is noticed in 20 s; one that only takes its time is given it."""
_PASSING: Final = frozenset(
    {"StandbyException", "SafeModeException", "RetriableException", "ConnectException"}
)
"""Refusals that end by themselves."""


class HdfsError(Exception):
    """A call was refused. ``kind`` is the name of the Java exception."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@dataclass(frozen=True)
class Status:
    """A file or directory."""

    path: str
    directory: bool
    owner: str
    group: str
    permission: str
    length: int = 0
    modified: int = 0
    snapshots: bool = False
    """Whether snapshots may be taken of it."""

    @classmethod
    def of(cls, path: str, facts: dict[str, Any]) -> Status:
        """From WebHDFS' own form of it."""
        return cls(
            path,
            facts["type"] == "DIRECTORY",
            facts["owner"],
            facts["group"],
            facts["permission"],
            facts["length"],
            facts["modificationTime"],
            bool(facts.get("snapshotEnabled")),
        )


class _KeptAlive(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, socket_options=_KEEPALIVE, **options)


@dataclass
class WebHdfs:
    """The file system. ``addresses`` are the NameNodes' (``https://host:port``), of which one is in office; ``ca`` is a file."""

    addresses: Sequence[str]
    ca: str
    patience: float = PATIENCE_SECONDS
    say: Callable[[str], None] = print
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        # Imported where it is used: it needs Kerberos' own library, which is in the clients image and not everywhere.
        from requests_gssapi import DISABLED, HTTPSPNEGOAuth

        # The server is known by its certificate; that it also proves itself by Kerberos adds nothing.
        self.session.auth = HTTPSPNEGOAuth(mutual_authentication=DISABLED)
        self.session.verify = self.ca
        self.session.mount("https://", _KeptAlive())

    def status(self, path: str) -> Status | None:
        """A file or directory; None where there is none."""
        try:
            return Status.of(path, self._json("GET", path, "GETFILESTATUS")["FileStatus"])
        except HdfsError as error:
            if error.kind == "FileNotFoundException":
                return None
            raise

    def children(self, path: str) -> Iterator[Status]:
        """What is in a directory, by name, a page at a time: a directory may hold more than one answer should."""
        after = ""
        while True:
            listing = self._json("GET", path, "LISTSTATUS_BATCH", **({"startAfter": after} if after else {}))
            page = listing["DirectoryListing"]
            found = page["partialListing"]["FileStatuses"]["FileStatus"]
            for facts in found:
                yield Status.of(f"{path.rstrip('/')}/{facts['pathSuffix']}", facts)
            if not page["remainingEntries"]:
                return
            after = found[-1]["pathSuffix"]

    def mkdirs(self, path: str, permission: str) -> None:
        """Make a directory."""
        self._json("PUT", path, "MKDIRS", permission=permission)

    def delete(self, path: str) -> None:
        """Delete a file, or a directory with all in it. Not into the trash."""
        self._json("DELETE", path, "DELETE", recursive="true")

    def rename(self, path: str, to: str) -> None:
        """Move."""
        if not self._json("PUT", path, "RENAME", destination=to)["boolean"]:
            raise HdfsError("RenameRefused", f"{path} could not become {to}: is there something already?")

    def set_owner(self, path: str, owner: str, group: str) -> None:
        """Give it to somebody."""
        self._json("PUT", path, "SETOWNER", owner=owner, group=group)

    def set_permission(self, path: str, permission: str) -> None:
        """Say who may do what, in octal."""
        self._json("PUT", path, "SETPERMISSION", permission=permission)

    def set_times(self, path: str, modified: int) -> None:
        """Say when it was changed, in milliseconds."""
        self._json("PUT", path, "SETTIMES", modificationtime=str(modified), accesstime="-1")

    def quota(self, path: str) -> tuple[int, int]:
        """The most names in a directory, and the most bytes, counting copies; -1 for no bound."""
        found = self._json("GET", path, "GETQUOTAUSAGE")["QuotaUsage"]
        return found["quota"], found["spaceQuota"]

    def usage(self, path: str) -> tuple[int, int]:
        """Names in a directory, and bytes, counting copies."""
        found = self._json("GET", path, "GETQUOTAUSAGE")["QuotaUsage"]
        return found["fileAndDirectoryCount"], found["spaceConsumed"]

    def set_quota(self, path: str, names: int, space: int) -> None:
        """Bound a directory."""
        self._json("PUT", path, "SETQUOTA", namespacequota=str(names), storagespacequota=str(space))

    def allow_snapshots(self, path: str) -> None:
        """Let snapshots be taken of a directory."""
        self._json("PUT", path, "ALLOWSNAPSHOT")

    def disallow_snapshots(self, path: str) -> None:
        """Let no snapshot be taken any more; there must be none."""
        self._json("PUT", path, "DISALLOWSNAPSHOT")

    def snapshots(self, path: str) -> list[str]:
        """Names of a directory's snapshots."""
        return [each.path.rpartition("/")[2] for each in self.children(f"{path}/.snapshot")]

    def create_snapshot(self, path: str, name: str) -> str:
        """Take a snapshot; gives the path at which it can be read."""
        return str(self._json("PUT", path, "CREATESNAPSHOT", snapshotname=name)["Path"])

    def delete_snapshot(self, path: str, name: str) -> None:
        """Let go of a snapshot."""
        self._json("DELETE", path, "DELETESNAPSHOT", snapshotname=name)

    def read(self, path: str) -> requests.Response:
        """A file as a stream: read from ``.raw``, and close."""
        answer = self._call("GET", path, "OPEN", {}, stream=True)
        answer.raw.decode_content = False
        return answer

    def write(self, path: str, stream: IO[bytes] | bytes, permission: str = "600") -> None:
        """Make a file, whole, in place of what is there: NameNode first, which names the DataNode that takes the bytes."""
        parameters = {"overwrite": "true", "permission": permission, "noredirect": "true"}
        answer = self._call("PUT", path, "CREATE", parameters, redirects=False)
        # The address bears a token of its own: DataNodes are not asked for Kerberos.
        unsigned = cast(
            "Callable[[requests.PreparedRequest], requests.PreparedRequest]", lambda request: request
        )
        _raise(self.session.put(answer.json()["Location"], data=stream, auth=unsigned, timeout=_TIMEOUT))

    def _json(self, method: str, path: str, operation: str, **parameters: str) -> dict[str, Any]:
        answer = self._call(method, path, operation, parameters)
        return cast("dict[str, Any]", answer.json()) if answer.content else {}

    def _call(
        self,
        method: str,
        path: str,
        operation: str,
        parameters: Mapping[str, str],
        *,
        stream: bool = False,
        redirects: bool = True,
    ) -> requests.Response:
        """Ask the NameNodes in turn until one is in office and answers; raises HdfsError for what does not pass by itself."""
        deadline = time.monotonic() + self.patience
        waiting = ""
        while True:
            for number, address in enumerate(self.addresses):
                try:
                    answer = self.session.request(
                        method,
                        f"{address}{PREFIX}{quote(path)}",
                        params={"op": operation, **parameters},
                        stream=stream,
                        allow_redirects=redirects,
                        timeout=_TIMEOUT,
                    )
                    _raise(answer)
                except (requests.ConnectionError, requests.Timeout) as error:
                    reason = f"{type(error).__name__} at {address}"
                except HdfsError as error:
                    if error.kind not in _PASSING:
                        raise
                    reason = f"{error.kind} at {address}"
                else:
                    if number:  # the one in office is asked first from here on
                        self.addresses = [*self.addresses[number:], *self.addresses[:number]]
                    return answer
            if time.monotonic() > deadline:
                raise HdfsError(
                    "Unavailable",
                    f"no NameNode answered {operation} within {self.patience:.0f} s ({reason}): look at the pods of the namespace hdfs",
                )
            if reason != waiting:
                self.say(f"waiting for a NameNode: {reason}")
                waiting = reason
            time.sleep(_PAUSE_SECONDS)


def _raise(answer: requests.Response) -> None:
    """Raises HdfsError with what the server said."""
    if answer.status_code < 400:
        return
    try:
        remote = answer.json()["RemoteException"]
    except (ValueError, KeyError):
        raise HdfsError(f"HTTP{answer.status_code}", answer.text[:200]) from None
    raise HdfsError(remote["exception"], remote["message"].splitlines()[0])
