"""What must hold of tenants' quotas: nothing is promised twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final, TypeVar

from modules.foundation.gpu_pools import placement
from modules.foundation.queueing import shares
from modules.kit import quantities
from profiles.model import Profile
from profiles.problems import nearest
from profiles.rules.finding import POOLS, TENANTS, Finding, Rule

Number = TypeVar("Number", int, Decimal)


def gpu_quota_names_a_pool_with_gpus(profile: Profile) -> Iterator[Finding]:
    """A quota on a pool that is not there, or has no GPUs, would never be used; most often the name is mistyped."""
    with_gpus = [name for name, pool in profile.node_pools.items() if pool.gpu]
    listed = ", ".join(with_gpus) or "none"
    for name, tenant in profile.tenants.items():
        for pool in tenant.quota.gpus:
            if pool in with_gpus:
                continue
            fault = "has no GPUs" if pool in profile.node_pools else "is no node pool of this profile"
            meant = nearest(pool, with_gpus)
            yield Finding(
                (TENANTS, name, "quota", "gpus", pool),
                fault,
                f"did you mean {meant}? (pools with GPUs: {listed})"
                if meant
                else f"pools with GPUs: {listed}",
                ((POOLS, pool),),
            )


def gpu_quotas_fit_their_pool(profile: Profile) -> Iterator[Finding]:
    """A quota is a promise: the sum of all must be there, counted in shares where the pool's GPUs are shared. More is had by borrowing."""
    for pool_name, pool in profile.node_pools.items():
        if pool.gpu is None:
            continue
        capacity = placement.gpu_capacity(pool)
        quotas = {
            name: tenant.quota.gpus[pool_name]
            for name, tenant in profile.tenants.items()
            if pool_name in tenant.quota.gpus
        }
        unit = "GPUs" if pool.gpu.sharing.mode == "none" else f"shares ({pool.gpu.sharing.mode})"
        for name in _over(quotas, capacity):
            yield Finding(
                (TENANTS, name, "quota", "gpus", pool_name),
                f"promises more than pool {pool_name} has: {_sum(quotas, str)}, of {capacity} {unit}",
                "lower a quota, or add nodes to the pool",
                ((POOLS, pool_name), *((TENANTS, each, "quota", "gpus") for each in quotas)),
            )


def cpu_quotas_fit_the_pools(profile: Profile) -> Iterator[Finding]:
    """A quota is a promise: the cores of all tenants together must be there, beside what is reserved for the platform's own pods."""
    pools = placement.guaranteed(profile.node_pools.values())
    capacity = sum((placement.cpu_capacity(pool) for pool in pools), Decimal(0))
    free = max(Decimal(0), capacity - quantities.cores(profile.queueing.reserved.cpu))
    quotas = {name: quantities.cores(tenant.quota.cpu) for name, tenant in profile.tenants.items()}
    for name in _over(quotas, free) if pools else ():
        yield Finding(
            (TENANTS, name, "quota", "cpu"),
            f"promises more than the pools without GPUs have: {_sum(quotas, quantities.cpu)}, of {quantities.cpu(free)} cores "
            f"({quantities.cpu(capacity)}, less {profile.queueing.reserved.cpu} reserved)",
            "lower a quota, or add nodes",
            ((POOLS,), ("queueing", "reserved"), *((TENANTS, each, "quota", "cpu") for each in quotas)),
        )


def memory_quotas_fit_the_pools(profile: Profile) -> Iterator[Finding]:
    """A quota is a promise: the memory of all tenants together must be there, beside what is reserved for the platform's own pods."""
    pools = placement.guaranteed(profile.node_pools.values())
    capacity = sum(placement.memory_capacity(pool) for pool in pools)
    free = max(0, capacity - quantities.bytes_of(profile.queueing.reserved.memory))
    quotas = {name: quantities.bytes_of(tenant.quota.memory) for name, tenant in profile.tenants.items()}
    for name in _over(quotas, free) if pools else ():
        yield Finding(
            (TENANTS, name, "quota", "memory"),
            f"promises more than the pools without GPUs have: {_sum(quotas, quantities.memory)}, of {quantities.memory(free)} "
            f"({quantities.memory(capacity)}, less {profile.queueing.reserved.memory} reserved)",
            "lower a quota, or add nodes",
            ((POOLS,), ("queueing", "reserved"), *((TENANTS, each, "quota", "memory") for each in quotas)),
        )


