"""What must hold of tracking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.foundation.gpu_pools import placement
from modules.kit import quantities
from modules.ml.tracking.config import RESERVED, SHORTEST, WORKER_MEMORY
from profiles.model import Profile
from profiles.rules.finding import POOLS, TENANTS, Finding, Rule

HERE: Final = "tracking"


def tracking_has_its_stores(profile: Profile) -> Iterator[Finding]:
    """Experiments and models stand in MySQL, artifacts in the tenants' buckets."""
    if profile.tracking is None:
        return
    for key, what, has in (
        ("mysql", "MySQL", profile.mysql),
        ("object_store", "an object store", profile.object_store),
    ):
        if has is None:
            yield Finding(
                (HERE,), f"needs {what}, and there is none", f"give the environment {key}, or write tracking: null", ((key,),)
            )  # fmt: skip


def tracking_servers_have_room(profile: Profile) -> Iterator[Finding]:
    """Each process loads MLflow for itself; one that finds no memory is killed, and what it was asked with it."""
    if profile.tracking is None:
        return
    least = profile.tracking.workers * quantities.bytes_of(WORKER_MEMORY)
    if quantities.bytes_of(profile.tracking.memory) < least:
        yield Finding(
            (HERE, "memory"),
            f"is too little for {profile.tracking.workers} workers",
            f"write {quantities.memory(least)} or more, or fewer workers",
            ((HERE, "workers"),),
        )


def tracking_servers_stand_apart(profile: Profile) -> Iterator[Finding]:
    """They are spread over nodes strictly, so that one lost node is one lost server: one too many would wait for ever."""
    machines = sum(pool.nodes for pool in placement.general(profile.node_pools.values()))
    if profile.tracking and machines and profile.tracking.replicas > machines:
        yield Finding(
            (HERE, "replicas"),
            f"is more than the {machines} nodes without GPUs, and no two servers may share one",
            f"write {machines} or less, or add nodes",
            ((POOLS,),),
        )


def workspaces_can_be_called_after_their_tenants(profile: Profile) -> Iterator[Finding]:
    """MLflow keeps some names for itself, and takes none of one letter."""
    for name in profile.tracked:
        if name in RESERVED or len(name) < SHORTEST:
            yield Finding(
                (TENANTS, name, "data", "object_store"),
                f"gives the tenant a workspace in MLflow, which cannot be called {name}",
                "rename the tenant's file, or leave the bucket out",
                ((HERE,),),
            )


RULES: Final[tuple[Rule, ...]] = (
    tracking_has_its_stores,
    tracking_servers_have_room,
    tracking_servers_stand_apart,
    workspaces_can_be_called_after_their_tenants,
)
