"""All gates, in the order in which they are listed."""

from __future__ import annotations

from typing import Final

from policies.cost import BUDGET
from policies.crds import VERSIONS
from policies.dry_run import TAKEN
from policies.gate import Gate
from policies.images import LOCKED
from policies.isolation.matrix import CROSSING
from policies.stays import FIXED, KEPT

GATES: Final[tuple[Gate, ...]] = (LOCKED, FIXED, VERSIONS, CROSSING, BUDGET, TAKEN, KEPT)
