"""Backs every tenant's keyspace up to the bucket, and puts one back into a fresh place.

::

    python3 -m modules.data.cassandra.inside.backup                                # all keyspaces
    python3 -m modules.data.cassandra.inside.backup restore latest atlas           # into atlas, where it has no table
    python3 -m modules.data.cassandra.inside.backup restore latest atlas june      # into atlas_restored_june, a new keyspace

A client's backup: it needs nothing of the servers' disks, works with either engine, and comes back into a ring of another shape. It
reads each row once, at a quorum, with what time it was written and when it expires. Tables are read one after the other, so what
was written meanwhile is in one and not in another.
"""

from __future__ import annotations

import datetime
import gzip
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cassandra import ConsistencyLevel
from cassandra.cluster import Session
from cassandra.concurrent import execute_concurrent
from cassandra.metadata import ColumnMetadata, KeyspaceMetadata, TableMetadata
from cassandra.query import PreparedStatement

from modules.data.cassandra.inside import raw
from modules.data.cassandra.inside.access import GRANTED, OWN
from modules.data.cassandra.inside.raw import Cells
from modules.data.cassandra.inside.session import (
    TUPLES,
    Place,
    SessionError,
    identifier,
    keyspace,
    literal,
    restored,
    rows,
    superuser,
    wanted,
)
from modules.kit.inside.bucket import MANIFEST, Bucket, BucketError, Stored

LATEST: Final = "latest"
PAGE: Final = 1000
"""Rows that are asked for, and held, at a time."""
PARALLEL: Final = 32
"""Writes of a restore that are under way at a time."""

FULL_RING: Final = (-(2**63), 2**63 - 1)
SLICES: Final = 64
"""Pieces that the ring's tokens are read in; one that fails is asked for again alone, and each is a step of the progress."""

_HEAD: Final = re.compile(
    r'^CREATE (?:(?P<kind>TABLE|TYPE) |(?:CUSTOM )?INDEX (?:"(?:[^"]|"")+"|\w+) ON )(?P<keyspace>"(?:[^"]|"")+"|\w+)\.'
)
"""Beginning of what DESCRIBE says makes a table, a type or an index, up to the keyspace that it is in."""


class BackupError(Exception):
    """A backup or restore cannot be done; the text says why and what to do."""


@dataclass(frozen=True)
class Columns:
    """A table's columns, in the order in which they are stored: key, the rest; ``timed`` are those whose cells have one time each."""

    key: tuple[str, ...]
    rest: tuple[str, ...]
    timed: tuple[str, ...]
    counters: tuple[str, ...]

    @classmethod
    def of(cls, table: TableMetadata) -> Columns:
        """As the driver knows the table."""
        key = tuple(column.name for column in (*table.partition_key, *table.clustering_key))
        rest = {name: column for name, column in table.columns.items() if name not in key}
        counters = tuple(name for name, column in rest.items() if column.cql_type == "counter")
        timed = tuple(
            name for name, column in rest.items() if name not in counters and not _many_cells(column)
        )
        return cls(key, tuple(rest), timed, counters)

    @property
    def selected(self) -> tuple[str, ...]:
        """What is asked for of each row."""
        names = [identifier(name) for name in (*self.key, *self.rest)]
        times = [f"{what}({identifier(name)})" for name in self.timed for what in ("writetime", "ttl")]
        return (*names, *times)


def _many_cells(column: ColumnMetadata) -> bool:
    """Whether the column's value is a cell for each element (a collection or type that is not frozen): they have many times."""
    simple = column.cql_type.startswith(("frozen<", "tuple<", "vector<"))
    return not simple and ("<" in column.cql_type or column.cql_type not in raw.NATIVE)


def backup(
    session: Session, bucket: Bucket, now: datetime.datetime, say: Callable[[str], None] = print
) -> str:
    """Store every tenant's keyspace, then the manifest. Gives the snapshot's name."""
    snapshot = now.strftime("%Y-%m-%dT%H-%M-%SZ")
    tenants = [row.name for row in rows(session, f"SELECT name FROM {OWN}.tenants")]
    present = session.cluster.metadata.keyspaces
    found = {}
    for name in sorted(keyspace(tenant) for tenant in tenants):
        if name in present:
            found[name] = _keyspace(session, bucket, snapshot, present[name], say)
    bucket.put_json(f"{snapshot}/{MANIFEST}", {"keyspaces": found})
    say(f"backed up {len(found)} keyspaces as {snapshot}")
    return snapshot


def _keyspace(
    session: Session, bucket: Bucket, snapshot: str, found: KeyspaceMetadata, say: Callable[[str], None]
) -> dict[str, Any]:
    described = rows(session, f"DESCRIBE KEYSPACE {identifier(found.name)}")
    schema = [row.create_statement for row in described if row.type != "keyspace"]
    tables = {}
    for number, (name, table) in enumerate(sorted(found.tables.items())):
        counted = _Counted()
        stream = _Compressed(raw.pack(counted.of(_read(session, table, say))))
        stored = bucket.put(f"{snapshot}/{found.name}/{number:05d}.rows.gz", stream)
        tables[name] = {"rows": counted.number, "columns": _names(table), **stored.as_dict()}
        say(f"{found.name}.{name}: {counted.number} rows")
    return {"schema": schema, "tables": tables}


