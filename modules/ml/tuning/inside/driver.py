"""Runs a study: asks for parameters, starts a Job with them in the tenant's queue, tells what came of it, and begins again.

Level-triggered: what is known stands in the study's ledger and in the Jobs, nothing in the driver. One that is started again finds trials
that run, by their label, and takes them over; a trial's Job is named after its number, so that none is started twice.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from modules.kit.inside.api_server import ApiServer
from modules.ml.tuning.inside.plan import (
    PARAMETERS,
    STUDY,
    TRIAL,
    Failed,
    Owner,
    Plan,
    Succeeded,
    Trial,
    job_name,
    job_of,
    metric,
    outcome,
)
from modules.ml.tuning.inside.record import FAILED, FINISHED, Bound, Record, Recorder

GIVEN_UP: Final = 3
"""Exit code of a study that is over without what it was to find: started again it would be no better."""

TRACKED: Final = "STUDY_TRACKED"
"""Variable of a driver whose tenant has MLflow."""

_PAUSE_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 600.0
"""How long the API server or MySQL may be away before the driver ends, to be started again later."""

_CONFLICT, _GONE = 409, 404
_REFUSED: Final = frozenset({400, 403, 422})
"""What the API server answers to a Job that it will never take."""


class StudyError(Exception):
    """The study cannot go on; the text says why and what to do."""


@dataclass(frozen=True)
class Tally:
    """Trials by how they ended."""

    succeeded: int = 0
    failed: int = 0
    killed: int = 0


class Ledger(Protocol):
    """What is known of a study's trials, kept where it outlives the driver."""

    def ask(self) -> Trial | None:
        """A new trial, or None when there is nothing left to try."""

    def open(self) -> Sequence[Trial]:
        """Trials that were asked for and not told of yet."""

    def submitted(self, trial: Trial) -> None:
        """Its Job is made."""

    def succeeded(self, trial: Trial, value: float) -> None:
        """It came to that."""

    def failed(self, trial: Trial, failure: Failed) -> None:
        """It came to nothing. One that was killed will be asked for again."""

    def tally(self) -> Tally:
        """How many ended."""

    def best(self) -> tuple[Trial, float] | None:
        """The best so far."""

    def records(self) -> Sequence[Record]:
        """All trials, for MLflow."""


@dataclass(frozen=True)
class Cluster:
    """Trials' Jobs, as the driver's account sees them."""

    server: ApiServer
    study: str

    @property
    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.server.namespace}/jobs"

    @property
    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.server.namespace}/pods"

    def jobs(self) -> dict[int, dict[str, Any]]:
        """Those of the study that are not being deleted, by the number of the trial."""
        found = self.server.call("GET", f"{self._jobs}?labelSelector={STUDY}%3D{self.study},{TRIAL}")
        return {
            int(each["metadata"]["labels"][TRIAL]): each
            for each in found["items"]
            if "deletionTimestamp" not in each["metadata"]
        }

    def create(self, job: Mapping[str, Any]) -> None:
        """Start one; one that is there already is left as it is."""
        try:
            self.server.create(self._jobs, job)
        except urllib.error.HTTPError as refusal:
            if refusal.code == _CONFLICT:
                return
            if refusal.code in _REFUSED:
                said = json.loads(refusal.read() or "{}").get("message", refusal.reason)
                raise StudyError(f"a trial was refused: {said}") from refusal
            raise

    def delete(self, name: str) -> None:
        """Take one away, with its pods."""
        try:
            self.server.call("DELETE", f"{self._jobs}/{name}?propagationPolicy=Background")
        except urllib.error.HTTPError as refusal:
            if refusal.code != _GONE:
                raise

    def pods(self, name: str) -> list[dict[str, Any]]:
        """The pods of one."""
        selector = f"batch.kubernetes.io/job-name%3D{name}"
        found: list[dict[str, Any]] = self.server.call("GET", f"{self._pods}?labelSelector={selector}")[
            "items"
        ]
        return found

    def metric(self, pod: str, name: str) -> float | None:
        """What a pod printed last under the name. Raises HTTPError 404 where its log is gone."""
        return metric(name, self.server.lines(f"{self._pods}/{pod}/log?container=trial"))


