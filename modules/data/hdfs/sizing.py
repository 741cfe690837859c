"""What follows from the servers' sizes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from modules.data.hdfs.config import Hdfs, HdfsShare
from modules.kit import quantities

MIB: Final = 2**20
GIB: Final = 2**30

BESIDE_HEAP: Final = 160 * MIB
"""What a Hadoop server takes beside its heap: classes, compiled code, threads, the metrics agent. Seen with 3.5.0 on Java 17, heap
and all, after half an hour's work: NameNode 300 MiB of 512, DataNode 290 of 512, JournalNode 200 of 256, failover controller 145 of
256, ZooKeeper 155 of 192."""

LEAST_MEMORY: Final = 384 * MIB
"""Memory of a NameNode or DataNode below which little heap is left beside that."""

HEAP_SHARE: Final = 0.75
"""Most of the memory that heap may be: buffers outside it and the page cache grow with the load."""

BLOCKS_PER_GIB: Final = 1_000_000
"""Blocks, and the files that they belong to, in a gibibyte of a NameNode's heap (Cloudera, "Sizing NameNode Heap Memory": 1 GB
for a million blocks)."""

RESERVED_SHARE: Final = 0.1
"""Part of a DataNode's disk that it leaves free: a file system that is quite full cannot finish what is being written, and ext4
slows down long before (Hortonworks and Cloudera alike advise a tenth)."""

SMALL_CLUSTER: Final = 3
"""Up to as many DataNodes report within seconds, so that nobody has to be waited for."""


def heap(memory: str) -> int:
    """Bytes of heap in a container of that memory."""
    total = quantities.bytes_of(memory)
    return max(min(total - BESIDE_HEAP, int(total * HEAP_SHARE)), total // 4) // MIB * MIB


def handlers(datanodes: int) -> int:
    """Threads of a NameNode that answer calls: 20 times the natural logarithm of the number of DataNodes (Hadoop Operations,
    E. Sammer, chapter 5), never fewer than Hadoop's own default of 10."""
    return max(10, round(20 * math.log(datanodes)))


def reserved(disk: str) -> int:
    """Bytes of a DataNode's disk that it leaves free."""
    return int(quantities.bytes_of(disk) * RESERVED_SHARE)


def capacity(config: Hdfs) -> int:
    """Bytes of data, counted once, that the DataNodes can hold."""
    each = quantities.bytes_of(config.datanodes.disk) - reserved(config.datanodes.disk)
    return config.datanodes.count * each // config.replication


def promised(shares: Iterable[HdfsShare]) -> int:
    """Bytes of data, counted once, that tenants may store."""
    return sum(quantities.bytes_of(share.space) for share in shares)


def files(config: Hdfs) -> int:
    """Files and directories that a NameNode's heap has room for, each file with a block of its own: half of what blocks alone would
    leave."""
    return heap(config.namenode.memory) * BLOCKS_PER_GIB // GIB // 2


def space_quota(share: HdfsShare, replication: int) -> int:
    """Bytes as HDFS counts them: every copy (HDFS Quotas Guide, "Space Quotas")."""
    return quantities.bytes_of(share.space) * replication


def in_racks(count: int, racks: tuple[str, ...]) -> dict[str, int]:
    """DataNodes of each rack, as equal as can be; one nameless rack where none is named."""
    if not racks:
        return {"": count}
    whole, over = divmod(count, len(racks))
    return {rack: whole + (number < over) for number, rack in enumerate(racks)}
