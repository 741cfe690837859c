"""What a person sees while something long runs: what is being done, and how long is left."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

from rich.console import Console

from sandbox.places import CACHE

_HISTORY = CACHE / "durations.json"
_REMINDER_SECONDS = 20.0


def clock(seconds: float) -> str:
    """A duration as a person says it: ``8s``, ``3m05s``."""
    whole = round(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60:02d}s"


class Progress:
    """Tells of tasks as they run, with an estimate learned from this machine's earlier runs.

    ``expected`` gives every task that will run and its seconds on a two-core machine, used until this machine has a
    figure of its own. ``workers`` is how many run side by side. A terminal gets a line that moves; a pipe gets whole
    lines, one when a task starts, one when it ends, and one now and then in between.
    """

    def __init__(
        self, expected: Mapping[str, float], workers: int = 1, console: Console | None = None
    ) -> None:
        self._console = console or Console(highlight=False)
        self._measured = _read_history()
        self._left = {name: self._measured.get(name, seconds) for name, seconds in expected.items()}
        self._total = len(self._left)
        self._begun: dict[str, float] = {}
        self._notes: dict[str, str] = {}
        self._workers = workers
        self._lock = threading.Lock()

    def remaining(self) -> float:
        """Seconds until all tasks are done, as far as can be told."""
        with self._lock:
            now = monotonic()
            return sum(
                max(seconds - (now - self._begun[name]) if name in self._begun else seconds, 0.0)
                for name, seconds in self._left.items()
            ) / self._workers  # fmt: skip

    def one_at_a_time(self) -> None:
        """From now on tasks run one after another."""
        self._workers = 1

    def note(self, name: str, text: str) -> None:
        """Add a few words to the line of a running task."""
        self._notes[name] = text

    @contextmanager
    def task(self, name: str) -> Iterator[None]:
        """Tell of one task while the body runs, and remember how long it took if it ends well."""
        with self._lock:
            self._left.setdefault(name, 0.0)
            self._begun[name] = begun = monotonic()
            number = len(self._begun)
        ended = threading.Event()
        reporter = threading.Thread(target=self._report, args=(name, number, ended), daemon=True)
        reporter.start()
        try:
            yield
        except BaseException:
            ended.set()
            reporter.join()
            self._console.print(f"[red]failed[/]  {name} after {clock(monotonic() - begun)}")
            raise
        ended.set()
        reporter.join()
        took = monotonic() - begun
        with self._lock:
            self._left[name] = 0.0
            self._measured[name] = took
            _write_history(self._measured)
        self._console.print(f"[green]done[/]    {name} in {clock(took)}")

    def _report(self, name: str, number: int, ended: threading.Event) -> None:
        begun = self._begun[name]

        def line() -> str:
            note = f", {self._notes[name]}" if name in self._notes else ""
            return (
                f"[{number}/{max(self._total, number)}] {name} ({clock(monotonic() - begun)}{note}; "
                f"about {clock(self.remaining())} left)"
            )

        if not self._console.is_terminal:
            self._console.print(line(), markup=False)
            while not ended.wait(_REMINDER_SECONDS):
                self._console.print(line(), markup=False)
        elif self._workers == 1:
            with self._console.status(line()) as status:
                while not ended.wait(0.5):
                    status.update(line().replace("[", r"\["))
        else:
            self._console.print(line(), markup=False)
            ended.wait()


def _read_history() -> dict[str, float]:
    try:
        history = json.loads(_HISTORY.read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): float(seconds) for name, seconds in history.items()}


def _write_history(measured: Mapping[str, float]) -> None:
    _HISTORY.parent.mkdir(parents=True, exist_ok=True)
    partial = _HISTORY.with_suffix(".partial")
    partial.write_text(json.dumps(measured, indent=1, sort_keys=True))
    partial.replace(_HISTORY)
