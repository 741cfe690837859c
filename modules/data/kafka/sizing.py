"""What follows from a broker's declared size: heap, what a partition may keep, and how finely it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from modules.data.kafka.config import Kafka
from modules.kit import quantities

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

LARGEST_HEAP: Final = 6 * GIB
"""A broker keeps no messages on its heap; upstream runs its largest ones with 6 GiB
(https://kafka.apache.org/43/operations/java-version/), and all else caches the log."""

CONTROLLERS: Final = 3
"""Controllers wherever there is more than one broker: one may fail. Upstream advises three, or five at most
(https://kafka.apache.org/43/operations/kraft/, "Deploying Considerations")."""

CONTROLLER_MEMORY: Final = "5Gi"
CONTROLLER_DISK: Final = "20Gi"
"""A controller on a pod of its own: 5 GB of memory and 5 GB for the metadata log are enough for a typical cluster (same page). Disks of
clouds are slow when they are small, so it has more."""

DELETION_SECONDS: Final = 120
"""Longest time for which what a partition may no longer keep is still there: it is looked for each minute, and deleted one later
(`log.retention.check.interval.ms` as set here, `log.segment.delete.delay.ms` by default)."""

SMALLEST_SEGMENT: Final = MIB
"""Kafka takes no smaller `log.segment.bytes` (KIP-1030)."""

LARGEST_SEGMENT: Final = GIB
"""Kafka's own default of `log.segment.bytes`."""

_HEAP_SHARE: Final = 0.4
_DISK_SHARE: Final = 0.8
_SEGMENTS: Final = 4
_INTERNAL_PARTITIONS: Final = 50


@dataclass(frozen=True)
class Sizes:
    """Sizes of one broker, in bytes where nothing else is said.

    ``retention`` is what a partition keeps at least before it gives way, ``segment`` the pieces in which it does; together they are
    its part of the disks. ``reserve`` is what no partition is promised. ``internal_partitions`` is a number.
    """

    heap: int
    retention: int
    segment: int
    reserve: int
    cleaner_buffer: int
    request: int
    queued_requests: int
    internal_partitions: int


def sizes(config: Kafka) -> Sizes:
    """What a broker of that size is run with."""
    memory, disk = quantities.bytes_of(config.memory), quantities.bytes_of(config.disk)
    heap = min(LARGEST_HEAP, int(memory * _HEAP_SHARE) // MIB * MIB)
    part = int(disk * _DISK_SHARE) * config.brokers // (config.partitions * config.replication)
    segment = max(SMALLEST_SEGMENT, min(LARGEST_SEGMENT, part // _SEGMENTS // MIB * MIB))
    request = max(8 * MIB, min(100 * MIB, heap // 8))
    return Sizes(
        heap=heap,
        retention=max(SMALLEST_SEGMENT, part - segment),
        segment=segment,
        reserve=disk - int(disk * _DISK_SHARE),
        # Kafka's default, 128 MiB, is half of a small heap.
        cleaner_buffer=max(2 * MIB, min(128 * MIB, heap // 16)),
        # By default one request may have 100 MiB, and any number may queue.
        request=request,
        queued_requests=max(request, heap // 4),
        # One file and two indices each, on every broker, at every start.
        internal_partitions=max(3, min(_INTERNAL_PARTITIONS, config.partitions // 6)),
    )


def fits(config: Kafka) -> bool:
    """Whether a partition's part of the disks holds the smallest segments that Kafka takes, twice."""
    found = sizes(config)
    part = int(quantities.bytes_of(config.disk) * _DISK_SHARE) * config.brokers
    return (found.retention + found.segment) * config.partitions * config.replication <= part


def controllers(config: Kafka) -> int:
    """How many servers vote on the metadata."""
    return min(CONTROLLERS, config.brokers)