def quota_holds_one_default_container(profile: Profile) -> Iterator[Finding]:
    """A container that states nothing gets the tenant's defaults; if even one does not fit the quota, every such pod is refused."""
    for name, tenant in profile.tenants.items():
        quota, defaults = tenant.quota, tenant.defaults
        for key, allowed, one in (
            ("cpu", quota.cpu, defaults.cpu),
            ("memory", quota.memory, defaults.memory),
        ):
            if quantities.amount(allowed) < quantities.amount(one):
                yield Finding(
                    (TENANTS, name, "quota", key),
                    f"is less than one container gets that states nothing, {one}",
                    f"write {one} or more, or lower defaults.{key}",
                    ((TENANTS, name, "defaults"),),
                )


def default_container_fits_a_node(profile: Profile) -> Iterator[Finding]:
    """A container larger than every node waits for ever, and a default would make that the fate of all."""
    pools = placement.general(profile.node_pools.values())
    if not pools:
        return
    most_cpu = max(pools, key=lambda pool: quantities.cores(pool.cpu)).cpu
    most_memory = max(pools, key=lambda pool: quantities.bytes_of(pool.memory)).memory
    for name, tenant in profile.tenants.items():
        for key, size, most in (
            ("cpu", tenant.defaults.cpu, most_cpu),
            ("memory", tenant.defaults.memory, most_memory),
        ):
            if quantities.amount(size) > quantities.amount(most):
                yield Finding(
                    (TENANTS, name, "defaults", key),
                    f"is more than any node without GPUs has, {most}",
                    f"write {most} or less",
                    ((POOLS,),),
                )


def weights_have_a_use(profile: Profile) -> Iterator[Finding]:
    """Without fair sharing Kueue ignores weights; a weight that somebody set would be a promise not kept."""
    if profile.queueing.fair_sharing:
        return
    for name, tenant in profile.tenants.items():
        if tenant.quota.weight != 1:
            yield Finding(
                (TENANTS, name, "quota", "weight"),
                "has no effect, since queueing.fair_sharing is off",
                "remove it, or write queueing: {fair_sharing: true}",
                (("queueing", "fair_sharing"),),
            )


def gpu_quota_is_for_something(profile: Profile) -> Iterator[Finding]:
    """GPUs that nobody in the tenant may ask for are promised for nothing."""
    for name, tenant in profile.tenants.items():
        for pool_name in tenant.quota.gpus:
            pool = profile.node_pools.get(pool_name)
            if pool is None or pool.gpu is None:
                continue
            key = "fractional" if placement.fractional(pool) else "whole"
            if not (tenant.gpu_use.fractional if placement.fractional(pool) else tenant.gpu_use.whole):
                kind = "shares of GPUs" if placement.fractional(pool) else "whole GPUs"
                yield Finding(
                    (TENANTS, name, "quota", "gpus", pool_name),
                    f"is of {kind}, which gpu_use.{key} gives to nobody",
                    f"name a use under gpu_use.{key}, or take the quota away",
                    ((TENANTS, name, "gpu_use"), (POOLS, pool_name)),
                )


def borrow_limits_limit_something(profile: Profile) -> Iterator[Finding]:
    """A limit on what cannot be borrowed anyway promises something that is not there."""
    for name, tenant in profile.tenants.items():
        most = tenant.quota.borrow_at_most
        if most is None:
            continue
        if not tenant.quota.borrow:
            yield Finding(
                (TENANTS, name, "quota", "borrow_at_most"),
                "has no effect, since borrow is off",
                "take it away, or write borrow: true",
                ((TENANTS, name, "quota", "borrow"),),
            )
            continue
        reached = [pool.name for pool in shares.gpu_pools(tenant, profile.node_pools.values())]
        for pool in most.gpus:
            if pool not in reached:
                yield Finding(
                    (TENANTS, name, "quota", "borrow_at_most", "gpus", pool),
                    "is no pool whose GPUs the tenant can get",
                    f"write one of {', '.join(reached)}" if reached else "take it away",
                    ((POOLS,), (TENANTS, name, "quota", "gpus"), (TENANTS, name, "burst")),
                )


