"""HDFS: its shape, the realm that says who is who, its servers' sizes, and a tenant's share of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from modules.kit.clock import Cron
from modules.kit.model import IMMUTABLE, Model
from modules.kit.names import LabelValue
from modules.kit.network import Cidr, Port, Reach
from modules.kit.quantities import Cpu, Memory

NAMESPACE: Final = "hdfs"

NAMENODE_PORT: Final = 8020
NAMENODE_WEB_PORT: Final = 9871
DATANODE_PORT: Final = 9866
DATANODE_WEB_PORT: Final = 9865
DATANODE_RPC_PORT: Final = 9867
"""Asked by readers of a file that is still being written."""

KDC_PORT: Final = 8888
"""Above 1023, so that no right is needed to listen there; Kerberos' own 88 is below."""

CLIENT_PORTS: Final = (
    NAMENODE_PORT,
    NAMENODE_WEB_PORT,
    DATANODE_PORT,
    DATANODE_WEB_PORT,
    DATANODE_RPC_PORT,
    KDC_PORT,
)
NAMESERVICE: Final = "longhouse"
"""Name of the file system in every URI (`hdfs://longhouse/...`). It is the same in both shapes, so that a path that somebody wrote
down survives the step from one to the other."""

SUPERUSER: Final = "hdfs"
RETAINED_GROUP: Final = "retained"
RESERVED_USERS: Final = frozenset(
    {SUPERUSER, RETAINED_GROUP, "http", "host", "krbtgt", "kadmin", "zookeeper"}
)
"""Names that mean something else in the realm or the file system than a tenant."""

RealmName = Annotated[
    str,
    Field(
        pattern=r"^[A-Z][A-Z0-9-]*(\.[A-Z][A-Z0-9-]*)*$",
        max_length=100,
        json_schema_extra={"examples": ["LONGHOUSE"], "remedy": "write it in capitals, like EXAMPLE.COM"},
    ),
]
"""Name of a Kerberos realm: capitals, as by convention (RFC 4120, section 6.1)."""

KdcAddress = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9.]*(:[1-9][0-9]{0,4})?$",
        json_schema_extra={"examples": ["dc1.example.com:88"], "remedy": "write a host, or host:port"},
    ),
]


class EmbeddedKdc(Model):
    """The platform runs MIT Kerberos itself. It has no state: its database is made at each start from derived passwords."""

    mode: Literal["embedded"]
    """`embedded`: the platform runs the KDC."""

    replicas: Annotated[int, Field(ge=1, le=5)] = 2
    """KDCs. All make the same keys from the same passwords, so a ticket of one is good at any other."""


class GivenKdc(Model):
    """A realm that is there already, Active Directory for example.

    Who keeps the realm also makes the keytabs, as Secrets of the namespace `hdfs` before the first deployment: `namenode-keytab`,
    `datanode-keytab`, `journalnode-keytab` (each with `hdfs/<host>` and `HTTP/<host>` of every pod) and `access-keytab` (with
    `hdfs`), each with the key `hdfs.keytab`. Tenants' people log in as they always do; the tenant's principal is its name.
    """

    mode: Literal["given"]
    """`given`: the realm is kept elsewhere."""

    addresses: Annotated[tuple[KdcAddress, ...], Field(min_length=1)]
    """Its KDCs, `host` or `host:port`; 88 where no port is named."""

    cidrs: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    """Address ranges of its KDCs, which the servers may reach."""

    port: Port = 88
    """Port of its KDCs at those addresses."""


class Kerberos(Model):
    """Who is who. Without Kerberos HDFS believes any name that a client gives."""

    realm: RealmName = "LONGHOUSE"
    """Name of the realm."""

    kdc: Annotated[EmbeddedKdc | GivenKdc, Field(discriminator="mode")] = EmbeddedKdc(mode="embedded")
    """Who runs the realm's KDC."""


class Footprint(Model):
    """One process."""

    cpu: Cpu
    """Cores that it is promised."""

    memory: Memory
    """Memory; its heap is cut from it."""


class Size(Footprint):
    """One pod of a kind of server."""

    disk: Annotated[Memory, Field(json_schema_extra=IMMUTABLE)]
    """Disk."""


class DataNodes(Size):
    """Servers that hold the blocks."""

    count: Annotated[int, Field(ge=1, le=1000)] = 3
    """DataNodes, over all racks together."""

    racks: tuple[LabelValue, ...] = ()
    """Racks as the values of the node label `topology.kubernetes.io/zone`: copies of a block stand in two of them. Empty: all in one."""


class Hdfs(Model):
    """One file system for all tenants."""

    high_availability: Annotated[bool, Field(json_schema_extra=IMMUTABLE)] = True
    """Two NameNodes, one of which takes over by itself when the other fails, with three JournalNodes and three ZooKeeper servers; or one NameNode alone."""

    kerberos: Kerberos = Kerberos()
    """Who is who."""

    namenode: Size = Size(cpu="4", memory="16Gi", disk="100Gi")
    """The servers that hold the names. Memory bounds how many files there can be."""

    datanodes: DataNodes = DataNodes(cpu="2", memory="8Gi", disk="10Ti")
    """The servers that hold the data."""

    journalnode: Size = Size(cpu="500m", memory="2Gi", disk="50Gi")
    """The servers that keep the journal of changes, where there are two NameNodes."""

    zookeeper: Size = Size(cpu="250m", memory="1Gi", disk="10Gi")
    """The servers that decide which NameNode is active, where there are two."""

    failover: Footprint = Footprint(cpu="100m", memory="512Mi")
    """The controller beside each NameNode, where there are two."""

    replication: Annotated[int, Field(ge=1, le=10)] = 3
    """Copies of each block, on as many DataNodes. With three, two may fail at once and nothing is lost."""

    block_size: Memory = "128Mi"
    """Size of a block. Larger ones take less of the NameNode's memory."""

    apart: bool = True
    """Whether servers of one kind stand on different nodes; false where there is one machine only."""

    trash_hours: Annotated[int, Field(ge=0, le=8760)] = 24
    """Hours for which what a client removes stays in its trash; 0 for none."""

    backup: Cron = "15 2 * * *"
    """When every tenant's home is backed up: five fields of cron, UTC."""

    @property
    def reach(self) -> Reach:
        """Where tenants call it."""
        kdc = self.kerberos.kdc
        if isinstance(kdc, EmbeddedKdc):
            return Reach("hdfs", CLIENT_PORTS, namespace=NAMESPACE)
        return Reach("hdfs", (*CLIENT_PORTS, kdc.port), namespace=NAMESPACE, cidrs=kdc.cidrs)


class HdfsShare(Model):
    """A home directory of the tenant's own, `/tenants/<tenant>`, that nobody else can enter."""

    space: Memory = "100Gi"
    """Data that may be stored, each byte counted once: the quota is this times the copies that are kept."""

    files: Annotated[int, Field(ge=1, le=1_000_000_000)] = 100_000
    """Files and directories together. Each takes memory of the NameNode, which all tenants share."""
