"""The platform's own tables beside MLflow's: who may come in, and who is at work on the schema."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import quote

import pymysql

from modules.ml.tracking.inside.gate import AwayError, Digests

BINDING: Final = Path("/bindings/mysql")
_ACCOUNTS: Final = "longhouse_accounts"
_LOCK: Final = "longhouse_lock"
_TABLES: Final = (
    f"{_LOCK} (id INT NOT NULL PRIMARY KEY)",
    f"{_ACCOUNTS} (tenant VARCHAR(63) NOT NULL PRIMARY KEY, digest CHAR(64) NOT NULL)",
)
_WAIT_SECONDS: Final = 900
_CONNECT_SECONDS: Final = 10

FRESH_SECONDS: Final = 5.0
"""How long who may come in is believed without looking: what a tenant keeps that lost its access."""


def facts(binding: Path = BINDING) -> Mapping[str, str]:
    """The binding, by key."""
    found = {
        each: (binding / each).read_text() for each in ("host", "port", "database", "username", "password")
    }
    authority = binding / "ca.crt"
    return {**found, "ca": str(authority) if authority.exists() else ""}


def url(binding: Path = BINDING) -> str:
    """The database as SQLAlchemy takes it, over TLS with the server's name checked."""
    known = facts(binding)
    at = f"{quote(known['username'])}:{quote(known['password'])}@{known['host']}:{known['port']}/{quote(known['database'])}"
    trust = f"ssl_ca={known['ca']}" if known["ca"] else "ssl_capath=/etc/ssl/certs"
    return f"mysql+pymysql://{at}?charset=utf8mb4&ssl_check_hostname=true&{trust}"


@contextmanager
def connection(binding: Path = BINDING) -> Iterator[Any]:
    """A connection of its own, for as long as the body runs. Raises pymysql.err.OperationalError."""
    known = facts(binding)
    with pymysql.connect(
        host=known["host"],
        port=int(known["port"]),
        user=known["username"],
        password=known["password"],
        database=known["database"],
        ssl=ssl.create_default_context(cafile=known["ca"] or None),
        connect_timeout=_CONNECT_SECONDS,
    ) as made:
        yield made


@contextmanager
def alone(binding: Path = BINDING) -> Iterator[None]:
    """Nobody else is in here meanwhile: a row is locked, by a connection that ends with whoever holds it.

    Not GET_LOCK, which a cluster of Percona's refuses (pxc_strict_mode). Raises pymysql.err.OperationalError when it takes too long.
    """
    with connection(binding) as held, held.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", (_WAIT_SECONDS,))
        for table in _TABLES:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        cursor.execute(f"INSERT IGNORE INTO {_LOCK} (id) VALUES (1)")
        held.commit()
        cursor.execute(f"SELECT id FROM {_LOCK} WHERE id = 1 FOR UPDATE")
        yield


class Accounts:
    """Who may come in: the program of access writes it, each server reads it. ``alone`` has made its table."""

    def __init__(self, binding: Path = BINDING) -> None:
        self._binding = binding

    def read(self) -> dict[str, str]:
        """Tenant to what is kept of its password."""
        with connection(self._binding) as made, made.cursor() as cursor:
            cursor.execute(f"SELECT tenant, digest FROM {_ACCOUNTS}")
            return dict(cursor.fetchall())

    def put(self, tenant: str, digest: str) -> None:
        """Let a tenant in with that password, and with no other."""
        self._do(f"REPLACE INTO {_ACCOUNTS} (tenant, digest) VALUES (%s, %s)", tenant, digest)

    def remove(self, tenant: str) -> None:
        """Let it in no more."""
        self._do(f"DELETE FROM {_ACCOUNTS} WHERE tenant = %s", tenant)

    def _do(self, statement: str, *values: str) -> None:
        with connection(self._binding) as made:
            with made.cursor() as cursor:
                cursor.execute(statement, values)
            made.commit()


class Known:
    """The accounts as one process of a server has them: never older than ``FRESH_SECONDS``."""

    def __init__(self, accounts: Accounts | None = None) -> None:
        self._accounts = accounts or Accounts()
        self._lock = Lock()
        self._digests: dict[str, str] = {}
        self._until = 0.0

    def __call__(self) -> Digests:
        """The digests. Raises AwayError when they are old and the database does not answer."""
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    self._digests = self._accounts.read()
                except (pymysql.err.MySQLError, OSError) as problem:
                    print(f"accounts: {problem}", flush=True)
                    raise AwayError from problem
                self._until = time.monotonic() + FRESH_SECONDS
            return self._digests
