"""What must hold between values that are each fine by themselves.

A rule is a pure function of the typed profile, named for what it holds true. It yields a finding per contradiction, at the key that has to change. A
finding names the other keys it hangs on (`involves`), so that it is not told when one of those is wrong by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Final, TypeVar

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool, Site
from modules.foundation.queueing import shares
from modules.foundation.tenants.config import DataClass, Tenant
from modules.kit import names, quantities
from modules.kit.cluster import WebhookFailure
from modules.kit.network import network, overlap
from profiles.model import Profile
from profiles.problems import Key, nearest


@dataclass(frozen=True)
class Finding:
    """One contradiction."""

    key: Key
    message: str
    remedy: str
    involves: tuple[Key, ...] = ()


Rule = Callable[[Profile], Iterator[Finding]]
Number = TypeVar("Number", int, Decimal)

NODE_MASK: Final = 24
"""Size of the range that each node gets for its pods: the controller manager's default `--node-cidr-mask-size-ipv4`
(https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/)."""

PRIVATE: Final = tuple(
    network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""Ranges that nobody else on the Internet has: RFC 1918, shared address space (RFC 6598, which cloud clusters use for pods), RFC 4193."""

METADATA: Final = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")
"""Link-local ranges, which hold 169.254.169.254, and the address that AWS uses for IPv6: there clouds hand the machine's own
credentials to whoever asks from it (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html)."""

TENANTS, POOLS = "tenants", "node_pools"


# Node pools


def some_pool_has_no_gpus(profile: Profile) -> Iterator[Finding]:
    """The platform's own pods run on pools without GPUs; those with GPUs are tainted against them."""
    if not placement.general(profile.node_pools.values()):
        yield Finding(
            (POOLS,),
            "holds only pools with GPUs, which are kept free of other work",
            "add a pool without gpu",
        )


def home_pools_are_own_machines(profile: Profile) -> Iterator[Finding]:
    """A region, spot prices and elastic size are a cloud's; at home they say that one of site and the rest is wrong."""
    for name, pool in profile.node_pools.items():
        faults = {
            "region": pool.region is not None,
            "spot": pool.spot,
            "min_nodes": pool.min_nodes is not None,
        }
        for key, fault in faults.items():
            if pool.site is Site.HOME and fault:
                yield Finding(
                    (POOLS, name, key),
                    "is for pools at site cloud, and this one is at home",
                    "remove it, or write site: cloud",
                    ((POOLS, name, "site"),),
                )


def cloud_pools_name_their_region(profile: Profile) -> Iterator[Finding]:
    """Residency is decided by region; a cloud pool without one could not be allowed to anybody."""
    for name, pool in profile.node_pools.items():
        if pool.site is Site.CLOUD and pool.region is None:
            yield Finding(
                (POOLS, name, "region"),
                "is missing, and a pool at site cloud needs it",
                "add the cloud's name of the region, such as eu-central-1",
                ((POOLS, name, "site"),),
            )


def elastic_pools_have_room_to_grow(profile: Profile) -> Iterator[Finding]:
    """The fewest nodes are not more than the most."""
    for name, pool in profile.node_pools.items():
        if pool.min_nodes is not None and pool.min_nodes > pool.nodes:
            yield Finding(
                (POOLS, name, "min_nodes"),
                f"is more than nodes, which is {pool.nodes}",
                f"write {pool.nodes} or less",
                ((POOLS, name, "nodes"),),
            )


def mig_layout_fits_the_product(profile: Profile) -> Iterator[Finding]:
    """A GPU can only be cut as its maker provides (placement.PRODUCTS); the MIG manager would fail on the node, long after the deployment."""
    for name, pool in profile.node_pools.items():
        fault = placement.mig_fault(pool.gpu) if pool.gpu else None
        if fault:
            yield Finding(
                (POOLS, name, "gpu", "sharing", "layout"),
                f"does not fit the product: {fault}",
                "write a slice and number that the product has, or another mode of sharing",
                ((POOLS, name, "gpu"),),
            )


