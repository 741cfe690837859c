"""What must hold of node pools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import Site
from modules.kit import quantities
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


RULES: Final[tuple[Rule, ...]] = (
    some_pool_has_no_gpus,
    home_pools_are_own_machines,
    cloud_pools_name_their_region,
    elastic_pools_have_room_to_grow,
    mig_layout_fits_the_product,
    gpu_memory_fits_the_product,
)
