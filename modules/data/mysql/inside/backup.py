"""Backs every owner's schemas up to the bucket, and puts one back.

::

    python3 -m modules.data.mysql.inside.backup                                   # all schemas
    python3 -m modules.data.mysql.inside.backup restore latest atlas              # into atlas, where it is absent or empty
    python3 -m modules.data.mysql.inside.backup restore 2026-11-21T01-15-00Z atlas atlas_restored

A dump is one consistent view of a schema, taken while its owner goes on writing. It is put back by its owner's own account: what is in
a dump was written by its owner and can do no more than that.
"""

from __future__ import annotations

import configparser
import datetime
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pymysql

from modules.data.mysql.inside import sql
from modules.data.mysql.inside.access import BOOKS, CA, STATE, Desired, Owner
from modules.data.mysql.inside.sql import Database, create_schema
from modules.kit.inside.bucket import MANIFEST, Bucket, BucketError, Stored

ACCOUNT: Final = Path("/longhouse-backup")
LATEST: Final = "latest"

SERVERS_OWN: Final = frozenset({"information_schema", "performance_schema", "mysql", "sys", BOOKS})
"""Schemas that are not backed up: the server's, and the list that the access program writes anew."""

DUMP: Final = (
    "mariadb-dump",
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--routines",
    "--triggers",
    "--hex-blob",
    "--no-tablespaces",
    "--default-character-set=utf8mb4",
)

UNLIMITED: Final = "SET SESSION sql_notes = 1 /*M!100000 , max_statement_time = 0 */"
"""A restore may take longer than the account's statements may. Only MariaDB has the limit, and reads the comment."""


class BackupError(Exception):
    """A backup or restore cannot be done; the text says why and what to do."""


@dataclass(frozen=True)
class Account:
    """Who a program of MariaDB's logs in as."""

    host: str
    port: int
    user: str
    password: str
    ca: Path | None

    def connect(self) -> sql.Server:
        """A connection of our own."""
        return sql.connect(self.host, self.port, self.user, self.password, self.ca)

    @contextmanager
    def option(self) -> Iterator[str]:
        """The option that names a file with all of it: a password in an argument could be read by every process."""
        options = configparser.RawConfigParser()
        options["client"] = {
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "password": self.password,
            "ssl": "1",
            "ssl-verify-server-cert": "1",
            **({"ssl-ca": str(self.ca)} if self.ca else {}),
        }
        with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:  # made for its owner only
            options.write(file)
            file.flush()
            yield f"--defaults-file={file.name}"


def schemas(database: Database) -> list[str]:
    """Every schema that is backed up, by name."""
    rows = database.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME")
    return [name for (name,) in rows if name not in SERVERS_OWN]


def backup(
    account: Account, bucket: Bucket, now: datetime.datetime, say: Callable[[str], None] = print
) -> str:
    """Dump every schema, then write the manifest. Gives the snapshot's name.

    Raises BackupError and BucketError; without a manifest there is no snapshot.
    """
    snapshot = now.strftime("%Y-%m-%dT%H-%M-%SZ")
    server = account.connect()
    version = str(server.query("SELECT VERSION()")[0][0])
    found = schemas(server)
    server.close()
    parts: dict[str, Any] = {}
    for number, schema in enumerate(found, 1):
        say(f"[{number}/{len(found)}] schema {schema}")
        with dump(account, schema) as stream:
            parts[schema] = bucket.put(f"{snapshot}/{number:05d}.sql.gz", stream).as_dict()
    bucket.put_json(f"{snapshot}/{MANIFEST}", {"version": version, "schemas": parts})
    say(f"backed up {len(found)} schemas as {snapshot}")
    return snapshot