def gpu_memory_fits_the_product(profile: Profile) -> Iterator[Finding]:
    """A product has no more memory than its maker says (placement.PRODUCTS)."""
    for name, pool in profile.node_pools.items():
        product = placement.PRODUCTS.get(pool.gpu.product) if pool.gpu else None
        if pool.gpu and product and quantities.bytes_of(pool.gpu.memory) > product.memory_gb * 2**30:
            yield Finding(
                (POOLS, name, "gpu", "memory"),
                f"is more than {pool.gpu.product} has",
                f"write {product.memory_gb}Gi, or another product",
                ((POOLS, name, "gpu"),),
            )


# Cluster


def address_ranges_are_apart(profile: Profile) -> Iterator[Finding]:
    """An address that is both a pod's and a service's, or a pod's and the API server's, reaches the wrong one. The API server's addresses are
    those behind its service, so they lie in neither range."""
    cluster = profile.cluster
    ranges: list[tuple[Key, str]] = [
        (("cluster", "pod_cidr"), cluster.pod_cidr),
        (("cluster", "service_cidr"), cluster.service_cidr),
        *(
            (("cluster", "api_server", "cidrs", number), cidr)
            for number, cidr in enumerate(cluster.api_server.cidrs)
        ),
    ]
    for (one, a), (other, b) in combinations(ranges, 2):
        if one[1] != other[1] and overlap(a, b):
            yield Finding(
                other, f"shares addresses with {one[1]}, which is {a}", "choose a range of its own", (one,)
            )


def address_ranges_are_private(profile: Profile) -> Iterator[Finding]:
    """A public range hides the machines that own it from every pod, and lets pods pass for them."""
    for key, cidr in (("pod_cidr", profile.cluster.pod_cidr), ("service_cidr", profile.cluster.service_cidr)):
        own = network(cidr)
        if not any(own.version == range_.version and own.subnet_of(range_) for range_ in PRIVATE):  # type: ignore[arg-type]
            yield Finding(
                ("cluster", key),
                "is not a private range",
                "choose one within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10",
            )


def pod_range_holds_every_node(profile: Profile) -> Iterator[Finding]:
    """Each node takes a /24 of it (NODE_MASK); the first node for which none is left never gets a pod."""
    own = network(profile.cluster.pod_cidr)
    nodes = sum(pool.nodes for pool in profile.node_pools.values())
    if own.version == 4 and 2 ** max(0, NODE_MASK - own.prefixlen) * (own.prefixlen <= NODE_MASK) < nodes:
        bits = max(8, NODE_MASK - (nodes - 1).bit_length())
        room = 2 ** (NODE_MASK - own.prefixlen) if own.prefixlen <= NODE_MASK else 0
        yield Finding(
            ("cluster", "pod_cidr"),
            f"has room for {room} nodes, each with a /{NODE_MASK}, and the pools have {nodes}",
            f"choose a range of /{bits} or wider",
            ((POOLS,),),
        )


def service_range_has_a_usable_size(profile: Profile) -> Iterator[Finding]:
    """The API server takes at most 20 bits of addresses, so /12 at the widest for IPv4 (its flag `--service-cluster-ip-range`, "max of 20 bits"); and a
    platform of many tenants needs more than a few hundred, so /22 at the narrowest."""
    own = network(profile.cluster.service_cidr)
    if not 10 <= own.max_prefixlen - own.prefixlen <= 20:
        widest, narrowest = own.max_prefixlen - 20, own.max_prefixlen - 10
        yield Finding(
            ("cluster", "service_cidr"),
            f"must be between /{widest} and /{narrowest}",
            f"choose a range like 10.96.0.0/{16 if own.version == 4 else 108}",
        )


def webhooks_fail_closed_outside_local(profile: Profile) -> Iterator[Finding]:
    """With `Ignore`, a job that meets a restarting operator is admitted without its queue. Only local profiles, on a machine where no operator's pod can
    run, have no other way."""
    if profile.admission.webhooks is WebhookFailure.IGNORE and not profile.is_local:
        yield Finding(
            ("admission", "webhooks"),
            "lets requests through unchecked, which only profiles named local or local-* may",
            "write Fail",
        )