def _names(table: TableMetadata) -> list[str]:
    columns = Columns.of(table)
    return [*columns.key, *columns.rest]


def _read(session: Session, table: TableMetadata, say: Callable[[str], None]) -> Iterator[Cells]:
    """Every row, slice of the ring by slice, as the server sends it."""
    columns = Columns.of(table)
    token = f"token({', '.join(identifier(column.name) for column in table.partition_key)})"
    where = f"{identifier(table.keyspace_name)}.{identifier(table.name)} WHERE {token} >= ? AND {token} <= ?"
    statement = session.prepare(f"SELECT {', '.join(columns.selected)} FROM {where}")
    statement.fetch_size = PAGE
    statement.consistency_level = ConsistencyLevel.LOCAL_QUORUM
    with raw.answers(session):
        for number, bounds in enumerate(slices()):
            yield from session.execute(statement, bounds, execution_profile=TUPLES)
            if number % 16 == 15:
                say(f"{table.keyspace_name}.{table.name}: {(number + 1) * 100 // SLICES} % of the ring read")


def slices(number: int = SLICES) -> list[tuple[int, int]]:
    """The ring's tokens in equal pieces, first and last of each, none left out and none twice."""
    low, high = FULL_RING
    width = (high - low + 1) // number
    return [
        (low + width * each, high if each == number - 1 else low + width * (each + 1) - 1)
        for each in range(number)
    ]


def restore(
    session: Session,
    bucket: Bucket,
    snapshot: str,
    name: str,
    label: str = "",
    say: Callable[[str], None] = print,
) -> str:
    """Put a keyspace back: into itself where it has no table, or into a new one named after ``label``. Gives the name of where.

    Its tenant may use it as it may its own.
    """
    snapshot = newest(bucket) if snapshot == LATEST else snapshot
    kept = bucket.get_json(f"{snapshot}/{MANIFEST}")["keyspaces"]
    if name not in kept:
        raise BackupError(f"snapshot {snapshot} has no keyspace {name}: it has {', '.join(kept) or 'none'}")
    into = _fresh(session, name, label)
    say(f"restoring {name} of {snapshot} into {into}")
    for statement in kept[name]["schema"]:
        session.execute(moved(statement, into))
    session.cluster.refresh_keyspace_metadata(into)
    for table, facts in kept[name]["tables"].items():
        stored = Stored(facts["key"], facts["size"], facts["sha256"])
        with bucket.get(stored) as stream:
            written = _write(
                session, session.cluster.metadata.keyspaces[into].tables[table], facts, _expanded(stream)
            )
        if written != facts["rows"]:
            raise BackupError(
                f"{table} came back with {written} rows, not {facts['rows']}: restore another snapshot"
            )
        say(f"{into}.{table}: {written} rows")
    return into


def _fresh(session: Session, name: str, label: str) -> str:
    present = session.cluster.metadata.keyspaces
    into = restored(name, label) if label else name
    if into in present:
        if present[into].tables:
            raise BackupError(
                f"keyspace {into} has tables, and nothing may overwrite what is there: name another label to restore beside it"
            )
        return into
    if not label:
        raise BackupError(
            f"keyspace {into} is not there: deploy with its tenant first, or name a label to restore beside it"
        )
    (own,) = rows(session, "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s", (OWN,))
    copies = ", ".join(f"{literal(key)}: {literal(value)}" for key, value in own.replication.items())
    session.execute(f"CREATE KEYSPACE {identifier(into)} WITH replication = {{{copies}}}")
    if rows(session, "SELECT role FROM system_auth.roles WHERE role = %s", (name,)):
        for permission in sorted(GRANTED):
            session.execute(
                f"GRANT {permission} ON ALL TABLES IN KEYSPACE {identifier(into)} TO {identifier(name)}"
            )
    return into


def moved(statement: str, into: str) -> str:
    """A statement of the schema, for the keyspace ``into``. Raises BackupError for one that makes anything but a table, a type or
    an index: nothing else is a tenant's."""
    head = _HEAD.match(statement)
    if head is None:
        raise BackupError(f"the backup's schema holds what no tenant makes: {statement[:60]!r}")
    return statement[: head.start("keyspace")] + identifier(into) + statement[head.end("keyspace") :]


def _write(session: Session, table: TableMetadata, facts: dict[str, Any], stream: Iterable[Cells]) -> int:
    columns = Columns.of(table)
    if facts["columns"] != [*columns.key, *columns.rest]:
        raise BackupError(
            f"table {table.name} has other columns than its backup: restore into a new keyspace"
        )
    writer = _Writer(session, table, columns)
    number = 0
    batch: list[tuple[str, Cells]] = []
    for cells in stream:
        number += 1
        batch += writer.writes(cells)
        if len(batch) >= PAGE:
            writer.run(batch)
            batch = []
    writer.run(batch)
    return number


