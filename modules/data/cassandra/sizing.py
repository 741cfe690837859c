"""What follows from a node's size. Pure: the same for both engines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from modules.data.cassandra.config import Cassandra, CassandraShare
from modules.kit import quantities

MIB: Final = 2**20
GIB: Final = 2**30

SMALL_HEAP: Final = 1 * GIB
LARGE_HEAP: Final = 8 * GIB

LEAST_MEMORY: Final = 1 * GIB
"""Below it the heap of half the memory leaves too little for what lies beside it: 5.0 with a 256 MiB heap was seen at 580 MiB
right after its start."""

DATA_SHARE: Final = 0.5
"""Part of a disk that may hold data. Size-tiered compaction, the default, may need as much again while it rewrites the largest
table (https://cassandra.apache.org/doc/5.0/cassandra/managing/operating/compaction/stcs.html)."""

REFUSE_PERCENT: Final = 70
WARN_PERCENT: Final = 50
"""Use of the disk at which writes are refused, and at which clients are warned (guardrail `data_disk_usage_percentage`). Between
them, not all tables are compacted at the same time."""

TABLES_SPARE: Final = 5
"""Tables beyond all plans, for restores."""


def heap(memory: str) -> int:
    """Bytes of heap: the larger of half the memory up to 1 GiB and a quarter of it up to 8 GiB.

    Upstream's own rule (conf/cassandra-env.sh, ``calculate_heap_sizes``). What is left holds memtables, caches and the page cache,
    which reads live on.
    """
    total = quantities.bytes_of(memory)
    found = max(min(total // 2, SMALL_HEAP), min(total // 4, LARGE_HEAP))
    return found // MIB * MIB


def direct(memory: str) -> int:
    """Bytes of memory beside the heap that the JVM may take for buffers: half of what the heap leaves. Its own default, as much as
    the heap, would let the two together exceed a small container."""
    return (quantities.bytes_of(memory) - heap(memory)) // 2 // MIB * MIB


def capacity(config: Cassandra) -> int:
    """Bytes of data, counted once, that the ring can hold and still compact."""
    return int(config.nodes * quantities.bytes_of(config.disk) * DATA_SHARE) // config.replication


def planned(shares: Iterable[CassandraShare]) -> int:
    """Bytes of data that tenants plan for, counted once."""
    return sum(quantities.bytes_of(share.disk) for share in shares)


def tables(shares: Iterable[CassandraShare]) -> int:
    """Tables that the ring has to allow: what all tenants plan for, and a few for restores."""
    return sum(share.tables for share in shares) + TABLES_SPARE


def disk_bytes(config: Cassandra) -> int:
    """Bytes of a node's disk: what percentages of its use are of, also where the volume is a folder of a larger disk."""
    return quantities.bytes_of(config.disk)
