"""What each tenant's quota costs in a month, pool by pool, and whether its budget bears it.

A quota is what stands ready for a tenant, so it costs whether it is used or not. Room that a tenant borrows, a cloud's above all, comes
on top and is bounded by what is idle, not by a quota; it is in no figure here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool, Site
from modules.foundation.queueing import shares
from modules.foundation.tenants.config import Tenant
from modules.kit import quantities
from policies.gate import Gate
from policies.plan import Finding
from policies.prices import Owned, Prices, Rented
from profiles.model import Profile

BUDGET = Gate(
    id="LH-P-005",
    title="No tenant's quota costs more than its budget",
    reason="A quota is a promise of machines; nobody notices that it grew until the bill comes.",
    fix="Ask for less, or have whoever answers for the tenant's money raise `budget` in its record.",
    looks_at="tenants' records and profiles/prices/prices.yaml",
)

VOLUMES = "volumes"
OBJECTS = "object store"
_GIB = 2**30


@dataclass(frozen=True)
class Line:
    """What a quota in one place costs in a month; None where no price is known."""

    place: str
    """A pool, or a kind of storage."""
    amount: str
    cost: float | None
    missing: str = ""
    """Which price is not known."""


@dataclass(frozen=True)
class Bill:
    """What one tenant's quota costs in a month."""

    tenant: str
    lines: tuple[Line, ...]
    budget: float | None

    @property
    def total(self) -> float:
        """All that has a price."""
        return sum(line.cost or 0 for line in self.lines)


def bills(profile: Profile, prices: Prices) -> dict[str, Bill]:
    """Every tenant's bill, by name."""
    pools = {pool.name: pool for pool in profile.node_pools.values()}
    return {
        name: Bill(name, (*_pools(tenant, pools, prices), *_storage(profile, tenant, prices)), tenant.budget)
        for name, tenant in profile.tenants.items()
    }


def over_budget(found: dict[str, Bill], currency: str) -> Iterator[Finding]:
    """A finding for each tenant whose quota costs more than its budget, or that has a budget and a quota without a price."""
    for bill in found.values():
        if bill.budget is None:
            continue
        if bill.total > bill.budget:
            yield BUDGET.finding(
                f"Tenant {bill.tenant}",
                f"asks for a quota of {bill.total:,.0f} {currency} a month, {bill.total - bill.budget:,.0f} over its budget "
                f"of {bill.budget:,.0f}",
            )
        for line in bill.lines:
            if line.cost is None:
                yield BUDGET.finding(
                    f"Tenant {bill.tenant}",
                    f"has a quota without a price: {line.place}: no price of {line.missing}",
                )


def _pools(tenant: Tenant, pools: dict[str, NodePool], prices: Prices) -> Iterator[Line]:
    for name, units in _promised(tenant, pools).items():
        pool = pools[name]
        resource = placement.gpu_resource(pool)
        if resource is None:
            cores = units[shares.CPU] / 1000
            gibibytes = units[shares.MEMORY] * shares.MEBIBYTE / _GIB
            if cores or gibibytes:
                yield _line(
                    pool,
                    f"{cores:g} cores, {gibibytes:g} GiB",
                    ((cores, "cpu"), (gibibytes, "memory")),
                    prices,
                )
        elif units.get(resource) and pool.gpu is not None:
            count = units[resource] * pool.gpu.count / placement.shares_per_node(pool)
            said = f"{units[resource]} x {resource.rpartition('/')[2]}"
            if count != units[resource]:
                said += f" ({count:g} GPUs)"
            yield _line(pool, said, ((count, pool.gpu.product),), prices)


def _promised(tenant: Tenant, pools: dict[str, NodePool]) -> dict[str, Counter[str]]:
    """Units of each resource that the tenant is promised in all its queues together, by pool."""
    found: dict[str, Counter[str]] = {}
    for queue in shares.queues(tenant, tuple(pools.values())).cluster:
        for share in queue.group.pools:
            units = found.setdefault(share.pool, Counter())
            units.update({each.amount.resource: each.amount.units for each in share.shares})
    return found


def _line(pool: NodePool, said: str, parts: tuple[tuple[float, str], ...], prices: Prices) -> Line:
    cost = 0.0
    for count, what in parts:
        unit = _unit(pool.site, pool.region, what, prices)
        if unit is None:
            return Line(pool.name, said, None, f"{what} at {pool.region or pool.site.value}")
        cost += count * prices.monthly(unit)
    if pool.spot and pool.region is not None:
        cost *= prices.cloud[pool.region].spot.factor
    return Line(pool.name, said, cost)


def _unit(site: Site, region: str | None, what: str, prices: Prices) -> Owned | Rented | None:
    place = prices.home if site is Site.HOME else prices.cloud.get(region or "")
    if place is None:
        return None
    if what in ("cpu", "memory", "storage"):
        found: Owned | Rented = getattr(place, what)
        return found
    return place.gpus.get(what)


def _storage(profile: Profile, tenant: Tenant, prices: Prices) -> Iterator[Line]:
    """Volumes, and the tenant's part of the object store, at home where there is one, else in the region of the first pool."""
    first = next(iter(placement.home(profile.node_pools.values())), next(iter(profile.node_pools.values())))
    unit = _unit(first.site, first.region, "storage", prices)
    asked = {VOLUMES: tenant.quota.storage}
    if profile.object_store is not None and tenant.data.object_store is not None:
        asked[OBJECTS] = tenant.data.object_store.quota
    for place, size in asked.items():
        gibibytes = quantities.bytes_of(size) / _GIB
        cost = gibibytes * prices.monthly(unit) if unit else None
        yield Line(
            place,
            f"{gibibytes:g} GiB",
            cost,
            "" if unit else f"storage at {first.region or first.site.value}",
        )
