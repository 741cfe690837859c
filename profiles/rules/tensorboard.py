"""What must hold of TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.kit import quantities
from profiles.model import Profile
from profiles.rules.finding import TENANTS, Finding, Rule

HERE: Final = "tensorboard"


def there_is_something_to_look_at(profile: Profile) -> Iterator[Finding]:
    """It shows what training jobs log, which they do into buckets; and it runs in the image for training."""
    if profile.tensorboard is None:
        return
    for key, there, what in (
        ("training", profile.training, "what training jobs log"),
        ("object_store", profile.object_store, "what stands in tenants' buckets"),
    ):
        if there is None:
            yield Finding(
                (HERE,),
                f"shows {what}, and there is none",
                f"give the environment {key}, or write tensorboard: null",
                ((key,),),
            )


def one_fits_each_tenants_quota(profile: Profile) -> Iterator[Finding]:
    """One that is larger would never open, or on borrowed room only."""
    if profile.tensorboard is None:
        return
    for name in profile.logged:
        quota = profile.tenants[name].quota
        for key in ("cpu", "memory"):
            wanted, most = getattr(profile.tensorboard, key), getattr(quota, key)
            if quantities.amount(wanted) > quantities.amount(most):
                yield Finding(
                    (HERE, key),
                    f"is more than tenant {name}'s quota, {most}",
                    f"write {most} or less, or raise the quota",
                    ((TENANTS, name, "quota", key),),
                )


RULES: Final[tuple[Rule, ...]] = (there_is_something_to_look_at, one_fits_each_tenants_quota)
