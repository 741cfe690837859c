"""Who gets which part of the node pools: tenants' queues, the flavors they draw from, and what is left for
all.

Two ClusterQueues per tenant. In one queue with one resource group, work that needs no GPU would overflow
onto GPU nodes; with a resource group for each kind of node, a job that bursts would be given two flavors at
once, whose node labels contradict each other. So `<tenant>-cpu` draws from pools without GPUs and covers
cores and memory; `<tenant>-gpu` draws from pools with GPUs and covers cores, memory and the GPU, each GPU
with its part of its node's cores and memory.

Where a priority has a budget, the tenant's share is cut once more: work of that priority has a queue of its own beside each of
the two, which holds the budget and borrows nothing, and the tenant's other work has the rest. What is idle of a budget is borrowed like
any other room, and taken back at once.

Nothing is promised twice. A tenant's cores and memory lie on the pools that quotas stand on
(`placement.guaranteed`) and it may reach, in proportion to each pool's size: no tenant's share depends on
another tenant, so that one tenant's change touches its own queues only, and where all reach the same pools
the shares of all stay within each pool if their sum stays within all. Shares are rounded down. What nobody
was promised, less what the platform keeps for itself, is held by the Cohort, where every tenant that may
borrow can take it. Cloud pools beside a home are promised to nobody: a tenant that may burst can borrow
there and, as flavors are tried in order, does so only when home is full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool, Site
from modules.foundation.queueing.config import Reserved, WithinTenant
from modules.foundation.tenants.config import BorrowLimit, Budget, DataClass, Quota, Tenant
from modules.kit import labels, names, quantities

API_VERSION: Final = "kueue.x-k8s.io/v1beta2"
CPU: Final = "cpu"
MEMORY: Final = "memory"

MEBIBYTE: Final = 2**20
"""Memory is shared out in whole mebibytes, so that a share has a short spelling that the API server
keeps as it is."""


class SharingError(ValueError):
    """Pools and tenants that do not fit together. The profile's rules refuse them first; this is the
    last gate."""


@dataclass(frozen=True)
class Amount:
    """An amount of one resource in its smallest counted unit: thousandths of a core, mebibytes, or GPUs."""

    resource: str
    units: int

    @property
    def quantity(self) -> str:
        """The amount as the API server itself spells it.

        Kueue's webhook writes quantities back in Kubernetes' canonical form (`1000` becomes `1k`), and any
        other spelling would be a difference at each later run.
        """
        if self.resource == CPU:
            return decimal(self.units // 1000) if self.units % 1000 == 0 else f"{self.units}m"
        if self.resource == MEMORY:
            return quantities.memory(self.units * MEBIBYTE)
        return decimal(self.units)


@dataclass(frozen=True)
class Share:
    """What a queue is promised of one resource, and the most that it may borrow beside it."""

    amount: Amount
    borrow: int | None
    """In the amount's units; None is no limit."""

    @property
    def spec(self) -> dict[str, Any]:
        """As `spec.resourceGroups[].flavors[].resources[]`. No limit on borrowing is no field."""
        spec: dict[str, Any] = {"name": self.amount.resource, "nominalQuota": self.amount.quantity}
        if self.borrow is None:
            return spec
        return {**spec, "borrowingLimit": Amount(self.amount.resource, self.borrow).quantity}


@dataclass(frozen=True)
class PoolShare:
    """What a queue is promised in one pool."""

    pool: str
    shares: tuple[Share, ...]

    @property
    def spec(self) -> dict[str, Any]:
        """As `spec.resourceGroups[].flavors[]`."""
        return {"name": self.pool, "resources": [share.spec for share in self.shares]}


@dataclass(frozen=True)
class ResourceGroup:
    """Resources that are taken together from one pool, tried in the order of the pools."""

    pools: tuple[PoolShare, ...]

    @property
    def resources(self) -> tuple[str, ...]:
        """Resources covered: the same in each pool, as Kueue demands."""
        return tuple(share.amount.resource for share in self.pools[0].shares)

    @property
    def spec(self) -> dict[str, Any]:
        """As `spec.resourceGroups[]`."""
        return {"coveredResources": list(self.resources), "flavors": [pool.spec for pool in self.pools]}


