"""What must hold of the dataset cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.kit import quantities
from profiles.model import Profile
from profiles.rules.finding import POOLS, Finding, Rule

HERE: Final = "dataset_cache"


def copies_are_of_something(profile: Profile) -> Iterator[Finding]:
    """It copies what is read from the object store."""
    if profile.dataset_cache and profile.object_store is None:
        yield Finding(
            (HERE,),
            "copies what is read from the object store, and there is none",
            "give the environment object_store, or write dataset_cache: null",
            (("object_store",),),
        )


def copies_have_disks(profile: Profile) -> Iterator[Finding]:
    """They are kept on nodes' own fast disks, and take no more than there is."""
    if profile.dataset_cache is None:
        return
    if not profile.cached:
        yield Finding(
            (HERE,),
            "keeps copies on nodes' own fast disks, and no pool has one",
            "write local_ssd into a pool's record, or dataset_cache: null",
            ((POOLS,),),
        )
    wanted = quantities.bytes_of(profile.dataset_cache.size)
    for pool in profile.cached:
        if pool.local_ssd and wanted > quantities.bytes_of(pool.local_ssd.size):
            yield Finding(
                (HERE, "size"),
                f"is more than the fast disk of a node of pool {pool.name}, {pool.local_ssd.size}",
                f"write {pool.local_ssd.size} or less",
                ((POOLS, pool.name, "local_ssd"),),
            )


RULES: Final[tuple[Rule, ...]] = (copies_are_of_something, copies_have_disks)