def group_prefix_is_not_kubernetes_own(profile: Profile) -> Iterator[Finding]:
    """Groups that begin with `system:` are Kubernetes' own; with that prefix the identity provider could hand out `system:masters`
    (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#openid-connect-tokens)."""
    if profile.identity.group_prefix.startswith("system:"):
        yield Finding(
            ("identity", "group_prefix"), "is the prefix of Kubernetes' own groups", 'write one like "oidc:"'
        )


def priorities_differ(profile: Profile) -> Iterator[Finding]:
    """Two names for one priority promise an order that is not there."""
    first: dict[int, str] = {}
    for name, value in profile.queueing.priorities.items():
        if value in first:
            yield Finding(
                ("queueing", "priorities", name),
                f"is the same as {first[value]}",
                "give each its own value, or keep one name",
                (("queueing", "priorities", first[value]),),
            )
        first.setdefault(value, name)


# Tenants: names and people


def tenant_names_are_free(profile: Profile) -> Iterator[Finding]:
    """A tenant's name becomes the stem of names in systems where some are taken (names.RESERVED_NAMES, names.RESERVED_PREFIXES)."""
    for name in profile.tenants:
        if names.is_reserved(name):
            stems = ", ".join(f"{prefix}*" for prefix in names.RESERVED_PREFIXES)
            taken = ", ".join(sorted(names.RESERVED_NAMES))
            yield Finding((TENANTS, name), f"is a reserved name ({stems}, {taken})", "choose another name")


def tenant_names_are_not_queue_names(profile: Profile) -> Iterator[Finding]:
    """ClusterQueues are named `<tenant>-cpu` and `<tenant>-gpu`: a tenant of that name reads as another's queue wherever queues are listed."""
    for name in profile.tenants:
        queues = {names.cpu_cluster_queue(name), names.gpu_cluster_queue(name)}
        for twin in sorted(queues & set(profile.tenants)):
            yield Finding(
                (TENANTS, twin), f"is also the name of a queue of tenant {name}", "choose another name"
            )


def roles(tenant: Tenant) -> dict[str, tuple[str, ...]]:
    """Groups by role, weakest role first."""
    return {"viewer": tenant.groups.viewer, "editor": tenant.groups.editor, "admin": tenant.groups.admin}


def a_group_has_one_role_in_a_tenant(profile: Profile) -> Iterator[Finding]:
    """Each role includes the weaker ones, so a group in two contradicts itself, and whoever takes it out of one leaves it the other."""
    for name, tenant in profile.tenants.items():
        first: dict[str, tuple[str, int]] = {}
        for role, groups in roles(tenant).items():
            for number, group in enumerate(groups):
                if group in first:
                    earlier, at = first[group]
                    yield Finding(
                        (TENANTS, name, "groups", role, number),
                        f"is a group that stands under {earlier} already",
                        "name it once, under the role it is to have",
                        ((TENANTS, name, "groups", earlier, at),),
                    )
                first.setdefault(group, (role, number))


def groups_are_the_identity_providers(profile: Profile) -> Iterator[Finding]:
    """The API server adds the prefix; a group written with it would get it twice and match nobody. `system:` groups are Kubernetes' own."""
    prefix = profile.identity.group_prefix
    for name, tenant in profile.tenants.items():
        for role, groups in roles(tenant).items():
            for number, group in enumerate(groups):
                key: Key = (TENANTS, name, "groups", role, number)
                if group.startswith("system:"):
                    yield Finding(
                        key, "is one of Kubernetes' own groups", "name a group of the identity provider"
                    )
                elif group.startswith(prefix):
                    yield Finding(
                        key,
                        f"begins with {prefix}, which is added to every group",
                        f"write {group.removeprefix(prefix) or 'the group'}",
                        (("identity", "group_prefix"),),
                    )


# Tenants: quota


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


# Tenants: burst and residency


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


# Tenants: network


def network_rules_are_named_once(profile: Profile) -> Iterator[Finding]:
    """The name becomes the name of a NetworkPolicy, of which the second would replace the first."""
    for name, tenant in profile.tenants.items():
        for direction, given in (
            ("egress", [rule.name for rule in tenant.network.egress]),
            ("ingress", [rule.name for rule in tenant.network.ingress]),
        ):
            seen: set[str] = set()
            for number, rule_name in enumerate(given):
                if rule_name in seen:
                    yield Finding(
                        (TENANTS, name, "network", direction, number, "name"),
                        "names another rule of the list too",
                        "give each its own name",
                    )
                seen.add(rule_name)


