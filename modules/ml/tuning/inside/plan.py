"""What a study's driver is told, and everything about it that is decided without asking anybody: placeholders, a trial's Job, what came of one,
and the points of a grid."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Final

STUDY: Final = "longhouse.dev/study"
"""Label of a study's driver and of its trials."""

TRIAL: Final = "longhouse.dev/trial"
"""Label of a trial's Job: its number."""

PARAMETERS: Final = "longhouse.dev/parameters"
"""Annotation of a trial's Job: what it was started with, as JSON."""

_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{([a-z][a-z0-9_]*)\}")
_METRIC: Final = re.compile(r"([\w|-]+)\s*=\s*([+-]?\d*(?:\.\d+)?(?:[Ee][+-]?\d+)?)")
"""Katib's own filter of what a trial prints (`DefaultFilter` of its metrics collectors), so that a program that works with one works with both."""

_KILLED: Final = frozenset({137, 143})
"""Exit codes of a process that somebody ended: by the signals KILL and TERM."""

Value = float | int | str


@dataclass(frozen=True)
class Parameter:
    """One parameter. ``choices`` are a categorical one's, and it has nothing else; ``step`` 0 is none."""

    name: str
    type: str
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    step: float | int = 0
    choices: tuple[str, ...] = ()

    @property
    def grid(self) -> Sequence[Value]:
        """Its values in a grid, in order."""
        if self.type == "categorical":
            return self.choices
        # A float's last point is on the grid when only its arithmetic says that it is beyond.
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [self.low + number * self.step for number in range(count)]


@dataclass(frozen=True)
class Plan:
    """A study as its driver runs it. ``job`` is the Job of a trial, with placeholders in its container's command and environment."""

    name: str
    metric: str
    direction: str
    algorithm: str
    seed: int | None
    max_trials: int
    parallel_trials: int
    max_failed: int
    parameters: tuple[Parameter, ...]
    job: Mapping[str, Any]

    @property
    def text(self) -> str:
        """For the driver."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, text: str) -> Plan:
        """From that text."""
        facts = json.loads(text)
        parameters = [{**each, "choices": tuple(each["choices"])} for each in facts.pop("parameters")]
        return cls(**facts, parameters=tuple(Parameter(**each) for each in parameters))

    @property
    def space(self) -> str:
        """What a study cannot change once it has begun: where it looks, and for what."""
        return json.dumps(
            [self.metric, self.direction, [asdict(each) for each in self.parameters]], sort_keys=True
        )

    def points(self) -> int:
        """How many there are in its grid."""
        return prod(len(each.grid) for each in self.parameters)

    def point(self, number: int) -> dict[str, Value]:
        """That one of the grid's."""
        chosen: dict[str, Value] = {}
        for each in reversed(self.parameters):
            number, at = divmod(number, len(each.grid))
            chosen[each.name] = each.grid[at]
        return {each.name: chosen[each.name] for each in self.parameters}


def placeholders(texts: Iterable[str]) -> Iterator[str]:
    """Names that stand in braces, each as often as it does. A shell's `${name}` is none."""
    return itertools.chain.from_iterable(_PLACEHOLDER.findall(text) for text in texts)


def filled(job: Mapping[str, Any], put: Callable[[str], str]) -> dict[str, Any]:
    """The Job with what ``put`` gives for each placeholder's name."""

    def of(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: put(found[1]), text)

    whole = copy.deepcopy(dict(job))
    container = whole["spec"]["template"]["spec"]["containers"][0]
    container["command"] = [of(each) for each in container["command"]]
    container["env"] = [{**each, "value": of(each["value"])} for each in container.get("env", ())]
    return whole


def written(value: Value) -> str:
    """A parameter's value as a program reads it."""
    return value if isinstance(value, str) else repr(value)


@dataclass(frozen=True)
class Trial:
    """One trial. ``submitted`` says whether its Job has been made."""

    number: int
    parameters: Mapping[str, Value]
    submitted: bool = False

    @property
    def told(self) -> str:
        """Its parameters, for people."""
        return " ".join(f"{name}={written(value)}" for name, value in self.parameters.items())

    @property
    def key(self) -> str:
        """Its parameters, for comparing."""
        return json.dumps(dict(self.parameters), sort_keys=True)


@dataclass(frozen=True)
class Owner:
    """The driver's own Job: what is deleted with it names it."""

    name: str
    uid: str


def job_name(plan: Plan, trial: Trial) -> str:
    """Name of the trial's Job: there cannot be two."""
    return f"{plan.name}-{trial.number}"


def job_of(plan: Plan, trial: Trial, owner: Owner) -> dict[str, Any]:
    """The Job of a trial. It is no controller's that the driver's Job is: Kueue would take it for counted with that."""
    job = filled(plan.job, lambda name: written(trial.parameters[name]))
    labels = {STUDY: plan.name, TRIAL: str(trial.number)}
    spec = job["spec"]
    return {
        **job,
        "spec": {**spec, "template": {**spec["template"], "metadata": {"labels": labels}}},
        "metadata": {
            "name": job_name(plan, trial),
            "labels": {**job["metadata"]["labels"], **labels},
            "annotations": {PARAMETERS: trial.key},
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": owner.name, "uid": owner.uid}
            ],
        },
    }


def metric(name: str, lines: Iterable[str]) -> float | None:
    """The last number that was printed under the name; None where none was."""
    found: float | None = None
    for line in lines:
        for key, value in _METRIC.findall(line):
            if key == name and any(each.isdigit() for each in value):
                found = float(value)
    return found


@dataclass(frozen=True)
class Succeeded:
    """A trial whose Job is complete; ``pod`` holds what it printed, None where nobody has that any more."""

    pod: str | None


@dataclass(frozen=True)
class Failed:
    """A trial that ended without a result. ``killed`` says that its program is not to blame, so that it may be tried again."""

    why: str
    killed: bool = False


def outcome(
    job: Mapping[str, Any], pods: Callable[[], Sequence[Mapping[str, Any]]]
) -> Succeeded | Failed | None:
    """What came of a trial's Job; None while it waits or runs. ``pods`` gives its pods."""
    ended = {
        each["type"]: each for each in job.get("status", {}).get("conditions", ()) if each["status"] == "True"
    }
    if "Complete" in ended:
        names = [each["metadata"]["name"] for each in pods() if each["status"].get("phase") == "Succeeded"]
        return Succeeded(names[0] if names else None)
    if "Failed" not in ended:
        return None
    if ended["Failed"].get("reason") == "DeadlineExceeded":
        return Failed("took longer than it may")
    ends = [
        state["terminated"]
        for pod in pods()
        for container in pod["status"].get("containerStatuses", ())
        if "terminated" in (state := container.get("state", {}))
    ]
    for end in ends:
        code, reason = int(end["exitCode"]), end.get("reason", "")
        if reason == "OOMKilled":
            return Failed("wanted more memory than trial.memory")
        if code not in _KILLED and code:
            return Failed(f"ended with exit code {code}")
    return Failed("was killed", killed=True)
