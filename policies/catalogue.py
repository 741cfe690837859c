"""All rules, in the order in which they are listed."""

from __future__ import annotations

from typing import Final

from policies.rule import Rule
from policies.rules import (
    cost,
    gpus,
    identity,
    images,
    network,
    queues,
    residency,
    secrets,
    storage,
    tenancy,
    workloads,
)

RULES: Final[tuple[Rule, ...]] = (
    *tenancy.RULES,
    *workloads.RULES,
    *images.RULES,
    *network.RULES,
    *identity.RULES,
    *storage.RULES,
    *gpus.RULES,
    *queues.RULES,
    *residency.RULES,
    *cost.RULES,
    *secrets.RULES,
)


def rule(identifier: str) -> Rule:
    """The rule with that id. Raises `KeyError` when there is none."""
    return {each.id: each for each in RULES}[identifier]
