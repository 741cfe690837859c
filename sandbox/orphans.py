"""What a killed deployment of the embedded cluster left.

It is deployed without a checkpoint after every step, which is several times faster: Pulumi's file backend writes the whole state each
time. So what a killed run made, and the profile has lost in between, no state knows of.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.kubectl import kubectl
from sandbox.places import PULUMI_HOME
from stacks import orphans

_UNDER_WAY = PULUMI_HOME / "deployment-under-way"


def begin() -> bool:
    """Note that a deployment begins; true when an earlier one never ended."""
    cut_off = _UNDER_WAY.exists()
    _UNDER_WAY.touch()
    return cut_off


def end() -> None:
    """Note that the deployment ended."""
    _UNDER_WAY.unlink(missing_ok=True)


def sweep(declared: Iterable[orphans.Key]) -> list[str]:
    """Delete the platform's objects that are not among the ``declared`` ones. Returns what was deleted."""
    found = orphans.orphans(orphans.labelled(kubectl), declared)
    for each in found:
        kubectl("delete", *each.reference, "--ignore-not-found", "--wait=false")
    return [str(each) for each in found]
