"""What must hold of where tenants' work and data may go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.queueing import shares
from modules.foundation.tenants.config import DataClass, Tenant
from profiles.model import Profile
from profiles.problems import Key, nearest
from profiles.rules.finding import POOLS, TENANTS, Finding, Rule
from profiles.rules.pools import some_pool_has_no_gpus
from profiles.rules.quota import (
    budgets_leave_something_of_the_quota,
    cpu_quotas_fit_the_pools,
    gpu_quota_names_a_pool_with_gpus,
    gpu_quotas_fit_their_pool,
    memory_quotas_fit_the_pools,
)


def restricted_data_never_leaves_home(profile: Profile) -> Iterator[Finding]:
    """Data of class restricted stays on own machines; work that may burst takes its data along."""
    for name, tenant in profile.tenants.items():
        if tenant.burst.allowed and tenant.data_class is DataClass.RESTRICTED:
            yield Finding(
                (TENANTS, name, "burst", "allowed"),
                "contradicts data_class restricted, which never leaves home",
                "write allowed: false, or another data_class if the data may leave",
                ((TENANTS, name, "data_class"),),
            )


def burst_names_each_region_once(profile: Profile) -> Iterator[Finding]:
    """Regions are where data may go: to allow bursting and name none allows nothing, and one that stands twice hides a mistyped other."""
    for name, tenant in profile.tenants.items():
        key: Key = (TENANTS, name, "burst", "regions")
        if tenant.burst.allowed and not tenant.burst.regions:
            yield Finding(
                key,
                "is empty, though burst is allowed",
                f"name the regions that the data may go to, such as {', '.join(_regions(profile)) or 'eu-central-1'}",
                ((TENANTS, name, "burst", "allowed"),),
            )
        for region, count in Counter(tenant.burst.regions).items():
            if count > 1:
                yield Finding(key, f"names {region} {count} times", "name it once")


def burst_regions_have_a_pool(profile: Profile) -> Iterator[Finding]:
    """Where there are cloud pools, a region without one is mistyped or not rented (yet). Profiles without any cloud pool judge nothing: tenants' records
    serve all environments."""
    there = _regions(profile)
    for name, tenant in profile.tenants.items():
        for number, region in enumerate(tenant.burst.regions if there and tenant.burst.allowed else ()):
            if region not in there:
                meant = nearest(region, there)
                listed = f"regions with a pool: {', '.join(there)}"
                yield Finding(
                    (TENANTS, name, "burst", "regions", number),
                    "is a region without a node pool in this profile",
                    f"did you mean {meant}? ({listed})" if meant else listed,
                    ((POOLS,),),
                )


def gpu_quota_is_within_reach(profile: Profile) -> Iterator[Finding]:
    """A quota on a cloud pool is a promise too, which a tenant that may not go there can never use."""
    for name, tenant in profile.tenants.items():
        for pool_name in tenant.quota.gpus:
            pool = profile.node_pools.get(pool_name)
            if pool is not None and pool.gpu is not None and not _reaches(tenant, pool):
                yield Finding(
                    (TENANTS, name, "quota", "gpus", pool_name),
                    f"is on a cloud pool in {pool.region}, where the tenant's work may not go",
                    f"allow burst to {pool.region}, or take the quota away",
                    ((POOLS, pool_name), (TENANTS, name, "burst"), (TENANTS, name, "data_class")),
                )


def every_tenant_has_somewhere_to_run(profile: Profile) -> Iterator[Finding]:
    """In an environment without own machines, a tenant that may not leave home, or to none of the regions there are, could never run a pod."""
    pools = placement.general(profile.node_pools.values())
    for name, tenant in profile.tenants.items():
        if pools and not any(_reaches(tenant, pool) for pool in pools):
            yield Finding(
                (TENANTS, name),
                "may run on no pool without GPUs: there is none at home, and none in a region that it may go to",
                "take the tenant out of this profile with null, or allow it to burst there",
                ((POOLS,), (TENANTS, name, "burst"), (TENANTS, name, "data_class")),
            )


def every_pool_keeps_its_promises(profile: Profile) -> Iterator[Finding]:
    """Quotas that fit all pools together may still not fit each, when tenants may not go to the same ones: the cut that queues will have
    (shares.cohort) must leave no pool below nothing. Judged only where the simpler rules on quotas hold."""
    simpler = (
        some_pool_has_no_gpus,
        gpu_quota_names_a_pool_with_gpus,
        gpu_quotas_fit_their_pool,
        cpu_quotas_fit_the_pools,
        memory_quotas_fit_the_pools,
        budgets_leave_something_of_the_quota,
        gpu_quota_is_within_reach,
        every_tenant_has_somewhere_to_run,
    )
    if any(True for rule in simpler for _ in rule(profile)):
        return
    try:
        shares.cohort(profile.tenants.values(), tuple(profile.node_pools.values()), profile.queueing.reserved)
    except shares.SharingError as error:
        yield Finding(
            (POOLS,),
            str(error).partition(":")[0],
            "lower the quota of a tenant that may go there, let it go elsewhere too, or add nodes to the pool",
            ((TENANTS,), ("queueing", "reserved")),
        )


def _regions(profile: Profile) -> tuple[str, ...]:
    """Regions in which the profile has a pool."""
    return tuple(sorted({pool.region for pool in profile.node_pools.values() if pool.region}))


def _reaches(tenant: Tenant, pool: NodePool) -> bool:
    return bool(shares.reachable(tenant, [pool]))


RULES: Final[tuple[Rule, ...]] = (
    restricted_data_never_leaves_home,
    burst_names_each_region_once,
    burst_regions_have_a_pool,
    gpu_quota_is_within_reach,
    every_tenant_has_somewhere_to_run,
    every_pool_keeps_its_promises,
)
