"""``make bench``: how long ``make up`` takes cold, warm and when there is nothing to do, and what it and the stores need.

All runs are of one session on one machine, on an embedded cluster of their own, so their ratios can be compared. Cold
means empty caches, Go's own included; packages of the distribution and the Python environment are left as they are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.table import Table

from bench import memory
from sandbox.places import CACHE, CHECKOUT, STATE
from sandbox.progress import clock

INSTANCE = "longhouse-bench"
STATES = STATE.parent
_SAMPLE_SECONDS = 0.5


@dataclass(frozen=True)
class Run:
    """One measured run: what it was, its wall-clock seconds, and the most memory the machine used above its start."""

    what: str
    seconds: float
    peak_mib: float


def main() -> int:
    """Measure, print a table; 0 when every run did what it should."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--profile", default="local")
    parser.add_argument(
        "--warm-only", action="store_true", help="leave the cold run out (it builds everything again)"
    )
    arguments = parser.parse_args()
    env = {**os.environ, "LONGHOUSE_INSTANCE": INSTANCE}
    runs = []
    _sandbox("down", env=env)
    if not arguments.warm_only:
        with tempfile.TemporaryDirectory(prefix="longhouse-cold-") as scratch:
            empty = {
                name: f"{scratch}/{name.lower()}" for name in ("XDG_CACHE_HOME", "GOCACHE", "GOMODCACHE")
            }
            # Go writes its module cache read-only; this lets the folder be taken away again.
            cold = {**env, **empty, "GOFLAGS": "-modcacherw"}
            runs.append(_measure("cold: empty caches", ["up", "--profile", arguments.profile], cold))
            _sandbox("down", env=cold)
    runs.append(_measure("warm: built, cluster down", ["up", "--profile", arguments.profile], env))
    runs.append(_measure("nothing to do: cluster up", ["up", "--profile", arguments.profile], env))
    held = memory.stores(str(STATES / INSTANCE / "kubeconfig"), str(STATES / INSTANCE / "bin" / "kubectl"))
    runs.append(_measure("down", ["down"], env))
    _print(runs)
    _print_stores(held)
    return 0


def _measure(what: str, words: list[str], env: dict[str, str]) -> Run:
    stop = threading.Event()
    used: list[float] = []

    def sample() -> None:
        while not stop.wait(_SAMPLE_SECONDS):
            used.append(_used_mib())

    before = _used_mib()
    sampler = threading.Thread(target=sample)
    begun = monotonic()
    sampler.start()
    try:
        _sandbox(*words, env=env)
    finally:
        stop.set()
        sampler.join()
    return Run(what, monotonic() - begun, max(used, default=before) - before)


def _sandbox(*words: str, env: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "sandbox", *words], check=True, cwd=CHECKOUT, env=env)


def _used_mib() -> float:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return (int(fields["MemTotal"].split()[0]) - int(fields["MemAvailable"].split()[0])) / 1024


def _print(runs: list[Run]) -> None:
    warm = next(run for run in runs if run.what.startswith("warm"))
    table = Table("run", "time", "times the warm one", "peak memory above start")
    for run in runs:
        table.add_row(
            run.what, clock(run.seconds), f"{run.seconds / warm.seconds:.2f}", f"{run.peak_mib:,.0f} MiB"
        )
    size = sum(path.stat().st_size for path in CACHE.rglob("*") if path.is_file()) / 2**20
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"cache of tools and images: {size:,.0f} MiB; {os.cpu_count()} cores")


def _print_stores(held: dict[str, float]) -> None:
    table = Table("server", "memory", title="Stores, soon after they are ready", title_justify="left")
    for name, mib in sorted(held.items()):
        table.add_row(name, f"{mib:,.0f} MiB")
    table.add_row("all", f"{sum(held.values()):,.0f} MiB")
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    sys.exit(main())
