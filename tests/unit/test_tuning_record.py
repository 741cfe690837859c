"""How a study comes to stand in MLflow, whoever dies or is away meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError, URLError

from modules.ml.tracking.config import NAME
from modules.ml.tuning import jobs
from modules.ml.tuning.config import Tuning as Config
from modules.ml.tuning.inside.driver import GIVEN_UP, TRACKED, run
from modules.ml.tuning.inside.record import BEST, PARENT, WHY, Record, Recorder
from tests.unit.test_tuning import IMAGE, PLAN, STUDY, Memory, Scene, ended


@dataclass
class Mlflow:
    """MLflow of a few lines: what runs know of themselves."""

    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    away: int = 0
    calls: int = 0

    def call(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.calls += 1
        if self.away:
            self.away -= 1
            raise URLError("nobody there")
        if path.startswith("experiments/get-by-name"):
            name = path.rpartition("=")[2]
            if name not in self.experiments:
                raise HTTPError(path, 404, "not found", None, None)  # type: ignore[arg-type]
            return {"experiment": {"experiment_id": self.experiments[name]}}
        if path == "experiments/create":
            self.experiments[body["name"]] = str(len(self.experiments) + 1)
            return {"experiment_id": self.experiments[body["name"]]}
        if path == "runs/create":
            name = f"run-{len(self.runs)}"
            tags = {each["key"]: each["value"] for each in body["tags"]}
            self.runs[name] = {"status": "RUNNING", "tags": tags, "params": {}, "metrics": {}}
            return {"run": {"info": {"run_id": name}}}
        if path == "runs/search":
            names = sorted(self.runs)
            begin = int(body["page_token"] or 0)
            page = {"runs": [self._shown(each) for each in names[begin : begin + 2]]}
            return {**page, "next_page_token": str(begin + 2)} if names[begin + 2 :] else page
        run = self.runs[body["run_id"]]
        if path == "runs/update":
            run["status"] = body["status"]
            return {}
        assert path == "runs/log-batch"
        for kind in ("tags", "params", "metrics"):
            for each in body[kind]:
                assert kind != "params" or run[kind].get(each["key"], each["value"]) == each["value"]
                run[kind][each["key"]] = each["value"]
        return {}

    def _shown(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        tags = [{"key": key, "value": value} for key, value in run["tags"].items()]
        return {"info": {"run_id": name, "status": run["status"]}, "data": {"tags": tags}}

    def trial(self, number: int) -> dict[str, Any]:
        """The only run of a trial."""
        (found,) = [
            each for each in self.runs.values() if each["tags"].get("longhouse.dev/trial") == str(number)
        ]
        return found

    @property
    def study(self) -> tuple[str, dict[str, Any]]:
        """The only run of the study, and its name."""
        (found,) = [
            (name, each) for name, each in self.runs.items() if "longhouse.dev/trial" not in each["tags"]
        ]
        return found


class TestRecorder:
    def follow(self, mlflow: Mlflow, *records: Record) -> list[str]:
        said: list[str] = []
        Recorder(PLAN, mlflow, said.append).follow(records)
        return said

    def test_each_trial_is_a_run_below_the_studys(self) -> None:
        mlflow = Mlflow()
        self.follow(mlflow, Record(0, {"x": 0.5, "kind": "sgd"}, "RUNNING"))
        name, study = mlflow.study
        assert study["tags"]["mlflow.runName"] == "valley"
        trial = mlflow.trial(0)
        assert trial["tags"][PARENT] == name
        assert (trial["status"], trial["params"]) == ("RUNNING", {"x": "0.5", "kind": "sgd"})

    def test_what_one_came_to_is_its_metric(self) -> None:
        mlflow = Mlflow()
        self.follow(mlflow, Record(0, {"x": 0.5}, "FINISHED", 0.25))
        assert (mlflow.trial(0)["status"], mlflow.trial(0)["metrics"]) == ("FINISHED", {"loss": 0.25})

    def test_one_that_died_has_failed_and_says_why(self) -> None:
        mlflow = Mlflow()
        self.follow(mlflow, Record(0, {"x": 0.5}, "FAILED", why="was killed"))
        found = mlflow.trial(0)
        assert (found["status"], found["metrics"], found["tags"][WHY]) == ("FAILED", {}, "was killed")

    def test_a_driver_that_knows_nothing_goes_on_where_the_last_one_was(self) -> None:
        mlflow = Mlflow()
        for number in range(4):
            self.follow(mlflow, *(Record(each, {"x": 1.0}, "RUNNING") for each in range(number + 1)))
        self.follow(mlflow, *(Record(each, {"x": 1.0}, "FINISHED", 2.0) for each in range(4)))
        assert len(mlflow.runs) == 5
        assert {mlflow.trial(each)["status"] for each in range(4)} == {"FINISHED"}
        assert list(mlflow.experiments) == ["valley"]

    def test_one_that_was_cut_off_before_it_wrote_parameters_writes_them_at_the_end(self) -> None:
        mlflow = Mlflow()
        self.follow(mlflow, Record(0, {}, "RUNNING"))
        self.follow(mlflow, Record(0, {"x": 1.0}, "FINISHED", 2.0))
        assert mlflow.trial(0)["params"] == {"x": "1.0"}

    def test_nothing_is_written_twice(self) -> None:
        mlflow, records = Mlflow(), [Record(0, {"x": 1.0}, "FINISHED", 2.0)]
        recorder = Recorder(PLAN, mlflow, lambda _: None)
        recorder.follow(records)
        before = mlflow.calls
        recorder.follow(records)
        assert mlflow.calls == before

    def test_a_server_that_is_away_is_told_of_once_and_gets_all_of_it_later(self) -> None:
        mlflow, said = Mlflow(away=2), list[str]()
        recorder = Recorder(PLAN, mlflow, said.append)
        records = [Record(0, {"x": 1.0}, "FINISHED", 2.0)]
        assert [recorder.follow(records) for _ in range(3)] == [False, False, True]
        assert len(said) == 1
        assert mlflow.trial(0)["status"] == "FINISHED"


def recorded(scene: Scene, mlflow: Mlflow, code: int) -> None:
    """Run the scene's study to its end with MLflow looking on."""

    def pause(_: float) -> None:
        for name in [name for name, each in scene.room.jobs.items() if not each["status"]]:
            if name == "valley-1" or code:
                scene.room.fail(name, ended(1))
            else:
                scene.room.complete(name, f"loss={len(scene.ledger.values)}")

    driver = scene.driver
    driver.recorder = Recorder(PLAN, mlflow, scene.said.append)
    assert run(driver, (OSError,), pause) == code


