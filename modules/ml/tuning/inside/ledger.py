"""A study's trials in the tenant's MySQL, and who chooses the next: Optuna (https://optuna.readthedocs.io/en/v4.9.0/).

Optuna makes tables such as `studies` and `trials`; they stand in a schema of their own beside the tenant's, `<tenant>_tuning`.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import optuna
import pymysql
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from modules.ml.tuning.inside import record
from modules.ml.tuning.inside.driver import StudyError, Tally
from modules.ml.tuning.inside.plan import Failed, Parameter, Plan, Trial
from modules.ml.tuning.inside.record import Record

BINDING: Final = Path("/bindings/mysql")
SUFFIX: Final = "_tuning"
AWAY: Final = (optuna.exceptions.StorageInternalError, SQLAlchemyError, pymysql.err.OperationalError)
"""Errors of a server that does not answer."""

_SPACE, _POINT, _WHY, _KILLED, _SUBMITTED, _VOID = "space", "point", "why", "killed", "submitted", "void"
_FIXED: Final = "fixed_params"
"""Where Optuna keeps the parameters of a trial that was put into its queue."""

_STATUS: Final = {
    TrialState.RUNNING: record.RUNNING,
    TrialState.COMPLETE: record.FINISHED,
    TrialState.FAIL: record.FAILED,
}
"""How a trial is, as MLflow calls it."""


def opened(plan: Plan, binding: Path = BINDING) -> Book:
    """The study's ledger, begun when there is none. Raises StudyError when the one of its name is another study's, AWAY where the server is."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return Book(plan, storage(binding))


def storage(binding: Path) -> RDBStorage:
    """Optuna's, in the schema that it has for itself. Over TLS, with the server's name checked."""
    facts = {
        each: (binding / each).read_text() for each in ("host", "port", "database", "username", "password")
    }
    authority = binding / "ca.crt"
    trust = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
    schema = facts["database"] + SUFFIX
    account = {"user": facts["username"], "password": facts["password"], "ssl": trust}
    made = f"CREATE DATABASE IF NOT EXISTS `{schema}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci"
    with pymysql.connect(host=facts["host"], port=int(facts["port"]), **account) as server:
        server.cursor().execute(made)
    return RDBStorage(
        f"mysql+pymysql://{facts['host']}:{facts['port']}/{schema}?charset=utf8mb4",
        engine_kwargs={
            "connect_args": account,
            "pool_pre_ping": True,
            "pool_size": 1,
            "max_overflow": 1,
        },
    )


