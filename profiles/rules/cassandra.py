"""What must hold of Cassandra: settings with which it would lose data, or not come up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.data.cassandra import sizing
from modules.data.cassandra.config import CassandraShare, Engine
from modules.foundation.gpu_pools import placement
from modules.kit import quantities
from profiles.model import Profile
from profiles.problems import Key
from profiles.rules.finding import TENANTS, Finding, Rule

HERE: Final = "cassandra"
QUORUM_COPIES: Final = 3


def _shares(profile: Profile) -> dict[str, CassandraShare]:
    return {name: tenant.data.cassandra for name, tenant in profile.tenants.items() if tenant.data.cassandra}


def _at(*keys: str) -> Key:
    return (HERE, *keys)


def cassandra_copies_fit_the_nodes(profile: Profile) -> Iterator[Finding]:
    """With more copies than nodes no quorum is ever reached: every read and write fails as unavailable
    (https://cassandra.apache.org/doc/5.0/cassandra/architecture/dynamo.html, "Replication Strategy")."""
    found = profile.cassandra
    if found and found.replication > found.nodes:
        yield Finding(
            _at("replication"),
            f"is more than the {found.nodes} nodes that there are",
            f"write {found.nodes} or less, or more nodes",
            (_at("nodes"),),
        )


def cassandra_disk_may_be_lost(profile: Profile) -> Iterator[Finding]:
    """One copy is gone with its disk, and of two a quorum is both: the loss of one node stops all writes. Three survive one
    (https://cassandra.apache.org/doc/5.0/cassandra/architecture/dynamo.html, "Tunable Consistency")."""
    found = profile.cassandra
    if found and not profile.is_local and found.replication < QUORUM_COPIES:
        yield Finding(
            _at("replication"),
            f"is less than {QUORUM_COPIES}: the loss of one node would lose data or stop all writes",
            f"write {QUORUM_COPIES}",
        )


def cassandra_plain_is_one_node(profile: Profile) -> Iterator[Finding]:
    """Founding a ring, replacing its nodes and taking them out in order is an operator's work: the plain engine has one node, and a
    second that found the first one's disk empty would found a ring of its own."""
    found = profile.cassandra
    if found and found.engine is Engine.PLAIN and found.nodes > 1:
        yield Finding(
            _at("nodes"),
            "is more than the one node that engine plain runs",
            "write 1, or engine: operator",
            (_at("engine"),),
        )


def cassandra_rack_may_be_lost(profile: Profile) -> Iterator[Finding]:
    """NetworkTopologyStrategy puts copies into different racks while there are enough: with fewer racks than copies, two are lost with
    one rack, and with them the quorum (cass-operator, CassandraDatacenter `spec.racks`: "should match the replication factor")."""
    found = profile.cassandra
    if found and not profile.is_local and found.replication > max(1, len(found.racks)):
        yield Finding(
            _at("racks"),
            f"names {len(found.racks)} racks for {found.replication} copies of each row, so one rack's loss takes a quorum",
            f"name {found.replication} racks, by their nodes' topology.kubernetes.io/zone",
            (_at("replication"),),
        )


def cassandra_racks_are_even(profile: Profile) -> Iterator[Finding]:
    """Each rack holds a whole copy where there are as many racks as copies, so the nodes of a smaller rack would fill up first."""
    found = profile.cassandra
    if found and found.racks and found.nodes % len(found.racks):
        yield Finding(
            _at("nodes"),
            f"cannot be spread evenly over {len(found.racks)} racks",
            f"write a multiple of {len(found.racks)}",
            (_at("racks"),),
        )


def cassandra_racks_differ(profile: Profile) -> Iterator[Finding]:
    """A rack that is named twice is one rack."""
    found = profile.cassandra
    if found and len(set(found.racks)) < len(found.racks):
        yield Finding(_at("racks"), "names a rack twice", "name each once")


def cassandra_nodes_have_machines(profile: Profile) -> Iterator[Finding]:
    """cass-operator puts one node on a machine, so that a machine's loss is one node's (`allowMultipleNodesPerWorker` is not set)."""
    found = profile.cassandra
    if not found:
        return
    pools = placement.general(profile.node_pools.values())
    fitting = [
        pool for pool in pools if quantities.bytes_of(pool.memory) >= quantities.bytes_of(found.memory)
    ]
    if found.engine is Engine.OPERATOR and sum(pool.nodes for pool in fitting) < found.nodes:
        yield Finding(
            _at("nodes"),
            f"is more than the {sum(pool.nodes for pool in fitting)} machines without GPUs that have {found.memory} for one each",
            "write fewer nodes or less memory, or add machines",
            (_at("memory"), ("node_pools",)),
        )


def cassandra_node_has_memory(profile: Profile) -> Iterator[Finding]:
    """Below it the server is killed while it starts (sizing.LEAST_MEMORY)."""
    found = profile.cassandra
    if found and quantities.bytes_of(found.memory) < sizing.LEAST_MEMORY:
        least = quantities.memory(sizing.LEAST_MEMORY)
        yield Finding(_at("memory"), "is less than a node needs to start", f"write {least} or more")


def cassandra_plans_fit_the_disks(profile: Profile) -> Iterator[Finding]:
    """Cassandra has no quota of disk: what tenants plan for has to leave compaction its room (sizing.DATA_SHARE)."""
    found = profile.cassandra
    shares = _shares(profile)
    if found and sizing.planned(shares.values()) > sizing.capacity(found):
        has = quantities.memory(sizing.capacity(found) // sizing.MIB * sizing.MIB)
        yield Finding(
            _at("disk"),
            f"leaves room for {has} of data, counted once, and tenants plan for {quantities.memory(sizing.planned(shares.values()))}",
            "write more disk or nodes, or let tenants plan for less",
            tuple((TENANTS, name, "data", HERE, "disk") for name in shares),
        )


def cassandra_plans_fit_the_heap(profile: Profile) -> Iterator[Finding]:
    """Every table costs every node memory, whoever's it is, and the ring refuses those beyond its own limit."""
    shares = _shares(profile)
    found = profile.cassandra
    if found and sizing.tables(shares.values()) > found.tables:
        yield Finding(
            _at("tables"),
            f"is less than the {sizing.tables(shares.values())} tables that tenants plan for, with {sizing.TABLES_SPARE} for restores",
            "write more tables, or let tenants plan for fewer",
            tuple((TENANTS, name, "data", HERE, "tables") for name in shares),
        )


def cassandra_names_are_free(profile: Profile) -> Iterator[Finding]:
    """A tenant's keyspace and role have its name, and Cassandra has some of its own: the role `cassandra`, keyspaces `system*`."""
    for name in _shares(profile):
        if profile.cassandra and (name == "cassandra" or name.startswith("system")):
            yield Finding(
                (TENANTS, name, "data", HERE),
                f"would make keyspace and role {name}, which Cassandra keeps for its own",
                "give the tenant another name, or no Cassandra",
            )


RULES: Final[tuple[Rule, ...]] = (
    cassandra_copies_fit_the_nodes,
    cassandra_disk_may_be_lost,
    cassandra_plain_is_one_node,
    cassandra_rack_may_be_lost,
    cassandra_racks_are_even,
    cassandra_racks_differ,
    cassandra_nodes_have_machines,
    cassandra_node_has_memory,
    cassandra_plans_fit_the_disks,
    cassandra_plans_fit_the_heap,
    cassandra_names_are_free,
)
