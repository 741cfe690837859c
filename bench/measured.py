"""One measured run of anything."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from policies.footprint import children, footprint


@dataclass(frozen=True)
class Run:
    """What it was, its seconds by the clock and on the processors, and the most memory it held, servers that ran before it apart."""

    what: str
    seconds: float
    busy: float
    peak_mib: float


def measure(what: str, run: Callable[[], object]) -> Run:
    """Do it, and look."""
    before, begun = _busy(), monotonic()
    with footprint(but=list(children(os.getpid()))) as held:
        run()
    return Run(what, monotonic() - begun, _busy() - before, held.peak_mib)


def _busy() -> float:
    """Seconds on processors, of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
