"""The objects for which a rule does not hold, each with its reason: one rule, one kind, one name, one namespace at a time."""

from __future__ import annotations

from typing import Final

from policies.rule import Exemption

EXEMPTIONS: Final[tuple[Exemption, ...]] = ()
