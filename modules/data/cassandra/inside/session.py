"""A session as the superuser, and names in CQL."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import tuple_factory

MOUNT: Final = Path("/longhouse-cassandra")
"""Where a program finds what it was given: ``wanted.json``, and whom it trusts."""

AUTHORITY: Final = "ca.crt"
TUPLES: Final = "tuples"
"""Execution profile that gives rows as tuples: not every column's name is one that Python would take."""

RESTORED: Final = "_restored_"
NAME_LIMIT: Final = 48
_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 300.0


class SessionError(Exception):
    """No session could be opened; the text says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where the ring is, and the superuser's password: the one in force, then the one before it, for the run that changes it."""

    host: str
    port: int
    server_name: str
    datacenter: str
    username: str
    passwords: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Place:
        """From what a desired state says of it."""
        return cls(**{**facts, "passwords": tuple(facts["passwords"])})


def wanted(mount: Path = MOUNT) -> dict[str, Any]:
    """What the program was given."""
    found: dict[str, Any] = json.loads((mount / "wanted.json").read_text())
    return found


@contextmanager
def login(place: Place, username: str, password: str, mount: Path = MOUNT) -> Iterator[Session]:
    """A session as a role. Nodes are known by address, so the name that their one certificate has is given. NoHostAvailable when
    it is refused."""
    nodes = TokenAwarePolicy(DCAwareRoundRobinPolicy(place.datacenter))
    quorum = {"consistency_level": ConsistencyLevel.LOCAL_QUORUM, "request_timeout": _SECONDS}
    cluster = Cluster(
        [place.host],
        port=place.port,
        ssl_context=ssl.create_default_context(cafile=str(mount / AUTHORITY)),
        ssl_options={"server_hostname": place.server_name},
        auth_provider=PlainTextAuthProvider(username, password),
        protocol_version=5,
        connect_timeout=30,
        execution_profiles={
            EXEC_PROFILE_DEFAULT: ExecutionProfile(nodes, **quorum),
            TUPLES: ExecutionProfile(nodes, row_factory=tuple_factory, **quorum),
        },
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


@contextmanager
def superuser(place: Place, mount: Path = MOUNT) -> Iterator[Session]:
    """A session as the superuser; its password is brought up to date first. A ring that restarts is waited for.

    Raises SessionError.
    """
    for number, password in enumerate(place.passwords):
        with ExitStack() as stack:
            try:
                session = _patiently(stack, partial(login, place, place.username, password, mount))
            except NoHostAvailable as error:
                refusal = error
                continue
            if number:
                session.execute(
                    f"ALTER ROLE {identifier(place.username)} WITH PASSWORD = %s", (place.passwords[0],)
                )
                print("changed the superuser's password")
            yield session
            return
    raise SessionError(
        f"no session as {place.username} at {place.host}:{place.port}: {refusal}. See whether the servers are ready; "
        "where the password is refused, the disk was founded with another master secret: deploy with that one, or with a new disk"
    )


def _patiently(stack: ExitStack, open_session: Callable[[], AbstractContextManager[Session]]) -> Session:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return stack.enter_context(open_session())
        except NoHostAvailable as error:
            if "Bad credentials" in str(error) or time.monotonic() > deadline:
                raise
            print("waiting for the ring")
            time.sleep(5)


def identifier(name: str) -> str:
    """A name as CQL takes it whatever is in it (CQL, "Identifiers and keywords")."""
    return '"' + name.replace('"', '""') + '"'


def keyspace(tenant: str) -> str:
    """The tenant's keyspace, and its role: a tenant's name has no underscore, so no two tenants share one."""
    return tenant.replace("-", "_")


def restored(name: str, label: str) -> str:
    """Where a keyspace is restored to beside itself. Raises SessionError for a label that makes no name (at most 48 characters,
    CQL, "Keyspaces")."""
    found = f"{name}{RESTORED}{label}"
    if not re.fullmatch(r"[a-z0-9]+", label) or len(found) > NAME_LIMIT:
        most = NAME_LIMIT - len(name) - len(RESTORED)
        raise SessionError(
            f"label {label!r} makes no name: write at most {most} lower-case letters and digits"
        )
    return found


def keyspaces_of(tenant: str, present: Iterable[str], tenants: Iterable[str]) -> list[str]:
    """A tenant's keyspace and what was restored of it, of those present; what is the keyspace of another tenant is none."""
    own, others = keyspace(tenant), {keyspace(each) for each in tenants if each != tenant}
    return sorted(
        name
        for name in present
        if name not in others and (name == own or name.startswith(f"{own}{RESTORED}"))
    )


def literal(text: str) -> str:
    """A text constant (CQL, "Constants"), where a statement takes no values from outside."""
    return "'" + text.replace("'", "''") + "'"


def rows(session: Session, statement: str, values: Sequence[object] = ()) -> list[Any]:
    """All rows of an answer."""
    return list(session.execute(statement, values or None))