@dataclass(frozen=True)
class ClusterQueue:
    """A tenant's share of one kind of node."""

    name: str
    namespace: str
    group: ResourceGroup
    weight: int
    within: WithinTenant

    @property
    def spec(self) -> dict[str, Any]:
        """The object's spec.

        A tenant takes back what it lent, from whoever borrowed it (`reclaimWithinCohort: Any`), and never takes
        from others to borrow itself.

        All pools are compared before one is chosen (Kueue's `PreemptionOverBorrowing`): room of the
        tenant's own, even if it has to be taken back, goes before borrowed room; a pool with borrowed room
        goes before one where somebody would have to give way; of equals the first is taken. So a tenant
        gets its own share at home rather than a rented machine, and what exceeds the share borrows at home
        while home has room, then in the cloud.
        """
        return {
            "cohortName": names.COHORT,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
            "resourceGroups": [self.group.spec],
            "flavorFungibility": {
                "whenCanBorrow": "TryNextFlavor",
                "whenCanPreempt": "TryNextFlavor",
                "preference": "PreemptionOverBorrowing",
            },
            "preemption": {
                "reclaimWithinCohort": "Any",
                "borrowWithinCohort": {"policy": "Never"},
                "withinClusterQueue": self.within.value,
            },
            "fairSharing": {"weight": decimal(self.weight)},
        }


@dataclass(frozen=True)
class LocalQueue:
    """The door to a ClusterQueue in the tenant's namespace."""

    name: str
    namespace: str
    cluster_queue: str

    @property
    def spec(self) -> dict[str, Any]:
        """The object's spec."""
        return {"clusterQueue": self.cluster_queue}


@dataclass(frozen=True)
class Queues:
    """All queues of one tenant: a LocalQueue for each ClusterQueue."""

    cluster: tuple[ClusterQueue, ...]
    local: tuple[LocalQueue, ...]