@dataclass
class Driver:
    """One study. ``say`` prints what happens; ``recorder`` is None where the tenant has no MLflow."""

    plan: Plan
    ledger: Ledger
    cluster: Cluster
    owner: Owner
    say: Callable[[str], None] = field(default=lambda line: print(line, flush=True))
    recorder: Recorder | None = None

    def step(self) -> bool:
        """Look once, and do what there is to do. Whether there will be more.

        Raises StudyError when the study is given up, OSError when the API server does not answer.
        """
        jobs = self.cluster.jobs()
        for trial in self.ledger.open():
            self._look_at(trial, jobs.pop(trial.number, None))
        for job in jobs.values():
            self._tidy(job)
        tally, waiting = self.ledger.tally(), len(self.ledger.open())
        if tally.failed + tally.killed >= self.plan.max_failed:
            raise StudyError(
                f"{tally.failed} trials failed and {tally.killed} were killed, which is max_failed ({self.plan.max_failed}): see what those "
                f"that are left printed (kubectl logs -l {STUDY}={self.plan.name}), mend it, and submit the study again under another name"
            )
        left = self.plan.max_trials - tally.succeeded - tally.failed - waiting
        for _ in range(min(self.plan.parallel_trials - waiting, left)):
            asked = self.ledger.ask()
            if asked is None:
                break
            self._submit(asked)
            waiting += 1
        if not waiting:
            for job in self.cluster.jobs().values():
                self._tidy(job)
        return waiting > 0

    def end(self) -> None:
        """Let nothing of a study that is over run on."""
        for trial in self.ledger.open():
            self.cluster.delete(job_name(self.plan, trial))
            self.ledger.failed(trial, Failed("was not waited for"))
        self._close(FAILED)

    def conclude(self) -> int:
        """Say what was found; gives the exit code."""
        best, tally = self.ledger.best(), self.ledger.tally()
        self._close(FINISHED if best else FAILED)
        if best is None:
            print("error: no trial came to anything", file=sys.stderr)
            return GIVEN_UP
        trial, value = best
        facts = {
            "study": self.plan.name,
            "trials": tally.succeeded,
            "best": {"trial": trial.number, self.plan.metric: value, "parameters": dict(trial.parameters)},
        }
        self.say(json.dumps(facts))
        return 0

    def record(self) -> None:
        """Let MLflow know what the ledger knows."""
        if self.recorder:
            self.recorder.follow(self.ledger.records())

    def _close(self, status: str) -> None:
        if self.recorder:
            best = self.ledger.best()
            self.recorder.close(self.ledger.records(), best[0].number if best else None, status)

    def _look_at(self, trial: Trial, job: Mapping[str, Any] | None) -> None:
        if job is None and not trial.submitted:
            self._submit(trial)  # cut off before its Job was made
        elif job is None:
            self._failed(trial, Failed("was killed: its Job is gone", killed=True))
        elif job["metadata"].get("annotations", {}).get(PARAMETERS) != trial.key:
            raise StudyError(
                f"Job {job_name(self.plan, trial)} is there and has other parameters: it is of an earlier study of this name; delete it"
            )
        else:
            if not trial.submitted:
                self.ledger.submitted(trial)
            self._tell(trial, outcome(job, lambda: self.cluster.pods(job_name(self.plan, trial))))

    def _submit(self, trial: Trial) -> None:
        self.cluster.create(job_of(self.plan, trial, self.owner))
        self.ledger.submitted(trial)
        self.say(f"trial {trial.number} waits in the queue: {trial.told}")

    def _tell(self, trial: Trial, came: Succeeded | Failed | None) -> None:
        match came:
            case Succeeded(pod):
                self._read(trial, pod)
            case Failed():
                self._failed(trial, came)

    def _read(self, trial: Trial, pod: str | None) -> None:
        try:
            value = self.cluster.metric(pod, self.plan.metric) if pod else None
        except urllib.error.HTTPError as refusal:
            if refusal.code != _GONE:
                raise
            pod, value = None, None
        if pod is None:
            self._failed(trial, Failed("ended, and what it printed is gone", killed=True))
        elif value is None:
            self._failed(trial, Failed(f"printed no {self.plan.metric}=<number>"))
        else:
            self.ledger.succeeded(trial, value)
            self.say(f"trial {trial.number} ended: {self.plan.metric}={value!r} with {trial.told}")

    def _failed(self, trial: Trial, failure: Failed) -> None:
        self.ledger.failed(trial, failure)
        again = ", and is tried again" if failure.killed else ""
        self.say(f"trial {trial.number} {failure.why}{again}: {trial.told}")

    def _tidy(self, job: Mapping[str, Any]) -> None:
        """Take away what has been told of, and what nobody waits for. What failed is left for people to look at; it goes with the driver's Job."""
        conditions = job.get("status", {}).get("conditions", ())
        if not any(each["type"] == "Failed" and each["status"] == "True" for each in conditions):
            self.cluster.delete(job["metadata"]["name"])


def run(
    driver: Driver, away: tuple[type[Exception], ...], pause: Callable[[float], None] = time.sleep
) -> int:
    """The study to its end; gives the exit code. ``away`` are errors that pass when a server is back: they are waited for, for a while, then raised."""
    last = time.monotonic()
    while True:
        try:
            more = driver.step()
            driver.record()
            last = time.monotonic()
        except StudyError as problem:
            driver.end()
            print(f"error: {problem}", file=sys.stderr)
            return GIVEN_UP
        except away as problem:
            if time.monotonic() - last > _PATIENCE_SECONDS:
                raise
            driver.say(f"waiting: {problem}")
            more = True
        if not more:
            return driver.conclude()
        pause(_PAUSE_SECONDS)


def main() -> int:
    """Run on what the pod was told; the exit code is 0 when the study has come to its end."""
    from modules.ml.tuning.inside import ledger

    plan = Plan.of(os.environ["STUDY_PLAN"])
    try:
        book = ledger.opened(plan)
    except StudyError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return GIVEN_UP
    owner = Owner(os.environ["STUDY_JOB"], os.environ["STUDY_JOB_UID"])
    driver = Driver(plan, book, Cluster(ApiServer(), plan.name), owner)
    if TRACKED in os.environ:
        driver.recorder = Recorder(plan, Bound(), driver.say)
    return run(driver, (OSError, *ledger.AWAY))


if __name__ == "__main__":
    sys.exit(main())
