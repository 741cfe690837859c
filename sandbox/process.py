"""Programs that keep running after ours ends, each remembered by process id and start time, which never name another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from sandbox.places import LOGS, STATE

_RECORDS = STATE / "processes"
_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Process:
    """A long-running program; its output goes to ``logs/<name>.log``."""

    name: str

    @property
    def pid(self) -> int | None:
        """Its process id on the machine, None when it does not run."""
        try:
            record = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return None
        return int(record["pid"]) if _started(record["pid"]) == record["started"] else None

    @property
    def log(self) -> Path:
        """What it wrote."""
        return LOGS / f"{self.name}.log"

    def start(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start it, whether or not one runs."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=env,
            )  # fmt: skip
        self.remember(process.pid)
        return process

    def ensure(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start it unless it runs."""
        if self.pid is None:
            self.start(command, env)

    def remember(self, pid: int) -> None:
        """Take the process ``pid`` for this one from now on."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        self._record.write_text(json.dumps({"pid": pid, "started": _started(pid)}))

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End it, by force after ten seconds, and wait until it has gone."""
        deadline = monotonic() + _GRACE_SECONDS
        while (pid := self.pid) is not None:
            os.kill(pid, with_signal if monotonic() < deadline else signal.SIGKILL)
            sleep(0.1)
        self._record.unlink(missing_ok=True)

    @property
    def _record(self) -> Path:
        return _RECORDS / f"{self.name}.json"


def stop_strays() -> None:
    """End what a killed run left running: every process whose program is a file of this embedded cluster's own."""
    for link in Path("/proc").glob("[0-9]*/exe"):
        try:
            program = link.readlink()
        except OSError:  # it has ended, or is not ours to see
            continue
        if program.is_relative_to(STATE):
            os.kill(int(link.parent.name), signal.SIGKILL)


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks since boot; None for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