@dataclass(frozen=True)
class Flavor:
    """A node pool as the queues know it."""

    pool: NodePool

    @property
    def name(self) -> str:
        """The pool's own name."""
        return self.pool.name

    @property
    def spec(self) -> dict[str, Any]:
        """The object's spec: admitted pods are bound to the pool's nodes, and tolerate what keeps others
        off.

        Site and region are labels of the flavor too, so that a job can ask for one by its node selector and
        is then only tried there; whether they are spot nodes, so that it can keep off those by its affinity; and whether they have a fast
        disk. Where the pool says where its nodes are in the network, the flavor names that too, and cannot be changed any more.
        """
        ours = (labels.POOL, labels.SITE, labels.REGION, labels.SPOT, labels.LOCAL_SSD)
        spec: dict[str, Any] = {
            "nodeLabels": {key: value for key, value in placement.labels(self.pool).items() if key in ours}
        }
        if self.pool.topology:
            spec["topologyName"] = self.name
        tolerations = [
            {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
            for taint in placement.taints(self.pool)
        ]
        return {**spec, "tolerations": tolerations} if tolerations else spec

    @property
    def topology(self) -> dict[str, Any] | None:
        """Spec of the Topology of the flavor's name: by which labels Kueue sees how close nodes are. None where it does not matter."""
        if not self.pool.topology:
            return None
        return {"levels": [{"nodeLabel": label} for label in self.pool.topology]}


@dataclass(frozen=True)
class Cohort:
    """What all tenants share: the part of every pool that nobody was promised."""

    group: ResourceGroup

    @property
    def spec(self) -> dict[str, Any]:
        """The object's spec. One resource group holds all pools, because a resource may be in one group
        of a cohort only."""
        return {"resourceGroups": [self.group.spec]}


def may_burst(tenant: Tenant) -> bool:
    """Whether the tenant's work may leave home at all: restricted data never does, whatever else its
    record says."""
    return tenant.burst.allowed and tenant.data_class is not DataClass.RESTRICTED


def reachable(tenant: Tenant, pools: Iterable[NodePool]) -> tuple[NodePool, ...]:
    """Pools where the tenant's work may run: home first, each site in the order of the profile."""
    allowed = [
        pool
        for pool in pools
        if placement.reachable(pool, may_burst=may_burst(tenant), regions=tenant.burst.regions)
    ]
    return tuple(sorted(allowed, key=lambda pool: pool.site is not Site.HOME))


def queues(
    tenant: Tenant, pools: Sequence[NodePool], within: WithinTenant = WithinTenant.LOWER_PRIORITY
) -> Queues:
    """The tenant's queues.

    A tenant has a queue for GPU nodes if its quota names GPUs, and one more of each for every priority that has a budget. ``within`` is whom its
    work pushes out of its own queues. Raises SharingError when it has a quota where its work may not run, or budgets that exceed the quota.
    """
    namespace = names.namespace(tenant.name)
    quota = tenant.quota
    cpu, gpu = names.cpu_cluster_queue(tenant.name), names.gpu_cluster_queue(tenant.name)
    groups = {names.DEFAULT_QUEUE: (cpu, _cpu_group(tenant, pools, _rest(tenant), _borrowed(quota)))}
    if quota.gpus:
        groups[names.GPU_QUEUE] = (gpu, _gpu_group(tenant, pools, _gpu_rest(tenant), borrow=quota.borrow))
    for priority, budget in quota.budgets.items():
        groups[names.budget_queue(names.DEFAULT_QUEUE, priority)] = (
            names.budget_queue(cpu, priority),
            _cpu_group(tenant, pools, _units(budget), {CPU: 0, MEMORY: 0}),
        )
        if budget.gpus:
            groups[names.budget_queue(names.GPU_QUEUE, priority)] = (
                names.budget_queue(gpu, priority),
                _gpu_group(tenant, pools, budget.gpus, borrow=False),
            )
    return Queues(
        cluster=tuple(
            ClusterQueue(name, namespace, group, quota.weight, within) for name, group in groups.values()
        ),
        local=tuple(LocalQueue(local, namespace, name) for local, (name, _) in groups.items()),
    )


def gpu_pools(tenant: Tenant, pools: Iterable[NodePool]) -> tuple[NodePool, ...]:
    """Pools whose GPUs the tenant's work can get: those of its quota, and those in the cloud where it may borrow."""
    if not tenant.quota.gpus:
        return ()
    return tuple(
        pool
        for pool in reachable(tenant, pools)
        if pool.gpu is not None
        and (pool.name in tenant.quota.gpus or (pool.site is Site.CLOUD and tenant.quota.borrow))
    )


def cohort(tenants: Iterable[Tenant], pools: Sequence[NodePool], reserved: Reserved) -> Cohort:
    """What is left of every pool after all tenants' shares and the platform's own room.

    Raises SharingError, naming the pool, when more is promised than there is.
    """
    left = {pool.name: capacity(pool) for pool in pools}
    promised = placement.guaranteed(pools)
    for pool in promised:
        kept = _split({CPU: _thousandths(reserved.cpu), MEMORY: _mebibytes(reserved.memory)}, pool, promised)
        for resource, units in kept.items():
            left[pool.name][resource] -= units
    for tenant in tenants:
        for queue in queues(tenant, pools).cluster:
            for share in queue.group.pools:
                for part in share.shares:
                    left[share.pool][part.amount.resource] = (
                        left[share.pool].get(part.amount.resource, 0) - part.amount.units
                    )
    for name, resources in left.items():
        for resource, units in resources.items():
            if units < 0:
                missing = Amount(resource, -units).quantity
                raise SharingError(
                    f"pool {name} is promised {missing} {resource} more than it has: "
                    "lower a tenant's quota or add nodes"
                )
    covered = _covered(pools)
    return Cohort(
        ResourceGroup(
            tuple(
                PoolShare(
                    pool.name,
                    tuple(
                        Share(Amount(resource, left[pool.name].get(resource, 0)), borrow=None)
                        for resource in covered
                    ),
                )
                for pool in pools
            )
        )
    )


def _cpu_group(
    tenant: Tenant, pools: Sequence[NodePool], promise: dict[str, int], borrowed: Mapping[str, int | None]
) -> ResourceGroup:
    """The promise on the pools that quotas stand on, and what may be ``borrowed`` of each resource, None for no limit, on all that the tenant may
    reach; both in proportion to the pools' sizes."""
    within_reach = placement.general(reachable(tenant, pools))
    promised = [pool for pool in placement.guaranteed(pools) if pool in within_reach]
    if not promised:
        raise SharingError(
            f"tenant {tenant.name} may run on no pool without GPUs that quotas stand on: "
            "let it burst to a region that has one, or give it a pool at home"
        )
    limited = {resource: units for resource, units in borrowed.items() if units is not None}
    found = []
    for pool in within_reach:
        units = _split(promise, pool, promised) if pool in promised else {}
        if pool in promised or any(units != 0 for units in borrowed.values()):
            limits = {**borrowed, **_split(limited, pool, within_reach)}
            found.append(_pool_share(pool, units, (CPU, MEMORY), limits))
    return ResourceGroup(tuple(found))


def _gpu_group(
    tenant: Tenant, pools: Sequence[NodePool], promise: Mapping[str, int], *, borrow: bool
) -> ResourceGroup:
    """The promise by pool; where the tenant borrows, the pools in the cloud too."""
    within_reach = gpu_pools(tenant, pools)
    missed = sorted(promise.keys() - {pool.name for pool in within_reach})
    if missed:
        raise SharingError(
            f"tenant {tenant.name} has a quota of GPUs in {', '.join(missed)}, "
            "where no GPU is or its work may not run: name a pool with GPUs that it may reach"
        )
    chosen = [pool for pool in within_reach if pool.name in promise or borrow]
    covered = _covered(chosen)
    return ResourceGroup(
        tuple(
            _pool_share(
                pool,
                gpu_part(pool, promise.get(pool.name, 0)),
                covered,
                _gpus_borrowed(tenant.quota, pool, covered) if borrow else dict.fromkeys(covered, 0),
            )
            for pool in chosen
        )
    )


def _gpus_borrowed(quota: Quota, pool: NodePool, covered: Sequence[str]) -> dict[str, int | None]:
    """The most that is borrowed of each resource in a pool with GPUs."""
    most = quota.borrow_at_most.gpus.get(pool.name) if quota.borrow_at_most else None
    if most is None:
        return dict.fromkeys(covered)
    part = gpu_part(pool, most)
    return {resource: part.get(resource, 0) for resource in covered}


def _borrowed(quota: Quota) -> dict[str, int | None]:
    """The most that is borrowed of cores and memory on pools without GPUs."""
    if not quota.borrow:
        return {CPU: 0, MEMORY: 0}
    most = quota.borrow_at_most or BorrowLimit()
    return {
        CPU: None if most.cpu is None else _thousandths(most.cpu),
        MEMORY: None if most.memory is None else _mebibytes(most.memory),
    }


def _units(part: Quota | Budget) -> dict[str, int]:
    return {CPU: _thousandths(part.cpu), MEMORY: _mebibytes(part.memory)}


def _rest(tenant: Tenant) -> dict[str, int]:
    """Cores and memory of the quota that no budget holds."""
    left = _units(tenant.quota)
    for budget in tenant.quota.budgets.values():
        for resource, units in _units(budget).items():
            left[resource] -= units
    return _held(tenant, left)


def _gpu_rest(tenant: Tenant) -> dict[str, int]:
    """GPUs of the quota that no budget holds, by pool."""
    left = dict(tenant.quota.gpus)
    for budget in tenant.quota.budgets.values():
        for pool, count in budget.gpus.items():
            left[pool] = left.get(pool, 0) - count
    return _held(tenant, left)


def _held(tenant: Tenant, left: dict[str, int]) -> dict[str, int]:
    over = sorted(name for name, units in left.items() if units < 0)
    if over:
        raise SharingError(
            f"budgets of tenant {tenant.name} exceed its quota of {', '.join(over)}: lower one"
        )
    return left


def gpu_part(pool: NodePool, count: int) -> dict[str, int]:
    """Units of every resource that come with ``count`` GPUs (or shares of GPUs) of a pool, by resource.

    A GPU brings an equal part of its node's cores and memory, so that a tenant with a node's GPUs has all
    of the node, and no tenant can leave another's GPUs without cores.
    """
    resource = placement.gpu_resource(pool)
    if resource is None:
        raise SharingError(f"pool {pool.name} has no GPUs to share out")
    per_node = placement.shares_per_node(pool)
    return {
        CPU: _thousandths(pool.cpu) * count // per_node,
        MEMORY: _mebibytes(pool.memory) * count // per_node,
        resource: count,
    }


def _pool_share(
    pool: NodePool, units: dict[str, int], covered: Sequence[str], borrowed: Mapping[str, int | None]
) -> PoolShare:
    return PoolShare(
        pool.name,
        tuple(
            Share(Amount(resource, units.get(resource, 0)), borrow=borrowed[resource]) for resource in covered
        ),
    )


def _covered(pools: Iterable[NodePool]) -> tuple[str, ...]:
    """Cores, memory, and each kind of GPU resource in the pools, in their order."""
    return (
        CPU,
        MEMORY,
        *dict.fromkeys(resource for pool in pools if (resource := placement.gpu_resource(pool)) is not None),
    )


def capacity(pool: NodePool) -> dict[str, int]:
    """Units of every resource of all nodes of a pool, by resource."""
    units = {CPU: pool.nodes * _thousandths(pool.cpu), MEMORY: pool.nodes * _mebibytes(pool.memory)}
    resource = placement.gpu_resource(pool)
    return units if resource is None else {**units, resource: placement.gpu_capacity(pool)}


def _split(units: dict[str, int], pool: NodePool, among: Sequence[NodePool]) -> dict[str, int]:
    """The pool's part of something that is spread over pools in proportion to their size."""
    sizes = [capacity(each) for each in among]
    own = capacity(pool)
    return {
        resource: amount * own[resource] // sum(size[resource] for size in sizes)
        for resource, amount in units.items()
    }


def _thousandths(cpu: str) -> int:
    return int(quantities.cores(cpu) * 1000)


def _mebibytes(memory: str) -> int:
    return quantities.bytes_of(memory) // MEBIBYTE


def decimal(number: int) -> str:
    """A whole number in Kubernetes' canonical decimal form: the largest suffix that leaves a whole number."""
    for suffix, unit in (("P", 10**15), ("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number and number % unit == 0:
            return f"{number // unit}{suffix}"
    return str(Decimal(number))
