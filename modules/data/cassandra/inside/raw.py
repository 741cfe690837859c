"""Rows as the server sends them: every value in the bytes of its type, neither read nor made anew.

So a backup is exact for every type that there is, or will be: text that Python would take for another, decimals, durations, vectors,
types of tenants' own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, ClassVar, Final

from cassandra.cluster import Session
from cassandra.protocol import ProtocolHandler, ResultMessage
from cassandra.query import BoundStatement, PreparedStatement

Cells = Sequence[bytes | None]

NATIVE: Final = frozenset(
    {
        *(
            "ascii",
            "bigint",
            "blob",
            "boolean",
            "counter",
            "date",
            "decimal",
            "double",
            "duration",
            "float",
            "inet",
        ),
        *("int", "smallint", "text", "time", "timestamp", "timeuuid", "tinyint", "uuid", "varchar", "varint"),
    }
)
"""Types of one cell that have no parameters (CQL, "Native types")."""

_LENGTH: Final = struct.Struct(">i")
_ABSENT: Final = -1


class _RawResult(ResultMessage):  # type: ignore[misc]
    """An answer whose values are left as they are."""

    def recv_results_rows(
        self,
        f: Any,
        protocol_version: Any,
        user_type_map: Any,
        result_metadata: Any,
        column_encryption_policy: Any,
    ) -> None:
        """As the driver's own, without the decoding."""
        self.recv_results_metadata(f, user_type_map)
        columns = self.column_metadata or result_metadata
        (number,) = _LENGTH.unpack(f.read(4))
        self.parsed_rows = [tuple(self.recv_row(f, len(columns))) for _ in range(number)]
        self.column_names = [column[2] for column in columns]
        self.column_types = [column[3] for column in columns]


class _RawHandler(ProtocolHandler):  # type: ignore[misc]
    message_types_by_opcode: ClassVar[dict[int, Any]] = {
        **ProtocolHandler.message_types_by_opcode,
        ResultMessage.opcode: _RawResult,
    }


@contextmanager
def answers(session: Session) -> Iterator[None]:
    """While it lasts, the values of a session's answers are bytes."""
    before = session.client_protocol_handler
    session.client_protocol_handler = _RawHandler
    try:
        yield
    finally:
        session.client_protocol_handler = before


def bind(statement: PreparedStatement, cells: Cells) -> BoundStatement:
    """A prepared statement with values that are bytes already."""
    bound = BoundStatement(statement)
    bound.values = list(cells)
    return bound


def pairs(cells: Cells) -> list[tuple[bytes | None, bytes | None]]:
    """Every two that follow each other."""
    return list(zip(cells[::2], cells[1::2], strict=True))


def pack(rows: Iterable[Cells]) -> Iterator[bytes]:
    """Rows as a stream: the number of cells, then of each cell its length and its bytes; -1 where there is none."""
    for cells in rows:
        pieces = [_LENGTH.pack(len(cells))]
        for cell in cells:
            pieces.append(_LENGTH.pack(_ABSENT if cell is None else len(cell)))
            pieces.append(cell or b"")
        yield b"".join(pieces)


def unpack(stream: IO[bytes]) -> Iterator[Cells]:
    """Rows of a stream that ``pack`` made. Raises EOFError where one is cut off."""
    while head := stream.read(_LENGTH.size):
        cells: list[bytes | None] = []
        for _ in range(_number(head)):
            length = _number(_exactly(stream, _LENGTH.size))
            cells.append(None if length == _ABSENT else _exactly(stream, length))
        yield tuple(cells)


def _number(data: bytes) -> int:
    return int(_LENGTH.unpack(data)[0])


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("the stream of rows ends in the middle of one")
    return data