def egress_to_everywhere_names_its_ports(profile: Profile) -> Iterator[Finding]:
    """All addresses on all ports is no exception to default-deny but its end."""
    for name, tenant in profile.tenants.items():
        for number, rule in enumerate(tenant.network.egress):
            if network(rule.cidr).prefixlen == 0 and not rule.ports:
                yield Finding(
                    (TENANTS, name, "network", "egress", number, "ports"),
                    f"names none, and {rule.cidr} is everywhere",
                    "write the ports, such as [443], or the addresses that are meant",
                    ((TENANTS, name, "network", "egress", number, "cidr"),),
                )


def egress_stays_out_of_the_cluster(profile: Profile) -> Iterator[Finding]:
    """Addresses of pods and services would open other tenants; the link-local ones hand out the machine's cloud credentials. "Everywhere"
    (0.0.0.0/0, ::/0) is told apart: the declared policy cuts those ranges out of it."""
    cluster = profile.cluster
    forbidden = {
        cluster.pod_cidr: "pods (cluster.pod_cidr)",
        cluster.service_cidr: "services (cluster.service_cidr)",
        **dict.fromkeys(METADATA, "the cloud's metadata service"),
    }
    for name, tenant in profile.tenants.items():
        for number, rule in enumerate(tenant.network.egress):
            for cidr, what in forbidden.items():
                if network(rule.cidr).prefixlen > 0 and overlap(rule.cidr, cidr):
                    yield Finding(
                        (TENANTS, name, "network", "egress", number, "cidr"),
                        f"covers addresses of {what}",
                        f"choose addresses outside {cidr}",
                        (("cluster", "pod_cidr"), ("cluster", "service_cidr")),
                    )


def ingress_comes_from_the_platform(profile: Profile) -> Iterator[Finding]:
    """Tenants never reach each other, so no exception may name a tenant's namespace; what they share goes through a store."""
    for name, tenant in profile.tenants.items():
        for number, rule in enumerate(tenant.network.ingress):
            if rule.namespace.startswith(names.NAMESPACE_PREFIX) or rule.namespace == "default":
                yield Finding(
                    (TENANTS, name, "network", "ingress", number, "namespace"),
                    "is not a namespace of the platform",
                    "name the platform's namespace that calls, such as gateway-system",
                )


def _regions(profile: Profile) -> tuple[str, ...]:
    """Regions in which the profile has a pool."""
    return tuple(sorted({pool.region for pool in profile.node_pools.values() if pool.region}))


def _reaches(tenant: Tenant, pool: NodePool) -> bool:
    return bool(shares.reachable(tenant, [pool]))


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
    some_pool_has_no_gpus,
    home_pools_are_own_machines,
    cloud_pools_name_their_region,
    elastic_pools_have_room_to_grow,
    mig_layout_fits_the_product,
    gpu_memory_fits_the_product,
    address_ranges_are_apart,
    address_ranges_are_private,
    pod_range_holds_every_node,
    service_range_has_a_usable_size,
    webhooks_fail_closed_outside_local,
    group_prefix_is_not_kubernetes_own,
    priorities_differ,
    tenant_names_are_free,
    tenant_names_are_not_queue_names,
    a_group_has_one_role_in_a_tenant,
    groups_are_the_identity_providers,
    gpu_quota_names_a_pool_with_gpus,
    gpu_quotas_fit_their_pool,
    cpu_quotas_fit_the_pools,
    memory_quotas_fit_the_pools,
    quota_holds_one_default_container,
    default_container_fits_a_node,
    weights_have_a_use,
    restricted_data_never_leaves_home,
    burst_names_each_region_once,
    burst_regions_have_a_pool,
    gpu_quota_is_within_reach,
    every_tenant_has_somewhere_to_run,
    every_pool_keeps_its_promises,
    network_rules_are_named_once,
    egress_to_everywhere_names_its_ports,
    egress_stays_out_of_the_cluster,
    ingress_comes_from_the_platform,
)
"""Every rule, in the order in which a profile is read."""
