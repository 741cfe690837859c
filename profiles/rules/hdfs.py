"""What must hold of HDFS: a block that was acknowledged stays, and disks and memory hold what tenants may store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.data.hdfs import sizing
from modules.data.hdfs.config import RESERVED_USERS, HdfsShare, Size
from modules.foundation.gpu_pools import placement
from modules.kit import quantities
from profiles.model import Profile
from profiles.problems import Key
from profiles.rules.finding import POOLS, TENANTS, Finding, Rule

HERE: Final = "hdfs"
SAFE_COPIES: Final = 3


def _shares(profile: Profile) -> dict[str, HdfsShare]:
    return {name: tenant.data.hdfs for name, tenant in profile.tenants.items() if tenant.data.hdfs}


def _at(*keys: str) -> Key:
    return (HERE, *keys)


def hdfs_copies_fit_the_datanodes(profile: Profile) -> Iterator[Finding]:
    """A block that wants more copies than there are DataNodes stays short of them for ever: a DataNode never holds two copies of one
    block (HDFS Architecture, "Replica Placement"), and the warning that is always there hides the one that matters."""
    found = profile.hdfs
    if found and found.replication > found.datanodes.count:
        yield Finding(
            _at("replication"),
            f"is more than there are DataNodes, {found.datanodes.count}",
            f"write {found.datanodes.count}, or add DataNodes",
            (_at("datanodes", "count"),),
        )


def hdfs_has_copies_outside_local(profile: Profile) -> Iterator[Finding]:
    """With two copies, the loss of a disk while a DataNode is away for maintenance is a loss of data; three is HDFS' own default."""
    found = profile.hdfs
    if found and not profile.is_local and found.replication < SAFE_COPIES:
        yield Finding(
            _at("replication"),
            f"keeps {found.replication} of each block: with one DataNode away, no second failure is survived",
            f"write {SAFE_COPIES}",
        )


def hdfs_has_two_namenodes_outside_local(profile: Profile) -> Iterator[Finding]:
    """One NameNode is a single point of failure, and its disk holds the only copy of all names (HDFS High Availability Using the
    Quorum Journal Manager, "Background")."""
    found = profile.hdfs
    if found and not profile.is_local and not found.high_availability:
        yield Finding(
            _at("high_availability"),
            "leaves all names on one disk of one NameNode",
            "write true: two NameNodes, and a journal on three more machines",
        )


def hdfs_servers_are_apart_outside_local(profile: Profile) -> Iterator[Finding]:
    """Copies, JournalNodes and NameNodes on one machine fail together, whatever their number says."""
    found = profile.hdfs
    if found and not profile.is_local and not found.apart:
        yield Finding(_at("apart"), "lets one machine take all copies of a block with it", "write true")


def hdfs_servers_have_machines(profile: Profile) -> Iterator[Finding]:
    """DataNodes that stand apart need a machine each."""
    found = profile.hdfs
    if not found or not found.apart:
        return
    size = quantities.bytes_of(found.datanodes.memory)
    pools = placement.general(profile.node_pools.values())
    machines = sum(pool.nodes for pool in pools if quantities.bytes_of(pool.memory) >= size)
    if found.datanodes.count > machines:
        yield Finding(
            _at("datanodes", "count"),
            f"is more than the {machines} machines without GPUs that have {found.datanodes.memory} for one each",
            "write fewer DataNodes or less memory, or add machines",
            (_at("datanodes", "memory"), (POOLS,)),
        )


def hdfs_racks_differ(profile: Profile) -> Iterator[Finding]:
    """A rack that is named twice would be two sets of servers of one name."""
    found = profile.hdfs
    if found and len(set(found.datanodes.racks)) < len(found.datanodes.racks):
        yield Finding(_at("datanodes", "racks"), "names a rack twice", "name each once")


def hdfs_racks_are_a_choice(profile: Profile) -> Iterator[Finding]:
    """Copies stand in two racks where there are two (HDFS Architecture, "Replica Placement"): one rack by name protects from nothing,
    and a rack without a DataNode is none."""
    found = profile.hdfs
    if not found:
        return
    racks = len(set(found.datanodes.racks))
    if racks == 1:
        yield Finding(_at("datanodes", "racks"), "is a single rack", "name two or more, or none")
    if racks > found.datanodes.count:
        yield Finding(
            _at("datanodes", "racks"),
            f"names {racks} racks, more than there are DataNodes, {found.datanodes.count}",
            "name fewer racks, or add DataNodes",
            (_at("datanodes", "count"),),
        )


def hdfs_servers_have_memory(profile: Profile) -> Iterator[Finding]:
    """Below it a server is killed while it starts (sizing.LEAST_MEMORY)."""
    found = profile.hdfs
    if not found:
        return
    sizes: dict[str, Size] = {"namenode": found.namenode, "datanodes": found.datanodes}
    for name, size in sizes.items():
        if quantities.bytes_of(size.memory) < sizing.LEAST_MEMORY:
            least = quantities.memory(sizing.LEAST_MEMORY)
            yield Finding(_at(name, "memory"), "is less than it needs to start", f"write {least} or more")


def hdfs_homes_fit_the_disks(profile: Profile) -> Iterator[Finding]:
    """Quotas are promises: a full DataNode fails everybody's writes, not only those of who filled it."""
    found = profile.hdfs
    promised = sizing.promised(_shares(profile).values())
    if found and promised > sizing.capacity(found):
        has = quantities.memory(sizing.capacity(found) // sizing.MIB * sizing.MIB)
        yield Finding(
            _at("datanodes", "disk"),
            f"leaves room for {has} of data, counted once, and tenants may store {quantities.memory(promised)}",
            "write more disk or DataNodes, or lower tenants' data.hdfs.space",
            (
                _at("datanodes", "count"),
                _at("replication"),
                *((TENANTS, name, "data", "hdfs") for name in _shares(profile)),
            ),
        )


def hdfs_names_fit_the_memory(profile: Profile) -> Iterator[Finding]:
    """All names are in a NameNode's memory: one that has no room for them ends, and ends again when it reads them at its start."""
    found = profile.hdfs
    promised = sum(share.files for share in _shares(profile).values())
    if found and promised > sizing.files(found):
        yield Finding(
            _at("namenode", "memory"),
            f"has room for {sizing.files(found):,} files, and tenants may have {promised:,}",
            "write more memory, or lower tenants' data.hdfs.files",
            tuple((TENANTS, name, "data", "hdfs") for name in _shares(profile)),
        )


def hdfs_names_are_free(profile: Profile) -> Iterator[Finding]:
    """A tenant's principal is its name: one called like the superuser would be the superuser."""
    if not profile.hdfs:
        return
    for name in _shares(profile):
        if name in RESERVED_USERS:
            yield Finding(
                (TENANTS, name, "data", "hdfs"),
                "would be a user that HDFS or Kerberos keeps for its own",
                "give the tenant another name, or no HDFS",
            )


RULES: Final[tuple[Rule, ...]] = (
    hdfs_copies_fit_the_datanodes,
    hdfs_has_copies_outside_local,
    hdfs_has_two_namenodes_outside_local,
    hdfs_servers_are_apart_outside_local,
    hdfs_servers_have_machines,
    hdfs_racks_differ,
    hdfs_racks_are_a_choice,
    hdfs_servers_have_memory,
    hdfs_homes_fit_the_disks,
    hdfs_names_fit_the_memory,
    hdfs_names_are_free,
)
"""Every rule about HDFS."""
