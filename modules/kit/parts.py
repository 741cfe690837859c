"""How an environment is cut into stacks: the platform in one, its tenants in groups, each of them in another.

Which group a tenant is in follows from its name and the number of groups alone, so that no tenant that comes or goes moves another
(docs/decisions/groups-of-tenants.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final

from pydantic import Field

from modules.kit.model import Model

MOST_GROUPS: Final = 200

_GROUP: Final = re.compile(r"(?P<platform>.+)-tenants-(?P<group>[1-9][0-9]{0,2})")


class Stacks(Model):
    """How the environment is cut into stacks."""

    groups: Annotated[int, Field(ge=1, le=MOST_GROUPS)]
    """Number of groups that tenants are put in, each a stack of its own beside the platform's. About one for 15 tenants. Another number moves some tenants to other stacks, which `python -m stacks.fleet up` does without touching what they have."""


@dataclass(frozen=True)
class StackName:
    """What a stack's name says of it."""

    platform: str
    """Name of the platform's stack, which is also the cluster's identity to Pulumi."""

    group: int | None = None
    """Number of the group, from 1; None for the platform's own stack."""

    @classmethod
    def of(cls, stack: str) -> StackName:
        """`onprem` is the platform's stack, `onprem-tenants-3` that of its third group."""
        found = _GROUP.fullmatch(stack)
        return cls(found["platform"], int(found["group"])) if found else cls(stack)

    def __str__(self) -> str:
        return self.platform if self.group is None else f"{self.platform}-tenants-{self.group}"


@dataclass(frozen=True)
class Part:
    """What of the environment a stack declares."""

    shared: bool
    """Whether it is what serves all tenants."""

    tenants: frozenset[str]
    """Those whose own objects are in it."""

    @classmethod
    def of(cls, stacks: Stacks | None, tenants: Iterable[str], group: int | None = None) -> Part:
        """The part of the platform's stack, or of the group with that number. A group that the environment does not have is empty."""
        if stacks is None:
            return cls(group is None, frozenset(tenants if group is None else ()))
        here = (each for each in tenants if group == group_of(each, stacks.groups))
        return cls(group is None, frozenset(here))


@cache
def group_of(tenant: str, groups: int) -> int:
    """The tenant's group, from 1: the one whose hash together with the tenant's name is the highest.

    With one group more only the tenants move that the new one takes, an equal part of each of the others (rendezvous hashing: Thaler
    and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
    """
    return max(range(1, groups + 1), key=lambda group: hashlib.sha256(f"{tenant}/{group}".encode()).digest())
