"""How much memory a process and all that it starts hold at once, from Linux' /proc; nothing elsewhere."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_EVERY_SECONDS: Final = 2.0
"""What is read takes the kernel a walk through all pages of a process: more often would show in the time."""
_PROC: Final = Path("/proc")
_SHARE: Final = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


@dataclass
class Footprint:
    """The most that was seen."""

    peak_mib: float = 0


@contextmanager
def footprint(but: Collection[int] = ()) -> Iterator[Footprint]:
    """Look now and then, for as long as the body runs, and once before it ends. What the processes ``but`` hold is not counted."""
    found, stop = Footprint(), threading.Event()

    def watch() -> None:
        while True:
            found.peak_mib = max(found.peak_mib, held_mib(os.getpid(), but))
            if stop.wait(_EVERY_SECONDS):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        stop.set()
        watcher.join()


def held_mib(process: int, but: Collection[int] = ()) -> float:
    """What the process and its children's children hold now, each page divided among those that share it."""
    return sum(_own_mib(each) for each in _tree(process, but))


def children(process: int) -> Iterator[int]:
    """Those that run."""
    for task in _PROC.glob(f"{process}/task/*/children"):
        try:
            found = task.read_text().split()
        except OSError:  # It has ended.
            continue
        yield from map(int, found)


def _tree(process: int, but: Collection[int]) -> Iterator[int]:
    yield process
    for child in children(process):
        if child not in but:
            yield from _tree(child, but)


def _own_mib(process: int) -> float:
    try:
        found = _SHARE.search((_PROC / str(process) / "smaps_rollup").read_text())
    except OSError:
        return 0
    return int(found[1]) / 1024 if found else 0
