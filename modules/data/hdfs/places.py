"""Where each server is, by name, and what the servers are called in the realm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from modules.data.hdfs import sizing
from modules.data.hdfs.config import (
    KDC_PORT,
    NAMENODE_WEB_PORT,
    NAMESERVICE,
    NAMESPACE,
    SUPERUSER,
    EmbeddedKdc,
    Hdfs,
)

DOMAIN: Final = f"{NAMESPACE}.svc.cluster.local"
"""Pods find themselves in it, and Kerberos takes a server's own idea of its name, so the whole name has to be written out.
`cluster.local` is what every installer gives a cluster unless told otherwise."""

NAMENODE: Final = "namenode"
DATANODE: Final = "datanode"
JOURNALNODE: Final = "journalnode"
ZOOKEEPER: Final = "zookeeper"
KDC: Final = "kdc"

SERVICE_PORT: Final = 8021
"""Where DataNodes and failover controllers call a NameNode: clients that crowd the other port cannot make it look dead."""

FAILOVER_PORT: Final = 8019
JOURNAL_PORT: Final = 8485
JOURNAL_WEB_PORT: Final = 8481
ZOOKEEPER_PORT: Final = 2281
ZOOKEEPER_QUORUM_PORT: Final = 2888
ZOOKEEPER_ELECTION_PORT: Final = 3888
METRICS_PORT: Final = 9404

QUORUM: Final = 3
"""JournalNodes, and ZooKeeper servers: the fewest of which one may fail. One alone is a single point of failure, and two need both
(HDFS High Availability Using the Quorum Journal Manager, "Hardware resources")."""


@dataclass(frozen=True)
class Rack:
    """The DataNodes of one rack. ``name`` is the StatefulSet, ``zone`` the node label's value; empty where there are no racks."""

    name: str
    zone: str
    count: int


def host(server: str, number: int) -> str:
    """Whole name of one pod of a server."""
    return f"{server}-{number}.{server}.{DOMAIN}"


def hosts(server: str, count: int) -> tuple[str, ...]:
    """Whole names of all pods of a server."""
    return tuple(host(server, number) for number in range(count))


def namenodes(config: Hdfs) -> tuple[str, ...]:
    """The NameNodes."""
    return hosts(NAMENODE, 2 if config.high_availability else 1)


def namenode_ids(config: Hdfs) -> dict[str, str]:
    """What the settings call each NameNode, and where it is."""
    return {f"nn{number}": name for number, name in enumerate(namenodes(config))}


def racks(config: Hdfs) -> tuple[Rack, ...]:
    """The DataNodes, by rack. Each rack is a StatefulSet of its own, so that a DataNode's name says where it stands."""
    return tuple(
        Rack(f"{DATANODE}-{zone}" if zone else DATANODE, zone, count)
        for zone, count in sizing.in_racks(config.datanodes.count, config.datanodes.racks).items()
    )


def datanodes(config: Hdfs) -> tuple[str, ...]:
    """The DataNodes."""
    return tuple(name for rack in racks(config) for name in hosts(rack.name, rack.count))


def journalnodes(config: Hdfs) -> tuple[str, ...]:
    """The JournalNodes."""
    return hosts(JOURNALNODE, QUORUM) if config.high_availability else ()


def zookeepers(config: Hdfs) -> tuple[str, ...]:
    """The ZooKeeper servers."""
    return hosts(ZOOKEEPER, QUORUM) if config.high_availability else ()


def kdcs(config: Hdfs) -> tuple[str, ...]:
    """The realm's KDCs, as ``host:port``."""
    kdc = config.kerberos.kdc
    if isinstance(kdc, EmbeddedKdc):
        return (f"{KDC}.{DOMAIN}:{KDC_PORT}",)
    return tuple(each if ":" in each else f"{each}:{kdc.port}" for each in kdc.addresses)


def principals(names: tuple[str, ...]) -> Iterator[str]:
    """What the servers on these hosts are called: as Hadoop's, and to who comes by HTTP (RFC 4559, section 4.1)."""
    for name in names:
        yield f"{SUPERUSER}/{name}"
        yield f"HTTP/{name}"


def web_addresses(config: Hdfs) -> tuple[str, ...]:
    """Where WebHDFS is asked."""
    return tuple(f"https://{name}:{NAMENODE_WEB_PORT}" for name in namenodes(config))


def uri() -> str:
    """The file system, to a client that has its settings."""
    return f"hdfs://{NAMESERVICE}"
