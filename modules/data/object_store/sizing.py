"""How MinIO lays objects out, as far as it must be known before a server starts.

One volume a server, all in one erasure set: what is lost together is then one part of each object, so parity counts servers. Facts from the pinned
version's own documentation and source, named at each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FEWEST_SERVERS: Final = 4
"""Least that may lose a server and go on writing (docs/distributed/SIZING.md, "tolerance for writes"). With 2 or 3 a write needs all or all but none of them."""

FEWEST_PARITY: Final = 2
"""Least parity of more than one server: with 1, a second fault during the repair of the first loses objects; docs/erasure/storage-class/README.md
says "greater than or equal to 2"."""


@dataclass(frozen=True)
class Fault:
    """Why a layout is refused, at which key, and the way out."""

    key: str
    what: str
    remedy: str


def parity(servers: int, wanted: int | None = None) -> int:
    """Parts of each object that are parity: what is wanted, or the server's own choice for a set of that size
    (internal/config/storageclass/storage-class.go, DefaultParityBlocks)."""
    if wanted is not None:
        return wanted
    if servers == 1:
        return 0
    if servers < FEWEST_SERVERS:
        return 1
    return {4: 2, 5: 2, 6: 3, 7: 3}.get(servers, 4)


def write_tolerance(servers: int, parity: int) -> int:
    """Servers that may be away while writes go on. A write needs as many servers as there are data parts, and one more
    where those are exactly half, so that no two halves can disagree (cmd/erasure.go, defaultWQuorum)."""
    data = servers - parity
    return servers - (data + 1 if data == parity else data)


def capacity(servers: int, wanted: int | None, disk: int) -> int:
    """Bytes of objects that fit: the data parts' share of all volumes."""
    return (servers - parity(servers, wanted)) * disk


def layout_fault(servers: int, wanted: int | None) -> Fault | None:
    """Why a number of servers with a parity is no layout to keep data in; None when it is one."""
    if 1 < servers < FEWEST_SERVERS:
        return Fault(
            "servers",
            f"is {servers}, of which none may be away while writes go on",
            "write 4 or more, or 1 for a trial",
        )
    if wanted is None:
        return None
    if servers == 1:
        return Fault("parity", "is set, and one server has none", "remove it, or have 4 servers or more")
    if wanted < FEWEST_PARITY:
        return Fault(
            "parity",
            f"is {wanted}: {'the first' if not wanted else 'a second'} lost volume loses objects",
            "write 2 or more",
        )
    if wanted > servers // 2:
        return Fault(
            "parity",
            f"is more than half of {servers} servers, with which MinIO does not start",
            f"write {servers // 2} or less",
        )
    return None
