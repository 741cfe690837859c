"""The outer fence of a tenant's namespace: what the API server itself refuses, whatever is queued.

Queues share out the nodes; a ResourceQuota only bounds what may be asked for at all. So for a tenant that
may borrow the bound is all of the pools that its queues draw from (a tighter one would forbid the
borrowing), and for one that may not it is its share. GPUs that its queues do not draw from are bounded by
0, each kind by name: what a ResourceQuota does not name is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.queueing import shares
from modules.foundation.queueing.shares import CPU, MEMORY, Amount
from modules.foundation.tenants.config import Tenant
from modules.kit import quantities

NO_WAY_OUT: Final = {"services.loadbalancers": "0", "services.nodeports": "0"}
"""Kinds of Service that would open a way into the cluster beside the gateway."""


@dataclass(frozen=True)
class LargestNode:
    """The most that one pod can get: of each resource what the best node of the tenant's pools offers."""

    cpu: str
    memory: str


def quota(tenant: Tenant, pools: Sequence[NodePool]) -> dict[str, str]:
    """The namespace's ResourceQuota: what it bounds -> how much of it."""
    most = _ceiling(tenant, pools)
    kinds = [
        placement.GPU_RESOURCE,
        *(found for pool in pools if (found := placement.gpu_resource(pool)) is not None),
    ]
    return {
        "requests.cpu": Amount(CPU, most[CPU]).quantity,
        "limits.cpu": Amount(CPU, most[CPU]).quantity,
        "requests.memory": Amount(MEMORY, most[MEMORY]).quantity,
        "limits.memory": Amount(MEMORY, most[MEMORY]).quantity,
        "requests.storage": storage(tenant),
        "pods": shares.decimal(tenant.quota.pods),
        **{f"requests.{kind}": Amount(kind, most.get(kind, 0)).quantity for kind in dict.fromkeys(kinds)},
        **NO_WAY_OUT,
    }


def largest_node(tenant: Tenant, pools: Sequence[NodePool]) -> LargestNode:
    """What a pod of the tenant can get at most: more would wait for ever, so it is refused."""
    own = [pool for pool in pools if pool.name in _drawn_from(tenant, pools)]
    return LargestNode(
        cpu=quantities.cpu(max(quantities.cores(pool.cpu) for pool in own)),
        memory=quantities.memory(max(quantities.bytes_of(pool.memory) for pool in own)),
    )


def storage(tenant: Tenant) -> str:
    """All volumes together, and so any one of them."""
    return quantities.memory(quantities.bytes_of(tenant.quota.storage))


def _drawn_from(tenant: Tenant, pools: Sequence[NodePool]) -> set[str]:
    return {share.pool for queue in shares.queues(tenant, pools).cluster for share in queue.group.pools}


def _ceiling(tenant: Tenant, pools: Sequence[NodePool]) -> dict[str, int]:
    most: dict[str, int] = {}
    if tenant.quota.borrow:
        drawn_from = _drawn_from(tenant, pools)
        for pool in pools:
            for resource, units in shares.capacity(pool).items() if pool.name in drawn_from else ():
                most[resource] = most.get(resource, 0) + units
        return most
    for queue in shares.queues(tenant, pools).cluster:
        for share in queue.group.pools:
            for part in share.shares:
                most[part.amount.resource] = most.get(part.amount.resource, 0) + part.amount.units
    return most
