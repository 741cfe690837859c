"""What of a profile stays: facts that volumes were made with, and how much of their data the stores keep.

A stack exports both, so that a preview compares what was deployed with what would be, whichever profiles and programs lie between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from policies.gate import Gate
from policies.plan import Finding
from profiles import fixed, kept
from profiles.model import Profile
from profiles.problems import shown

FIXED = Gate(
    id="LH-P-002",
    title="What is fixed at the first deployment stays as it is",
    reason="The objects made from such a key cannot follow it: they would be replaced, or stay as they are and be told otherwise.",
    fix="Put the old value back; to move, declare the new thing beside the old one under another name.",
    looks_at="the profile against the profile as it was deployed, at what docs/reference/profile.md calls fixed and profiles/fixed.py adds",
)
KEPT = Gate(
    id="LH-P-007",
    title="Stores keep their data for as long as they did",
    reason="A shorter time, or a smaller part of the disks, reads as a setting and is carried out as a deletion of what is older.",
    fix="Put the old value back; where the data may go, waive it.",
    looks_at="the profile against the profile as it was deployed, at what profiles/kept.py lists, and at tenants that depart",
)


def exports(profile: Profile) -> dict[str, Any]:
    """What a stack exports of its profile."""
    return {"profile": profile.name, fixed.OUTPUT: fixed.record(profile), kept.OUTPUT: kept.record(profile)}


def broken(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Finding]:
    """What does not stay, between two exports of a stack. Each fault names one key, so that a waiver of it lets no other pass."""
    where = f"Profile {now.get('profile')}"
    for name, was, value in _both(before, now, fixed.OUTPUT):
        if fixed.differs(was, value):
            yield FIXED.finding(f"{where} {name}", f"was {shown(was)} and would be {shown(value)}")
    for name, was, value in _both(before, now, kept.OUTPUT):
        if kept.less(was, value):
            yield KEPT.finding(
                f"{where} {name}",
                f"was {shown(was)} and would be {shown(value)}, which deletes what is there",
            )


def _both(before: Mapping[str, Any], now: Mapping[str, Any], output: str) -> Iterator[tuple[str, Any, Any]]:
    """The facts of two records that both have."""
    old, new = before.get(output) or {}, now.get(output) or {}
    return ((name, old[name], new[name]) for name in sorted(old.keys() & new.keys()))
