"""What a tenant's namespace says that its work can get: which GPUs, for what, and in which queues.

Admission judges by it, and whoever starts work for the tenant (a hub of notebooks, an operator of training) reads there what to ask for. It
stands in annotations of the namespace, which nobody in the tenant may change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.queueing import shares
from modules.foundation.tenants.config import Tenant, Use
from modules.kit import labels


def offered(tenant: Tenant, pools: Sequence[NodePool], budgeted: Iterable[str]) -> dict[str, str]:
    """Annotations of the tenant's namespace: key -> words with a space between. ``budgeted`` are the priorities that need a budget."""
    said = {
        labels.GPUS: _words(shares.gpu_pools(tenant, pools)),
        **{labels.GPUS_FOR + use.value: _words(gpu_pools(tenant, pools, use)) for use in Use},
        labels.QUEUES: " ".join(queue.name for queue in shares.queues(tenant, pools).local),
        labels.BUDGETED: " ".join(budgeted),
    }
    return {key: words for key, words in said.items() if words}


def gpu_pools(tenant: Tenant, pools: Iterable[NodePool], use: Use) -> tuple[NodePool, ...]:
    """Pools whose GPUs, or shares of them, the tenant's pods of that use can get."""
    whole, shared = use in tenant.gpu_use.whole, use in tenant.gpu_use.fractional
    return tuple(
        pool for pool in shares.gpu_pools(tenant, pools) if (shared if placement.fractional(pool) else whole)
    )


def _words(pools: Iterable[NodePool]) -> str:
    return " ".join(f"{pool.name}={placement.gpu_resource(pool)}" for pool in pools)
