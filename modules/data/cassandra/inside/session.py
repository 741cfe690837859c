"""A session as the superuser, and names in CQL."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy

MOUNT: Final = Path("/longhouse-cassandra")
"""Where a program finds what it was given: ``wanted.json``, and whom it trusts."""

AUTHORITY: Final = "ca.crt"
_SECONDS: Final = 60.0


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
    cluster = Cluster(
        [place.host],
        port=place.port,
        ssl_context=ssl.create_default_context(cafile=str(mount / AUTHORITY)),
        ssl_options={"server_hostname": place.server_name},
        auth_provider=PlainTextAuthProvider(username, password),
        protocol_version=5,
        connect_timeout=15,
        execution_profiles={
            EXEC_PROFILE_DEFAULT: ExecutionProfile(
                load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(place.datacenter)),
                consistency_level=ConsistencyLevel.LOCAL_QUORUM,
                request_timeout=_SECONDS,
            )
        },
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


@contextmanager
def superuser(place: Place, mount: Path = MOUNT) -> Iterator[Session]:
    """A session as the superuser; its password is brought up to date first. Raises SessionError."""
    refusals = []
    for number, password in enumerate(place.passwords):
        try:
            with login(place, place.username, password, mount) as session:
                if number:
                    session.execute(
                        f"ALTER ROLE {identifier(place.username)} WITH PASSWORD = %s", (place.passwords[0],)
                    )
                    print("changed the superuser's password")
                yield session
                return
        except NoHostAvailable as error:
            refusals.append(str(error))
    raise SessionError(
        f"no session as {place.username} at {place.host}:{place.port}: {refusals[-1]}. See whether the servers are ready; "
        "where the password is refused, the disk was founded with another master secret: deploy with that one, or with a new disk"
    )


def identifier(name: str) -> str:
    """A name as CQL takes it whatever is in it (CQL, "Identifiers and keywords")."""
    return '"' + name.replace('"', '""') + '"'


def keyspace(tenant: str) -> str:
    """The tenant's keyspace, and its role: a tenant's name has no underscore, so no two tenants share one."""
    return tenant.replace("-", "_")


def rows(session: Session, statement: str, values: Sequence[object] = ()) -> list[Any]:
    """All rows of an answer."""
    return list(session.execute(statement, values or None))