@contextmanager
def dump(account: Account, schema: str) -> Iterator[IO[bytes]]:
    """A schema's dump, compressed. Raises BackupError at its end when the dump is not whole."""
    with account.option() as option:
        dumping = subprocess.Popen([*DUMP[:1], option, *DUMP[1:], "--", schema], stdout=subprocess.PIPE)
        packing = subprocess.Popen(["gzip", "--fast"], stdin=dumping.stdout, stdout=subprocess.PIPE)
        assert dumping.stdout
        assert packing.stdout
        dumping.stdout.close()  # gzip's alone now: the dump ends when gzip does
        try:
            yield packing.stdout
        finally:
            packing.stdout.close()
            codes = packing.wait(), dumping.wait()
    if any(codes):
        raise BackupError(f"the dump of {schema} ended early (see above): run the backup again")


def restore(
    owner: Owner,
    account: Account,
    bucket: Bucket,
    snapshot: str,
    schema: str,
    into: str,
    say: Callable[[str], None] = print,
) -> None:
    """Put one schema of a snapshot back, as its owner, into a schema that is absent or empty.

    Raises BackupError and BucketError.
    """
    snapshot = newest(bucket) if snapshot == LATEST else snapshot
    parts = bucket.get_json(f"{snapshot}/{MANIFEST}")["schemas"]
    if schema not in parts:
        raise BackupError(f"snapshot {snapshot} has no schema {schema}: it has {', '.join(parts)}")
    server = account.connect()
    present = server.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", into)
    if present:
        (tables,) = server.query(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s", into
        )
        if tables[0]:
            raise BackupError(
                f"schema {into} has {tables[0]} tables, which nothing may overwrite: restore into {owner.name}_restored instead"
            )
    else:
        server.query(create_schema(into))
    server.close()
    say(f"restoring {schema} of {snapshot} into {into}")
    with account.option() as option, bucket.get(Stored(**parts[schema])) as stream:
        unpacking = subprocess.Popen(["gzip", "--decompress"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        loading = subprocess.Popen(
            ["mariadb", option, f"--init-command={UNLIMITED}", "--", into], stdin=unpacking.stdout
        )
        assert unpacking.stdin
        assert unpacking.stdout
        unpacking.stdout.close()
        try:
            shutil.copyfileobj(stream, unpacking.stdin)
            unpacking.stdin.close()
        except BrokenPipeError:
            pass  # the exit codes tell
        finally:
            codes = unpacking.wait(), loading.wait()
    if any(codes):
        raise BackupError(f"{into} is not whole (see above): drop it, mend the cause, and restore again")
    say(f"restored {into}")


def newest(bucket: Bucket) -> str:
    """The last whole snapshot."""
    found = bucket.snapshots()
    if not found:
        raise BackupError("there is no backup yet: run the backup first")
    return max(found)


def owner_of(desired: Desired, schema: str) -> Owner:
    """Whose a schema is, by its name."""
    for owner in desired.owners:
        if schema == owner.name or (owner.family and schema.startswith(f"{owner.name}_")):
            return owner
    raise BackupError(f"schema {schema} has no owner now: give its tenant MySQL again, then restore")


def main(arguments: Sequence[str]) -> int:
    """Run on the mounted state; the exit code is 0 when it is done."""
    desired = Desired.of(STATE.read_text())
    ca = CA if CA.exists() else None

    def account(user: str, password: str) -> Account:
        return Account(desired.hosts[0], desired.port, user, password, ca)

    try:
        match arguments:
            case []:
                user, password = ((ACCOUNT / name).read_text().strip() for name in ("username", "password"))
                backup(account(user, password), Bucket.mounted(), datetime.datetime.now(datetime.UTC))
            case ["restore", snapshot, schema, *rest] if len(rest) <= 1:
                into = rest[0] if rest else schema
                owner = owner_of(desired, schema)
                if owner_of(desired, into) != owner:
                    raise BackupError(f"{into} is not {owner.name}'s: restore into {owner.name}_restored")
                restore(owner, account(owner.name, owner.password), Bucket.mounted(), snapshot, schema, into)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (BackupError, BucketError, pymysql.err.MySQLError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
