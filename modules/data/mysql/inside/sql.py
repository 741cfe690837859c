"""Names, literals and connections: everything that turns a value into SQL, in one place.

Statements about accounts and schemas take no parameters where a name stands, so names are quoted here; values go through the driver's
own parameters.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import certifi
import pymysql

ACCESS_DENIED: Final = 1045
TOO_MANY_USER_CONNECTIONS: Final = 1226
NO_SUCH_THREAD: Final = 1094

CHARACTER_SET: Final = "utf8mb4"
COLLATION: Final = "utf8mb4_unicode_520_ci"
"""The newest collation for all of Unicode that MySQL and MariaDB both have."""

_CONNECT_SECONDS: Final = 10

Row = tuple[Any, ...]


class Database(Protocol):
    """What runs statements: a server, or what stands for one in a test."""

    def query(self, statement: str, *values: object) -> Sequence[Row]:
        """Run a statement with ``%s`` for each value; its rows."""


@dataclass(frozen=True)
class Server:
    """A connection to a server."""

    connection: Any

    def query(self, statement: str, *values: object) -> Sequence[Row]:
        """Run a statement. Without values a ``%`` in it stands for itself."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def close(self) -> None:
        """End the session."""
        self.connection.close()


def connect(
    host: str, port: int, user: str, password: str, ca: Path | None, database: str | None = None
) -> Server:
    """A connection over TLS, with the server's name checked. ``ca`` None trusts the public authorities.

    Raises pymysql.err.OperationalError.
    """
    trust = ssl.create_default_context(cafile=str(ca or certifi.where()))
    return Server(
        pymysql.connect(
            host=host,
            port=port,
            user=user,
            password=password,
            database=database,
            ssl=trust,
            charset=CHARACTER_SET,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
        )
    )


def identifier(name: str) -> str:
    """A name as an identifier, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def create_schema(name: str) -> str:
    """The statement that makes a schema: a server that somebody else set up may have another character set by default."""
    return f"CREATE DATABASE {identifier(name)} CHARACTER SET {CHARACTER_SET} COLLATE {COLLATION}"


def pattern(schema: str) -> str:
    """A schema's name as GRANT wants it: there ``_`` and ``%`` are wildcards, even between backticks
    (https://dev.mysql.com/doc/refman/8.4/en/grant.html#grant-quoting)."""
    return schema.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")


def literal(text: str) -> str:
    """A text as a literal, for files of statements, where no driver is. For servers without NO_BACKSLASH_ESCAPES, as ours are.

    Raises ValueError for a line break: such a file has a statement a line.
    """
    if "\n" in text or "\r" in text:
        raise ValueError("a literal of a statement file is one line")
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def native_hash(password: str) -> str:
    """A password as ``mysql_native_password`` keeps it: SHA-1 of SHA-1
    (https://mariadb.com/kb/en/authentication-plugin-mysql_native_password/).

    MariaDB writes account statements to its binary log word for word, a clear password with them; so it is never sent one.
    """
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()
