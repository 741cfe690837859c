"""Tuning: what a study becomes, and what the program that runs it does, whatever happens to it and its trials."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.error import HTTPError, URLError

import pulumi
import pytest
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace

from modules.data.store import StoreContext
from modules.foundation.certificates.authority import Authority
from modules.ml.tuning import jobs, katib
from modules.ml.tuning.component import Tuning
from modules.ml.tuning.config import Tuning as Config
from modules.ml.tuning.inside import driver, plan
from modules.ml.tuning.inside.driver import Driver, StudyError, Tally, run
from modules.ml.tuning.inside.plan import Failed, Owner, Parameter, Plan, Succeeded, Trial
from modules.ml.tuning.inside.record import Record
from modules.ml.tuning.study import Study
from tests.conftest import Recording, record
from tests.unit.examples import CLUSTER, CREDENTIALS

STUDY = Study.model_validate(
    {
        "name": "valley",
        "tenant": "atlas",
        "objective": {"metric": "loss", "direction": "minimize"},
        "parameters": {
            "x": {"type": "float", "low": -5, "high": 5},
            "rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
            "depth": {"type": "int", "low": 2, "high": 8, "step": 2},
            "kind": {"type": "categorical", "choices": ["adam", "sgd"]},
        },
        "max_trials": 6,
        "parallel_trials": 2,
        "trial": {
            "command": ["python3", "train.py", "--x={x}", "--rate={rate}", "--depth", "{depth}"],
            "environment": {"KIND": "{kind}", "HOME": "${x}"},
            "priority": "low",
            "stores": ["object-store"],
            "minutes": 30,
        },
    }
)
IMAGE = "longhouse/training:1"
OWNER = Owner("valley", "1234")
TENANTS = ("atlas", "borealis")


def edited(**changes: Any) -> Study:
    """The study with other fields; those of the trial are named so."""
    facts = STUDY.model_dump(mode="json")
    facts["trial"] |= changes.pop("trial", {})
    return Study.model_validate({**facts, **changes})


@functools.cache
def declared(shared: bool = True, here: tuple[str, ...] = TENANTS) -> Recording:
    def program() -> None:
        context = StoreContext(
            owner="us",
            cluster=CLUSTER,
            credentials=CREDENTIALS,
            authority=Authority(CREDENTIALS),
            homes={name: Namespace(f"home-{name}", metadata={"name": f"tenant-{name}"}) for name in here},
            monitors=ConfigMap("monitors", metadata={"name": "monitors"}) if shared else None,
        )
        Tuning("tuning", context=context, tenants=TENANTS, opts=pulumi.ResourceOptions())

    return record(program)


class TestTenants:
    def test_each_has_an_account_that_may_start_and_end_trials_and_read_them_and_nothing_else(self) -> None:
        bindings = declared().of("rbac.authorization.k8s.io/v1:RoleBinding")
        assert {
            (each.metadata.namespace, each.inputs.subjects[0].namespace, each.inputs.subjects[0].name)
            for each in bindings
        } == {(f"tenant-{name}", f"tenant-{name}", "tuning") for name in TENANTS}
        role = declared().one("rbac.authorization.k8s.io/v1:ClusterRole", "longhouse:tenant-tuning")
        assert [(list(rule.resources), list(rule.verbs)) for rule in role.inputs.rules] == [
            (["jobs"], ["create", "delete", "list"]),
            (["pods"], ["list"]),
            (["pods/log"], ["get"]),
        ]

    def test_each_has_the_drivers_program(self) -> None:
        for each in declared().of("core/v1:ConfigMap"):
            if each.object_name == "tuning-driver":
                assert each.inputs["data"] == jobs.DRIVER.data
        assert len(declared().of("core/v1:ConfigMap")) == 1 + len(TENANTS)

    def test_the_stack_of_a_group_declares_what_stands_in_its_own_tenants_homes(self) -> None:
        group = declared(shared=False, here=("borealis",))
        assert {each.metadata.namespace for each in group.of("core/v1:ServiceAccount")} == {"tenant-borealis"}
        assert not group.of("rbac.authorization.k8s.io/v1:ClusterRole")


def made() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(jobs.driver(STUDY, Config(), IMAGE)))
    return found


class TestDriversJob:
    def test_it_is_queued_in_its_tenants_namespace(self) -> None:
        assert made()["metadata"]["namespace"] == "tenant-atlas"
        assert made()["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "default"

    def test_it_finds_the_study_the_program_and_the_schema(self) -> None:
        template = made()["spec"]["template"]
        assert Plan.of(template["metadata"]["annotations"][jobs.PLAN]) == jobs.plan(STUDY, IMAGE)
        assert {each["name"] for each in template["spec"]["volumes"]} == {"tmp", "program", "mysql"}
        (container,) = template["spec"]["containers"]
        environment = {each["name"]: each for each in container["env"]}
        assert (
            environment["STUDY_PLAN"]["valueFrom"]["fieldRef"]["fieldPath"]
            == f"metadata.annotations['{jobs.PLAN}']"
        )
        items = next(
            each["configMap"]["items"] for each in template["spec"]["volumes"] if "configMap" in each
        )
        assert {each["path"] for each in items} == set(jobs.DRIVER.files)

    def test_only_a_study_that_is_given_up_ends_it(self) -> None:
        rules = made()["spec"]["podFailurePolicy"]["rules"]
        assert [(each["action"], each.get("onExitCodes")) for each in rules] == [
            ("FailJob", {"operator": "In", "values": [driver.GIVEN_UP]}),
            ("Ignore", None),
        ]
        assert made()["spec"]["backoffLimit"] > 0
        assert made()["spec"]["podReplacementPolicy"] == "Failed", "there are never two"

    def test_a_driver_may_have_more_cores_than_one(self) -> None:
        job = jobs.driver(STUDY, Config(cpu="2"), IMAGE)
        resources = job["spec"]["template"]["spec"]["containers"][0]["resources"]
        assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("2", "2")


class TestTrialsJob:
    def test_it_waits_in_the_tenants_queue_with_its_priority(self) -> None:
        labels = jobs.trial(STUDY, IMAGE)["metadata"]["labels"]
        assert labels == {"kueue.x-k8s.io/queue-name": "default", "kueue.x-k8s.io/priority-class": "low"}

    def test_one_with_gpus_waits_in_the_queue_for_those(self) -> None:
        job = jobs.trial(edited(trial={"gpus": 2, "priority": None}), IMAGE)
        assert job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "gpu"}
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"

    def test_it_has_no_token_and_no_account_of_the_drivers(self) -> None:
        pod = jobs.trial(STUDY, IMAGE)["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert "serviceAccountName" not in pod

    def test_it_mounts_the_stores_that_are_named_and_no_others(self) -> None:
        def mounted(study: Study) -> list[str]:
            (container,) = jobs.trial(study, IMAGE)["spec"]["template"]["spec"]["containers"]
            return [each["mountPath"] for each in container["volumeMounts"]]

        assert mounted(STUDY) == ["/tmp", "/bindings/object-store"]
        assert mounted(edited(trial={"stores": []})) == ["/tmp"]

    def test_one_that_fails_is_not_started_again_by_kubernetes(self) -> None:
        spec = jobs.trial(STUDY, IMAGE)["spec"]
        assert spec["backoffLimit"] == 0
        assert spec["activeDeadlineSeconds"] == 30 * 60
        assert "activeDeadlineSeconds" not in jobs.trial(edited(trial={"minutes": None}), IMAGE)["spec"]

    def test_its_own_image_is_what_it_runs_in(self) -> None:
        def image(study: Study) -> str:
            return str(jobs.trial(study, IMAGE)["spec"]["template"]["spec"]["containers"][0]["image"])

        assert (image(STUDY), image(edited(trial={"image": "mine:1"}))) == (IMAGE, "mine:1")


PLAN = jobs.plan(STUDY, IMAGE)
FIRST = Trial(0, {"x": -1.5, "rate": 1e-05, "depth": 4, "kind": "sgd"})


class TestPlan:
    def test_it_reads_what_it_wrote(self) -> None:
        assert Plan.of(PLAN.text) == PLAN

    def test_placeholders_are_filled_and_a_shells_variables_are_left(self) -> None:
        job = plan.job_of(PLAN, FIRST, OWNER)
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["python3", "train.py", "--x=-1.5", "--rate=1e-05", "--depth", "4"]
        assert [each["value"] for each in container["env"]] == ["sgd", "${x}"]

    def test_a_trials_job_is_named_by_its_number_and_belongs_to_the_drivers_but_is_not_counted_with_it(
        self,
    ) -> None:
        meta = plan.job_of(PLAN, FIRST, OWNER)["metadata"]
        assert meta["name"] == "valley-0"
        assert meta["labels"][plan.TRIAL] == "0"
        assert json.loads(meta["annotations"][plan.PARAMETERS]) == FIRST.parameters
        (owner,) = meta["ownerReferences"]
        assert (owner["uid"], owner.get("controller")) == ("1234", None)

    def test_the_longest_name_of_a_study_leaves_room_for_its_trials_numbers(self) -> None:
        name = "a" * 40
        whole = replace(jobs.plan(edited(name=name), IMAGE))
        assert len(plan.job_name(whole, Trial(9999, {}))) <= 63

    def test_a_grid_has_every_combination_once(self) -> None:
        grid = replace(
            PLAN,
            parameters=(
                Parameter("x", "float", 0.0, 0.3, step=0.1),
                Parameter("depth", "int", 2, 8, step=2),
                Parameter("kind", "categorical", choices=("adam", "sgd")),
            ),
        )
        points = [json.dumps(grid.point(number)) for number in range(grid.points())]
        assert len(points) == len(set(points)) == 4 * 4 * 2
        assert grid.parameters[0].grid == pytest.approx([0, 0.1, 0.2, 0.3])
        assert json.loads(points[-1]) == {"x": pytest.approx(0.3), "depth": 8, "kind": "sgd"}

    @pytest.mark.parametrize(
        ("printed", "found"),
        [
            ("loss=0.25", 0.25),
            ("epoch 3: loss = -1.5e-3 rate=2", -1.5e-3),
            ("loss=3\nloss=2\nloss=4", 4.0),
            ("val-loss=3", None),
            ("loss=nan", None),
            ("loss=", None),
            ("accuracy=0.9", None),
        ],
    )
    def test_the_last_number_that_is_printed_under_the_name_counts(
        self, printed: str, found: float | None
    ) -> None:
        assert plan.metric("loss", printed.splitlines()) == found


def job(*conditions: str, reason: str = "BackoffLimitExceeded") -> dict[str, Any]:
    return {
        "status": {"conditions": [{"type": each, "status": "True", "reason": reason} for each in conditions]}
    }


def ended(code: int, reason: str = "Error", phase: str = "Failed") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {
        "metadata": {"name": "pod-1"},
        "status": {"phase": phase, "containerStatuses": [{"state": state}]},
    }


class TestOutcome:
    def test_one_that_waits_or_runs_has_none(self) -> None:
        assert plan.outcome({}, list) is None
        assert plan.outcome(job("Suspended"), list) is None
        assert plan.outcome(job("FailureTarget"), list) is None

    def test_one_that_is_complete_has_printed_something(self) -> None:
        pods = [ended(1), {**ended(0, "Completed", "Succeeded"), "metadata": {"name": "pod-2"}}]
        assert plan.outcome(job("SuccessCriteriaMet", "Complete"), lambda: pods) == Succeeded("pod-2")

    def test_what_one_printed_may_be_gone(self) -> None:
        assert plan.outcome(job("Complete"), list) == Succeeded(None)

    @pytest.mark.parametrize(
        ("pods", "reason", "failure"),
        [
            ([ended(1)], "", Failed("ended with exit code 1")),
            ([ended(139)], "", Failed("ended with exit code 139")),
            ([ended(137, "OOMKilled")], "", Failed("wanted more memory than trial.memory")),
            ([ended(143)], "DeadlineExceeded", Failed("took longer than it may")),
            ([ended(137)], "", Failed("was killed", killed=True)),
            ([ended(143)], "", Failed("was killed", killed=True)),
            ([], "BackoffLimitExceeded", Failed("was killed", killed=True)),
        ],
    )
    def test_who_is_to_blame_for_one_that_failed(
        self, pods: list[dict[str, Any]], reason: str, failure: Failed
    ) -> None:
        assert plan.outcome(job("FailureTarget", "Failed", reason=reason), lambda: pods) == failure


@dataclass
class Memory:
    """A ledger that forgets nothing as long as it lives."""

    trials: dict[int, Trial] = field(default_factory=dict)
    values: dict[int, float] = field(default_factory=dict)
    failures: dict[int, Failed] = field(default_factory=dict)
    again: list[Mapping[str, plan.Value]] = field(default_factory=list)
    points: int = 1000

    def ask(self) -> Trial | None:
        number = len(self.trials)
        if not self.again and number >= self.points:
            return None
        parameters: Mapping[str, float | int | str] = (
            self.again.pop(0) if self.again else {"x": float(number), "rate": 0.1, "depth": 2, "kind": "sgd"}
        )
        self.trials[number] = Trial(number, parameters)
        return self.trials[number]

    def open(self) -> Sequence[Trial]:
        told = self.values.keys() | self.failures.keys()
        return [each for number, each in self.trials.items() if number not in told]

    def submitted(self, trial: Trial) -> None:
        self.trials[trial.number] = replace(trial, submitted=True)

    def succeeded(self, trial: Trial, value: float) -> None:
        assert trial.number not in self.values, "told twice"
        self.values[trial.number] = value

    def failed(self, trial: Trial, failure: Failed) -> None:
        self.failures[trial.number] = failure
        if failure.killed:
            self.again.append(trial.parameters)

    def tally(self) -> Tally:
        killed = sum(each.killed for each in self.failures.values())
        return Tally(len(self.values), len(self.failures) - killed, killed)

    def best(self) -> tuple[Trial, float] | None:
        if not self.values:
            return None
        number = min(self.values, key=lambda each: self.values[each])
        return self.trials[number], self.values[number]

    def records(self) -> Sequence[Record]:
        return [
            Record(
                number,
                trial.parameters,
                "FINISHED" if number in self.values else "FAILED" if number in self.failures else "RUNNING",
                self.values.get(number),
                self.failures[number].why if number in self.failures else "",
            )
            for number, trial in self.trials.items()
        ]


@dataclass
class Room:
    """An API server of a few lines, with Jobs that end when they are told to."""

    namespace: str = "tenant-atlas"
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    away: int = 0
    refuses: int = 0

    def call(self, method: str, path: str) -> dict[str, Any]:
        if self.away:
            self.away -= 1
            raise URLError("nobody there")
        if method == "DELETE":
            name = path.partition("?")[0].rpartition("/")[2]
            if self.jobs.pop(name, None) is None:
                raise HTTPError(path, 404, "not found", None, None)  # type: ignore[arg-type]
            return {}
        if "/pods?" in path:
            return {"items": self.pods.get(path.rpartition("%3D")[2], [])}
        assert path.endswith("?labelSelector=longhouse.dev/study%3Dvalley,longhouse.dev/trial")
        return {"items": list(self.jobs.values())}

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        name = body["metadata"]["name"]
        if self.refuses:
            raise HTTPError(path, self.refuses, "no", None, None)  # type: ignore[arg-type]
        if name in self.jobs:
            raise HTTPError(path, 409, "conflict", None, None)  # type: ignore[arg-type]
        self.started.append(name)
        self.jobs[name] = {**body, "status": {}}
        return self.jobs[name]

    def lines(self, path: str) -> Sequence[str]:
        pod = path.rpartition("/pods/")[2].partition("/")[0]
        if pod not in self.logs:
            raise HTTPError(path, 404, "not found", None, None)  # type: ignore[arg-type]
        return self.logs[pod]

    def complete(self, name: str, *lines: str) -> None:
        self.jobs[name] |= job("Complete")
        self.pods[name] = [{**ended(0, "Completed", "Succeeded"), "metadata": {"name": f"{name}-pod"}}]
        self.logs[f"{name}-pod"] = list(lines)

    def fail(self, name: str, *pods: dict[str, Any]) -> None:
        self.jobs[name] |= job("Failed")
        self.pods[name] = list(pods)


@dataclass
class Scene:
    room: Room = field(default_factory=Room)
    ledger: Memory = field(default_factory=Memory)
    said: list[str] = field(default_factory=list)
    plan: Plan = PLAN

    @property
    def driver(self) -> Driver:
        """A driver that has just been started, and knows nothing."""
        cluster = driver.Cluster(self.room, self.plan.name)  # type: ignore[arg-type]
        return Driver(self.plan, self.ledger, cluster, OWNER, self.said.append)

    def play(self) -> None:
        """Run to the end, where every trial succeeds whose end the test does not tell."""
        while self.driver.step():
            for name in [name for name, each in self.room.jobs.items() if not each["status"]]:
                self.room.complete(name, f"loss={len(name)}")


class TestDriver:
    def test_so_many_run_at_once_as_are_wanted_and_so_many_in_all(self) -> None:
        scene = Scene()
        assert scene.driver.step()
        assert scene.room.started == ["valley-0", "valley-1"]
        scene.play()
        assert scene.room.started == [f"valley-{number}" for number in range(6)]
        assert scene.ledger.tally() == Tally(succeeded=6)

    def test_what_was_printed_is_what_is_told_and_the_job_is_taken_away(self) -> None:
        scene = Scene()
        scene.driver.step()
        scene.room.complete("valley-1", "loss=7", "loss=0.5")
        scene.driver.step()
        assert scene.ledger.values == {1: 0.5}
        scene.driver.step()
        assert set(scene.room.jobs) == {"valley-0", "valley-2"}

    def test_one_that_was_killed_is_tried_again_as_a_new_trial_and_counts_once(self) -> None:
        scene = Scene()
        scene.driver.step()
        scene.room.fail("valley-0")
        scene.play()
        assert scene.ledger.tally() == Tally(succeeded=6, killed=1)
        assert scene.ledger.trials[2].parameters == scene.ledger.trials[0].parameters

    def test_one_whose_job_is_gone_was_killed(self) -> None:
        scene = Scene()
        scene.driver.step()
        del scene.room.jobs["valley-0"]
        scene.driver.step()
        assert scene.ledger.failures[0].killed
        assert scene.room.started == ["valley-0", "valley-1", "valley-2"]

    def test_one_whose_program_failed_is_not_tried_again_and_counts(self) -> None:
        scene = Scene()
        scene.driver.step()
        scene.room.fail("valley-0", ended(1))
        scene.play()
        assert scene.ledger.tally() == Tally(succeeded=5, failed=1)
        assert "valley-0" in scene.room.jobs, "what it printed can still be read"

    @pytest.mark.parametrize("lines", [[], ["accuracy=1"], ["loss=nan"]])
    def test_one_that_prints_no_result_has_failed(self, lines: list[str]) -> None:
        scene = Scene()
        scene.driver.step()
        scene.room.complete("valley-0", *lines)
        scene.driver.step()
        assert scene.ledger.failures[0] == Failed("printed no loss=<number>")

    def test_one_whose_print_is_gone_is_tried_again(self) -> None:
        scene = Scene()
        scene.driver.step()
        scene.room.complete("valley-0")
        scene.room.logs.clear()
        scene.driver.step()
        assert scene.ledger.failures[0].killed

    def test_a_new_driver_takes_running_trials_over(self) -> None:
        scene = Scene()
        scene.driver.step()
        for _ in range(3):
            scene.driver.step()
        assert scene.room.started == ["valley-0", "valley-1"]

    def test_a_driver_that_was_cut_off_before_it_made_a_job_makes_it_later(self) -> None:
        scene = Scene()
        scene.ledger.ask()
        scene.driver.step()
        assert scene.room.started == ["valley-0", "valley-1"]

    def test_a_driver_that_was_cut_off_after_it_made_a_job_does_not_make_it_twice(self) -> None:
        scene = Scene()
        asked = scene.ledger.ask()
        assert asked
        scene.room.create("", plan.job_of(PLAN, asked, OWNER))
        scene.driver.step()
        assert scene.ledger.trials[0].submitted
        assert scene.room.started == ["valley-0", "valley-1"]

    def test_a_job_that_no_trial_waits_for_is_taken_away(self) -> None:
        scene = Scene()
        nobodys = Trial(17, {"x": 9.0, "rate": 0.1, "depth": 2, "kind": "sgd"})
        scene.room.create("", plan.job_of(PLAN, nobodys, OWNER))
        scene.driver.step()
        assert set(scene.room.jobs) == {"valley-0", "valley-1"}

    def test_a_job_of_an_earlier_study_of_the_name_is_not_taken_for_a_trials(self) -> None:
        scene = Scene()
        other = Trial(0, {"x": 9.0, "rate": 0.1, "depth": 2, "kind": "sgd"})
        scene.room.create("", plan.job_of(PLAN, other, OWNER))
        scene.room.fail("valley-0", ended(1))
        scene.driver.step()
        with pytest.raises(StudyError, match="Job valley-0 is there and has other parameters"):
            scene.driver.step()

    def test_a_study_with_too_many_failures_is_given_up_and_leaves_nothing_running(self) -> None:
        scene = Scene()
        for names in (("valley-0", "valley-1"), ("valley-2",)):
            scene.driver.step()
            for name in names:
                scene.room.fail(name, ended(1))
        assert run(scene.driver, (OSError,), lambda _: None) == driver.GIVEN_UP
        assert not scene.ledger.open()
        assert "valley-3" not in scene.room.jobs

    def test_a_grid_ends_when_every_point_was_tried(self) -> None:
        scene = Scene(ledger=Memory(points=3))
        scene.play()
        assert scene.ledger.tally() == Tally(succeeded=3)

    def test_the_best_is_told_at_the_end(self) -> None:
        scene = Scene()
        scene.play()
        assert run(scene.driver, (OSError,), lambda _: None) == 0
        told = json.loads(scene.said[-1])
        assert told["trials"] == 6
        assert told["best"]["parameters"] == scene.ledger.trials[told["best"]["trial"]].parameters

    def test_an_api_server_that_is_away_is_waited_for(self) -> None:
        scene = Scene()
        scene.room.away = 3

        def pause(_: float) -> None:
            for name in [name for name, each in scene.room.jobs.items() if not each["status"]]:
                scene.room.complete(name, "loss=1")

        assert run(scene.driver, (OSError,), pause) == 0
        assert sum("nobody there" in each for each in scene.said) == 3

    def test_one_that_stays_away_ends_the_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = Scene()
        scene.room.away = 10**9
        clock = iter(range(0, 10**6, 100))
        monkeypatch.setattr(time, "monotonic", lambda: next(clock))
        with pytest.raises(URLError):
            run(scene.driver, (OSError,), lambda _: None)

    @pytest.mark.parametrize(
        ("status", "error"), [(403, StudyError), (422, StudyError), (500, HTTPError), (429, HTTPError)]
    )
    def test_a_trial_that_will_never_be_taken_ends_the_study(
        self, status: int, error: type[Exception]
    ) -> None:
        scene = Scene()
        scene.room.refuses = status
        with pytest.raises(error):
            scene.driver.step()


def experiment(study: Study = STUDY) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(katib.experiment(study, IMAGE)))
    return found


class TestKatib:
    def test_each_parameter_has_its_space(self) -> None:
        found = {
            each["name"]: (each["parameterType"], each["feasibleSpace"])
            for each in experiment()["spec"]["parameters"]
        }
        assert found == {
            "x": ("double", {"min": "-5.0", "max": "5.0"}),
            "rate": ("double", {"min": "1e-05", "max": "0.1", "distribution": "logUniform"}),
            "depth": ("int", {"min": "2", "max": "8", "step": "2"}),
            "kind": ("categorical", {"list": ["adam", "sgd"]}),
        }

    def test_every_placeholder_is_katibs(self) -> None:
        template = experiment()["spec"]["trialTemplate"]
        (container,) = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
        assert container["command"][2:] == [
            "--x=${trialParameters.x}",
            "--rate=${trialParameters.rate}",
            "--depth",
            "${trialParameters.depth}",
        ]
        text = json.dumps(template["trialSpec"])
        assert all(f"${{trialParameters.{each['name']}}}" in text for each in template["trialParameters"])
        assert "name" not in template["trialSpec"]["metadata"]

    def test_what_counts_is_what_counts_here(self) -> None:
        spec = experiment()["spec"]
        assert spec["objective"] == {
            "type": "minimize",
            "objectiveMetricName": "loss",
            "metricStrategies": [{"name": "loss", "value": "latest"}],
        }
        assert (spec["maxTrialCount"], spec["parallelTrialCount"], spec["maxFailedTrialCount"]) == (6, 2, 3)

    def test_trials_are_queued(self) -> None:
        labels = experiment()["spec"]["trialTemplate"]["trialSpec"]["metadata"]["labels"]
        assert labels["kueue.x-k8s.io/queue-name"] == "default"

    @pytest.mark.parametrize(
        ("algorithm", "name"), [("tpe", "tpe"), ("cma-es", "cmaes"), ("grid", "grid"), ("random", "random")]
    )
    def test_each_algorithm_has_katibs_name(self, algorithm: str, name: str) -> None:
        assert experiment(edited(algorithm=algorithm))["spec"]["algorithm"] == {"algorithmName": name}

    def test_chance_is_drawn_from_the_seed(self) -> None:
        assert experiment(edited(seed=7))["spec"]["algorithm"]["algorithmSettings"] == [
            {"name": "random_state", "value": "7"}
        ]
