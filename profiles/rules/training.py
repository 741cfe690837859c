"""What must hold of how tenants' training jobs are set up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.data.hdfs.config import EmbeddedKdc
from modules.kit import quantities
from modules.ml.training.config import CheckpointStore
from profiles.model import Profile
from profiles.rules.finding import POOLS, TENANTS, Finding, Rule

HERE: Final = "training"


def checkpoints_are_kept_in_a_store_that_the_tenant_has(profile: Profile) -> Iterator[Finding]:
    """Who says where has to have it there. Who says nothing and has no bucket keeps them elsewhere, or not at all."""
    if profile.training is None or profile.hdfs is None:
        return
    ours = isinstance(profile.hdfs.kerberos.kdc, EmbeddedKdc)
    for name, tenant in profile.tenants.items():
        if tenant.training.checkpoints is not CheckpointStore.HDFS:
            continue
        key = (TENANTS, name, HERE, "checkpoints")
        if not tenant.data.hdfs:
            yield Finding(
                key,
                "are to be kept in HDFS, and the tenant has no home there",
                "write data.hdfs into its record, or training.checkpoints: object_store",
                ((TENANTS, name, "data", "hdfs"),),
            )
        elif not ours:
            yield Finding(
                key,
                "are to be kept in HDFS, and the realm is kept elsewhere, so that the platform has no key of the tenant's",
                "write training.checkpoints: object_store",
                (("hdfs", "kerberos", "kdc"),),
            )


def a_worker_that_says_nothing_fits_on_a_node(profile: Profile) -> Iterator[Finding]:
    """On none that is large enough, a job that states no resources would never start."""
    if profile.training is None:
        return
    for key, one in (("worker_cpu", "cpu"), ("worker_memory", "memory")):
        wanted = getattr(profile.training, key)
        largest = max((getattr(pool, one) for pool in profile.node_pools.values()), key=quantities.amount)
        if quantities.amount(wanted) > quantities.amount(largest):
            yield Finding(
                (HERE, key),
                f"is more than the largest node has ({largest})",
                f"write {largest} or less",
                ((POOLS,),),
            )


RULES: Final[tuple[Rule, ...]] = (
    checkpoints_are_kept_in_a_store_that_the_tenant_has,
    a_worker_that_says_nothing_fits_on_a_node,
)