class _Writer:
    """Writes rows back as they were: each cell with its time of writing and what is left of its time to live."""

    def __init__(self, session: Session, table: TableMetadata, columns: Columns) -> None:
        self._session, self._columns = session, columns
        self._name = f"{identifier(table.keyspace_name)}.{identifier(table.name)}"
        self._static = {name for name, column in table.columns.items() if column.is_static}
        self._partition = len(table.partition_key)
        self._prepared: dict[str, PreparedStatement] = {}

    def writes(self, cells: Cells) -> Iterator[tuple[str, Cells]]:
        """Statements that write one row, with their values."""
        columns = self._columns
        key, rest = cells[: len(columns.key)], cells[len(columns.key) : len(columns.key) + len(columns.rest)]
        times = dict(
            zip(columns.timed, raw.pairs(cells[len(columns.key) + len(columns.rest) :]), strict=True)
        )
        values = {name: value for name, value in zip(columns.rest, rest, strict=True) if value is not None}
        # A partition that holds static columns only comes as a row without the rest of its key.
        key_names, bare = columns.key, None in key
        if bare:
            key_names, key = key_names[: self._partition], key[: self._partition]
        if columns.counters:
            yield from self._counters(key_names, key, values)
            return
        groups: dict[tuple[bytes | None, bytes | None], list[str]] = {}
        for name in values:
            groups.setdefault(times.get(name, (None, None)), []).append(name)
        if not bare and values.keys() <= self._static:
            groups.setdefault((None, None), [])  # a row of its key alone
        for (written, left), names in groups.items():
            using = [
                f"{what} ?" for what, value in (("TIMESTAMP", written), ("TTL", left)) if value is not None
            ]
            listed = ", ".join(identifier(name) for name in (*key_names, *names))
            marks = ", ".join("?" * (len(key_names) + len(names)))
            statement = f"INSERT INTO {self._name} ({listed}) VALUES ({marks})" + (
                f" USING {' AND '.join(using)}" if using else ""
            )
            yield (
                statement,
                (
                    *key,
                    *(values[name] for name in names),
                    *(each for each in (written, left) if each is not None),
                ),
            )

    def _counters(
        self, key_names: Sequence[str], key: Cells, values: Mapping[str, bytes | None]
    ) -> Iterator[tuple[str, Cells]]:
        if values:
            added = ", ".join(f"{identifier(name)} = {identifier(name)} + ?" for name in values)
            where = " AND ".join(f"{identifier(name)} = ?" for name in key_names)
            yield f"UPDATE {self._name} SET {added} WHERE {where}", (*values.values(), *key)

    def run(self, batch: list[tuple[str, Cells]]) -> None:
        """Write many, several at a time; the first that fails ends it."""
        bound = []
        for text, cells in batch:
            if text not in self._prepared:
                self._prepared[text] = self._session.prepare(text)
                self._prepared[text].consistency_level = ConsistencyLevel.LOCAL_QUORUM
            bound.append((raw.bind(self._prepared[text], cells), ()))
        execute_concurrent(self._session, bound, concurrency=PARALLEL, raise_on_first_error=True)


class _Counted:
    """Counts what passes."""

    def __init__(self) -> None:
        self.number = 0

    def of(self, stream: Iterable[Cells]) -> Iterator[Cells]:
        """The stream, counted."""
        for each in stream:
            self.number += 1
            yield each


class _Compressed:
    """A stream of bytes, compressed as gzip does, read like a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""
        self._gzip: Any = zlib.compressobj(6, zlib.DEFLATED, 31)

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        while len(self._left) < size and self._gzip is not None:
            piece = next(self._pieces, None)
            if piece is None:
                self._left += self._gzip.flush()
                self._gzip = None
            else:
                self._left += self._gzip.compress(piece)
        found, self._left = self._left[:size], self._left[size:]
        return found


def _expanded(stream: Any) -> Iterator[Cells]:
    with gzip.open(stream, "rb") as plain:
        yield from raw.unpack(plain)


def newest(bucket: Bucket) -> str:
    """The last whole snapshot."""
    found = bucket.snapshots()
    if not found:
        raise BackupError("the bucket holds no backup of Cassandra yet: run one first")
    return found[-1]


def main(arguments: Sequence[str]) -> int:
    """Back up, or restore."""
    try:
        place = Place.of(wanted()["place"])
        with superuser(place) as session:
            match arguments:
                case []:
                    backup(session, Bucket.mounted(), datetime.datetime.now(datetime.UTC))
                case ["restore", snapshot, name]:
                    restore(session, Bucket.mounted(), snapshot, name)
                case ["restore", snapshot, name, label]:
                    restore(session, Bucket.mounted(), snapshot, name, label)
                case _:
                    print(__doc__, file=sys.stderr)
                    return 2
    except (BackupError, BucketError, SessionError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
