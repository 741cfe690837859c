"""How much of a server's memory and disk goes to what.

Memory is spent on three things: the server itself, its connections, and the buffer pool, which gets the rest. The number of connections
is bounded so that all of them busy at once still fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from modules.data.mysql.config import MySql, MySqlEngine
from modules.kit import quantities

MIB: Final = 2**20
GIB: Final = 2**30


class Flavour(StrEnum):
    """Which server it is."""

    MARIADB = "MariaDB 10.11"
    PXC = "Percona XtraDB Cluster 8.4"


@dataclass(frozen=True)
class Costs:
    """What a flavour needs before it holds any data: itself, and per busy connection."""

    base: int
    connection: int


COSTS: Final = {
    # Measured on 10.11.19 with the buffers of settings.py: 67 MiB resident at rest, 16 MiB of Aria's cache and 8 of log buffer still
    # to fill; a hundred connections that sort and group at once added 2 MiB each.
    Flavour.MARIADB: Costs(base=96 * MIB, connection=2 * MIB),
    # What its operator leaves and reckons with itself (pkg/pxc/app/config, getAutoTuneParams): at least 1 GB beside the buffer pool,
    # and 12 MiB a connection.
    Flavour.PXC: Costs(base=1 * GIB, connection=12 * MIB),
}

LEAST_BUFFER_POOL: Final = 64 * MIB
MOST_CONNECTIONS: Final = 5000
PLATFORM_CONNECTIONS: Final = 10
"""Connections that no tenant's record may promise away: probes, metrics, backups, the program that reconciles access."""

_UNIT: Final = 8 * MIB
_PXC_UNIT: Final = 1 * GIB
"""MySQL rounds a buffer pool above 1 GiB up to a multiple of this: chunks of 128 MiB times 8 instances
(https://dev.mysql.com/doc/refman/8.4/en/innodb-buffer-pool-resize.html)."""
_HEADROOM: Final = 0.85
"""Share of what is left after the server itself that is planned with: the rest is for temporary tables and the allocator's waste."""


@dataclass(frozen=True)
class Sizes:
    """Bytes, but for connections."""

    buffer_pool: int
    connections: int
    redo_log: int
    binlog: int
    """Largest single binary log file."""


def flavour(engine: MySqlEngine) -> Flavour:
    """The server that an engine runs."""
    return Flavour.MARIADB if engine is MySqlEngine.PLAIN else Flavour.PXC


def least_memory(of: Flavour) -> int:
    """Memory below which a flavour has no room for its buffer pool and the platform's own connections."""
    costs = COSTS[of]
    needed = (LEAST_BUFFER_POOL + 2 * PLATFORM_CONNECTIONS * costs.connection) / _HEADROOM
    return costs.base + -(-int(needed) // (32 * MIB)) * 32 * MIB


def sizes(config: MySql) -> Sizes:
    """What fits into the memory and disk of one server.

    A quarter of the memory beside the server itself is for connections. The redo log is a quarter of the buffer pool: as it grows,
    writes are smoothed and recovery takes longer
    (https://dev.mysql.com/doc/refman/8.4/en/innodb-redo-log.html); it and a binary log stay below a twentieth of the disk.
    """
    of = flavour(config.engine)
    costs = COSTS[of]
    room = max(0, quantities.bytes_of(config.memory) - costs.base)
    connections = max(2 * PLATFORM_CONNECTIONS, min(MOST_CONNECTIONS, room // 4 // costs.connection))
    pool = max(LEAST_BUFFER_POOL, int(room * _HEADROOM) - connections * costs.connection)
    disk = quantities.bytes_of(config.disk)
    if of is Flavour.PXC and pool > _PXC_UNIT:
        pool = pool // _PXC_UNIT * _PXC_UNIT
    return Sizes(
        buffer_pool=_whole(pool),
        connections=connections,
        redo_log=_whole(min(max(pool // 4, 32 * MIB), 4 * GIB, max(disk // 20, 16 * MIB))),
        binlog=_whole(min(1 * GIB, max(disk // 20, 16 * MIB))),
    )


def _whole(size: int) -> int:
    return size // _UNIT * _UNIT
