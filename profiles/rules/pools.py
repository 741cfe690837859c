"""What must hold of node pools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.foundation.gpu_pools import placement, programs
from modules.foundation.gpu_pools.config import Program, Site
from modules.kit import labels, quantities
from profiles.model import Profile
from profiles.rules.finding import POOLS, Finding, Rule


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


OURS: Final = (labels.PREFIX, "nvidia.com/")
"""Stems of labels that follow from a pool's other keys."""

HOSTNAME: Final = "kubernetes.io/hostname"


def node_labels_are_not_given_otherwise(profile: Profile) -> Iterator[Finding]:
    """What follows from other keys of the pool, or is a node's own, must not be said a second time: the two could differ."""
    for name, pool in profile.node_pools.items():
        given = (HOSTNAME, "topology.kubernetes.io/region", *pool.topology)
        for key in pool.node_labels:
            if key.startswith(OURS) or key in given:
                yield Finding(
                    (POOLS, name, "node_labels", key),
                    "is a label that follows from the pool's other keys, or differs from node to node",
                    "take it away",
                    ((POOLS, name, "topology"),),
                )


def topology_goes_from_wide_to_narrow(profile: Profile) -> Iterator[Finding]:
    """Kueue takes each label once, and a single node at the lowest level only (its Topology kind)."""
    for name, pool in profile.node_pools.items():
        if len(set(pool.topology)) < len(pool.topology):
            yield Finding(
                (POOLS, name, "topology"),
                "names a label more than once",
                "name each level once, widest first",
            )
        elif HOSTNAME in pool.topology[:-1]:
            yield Finding(
                (POOLS, name, "topology"),
                f"goes on below {HOSTNAME}, which is a single node",
                f"write {HOSTNAME} last",
            )


def nccl_is_of_pools_with_gpus(profile: Profile) -> Iterator[Finding]:
    """NCCL joins GPUs; on other nodes nothing reads its settings."""
    for name, pool in profile.node_pools.items():
        if pool.nccl is not None and pool.gpu is None:
            yield Finding(
                (POOLS, name, "nccl"),
                "is for pools with GPUs, and this one has none",
                "take it away",
                ((POOLS, name, "gpu"),),
            )


def adapters_are_infiniband(profile: Profile) -> Iterator[Finding]:
    """With InfiniBand off NCCL does not look at its adapters."""
    for name, pool in profile.node_pools.items():
        if pool.nccl is not None and pool.nccl.adapters and not pool.nccl.infiniband:
            yield Finding(
                (POOLS, name, "nccl", "adapters"),
                "has no effect, since infiniband is off",
                "write infiniband: true, or take it away",
                ((POOLS, name, "nccl", "infiniband"),),
            )


def instance_types_are_karpenters(profile: Profile) -> Iterator[Finding]:
    """Kinds of machine are for pools that Karpenter makes: it has to be there, and makes pools that shrink to nothing. Whole GPUs only: no kind of machine has
    shares of them, so that Karpenter would see no machine that fits."""
    for name, pool in profile.node_pools.items():
        if not pool.instance_types:
            continue
        fault = None
        if profile.karpenter is None:
            fault = "is for Karpenter, which this profile does not have", "write karpenter:, or take it away"
        elif pool.min_nodes != 0:
            fault = (
                "is for Karpenter, which keeps no nodes when there is nothing to do",
                "write min_nodes: 0, or take it away",
            )
        elif placement.fractional(pool):
            fault = (
                "is for Karpenter, which knows no machine with shares of GPUs",
                "write sharing: {mode: none}, or take it away",
            )
        if fault:
            involved = (("karpenter",), (POOLS, name, "min_nodes"), (POOLS, name, "gpu"))
            yield Finding((POOLS, name, "instance_types"), *fault, involved)


def karpenter_has_a_pool(profile: Profile) -> Iterator[Finding]:
    """Without a pool that names its kinds of machine Karpenter makes nothing."""
    if profile.karpenter and not any(pool.instance_types for pool in profile.node_pools.values()):
        yield Finding(
            ("karpenter",),
            "makes no pool: none names its instance_types",
            "name them in an elastic pool, or take karpenter away",
            ((POOLS,),),
        )


def the_gpu_operator_installs_one_driver(profile: Profile) -> Iterator[Finding]:
    """The operator brings one version of the driver to all nodes; a pool that wants another would never have it."""
    if profile.gpu_programs is None or profile.gpu_programs.program is not Program.GPU_OPERATOR:
        return
    first: tuple[str, str] | None = None
    for name, pool in profile.node_pools.items():
        if pool.gpu is None or pool.gpu.driver is None:
            continue
        first = first or (name, pool.gpu.driver)
        if pool.gpu.driver != first[1]:
            yield Finding(
                (POOLS, name, "gpu", "driver"),
                f"differs from that of pool {first[0]}, {first[1]}, and the GPU operator installs one",
                f"write {first[1]}, or gpu_programs: {{program: device-plugin}} and install drivers by other means",
                ((POOLS, first[0], "gpu", "driver"), ("gpu_programs", "program")),
            )


def gpu_programs_are_left_alone(profile: Profile) -> Iterator[Finding]:
    """They drive devices: their pods reach into the node, which the rules forbid everybody whose namespace is not left alone."""
    if profile.gpu_programs is None:
        return
    home = programs.namespace(profile.gpu_programs)
    if home not in profile.admission.namespaces_left_alone:
        yield Finding(
            ("gpu_programs", "program"),
            f"runs in namespace {home}, where the API server would refuse its pods",
            f"name {home} in admission.namespaces_left_alone",
            (("admission", "namespaces_left_alone"),),
        )


RULES: Final[tuple[Rule, ...]] = (
    some_pool_has_no_gpus,
    home_pools_are_own_machines,
    cloud_pools_name_their_region,
    elastic_pools_have_room_to_grow,
    mig_layout_fits_the_product,
    gpu_memory_fits_the_product,
    node_labels_are_not_given_otherwise,
    topology_goes_from_wide_to_narrow,
    nccl_is_of_pools_with_gpus,
    adapters_are_infiniband,
    instance_types_are_karpenters,
    karpenter_has_a_pool,
    the_gpu_operator_installs_one_driver,
    gpu_programs_are_left_alone,
)
