"""Makes accounts, schemas and grants of a server what the desired state says, and says each change.

Level-triggered: it reads what is there and changes the difference, so a second run changes nothing and a run that was cut off is
finished by the next. What is the platform's own is written down first, in the schema ``longhouse``; an account or schema that is not in
that list is never touched, and one that has a wanted name is an error, not taken over.

An owner that is no longer wanted loses its account and its sessions at once, on every server; its schemas are kept and reported.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import pymysql

from modules.data.mysql.inside import sql
from modules.data.mysql.inside.sql import Database, create_schema, identifier, pattern
from modules.kit.inside import retained

STATE: Final = Path("/longhouse-access/desired.json")
ADMIN: Final = Path("/longhouse-admin")
CA: Final = Path("/longhouse-ca/ca.crt")

BOOKS: Final = "longhouse"
"""Schema of the list of what is the platform's own. No tenant may have this name."""

PRIVILEGES: Final = (
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "REFERENCES",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EXECUTE",
    "TRIGGER",
)
"""What an owner may do in its schemas: everything but events, which would run without it, and granting."""

_SAME_PRIVILEGE: Final = {"BINLOG MONITOR": "REPLICATION CLIENT"}
"""MariaDB's name of a privilege, and the one that both understand."""

_KILL_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 900.0
"""A cluster's first nodes copy each other's data before they let anybody in."""


class AccessError(Exception):
    """What is wanted cannot be made; the text says why and what to do."""


@dataclass(frozen=True)
class Owner:
    """Somebody with schemas of its own: a tenant, or a service of the platform.

    Its schema has its name. With ``family`` it may also make schemas ``<name>_...``; that is for names without ``_`` only, else one
    owner's family would hold another owner.
    """

    name: str
    password: str = field(repr=False)
    connections: int
    statement_seconds: int | None = None
    family: bool = True

    def __post_init__(self) -> None:
        if self.family and "_" in self.name:
            raise ValueError(f"{self.name} holds a _, so schemas {self.name}_... could be somebody else's")

    @property
    def patterns(self) -> tuple[str, ...]:
        """Its schemas as GRANT names them."""
        return (pattern(self.name), pattern(f"{self.name}_") + "%") if self.family else (pattern(self.name),)


@dataclass(frozen=True)
class Helper:
    """An account of the platform itself, with privileges on everything."""

    name: str
    password: str = field(repr=False)
    privileges: tuple[str, ...]
    connections: int


@dataclass(frozen=True)
class Desired:
    """What there shall be. ``hosts`` are all servers that hold sessions; statements go to the first."""

    hosts: tuple[str, ...]
    port: int
    owners: tuple[Owner, ...]
    helpers: tuple[Helper, ...] = ()
    delete_data: tuple[str, ...] = ()

    def as_json(self) -> str:
        """For the Secret that the program reads."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str) -> Desired:
        """The inverse of ``as_json``."""
        found: dict[str, Any] = json.loads(text)
        return cls(
            hosts=tuple(found["hosts"]),
            port=found["port"],
            owners=tuple(Owner(**each) for each in found["owners"]),
            helpers=tuple(
                Helper(**{**each, "privileges": tuple(each["privileges"])}) for each in found["helpers"]
            ),
            delete_data=tuple(found["delete_data"]),
        )


class Servers(Protocol):
    """How the servers are reached."""

    def all(self) -> Sequence[Database]:
        """Every server that may hold sessions, the first the one that statements go to."""

    def lets_in(self, user: str, password: str) -> bool:
        """Whether the password is the account's."""


@dataclass(frozen=True)
class Account:
    """An account as it is."""

    tls: bool
    connections: int
    statement_seconds: float


