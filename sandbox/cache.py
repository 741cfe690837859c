"""What was built once, outside of the checkout."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_builder(path: Path) -> Iterator[None]:
    """Let one process at a time build what the cache is to hold at ``path``: another waits, and finds it there.

    The kernel ends the wait also where a builder was killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
