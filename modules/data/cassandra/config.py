"""Cassandra: which engine runs it, how many nodes of which size, and how many copies it keeps of each row."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modules.kit.clock import Cron
from modules.kit.model import IMMUTABLE, Model
from modules.kit.names import LabelValue
from modules.kit.network import Reach
from modules.kit.quantities import Cpu, Memory

NAMESPACE: Final = "cassandra"
CQL_PORT: Final = 9042
CLIENT_PORTS: Final = (CQL_PORT,)

CLUSTER: Final = "longhouse"
DATACENTER: Final = "home"
"""The one datacenter. Drivers and replication name it, so it never changes."""


class Engine(StrEnum):
    """What runs the servers."""

    PLAIN = "plain"
    OPERATOR = "operator"


class Cassandra(Model):
    """One ring of nodes for all tenants."""

    engine: Annotated[Engine, Field(json_schema_extra=IMMUTABLE)] = Engine.OPERATOR
    """What runs the servers: `operator`, which places nodes in racks, replaces and repairs them; or `plain`, a single node without an operator."""

    nodes: Annotated[int, Field(ge=1, le=1000)] = 3
    """Nodes of the ring, over all racks together."""

    racks: tuple[LabelValue, ...] = ()
    """Racks as the values of the node label `topology.kubernetes.io/zone`; copies of a row stand in different ones. Empty: all nodes in one."""

    replication: Annotated[int, Field(ge=1, le=7)] = 3
    """Copies of each row, on as many nodes. With three, one node may fail and a quorum still reads and writes."""

    cpu: Cpu = "2"
    """Cores of a node."""

    memory: Memory = "16Gi"
    """Memory of a node; its heap and caches are cut from it."""

    disk: Annotated[Memory, Field(json_schema_extra=IMMUTABLE)] = "1Ti"
    """Disk of a node. Compaction rewrites what is there beside it, so about half of it can hold data."""

    tables: Annotated[int, Field(ge=10, le=150)] = 150
    """Tables of all tenants together, beyond which the ring refuses more. Each costs every node memory, whoever's it is: from 150 on Cassandra itself warns (`table_count_warn_threshold`, CASSANDRA-16309)."""

    backup: Cron = "30 1 * * *"
    """When all keyspaces are backed up: five fields of cron, UTC."""

    @property
    def reach(self) -> Reach:
        """Where tenants call it."""
        return Reach("cassandra", CLIENT_PORTS, namespace=NAMESPACE)


class CassandraShare(Model):
    """A keyspace of the tenant's own, and the role that may use it.

    Cassandra limits neither disk nor requests of one keyspace, so these are plans: the profile is refused when all of them
    together do not fit the ring.
    """

    disk: Memory = "10Gi"
    """Data that the tenant plans for, counted once: copies come on top."""

    tables: Annotated[int, Field(ge=1, le=200)] = 20
    """Tables that the tenant plans for."""
