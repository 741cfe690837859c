"""All gates, in the order in which they are listed."""

from __future__ import annotations

from typing import Final

from policies.gate import Gate
from policies.images import LOCKED

GATES: Final[tuple[Gate, ...]] = (LOCKED,)