@dataclass
class Book:
    """A study's trials."""

    plan: Plan
    storage: RDBStorage
    study: optuna.Study = field(init=False)

    def __post_init__(self) -> None:
        self.study = optuna.create_study(
            study_name=self.plan.name,
            storage=self.storage,
            direction=self.plan.direction,
            load_if_exists=True,
        )
        known = self.study.user_attrs.get(_SPACE)
        if known is None:
            self.study.set_user_attr(_SPACE, self.plan.space)
        elif known != self.plan.space:
            raise StudyError(
                f"study {self.plan.name} was begun with another objective or other parameters: give this one another name"
            )
        self.study.sampler = sampler(self.plan, len(self._trials()))
        self._distributions = {each.name: distribution(each) for each in self.plan.parameters}

    def ask(self) -> Trial | None:
        """A new trial. One that was killed comes first, with its parameters; in a grid, then the next point."""
        if self.plan.algorithm == "grid" and not self._trials(TrialState.WAITING):
            taken = {each.user_attrs.get(_POINT) for each in self._trials()}
            point = next((each for each in range(self.plan.points()) if each not in taken), None)
            if point is None:
                return None
            self.study.enqueue_trial(self.plan.point(point), user_attrs={_POINT: point})
        asked = self.study.ask(self._distributions)
        return Trial(asked.number, self._parameters(asked.params))

    def open(self) -> Sequence[Trial]:
        """Those that were asked for and not told of yet."""
        found = []
        for each in self._trials(TrialState.RUNNING):
            if len(each.params) < len(self.plan.parameters):
                self._void(each)
            else:
                submitted = bool(each.user_attrs.get(_SUBMITTED))
                found.append(Trial(each.number, self._parameters(each.params), submitted))
        return found

    def submitted(self, trial: Trial) -> None:
        """Its Job is made."""
        self._note(trial.number, _SUBMITTED, True)

    def succeeded(self, trial: Trial, value: float) -> None:
        """It came to that."""
        self.study.tell(trial.number, value, skip_if_finished=True)

    def failed(self, trial: Trial, failure: Failed) -> None:
        """It came to nothing. One that was killed is asked for again."""
        self._note(trial.number, _WHY, failure.why)
        self._note(trial.number, _KILLED, failure.killed)
        self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        if failure.killed:
            self.study.enqueue_trial(dict(trial.parameters))

    def tally(self) -> Tally:
        """How many ended."""
        failed = [each for each in self._trials(TrialState.FAIL) if _VOID not in each.user_attrs]
        killed = sum(bool(each.user_attrs.get(_KILLED)) for each in failed)
        return Tally(len(self._trials(TrialState.COMPLETE)), len(failed) - killed, killed)

    def best(self) -> tuple[Trial, float] | None:
        """The best so far."""
        if not self._trials(TrialState.COMPLETE):
            return None
        found = self.study.best_trial
        assert found.value is not None
        return Trial(found.number, self._parameters(found.params), True), found.value

    def records(self) -> Sequence[Record]:
        """All trials, for MLflow: but for those that were put aside, and those that nobody has begun."""
        return [
            Record(
                each.number,
                self._parameters(each.params),
                _STATUS[each.state],
                each.value if each.state is TrialState.COMPLETE else None,
                str(each.user_attrs.get(_WHY, "")),
            )
            for each in self._trials(*_STATUS)
            if _VOID not in each.user_attrs and len(each.params) == len(self.plan.parameters)
        ]

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self.study.get_trials(deepcopy=False, states=states or None)
        return found

    def _parameters(self, found: dict[str, Any]) -> dict[str, Any]:
        return {each.name: found[each.name] for each in self.plan.parameters}

    def _void(self, trial: FrozenTrial) -> None:
        """Put a trial aside whose asker was cut off before all of its parameters were chosen."""
        self._note(trial.number, _VOID, True)
        self.study.tell(trial.number, state=TrialState.FAIL)
        if _FIXED in trial.system_attrs:
            self.study.enqueue_trial(trial.system_attrs[_FIXED], user_attrs=trial.user_attrs)

    def _note(self, number: int, key: str, value: Any) -> None:
        study = self.storage.get_study_id_from_name(self.plan.name)
        trial = self.storage.get_trial_id_from_study_id_trial_number(study, number)
        self.storage.set_trial_user_attr(trial, key, value)


def sampler(plan: Plan, begun: int) -> BaseSampler:
    """Who chooses. Chance goes on where it was: drawn from the same seed again it would ask for the first trials again.

    TPE weighs parameters together, as Optuna does by itself from 5.0 on: of 400 studies of the page's example, with parameters weighed alone 9 ended far from the best, and together none.
    """
    seed = None if plan.seed is None else (plan.seed + begun) % 2**32
    match plan.algorithm:
        case "tpe":
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                return TPESampler(seed=seed, constant_liar=plan.parallel_trials > 1, multivariate=True)
        case "cma-es":
            return CmaEsSampler(seed=seed)
        case _:
            return RandomSampler(seed=seed)


def distribution(parameter: Parameter) -> BaseDistribution:
    """Where a parameter's values come from, as Optuna has it."""
    match parameter.type:
        case "categorical":
            return CategoricalDistribution(parameter.choices)
        case "int":
            return IntDistribution(
                int(parameter.low), int(parameter.high), log=parameter.log, step=int(parameter.step)
            )
        case _:
            return FloatDistribution(
                parameter.low, parameter.high, log=parameter.log, step=parameter.step or None
            )
