"""A study as people see it in MLflow: an experiment, a run for the study, and below it a run for each trial.

What stands there follows the ledger: at each look the difference is written, so that nothing is lost by a driver that dies or by a server that is
away for a while. A study does not wait for it. MLflow's REST API is all that is needed (https://mlflow.org/docs/latest/rest-api.html).
"""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol

from modules.ml.tuning.inside.plan import STUDY, TRIAL, Plan, Value, written

BINDING: Final = Path("/bindings/tracking")
RUNNING, FINISHED, FAILED = "RUNNING", "FINISHED", "FAILED"
"""What MLflow calls how a run is."""

WHY: Final = "longhouse.dev/why"
"""Tag of a trial that came to nothing: what became of it."""

BEST: Final = "longhouse.dev/best-trial"
"""Tag of a study's run: the number of its best trial, whose result and parameters it has too."""

NAME: Final = "mlflow.runName"
PARENT: Final = "mlflow.parentRunId"
AWAY: Final = (OSError, HTTPException, ValueError)
"""Errors of a server that does not answer, or answers something else."""

_TIMEOUT_SECONDS: Final = 20
_NOT_FOUND: Final = 404
_LONGEST: Final = 5000
"""Characters of a tag that every MLflow takes."""

_MOST: Final = 1000


@dataclass(frozen=True)
class Record:
    """A trial as the ledger has it. ``why`` is said of one that came to nothing."""

    number: int
    parameters: Mapping[str, Value]
    status: str
    value: float | None = None
    why: str = ""


class Server(Protocol):
    """MLflow's API, as a tenant has it."""

    def call(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request. Raises one of ``AWAY``, HTTPError where it is refused."""


@dataclass(frozen=True)
class Bound:
    """The server that the tenant's binding names."""

    binding: Path = BINDING

    def call(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request."""
        known = {each: (self.binding / each).read_text() for each in ("uri", "username", "password")}
        request = urllib.request.Request(
            f"{known['uri']}/api/2.0/mlflow/{path}", method=method, data=json.dumps(body).encode()
        )
        own = base64.b64encode(f"{known['username']}:{known['password']}".encode()).decode()
        request.add_header("Authorization", f"Basic {own}")
        request.add_header("Content-Type", "application/json")
        trust = ssl.create_default_context(cafile=str(self.binding / "ca.crt"))
        with urllib.request.urlopen(request, context=trust, timeout=_TIMEOUT_SECONDS) as answer:
            found: dict[str, Any] = json.loads(answer.read() or "{}")
        return found


@dataclass
class Recorder:
    """One study's records. ``say`` prints what goes wrong, once for as long as it does."""

    plan: Plan
    server: Server
    say: Callable[[str], None]
    _experiment: str = ""
    _study: str = ""
    _runs: dict[int, str] = field(default_factory=dict)
    _told: dict[int, str] = field(default_factory=dict)
    _silent: bool = False

    def follow(self, records: Iterable[Record]) -> bool:
        """Write what is not there yet. Whether all of it is there now."""
        try:
            if not self._study:
                self._open()
            for each in records:
                self._record(each)
        except AWAY as problem:
            if not self._silent:
                self.say(f"MLflow has not all of it yet, and will: {problem}")
            self._silent = True
            return False
        self._silent = False
        return True

    def close(self, records: Iterable[Record], best: int | None, status: str) -> None:
        """The last words: those that ended, which was the best, and what became of the study."""
        records = list(records)
        if not self.follow(records):
            return
        try:
            for each in records:
                if each.number == best:
                    self._log(self._study, each.parameters, each.value, {BEST: str(each.number)})
            self._end(self._study, status)
        except AWAY as problem:
            self.say(f"MLflow does not know that the study is over: {problem}")

    def _open(self) -> None:
        """Find the experiment and what is in it, or begin."""
        self._experiment = self._found() or str(
            self.server.call("POST", "experiments/create", {"name": self.plan.name})["experiment_id"]
        )
        study = ""
        for run in self._all():
            tags = {each["key"]: each["value"] for each in run.get("data", {}).get("tags", ())}
            if TRIAL in tags:
                self._runs[int(tags[TRIAL])] = run["info"]["run_id"]
                self._told[int(tags[TRIAL])] = run["info"]["status"]
            elif tags.get(STUDY) == self.plan.name:
                study = run["info"]["run_id"]
        if study:
            self.server.call("POST", "runs/update", {"run_id": study, "status": RUNNING})
        self._study = study or self._begin(self.plan.name, {STUDY: self.plan.name})

    def _found(self) -> str:
        try:
            answer = self.server.call("GET", f"experiments/get-by-name?experiment_name={self.plan.name}", {})
        except urllib.error.HTTPError as refusal:
            if refusal.code != _NOT_FOUND:
                raise
            return ""
        return str(answer["experiment"]["experiment_id"])

    def _all(self) -> Iterable[dict[str, Any]]:
        page = ""
        while True:
            wanted = {"experiment_ids": [self._experiment], "max_results": _MOST, "page_token": page}
            answer = self.server.call("POST", "runs/search", wanted)
            yield from answer.get("runs", ())
            page = answer.get("next_page_token", "")
            if not page:
                return

    def _record(self, record: Record) -> None:
        if self._told.get(record.number) == record.status:
            return
        if record.number not in self._runs:
            tags = {STUDY: self.plan.name, TRIAL: str(record.number), PARENT: self._study}
            self._runs[record.number] = self._begin(f"{self.plan.name}-{record.number}", tags)
            self._told[record.number] = RUNNING
            self._log(self._runs[record.number], record.parameters, None, {})
        if record.status != RUNNING:
            why = {WHY: record.why[:_LONGEST]} if record.why else {}
            # With the parameters again: a driver may have been cut off before it wrote them.
            self._log(self._runs[record.number], record.parameters, record.value, why)
            self._end(self._runs[record.number], record.status)
        self._told[record.number] = record.status

    def _begin(self, name: str, tags: Mapping[str, str]) -> str:
        body = {
            "experiment_id": self._experiment,
            "start_time": _now(),
            "run_name": name,
            "tags": _pairs({NAME: name, **tags}),
        }
        return str(self.server.call("POST", "runs/create", body)["run"]["info"]["run_id"])

    def _log(
        self, run: str, parameters: Mapping[str, Value], value: float | None, tags: Mapping[str, str]
    ) -> None:
        metric = {"key": self.plan.metric, "value": value, "timestamp": _now(), "step": 0}
        body = {
            "run_id": run,
            "params": _pairs({name: written(each) for name, each in parameters.items()}),
            "metrics": [] if value is None else [metric],
            "tags": _pairs(tags),
        }
        if body["params"] or body["metrics"] or body["tags"]:
            self.server.call("POST", "runs/log-batch", body)

    def _end(self, run: str, status: str) -> None:
        self.server.call("POST", "runs/update", {"run_id": run, "status": status, "end_time": _now()})


def _pairs(found: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in found.items()]


def _now() -> int:
    """Milliseconds, as MLflow counts."""
    return time.time_ns() // 1_000_000
