"""What must hold of an environment that is cut into stacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from profiles.model import Profile
from profiles.rules.finding import Finding, Rule


def keys_of_a_given_s3_need_one_stack(profile: Profile) -> Iterator[Finding]:
    """Where the platform does not choose the keys of buckets, a Job of its own stack puts them into tenants' bindings and waits until it has.
    With groups the bindings come after the Job."""
    if profile.stacks and profile.object_store and profile.object_store.given:
        yield Finding(
            ("stacks", "groups"),
            "puts tenants' bindings into other stacks, and the object store's keys are put into them from the platform's",
            "write stacks: null, or object_store.engine: minio",
            (("object_store", "engine"),),
        )


RULES: Final[tuple[Rule, ...]] = (keys_of_a_given_s3_need_one_stack,)