def budgeted_priorities_are_there(profile: Profile) -> Iterator[Finding]:
    """A budget for a priority that nobody has bounds nothing."""
    known = ", ".join(profile.queueing.priorities)
    for number, priority in enumerate(profile.queueing.budgeted):
        if priority not in profile.queueing.priorities:
            meant = nearest(priority, list(profile.queueing.priorities))
            yield Finding(
                ("queueing", "budgeted", number),
                "is none of queueing.priorities",
                f"did you mean {meant}? (there is {known})" if meant else f"write one of {known}",
                (("queueing", "priorities"),),
            )


def budgets_are_of_budgeted_priorities(profile: Profile) -> Iterator[Finding]:
    """Work of a priority that has no budget in this environment goes through the queues of all; what a tenant's budget sets apart would be used by nobody."""
    budgeted = profile.queueing.budgeted
    for name, tenant in profile.tenants.items():
        for priority in tenant.quota.budgets:
            if priority not in budgeted:
                yield Finding(
                    (TENANTS, name, "quota", "budgets", priority),
                    "is a budget of a priority that queueing.budgeted does not name",
                    f"write one of {', '.join(budgeted)}"
                    if budgeted
                    else "take it away with null, or name it there",
                    (("queueing", "budgeted"),),
                )


def budgets_leave_something_of_the_quota(profile: Profile) -> Iterator[Finding]:
    """Budgets are cut from the quota. One that takes all of its cores or memory leaves the tenant's other work nothing of its own; GPUs may go whole."""
    for name, tenant in profile.tenants.items():
        quota, budgets = tenant.quota, tenant.quota.budgets
        cores = {priority: quantities.cores(each.cpu) for priority, each in budgets.items()}
        memory = {priority: quantities.bytes_of(each.memory) for priority, each in budgets.items()}
        for key, over in (
            ("cpu", _reaching(cores, quantities.cores(quota.cpu))),
            ("memory", _reaching(memory, quantities.bytes_of(quota.memory))),
        ):
            if over is not None:
                yield Finding(
                    (TENANTS, name, "quota", "budgets", over, key),
                    f"leaves nothing of the quota, {getattr(quota, key)}, for work of other priorities",
                    "write less, or raise the quota",
                    ((TENANTS, name, "quota", key),),
                )
        for pool in dict.fromkeys(pool for each in budgets.values() for pool in each.gpus):
            counts = {priority: each.gpus[pool] for priority, each in budgets.items() if pool in each.gpus}
            for priority in _over(counts, quota.gpus.get(pool, 0)):
                yield Finding(
                    (TENANTS, name, "quota", "budgets", priority, "gpus", pool),
                    f"is more than the quota has of pool {pool}, {quota.gpus.get(pool, 0)}",
                    "write less, or raise the quota",
                    ((TENANTS, name, "quota", "gpus"),),
                )


def _reaching(parts: Mapping[str, Number], whole: Number) -> str | None:
    """The one with which the parts come to the whole, or more."""
    total: int | Decimal = 0
    for name, part in parts.items():
        total += part
        if total >= whole:
            return name
    return None


def _over(parts: Mapping[str, Number], capacity: Number) -> Iterator[str]:
    """The one whose part, in the order in which they stand, is the first to exceed the capacity."""
    total: int | Decimal = 0
    for name, part in parts.items():
        total += part
        if total > capacity:
            yield name
            return


def _sum(parts: Mapping[str, Number], spelled: Callable[[Number], str]) -> str:
    total = sum(parts.values(), start=type(next(iter(parts.values())))(0))
    return " + ".join(f"{name} {spelled(part)}" for name, part in parts.items()) + f" = {spelled(total)}"


RULES: Final[tuple[Rule, ...]] = (
    gpu_quota_names_a_pool_with_gpus,
    gpu_quotas_fit_their_pool,
    cpu_quotas_fit_the_pools,
    memory_quotas_fit_the_pools,
    quota_holds_one_default_container,
    default_container_fits_a_node,
    weights_have_a_use,
    gpu_quota_is_for_something,
    borrow_limits_limit_something,
    budgeted_priorities_are_there,
    budgets_are_of_budgeted_priorities,
    budgets_leave_something_of_the_quota,
)
