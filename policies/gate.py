"""What a change as a whole has to pass: what no single resource and no single step shows."""

from __future__ import annotations

from dataclasses import dataclass

from policies.plan import Finding
from policies.rule import Severity


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One property of a change. Unlike a rule it needs more than the plan's objects: the profile as it was, the lock, prices."""

    id: str
    """Never reused, never renumbered: waivers and reports name it."""
    title: str
    """What holds, as a sentence."""
    reason: str
    """What goes wrong where it does not hold."""
    fix: str
    """What to change."""
    looks_at: str
    """What it judges."""
    severity: Severity = Severity.ERROR

    def finding(self, subject: str, message: str) -> Finding:
        """A fault, told as those of rules are."""
        return Finding(self.id, self.severity, subject, message, self.title, self.fix)
