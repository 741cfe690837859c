"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from profiles.model import Profile
from profiles.problems import Key

TENANTS: Final = "tenants"
POOLS: Final = "node_pools"


@dataclass(frozen=True)
class Finding:
    """One contradiction."""

    key: Key
    message: str
    remedy: str
    involves: tuple[Key, ...] = ()


Rule = Callable[[Profile], Iterator[Finding]]
