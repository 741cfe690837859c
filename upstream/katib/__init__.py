"""Katib's types, as upstream publishes them for Python: what an Experiment may hold.

Its module's hash is in no public log, so that Go refuses it, and its definitions of kinds have no schema. These types are made from its
code, and are kept once they are here.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from upstream import ROOM, UpstreamError, maven

NAME: Final = "katib"
_LOCK: Final = ROOM / NAME / "requirements.lock"


def types() -> Path:
    """A folder to import `kubeflow_katib_api` from, fetched when the cache does not hold it yet. It wants pydantic beside it.

    Raises UpstreamError when it can't be had, or is not what was pinned.
    """
    kept = maven.CACHE / f"{NAME}-types-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]}"
    if not kept.is_dir():
        maven.CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=maven.CACHE, prefix=".making-") as scratch:
            made = Path(scratch) / "types"
            _fetch(made)
            try:
                made.rename(kept)
            except OSError:
                if not kept.is_dir():  # another process was first
                    raise
    return kept


def _fetch(into: Path) -> None:
    command = (
        sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--only-binary=:all:",
        "--require-hashes", f"--requirement={_LOCK}", f"--target={into}",
    )  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise UpstreamError(f"Katib's types could not be had: {done.stderr.strip()}")
