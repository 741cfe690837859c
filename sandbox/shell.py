"""Running other programs: one way to do it, and one way to fail."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep


class SandboxError(Exception):
    """Something the person at the keyboard must know; the message says what happened and the way out."""


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run a command to its end and return what it printed.

    Raises SandboxError with the command and the last lines it wrote when it fails, is missing, or takes too long
    (``timeout`` in seconds).
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env=env, cwd=cwd, input=stdin, timeout=timeout
        )
    except FileNotFoundError:
        raise SandboxError(f"the program {words[0]!r} is missing on this machine") from None
    except subprocess.TimeoutExpired:
        raise SandboxError(f"no answer within {timeout:.0f} seconds: {' '.join(words)}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-20:]
        raise SandboxError(f"exit code {done.returncode}: {' '.join(words)}\n    " + "\n    ".join(said))
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """Whether a command can be run and ends well."""
    try:
        run(*command)
    except SandboxError:
        return False
    return True


def wait_until(what: str, ready: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    """Return as soon as ``ready()`` is true.

    Raises SandboxError naming ``what`` (and the end of ``log``) when it is not true after ``seconds``.
    """
    deadline = monotonic() + seconds
    while not ready():
        if monotonic() > deadline:
            tail = log.read_text(errors="replace").splitlines()[-15:] if log and log.exists() else []
            raise SandboxError("\n    ".join([f"{what}: not so after {seconds:.0f} seconds", *tail]))
        sleep(0.2)