class TestStudy:
    def test_it_ends_with_its_best_in_its_own_run(self) -> None:
        scene, mlflow = Scene(), Mlflow()
        recorded(scene, mlflow, 0)
        _, study = mlflow.study
        assert (study["status"], study["tags"][BEST], study["metrics"]) == ("FINISHED", "0", {"loss": 0.0})
        assert study["params"] == mlflow.trial(0)["params"]
        assert mlflow.trial(1)["status"] == "FAILED"
        assert {mlflow.trial(each)["status"] for each in (2, 3, 4, 5)} == {"FINISHED"}

    def test_one_that_is_given_up_has_failed_with_all_its_trials(self) -> None:
        scene, mlflow = Scene(), Mlflow()
        recorded(scene, mlflow, GIVEN_UP)
        assert {each["status"] for each in mlflow.runs.values()} == {"FAILED"}

    def test_it_does_not_wait_for_mlflow(self) -> None:
        scene, mlflow = Scene(), Mlflow(away=10**9)
        recorded(scene, mlflow, 0)
        assert json.loads(scene.said[-1])["study"] == "valley"

    def test_its_driver_finds_the_tenants_binding_where_there_is_one(self) -> None:
        def container(tracked: bool) -> tuple[set[str], set[str]]:
            job = jobs.driver(STUDY, Config(), IMAGE, tracked=tracked)
            (found,) = job["spec"]["template"]["spec"]["containers"]
            return {each["name"] for each in found["env"]}, {each["name"] for each in found["volumeMounts"]}

        for tracked in (True, False):
            variables, mounts = container(tracked)
            assert (TRACKED in variables, NAME in mounts) == (tracked, tracked)


def test_a_ledger_that_forgets_nothing_tells_of_every_trial() -> None:
    ledger = Memory()
    assert ledger.ask()
    assert [each.status for each in ledger.records()] == ["RUNNING"]
