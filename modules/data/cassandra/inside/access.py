"""Brings who may do what in the ring to what is wanted: a keyspace and a role for each tenant, and nothing for anybody else.

It reads what is there and changes the difference. A table of its own (``longhouse.tenants``) says which keyspaces and roles it
made; what is not in it is never touched. A tenant that is no longer wanted loses its role at once: new sessions are refused,
and statements of open ones within the time that nodes cache roles (two seconds). Its keyspace stays until the tenant is named
among those whose data may be deleted.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cassandra.cluster import NoHostAvailable, Session

from modules.data.cassandra.inside.session import (
    Place,
    SessionError,
    identifier,
    keyspace,
    keyspaces_of,
    literal,
    login,
    rows,
    superuser,
    wanted,
)
from modules.kit.inside import retained

OWN: Final = "longhouse"
"""Keyspace of the table that says what is ours."""

GRANTED: Final = frozenset({"ALTER", "CREATE", "DROP", "MODIFY", "SELECT"})
"""What a tenant may do with all tables of its keyspace. On the keyspace itself it may do nothing: it can't drop it, change its
copies, or turn off its durable writes."""


@dataclass(frozen=True)
class Wanted:
    """What shall be: passwords by tenant, how many copies, and whose data may go."""

    datacenter: str
    replication: int
    tenants: Mapping[str, str] = field(repr=False)
    delete_data: frozenset[str] = frozenset()

    @property
    def copies(self) -> dict[str, str]:
        """Replication of every keyspace, as the schema's table shows it."""
        return {
            "class": "org.apache.cassandra.locator.NetworkTopologyStrategy",
            self.datacenter: str(self.replication),
        }


@dataclass(frozen=True)
class Keyspace:
    """A keyspace as it is."""

    replication: Mapping[str, str]
    durable: bool
    tables: int


class Ring(Protocol):
    """What is there, and how to change it."""

    def keyspaces(self) -> dict[str, Keyspace]:
        """Every keyspace by name."""
        ...

    def roles(self) -> set[str]:
        """Every role."""
        ...

    def permissions(self, role: str) -> dict[str, frozenset[str]]:
        """What a role was granted: resource (``data/keyspace/table``) to permissions."""
        ...

    def registered(self) -> dict[str, str]:
        """Tenants whose keyspace is ours, with the day on which they were removed; empty while they are not."""
        ...

    def may_log_in(self, role: str, password: str) -> bool:
        """Whether the password is the role's."""
        ...

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        """Run a statement."""
        ...


def reconcile(ring: Ring, wanted: Wanted, today: str, say: Callable[[str], None] = print) -> dict[str, str]:
    """Make it so, saying each change. Gives what is retained: keyspace to a sentence on it."""
    changes = _Changes(ring, wanted, say)
    if OWN not in ring.keyspaces():
        changes.prepare()
    present, roles, registered = ring.keyspaces(), ring.roles(), ring.registered()
    known = {*wanted.tenants, *registered}
    for tenant, password in sorted(wanted.tenants.items()):
        name = keyspace(tenant)
        changes.keep(tenant, password, present.get(name), name in roles, registered)
        changes.grant(name, {name, *keyspaces_of(tenant, present, known)})
    kept = {}
    for tenant, since in sorted(registered.items()):
        if tenant in wanted.tenants:
            continue
        changes.remove(tenant, keyspace(tenant) in roles, since, today)
        theirs = keyspaces_of(tenant, present, known)
        if tenant in wanted.delete_data:
            changes.delete(tenant, theirs)
            continue
        for name in theirs:
            kept[name] = (
                f"{present[name].tables} tables of tenant {tenant}, which was removed on {since or today}"
            )
    if not changes.made:
        say("no change")
    return kept