@dataclass
class Access:
    """One run."""

    servers: Servers
    desired: Desired
    say: Callable[[str], None] = print
    changes: int = 0

    @cached_property
    def database(self) -> Database:
        """The server that statements go to."""
        return self.servers.all()[0]

    @cached_property
    def is_mariadb(self) -> bool:
        """Whether it is MariaDB: limits and hashes are written differently."""
        return "MariaDB" in str(self.database.query("SELECT VERSION()")[0][0])

    def reconcile(self) -> dict[str, str]:
        """Make it so. Gives what is retained, by name of the schema."""
        self._keep_books()
        self._refuse_literal_patterns()
        known = self._known()
        accounts = self._accounts()
        wanted = {each.name for each in self.desired.owners}
        for helper in self.desired.helpers:
            self._account(helper, accounts, known)
            self._grant(helper.name, {("*", each) for each in helper.privileges})
        for owner in self.desired.owners:
            self._owner(owner, accounts, known)
        helpers = {each.name for each in self.desired.helpers}
        for name in sorted(known - wanted - helpers):
            self._take_away(name, name in accounts)
            if name in self.desired.delete_data:
                self._delete_data(name)
        if not self.changes:
            self.say("no change")
        return self._retained(known - wanted - helpers - set(self.desired.delete_data))

    def _keep_books(self) -> None:
        """Make the list, once."""
        if self._schemas([BOOKS]):
            return
        self._do(create_schema(BOOKS))
        # One statement for table and schema does not exist; a run cut off between them is finished below.
        self._told("made the list of what is the platform's own")

    def _known(self) -> set[str]:
        self._do(
            f"CREATE TABLE IF NOT EXISTS {identifier(BOOKS)}.owned (name VARCHAR(64) NOT NULL PRIMARY KEY, since TIMESTAMP NOT NULL "
            "DEFAULT CURRENT_TIMESTAMP) COMMENT 'accounts that the platform made'"
        )
        return {str(name) for (name,) in self.database.query(f"SELECT name FROM {identifier(BOOKS)}.owned")}

    def _refuse_literal_patterns(self) -> None:
        """With partial revokes a server takes patterns in grants for names
        (https://dev.mysql.com/doc/refman/8.4/en/partial-revokes.html)."""
        if self.is_mariadb:
            return
        for _, value in self.database.query("SHOW GLOBAL VARIABLES LIKE 'partial_revokes'"):
            if str(value).upper() in ("ON", "1"):
                raise AccessError(
                    "the server has partial_revokes on, so that a grant on a family of schemas would grant nothing: turn it off"
                )

    def _accounts(self) -> dict[str, Account]:
        limit = "max_statement_time" if self.is_mariadb else "0"
        rows = self.database.query(
            f"SELECT User, ssl_type, max_user_connections, {limit} FROM mysql.user WHERE Host = %s", "%"
        )
        return {
            str(user): Account(_text(tls) != "", int(connections), float(seconds))
            for user, tls, connections, seconds in rows
        }

    def _owner(self, owner: Owner, accounts: dict[str, Account], known: set[str]) -> None:
        exists = bool(self._schemas([owner.name]))
        if exists and owner.name not in known:
            raise AccessError(
                f"schema {owner.name} is there and the platform did not make it: rename it, or give the owner another name"
            )
        self._account(owner, accounts, known)
        if not exists:
            self._do(create_schema(owner.name))
            self._told(f"{owner.name}: made the schema")
        self._grant(owner.name, {(schema, each) for schema in owner.patterns for each in PRIVILEGES})

    def _account(self, wanted: Owner | Helper, accounts: dict[str, Account], known: set[str]) -> None:
        name = wanted.name
        found = accounts.get(name)
        if name not in known:
            if found is not None:
                raise AccessError(
                    f"account {name} is there and the platform did not make it: drop it, or give the owner another name"
                )
            self._do(f"INSERT INTO {identifier(BOOKS)}.owned (name) VALUES (%s)", name)
        seconds = (
            float(wanted.statement_seconds or 0) if isinstance(wanted, Owner) and self.is_mariadb else 0.0
        )
        limits = f"REQUIRE SSL WITH MAX_USER_CONNECTIONS {wanted.connections:d}"
        if self.is_mariadb:
            limits += f" MAX_STATEMENT_TIME {seconds:.0f}"
        if found is None:
            self._do(
                f"CREATE USER %s@%s {self._identified} {limits}", name, "%", self._secret(wanted.password)
            )
            self._told(f"{name}: made the account")
            return
        if found != Account(True, wanted.connections, seconds):
            self._do(f"ALTER USER %s@%s {limits}", name, "%")
            self._told(f"{name}: set its limits")
        if not self.servers.lets_in(name, wanted.password):
            self._do(f"ALTER USER %s@%s {self._identified}", name, "%", self._secret(wanted.password))
            self._told(f"{name}: set its password")

    @property
    def _identified(self) -> str:
        return "IDENTIFIED VIA mysql_native_password USING %s" if self.is_mariadb else "IDENTIFIED BY %s"

    def _secret(self, password: str) -> str:
        return sql.native_hash(password) if self.is_mariadb else password

    def _grant(self, name: str, wanted: set[tuple[str, str]]) -> None:
        """Privileges as (schema's pattern, privilege), ``*`` for all schemas. Grants come before revocations, so nothing that stays
        is away meanwhile."""
        grantee = f"'{name}'@'%'"
        rows = [
            *self.database.query(
                "SELECT TABLE_SCHEMA, PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = %s",
                grantee,
            ),
            *self.database.query(
                "SELECT '*', PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = %s",
                grantee,
            ),
        ]
        found = {
            (str(schema), _SAME_PRIVILEGE.get(str(each), str(each)))
            for schema, each in rows
            if each != "USAGE"
        }
        for verb, to, difference in (("GRANT", "TO", wanted - found), ("REVOKE", "FROM", found - wanted)):
            for schema in sorted({schema for schema, _ in difference}):
                privileges = ", ".join(sorted(each for on, each in difference if on == schema))
                on = "*" if schema == "*" else identifier(schema).replace("%", "%%")
                self._do(f"{verb} {privileges} ON {on}.* {to} %s@%s", name, "%")
                done = "granted" if verb == "GRANT" else "revoked"
                what = (
                    "all that owners may do" if set(privileges.split(", ")) == set(PRIVILEGES) else privileges
                )
                self._told(f"{name}: {done} on {schema}: {what}")

    def _take_away(self, name: str, has_account: bool) -> None:
        """The account first, so that no new session begins; then the sessions there are."""
        if has_account:
            self._do("DROP USER %s@%s", name, "%")
            self._told(f"{name}: dropped the account")
        deadline = time.monotonic() + _KILL_SECONDS
        while ended := sum(self._end_sessions(each, name) for each in self.servers.all()):
            self._told(f"{name}: ended {ended} sessions")
            if time.monotonic() > deadline:
                raise AccessError(f"{name} still has sessions: run this again, or restart the servers")
            time.sleep(0.2)

    @staticmethod
    def _end_sessions(server: Database, name: str) -> int:
        sessions = server.query("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", name)
        for (session,) in sessions:
            try:
                server.query(f"KILL CONNECTION {int(session):d}")
            except pymysql.err.MySQLError as error:
                if error.args[0] != sql.NO_SUCH_THREAD:
                    raise
        return len(sessions)

    def _delete_data(self, name: str) -> None:
        for schema in self._schemas_of(name):
            self._do(f"DROP DATABASE {identifier(schema)}")
            self._told(f"{name}: deleted schema {schema}")
        self._do(f"DELETE FROM {identifier(BOOKS)}.owned WHERE name = %s", name)

    def _retained(self, gone: Iterable[str]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name in sorted(gone):
            for schema in self._schemas_of(name):
                key = re.sub(r"[^-_.A-Za-z0-9]", ".", schema)
                while key in kept:
                    key += "."
                kept[key] = f"schema {schema} of {name}"
        return kept

    def _schemas_of(self, name: str) -> list[str]:
        """The owner's schema and its family. A name with ``_`` has none, so nothing longer is its."""
        if "_" in name:
            return self._schemas([name])
        rows = self.database.query(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s OR LEFT(SCHEMA_NAME, %s) = %s "
            "ORDER BY SCHEMA_NAME",
            name,
            len(name) + 1,
            f"{name}_",
        )
        return [_text(schema) for (schema,) in rows]

    def _schemas(self, names: Sequence[str]) -> list[str]:
        return [
            _text(schema)
            for name in names
            for (schema,) in self.database.query(
                "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", name
            )
        ]

    def _do(self, statement: str, *values: object) -> None:
        self.database.query(statement, *values)

    def _told(self, change: str) -> None:
        self.changes += 1
        self.say(change)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class Live:
    """Real servers, as the administrator."""

    desired: Desired
    user: str
    password: str = field(repr=False)
    ca: Path | None

    @cached_property
    def _servers(self) -> tuple[sql.Server, ...]:
        return tuple(self._patient(host) for host in self.desired.hosts)

    def all(self) -> Sequence[Database]:
        """One connection to each, kept."""
        return self._servers

    def lets_in(self, user: str, password: str) -> bool:
        """By trying. Who is refused for having too many connections had the right password."""
        try:
            sql.connect(self.desired.hosts[0], self.desired.port, user, password, self.ca).close()
        except pymysql.err.OperationalError as error:
            if error.args[0] == sql.ACCESS_DENIED:
                return False
            if error.args[0] != sql.TOO_MANY_USER_CONNECTIONS:
                raise
        return True

    def _patient(self, host: str) -> sql.Server:
        """A connection, once the server that was just declared is up."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return sql.connect(host, self.desired.port, self.user, self.password, self.ca)
            except pymysql.err.OperationalError as error:
                if time.monotonic() > deadline or error.args[0] == sql.ACCESS_DENIED:
                    raise AccessError(
                        f"cannot log in at {host} as {self.user}: {error.args[1]}: see whether the server is ready, and whose "
                        "password the Secret of the administrator holds"
                    ) from error
                time.sleep(1)


def main() -> int:
    """Run on the mounted state; the exit code is 0 when it is as desired."""
    desired = Desired.of(STATE.read_text())
    user, password = ((ADMIN / name).read_text().strip() for name in ("username", "password"))
    try:
        access = Access(Live(desired, user, password, CA if CA.exists() else None), desired)
        retained.report(access.reconcile())
    except (AccessError, pymysql.err.MySQLError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
