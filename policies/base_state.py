"""What another commit declares, as a state to compare with: for who has no access to the real one.

A commit's files never change, so what it renders to is kept on this machine and made once.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

DONE: Final = "done"
"""File in the folder of a state that is complete."""

KEPT: Final = 12
"""States that stay, those that were made last: a branch needs one a stack."""


class BaseError(Exception):
    """There is no such commit; the message says which and what to do."""


def commit(reference: str, project: Path) -> str:
    """The commit that a branch, tag or commit names. Raises BaseError when there is none."""
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}")
    found = _git(project, *asked)
    if found.returncode != 0:
        raise BaseError(
            f"there is no commit {reference} here to compare with: fetch it, or name another by BASE="
        )
    return found.stdout.decode().strip()


def checkout(reference: str, into: Path, project: Path) -> None:
    """The files of a commit, without its history. Raises BaseError when there is no such commit."""
    archive = _git(project, "archive", "--format=tar", commit(reference, project))
    if archive.returncode != 0:
        raise BaseError(f"{reference} cannot be read: {archive.stderr.decode().strip()}")
    into.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(into, filter="data")


def folder(reference: str, stack: str, *, whole: bool) -> Path:
    """Where the state of a commit is kept: one for when all its charts were to be had, another for when not."""
    return _room() / f"{reference}-{stack}{'' if whole else '-partly'}"


def complete(made: Path) -> None:
    """Say that the state is whole, without the engine's own history of how it came about, and let the oldest others go."""
    for history in ("history", "backups"):
        shutil.rmtree(made / "state" / ".pulumi" / history, ignore_errors=True)
    (made / DONE).touch()
    done = sorted(_room().glob(f"*/{DONE}"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in done[KEPT:]:
        shutil.rmtree(old.parent, ignore_errors=True)


def _room() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "longhouse" / "previews"


def _git(project: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(project), *words], capture_output=True, check=False)