class _Changes:
    """Single changes, each said when it is made."""

    def __init__(self, ring: Ring, wanted: Wanted, say: Callable[[str], None]) -> None:
        self._ring, self._wanted, self._say = ring, wanted, say
        self.made = 0

    def _do(self, what: str, statement: str, *values: object) -> None:
        self._ring.execute(statement, values)
        self._say(what)
        self.made += 1

    def prepare(self) -> None:
        """The table that says what is ours."""
        self._do(
            f"made keyspace {OWN}", f"CREATE KEYSPACE IF NOT EXISTS {OWN} WITH replication = {self._copies}"
        )
        self._do(
            "made the table of tenants",
            f"CREATE TABLE IF NOT EXISTS {OWN}.tenants (name text PRIMARY KEY, removed text)",
        )

    @property
    def _copies(self) -> str:
        return (
            "{"
            + ", ".join(f"{literal(key)}: {literal(value)}" for key, value in self._wanted.copies.items())
            + "}"
        )

    def keep(
        self,
        tenant: str,
        password: str,
        present: Keyspace | None,
        has_role: bool,
        registered: Mapping[str, str],
    ) -> None:
        """Keyspace, role and grants of a tenant. Registered first: what was begun and cut off is still known to be ours."""
        name = identifier(keyspace(tenant))
        if tenant not in registered and (present is not None or has_role):
            raise SessionError(
                f"keyspace or role {name} is there and was not made for tenant {tenant}: rename or drop it, or register it by "
                f"a row in {OWN}.tenants, and deploy again"
            )
        if registered.get(tenant) != "":
            self._do(
                f"registered tenant {tenant}",
                f"INSERT INTO {OWN}.tenants (name, removed) VALUES (%s, '')",
                tenant,
            )
        if present is None:
            self._do(f"made keyspace {name}", f"CREATE KEYSPACE {name} WITH replication = {self._copies}")
        elif present.replication != self._wanted.copies or not present.durable:
            self._do(
                f"set copies of keyspace {name}",
                f"ALTER KEYSPACE {name} WITH replication = {self._copies} AND durable_writes = true",
            )
        if not has_role:
            self._do(f"made role {name}", f"CREATE ROLE {name} WITH PASSWORD = %s AND LOGIN = true", password)
        elif not self._ring.may_log_in(keyspace(tenant), password):
            self._do(
                f"set the password of role {name}",
                f"ALTER ROLE {name} WITH PASSWORD = %s AND LOGIN = true AND SUPERUSER = false",
                password,
            )

    def grant(self, name: str, own: set[str]) -> None:
        """What the role may do with the tables of its own keyspaces, and nothing with others': who makes a table may let others in,
        and that is taken back here."""
        role, granted = identifier(name), self._ring.permissions(name)
        for each in sorted(own):
            for permission in sorted(GRANTED - granted.get(f"data/{each}/*", frozenset())):
                self._do(
                    f"granted {permission} in keyspace {each} to role {role}",
                    f"GRANT {permission} ON ALL TABLES IN KEYSPACE {identifier(each)} TO {role}",
                )
        for resource in sorted(granted):
            kind, _, where = resource.partition("/")
            if kind == "data" and where.partition("/")[0] not in own:
                self._do(
                    f"revoked what role {role} had been granted on {resource}",
                    f"REVOKE ALL PERMISSIONS ON {_resource(resource)} FROM {role}",
                )

    def remove(self, tenant: str, has_role: bool, since: str, today: str) -> None:
        """Take a tenant's access away."""
        if has_role:
            name = identifier(keyspace(tenant))
            self._do(f"dropped role {name}", f"DROP ROLE IF EXISTS {name}")
        if not since:
            self._do(
                f"tenant {tenant} is removed",
                f"INSERT INTO {OWN}.tenants (name, removed) VALUES (%s, %s)",
                tenant,
                today,
            )

    def delete(self, tenant: str, keyspaces: Sequence[str]) -> None:
        """Delete a removed tenant's data, and forget it."""
        for name in keyspaces:
            self._do(f"deleted keyspace {name}", f"DROP KEYSPACE IF EXISTS {identifier(name)}")
        self._do(f"forgot tenant {tenant}", f"DELETE FROM {OWN}.tenants WHERE name = %s", tenant)


def _resource(name: str) -> str:
    """A resource of data as GRANT and REVOKE name it (CQL, "Permissions")."""
    _, *parts = name.split("/")
    if not parts:
        return "ALL KEYSPACES"
    if len(parts) == 1:
        return f"KEYSPACE {identifier(parts[0])}"
    if parts[1] == "*":
        return f"ALL TABLES IN KEYSPACE {identifier(parts[0])}"
    return f"TABLE {identifier(parts[0])}.{identifier(parts[1])}"


class LiveRing:
    """The ring as a session of the superuser sees it."""

    def __init__(self, session: Session, place: Place) -> None:
        self._session, self._place = session, place

    def keyspaces(self) -> dict[str, Keyspace]:
        """Every keyspace by name."""
        tables: dict[str, int] = {}
        for row in rows(self._session, "SELECT keyspace_name FROM system_schema.tables"):
            tables[row.keyspace_name] = tables.get(row.keyspace_name, 0) + 1
        found = rows(
            self._session, "SELECT keyspace_name, replication, durable_writes FROM system_schema.keyspaces"
        )
        return {
            row.keyspace_name: Keyspace(
                dict(row.replication), row.durable_writes, tables.get(row.keyspace_name, 0)
            )
            for row in found
        }

    def roles(self) -> set[str]:
        """Every role."""
        return {row.role for row in rows(self._session, "SELECT role FROM system_auth.roles")}

    def permissions(self, role: str) -> dict[str, frozenset[str]]:
        """What a role was granted."""
        statement = "SELECT resource, permissions FROM system_auth.role_permissions WHERE role = %s"
        return {row.resource: frozenset(row.permissions) for row in rows(self._session, statement, (role,))}

    def registered(self) -> dict[str, str]:
        """Tenants whose keyspace is ours."""
        return {
            row.name: row.removed for row in rows(self._session, f"SELECT name, removed FROM {OWN}.tenants")
        }

    def may_log_in(self, role: str, password: str) -> bool:
        """Whether the password is the role's."""
        try:
            with login(self._place, role, password):
                return True
        except NoHostAvailable:
            return False

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        """Run a statement."""
        self._session.execute(statement, values or None)


def main() -> int:
    """Reconcile with what is mounted."""
    facts: dict[str, Any] = wanted()
    place = Place.of(facts["place"])
    desired = Wanted(**{**facts["access"], "delete_data": frozenset(facts["access"]["delete_data"])})
    try:
        with superuser(place) as session:
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            kept = reconcile(LiveRing(session, place), desired, today)
    except SessionError as error:
        print(error, file=sys.stderr)
        return 1
    retained.report(kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
