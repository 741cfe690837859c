"""What is wrong with a study's file is told by file, key and value, with the way out; what a file means goes to the engine that its profile names."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from profiles.load import load as load_profile
from profiles.problems import MISSING, Problem
from profiles.study import StudyFileError, load
from stacks import study as command

GOOD: dict[str, Any] = {
    "name": "valley",
    "tenant": "atlas",
    "objective": {"metric": "loss", "direction": "minimize"},
    "parameters": {
        "x": {"type": "float", "low": -5, "high": 5},
        "depth": {"type": "int", "low": 1, "high": 8},
    },
    "max_trials": 20,
    "trial": {"command": ["python3", "train.py", "{x}", "{depth}"], "cpu": "100m", "memory": "128Mi"},
}


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The good study with other values by dotted key; None takes a key away."""
    whole = copy.deepcopy(GOOD)
    for key, value in changes.items():
        *path, last = key.split(".")
        place = whole
        for part in path:
            place = place.setdefault(part, {})
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    return whole


def problems(folder: Path, changes: Mapping[str, Any], profile: str = "local") -> tuple[Problem, ...]:
    """Everything that is told of the study with those changes."""
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(changed(changes), sort_keys=False))
    try:
        load(file, load_profile(profile))
    except StudyFileError as error:
        return error.problems
    return ()


def test_a_good_study_is_taken(tmp_path: Path) -> None:
    assert problems(tmp_path, {}) == ()


REFUSED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no name": ({"name": None}, "name", "is missing", "add `name:`"),
    "a name in capitals": ({"name": "Valley"}, "name", "must be lower-case", "write valley"),
    "a long name": ({"name": "a" * 41}, "name", "at most 40", "shorten it"),
    "a misspelt key": ({"max_trails": 3}, "max_trails", "is not a known key", "did you mean max_trials?"),
    "no tenant": ({"tenant": None}, "tenant", "is missing", "add `tenant:`"),
    "somebody else": ({"tenant": "atlsa"}, "tenant", "is no tenant of profile local", "did you mean atlas?"),
    "no metric": ({"objective.metric": None}, "objective.metric", "is missing", "add `metric:`"),
    "a metric with a space": ({"objective.metric": "my loss"}, "objective.metric", "must have the form", "write"),
    "a direction that is none": ({"objective.direction": "down"}, "objective.direction", "must be one of minimize, maximize", "write one of"),
    "no parameters": ({"parameters": {}, "trial.command": ["true"]}, "parameters", "must hold at least 1", "add one"),
    "a parameter in capitals": ({"parameters.X": {"type": "float", "low": 0, "high": 1}}, "parameters.X", "is no name", "write"),
    "a kind of parameter that is none": ({"parameters.x.type": "double"}, "parameters.x.type", "must be one of categorical, float, int", "write type:"),
    "bounds as text": ({"parameters.x.low": "0"}, "parameters.x.low", "must be a number", "write a number"),
    "a broken whole number": ({"parameters.depth.low": 1.5}, "parameters.depth.low", "must be a whole number", "write"),
    "bounds the wrong way round": ({"parameters.x.high": -6}, "parameters.x.high", "must be more than low", "write a greater one"),
    "a step that goes nowhere": ({"parameters.x.step": 0}, "parameters.x.step", "must be at least", "write"),
    "a step that is too long": ({"parameters.x.step": 11}, "parameters.x.step", "is longer than the way", "write a shorter one"),
    "the logarithm of nothing": ({"parameters.x.log": True}, "parameters.x.low", "0 has no logarithm", "write a small number"),
    "steps of a logarithm": ({"parameters.depth.log": True, "parameters.depth.step": 2}, "parameters.depth.step", "makes no sense where log is true", "leave one"),
    "one choice": ({"parameters.x": {"type": "categorical", "choices": ["a"]}}, "parameters.x.choices", "must hold at least 2", "add one"),
    "a choice that is a number": ({"parameters.x": {"type": "categorical", "choices": ["a", 1]}}, "parameters.x.choices[1]", "must be text", 'write "1"'),
    "a choice twice": ({"parameters.x": {"type": "categorical", "choices": ["a", "a"]}}, "parameters.x.choices", "names a choice twice", "keep one"),
    "an algorithm that is none": ({"algorithm": "bayes"}, "algorithm", "must be one of random, tpe, cma-es, grid", "write one of"),
    "cma-es for one number": ({"algorithm": "cma-es", "parameters.depth": None, "trial.command": ["{x}"]}, "algorithm", "is for two or more numbers", "write tpe"),
    "cma-es for texts": ({"algorithm": "cma-es", "parameters.z": {"type": "categorical", "choices": ["a", "b"]}, "trial.command": ["{x}{depth}{z}"]}, "algorithm", "is for two or more numbers", "write tpe"),
    "a grid without steps": ({"algorithm": "grid"}, "parameters.x.step", "a grid goes in steps", "`step: 2.5`"),
    "a grid of logarithms": ({"algorithm": "grid", "parameters.x.step": 1, "parameters.depth.log": True}, "parameters.depth.log", "makes no sense in a grid", "type categorical"),
    "a seed that is none": ({"seed": -1}, "seed", "must be at least 0", "write 0 or more"),
    "no trials": ({"max_trials": 0}, "max_trials", "must be at least 1", "write 1 or more"),
    "more at a time than there are": ({"parallel_trials": 21}, "parallel_trials", "more than all trials", "write 20 or less"),
    "more failures than trials": ({"max_failed": 21}, "max_failed", "more than all trials", "write 20 or less"),
    "no program": ({"trial.command": []}, "trial.command", "must hold at least 1", "add one"),
    "a placeholder that is no parameter": ({"trial.command": ["{x}", "{depht}", "{depth}"]}, "trial.command[1]", "has a place for depht", "did you mean {depth}?"),
    "a variable's placeholder that is no parameter": ({"trial.environment": {"A": "{zzz}"}}, "trial.environment.A", "has a place for zzz", "the parameters are x, depth"),
    "a parameter that nobody is told": ({"trial.command": ["{x}", "${depth}"]}, "parameters.depth", "is told to no trial", "write {depth}"),
    "a variable that is none": ({"trial.environment": {"A B": "1"}}, 'trial.environment.A B', "is no name", "write"),
    "an image with a space": ({"trial.image": "my image"}, "trial.image", "must not hold a space", "remove the space"),
    "cores as a number": ({"trial.cpu": 1}, "trial.cpu", "must be cores as a quantity", 'write "1"'),
    "memory without a unit": ({"trial.memory": "512"}, "trial.memory", "must be bytes with a binary suffix", "write 512Gi or 512Mi"),
    "more cores than a node": ({"trial.cpu": "64"}, "trial.cpu", "is more than the largest node", "write 32 or less"),
    "more memory than a node": ({"trial.memory": "1Ti"}, "trial.memory", "is more than the largest node", "write 256Gi or less"),
    "fewer GPUs than none": ({"trial.gpus": -1}, "trial.gpus", "must be at least 0", "write 0 or more"),
    "a priority that is none": ({"trial.priority": "hihg"}, "trial.priority", "is no priority of profile local", "did you mean high?"),
    "a store that is none": ({"trial.stores": ["s3"]}, "trial.stores[0]", "must be one of", "write one of"),
    "no time": ({"trial.minutes": 0}, "trial.minutes", "must be at least 1", "write 1 or more"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_told_with_the_way_out(case: str, tmp_path: Path) -> None:
    changes, key, message, remedy = REFUSED[case]
    found = problems(tmp_path, changes)
    assert [(each.key, message in each.message, remedy in each.remedy) for each in found] == [
        (key, True, True)
    ], "\n".join(map(str, found))
    (problem,) = found
    assert problem.file == tmp_path / "study.yaml"
    line = problem.file.read_text().splitlines()[problem.line - 1]
    asked = key.rpartition(".")[2].partition("[")[0]
    assert asked in line or problem.value is MISSING or "[" in key


def test_every_key_of_a_study_is_refused_once() -> None:
    from modules.ml.tuning.study import Study
    from profiles import schema

    root = schema.whole(Study)
    told = {case[1].split("[")[0] for case in REFUSED.values()}
    leaves = {
        key[-1]
        for key, described in schema.walk(root, root)
        if "*" not in key[-1] and "properties" not in schema.resolve(described, root)
    }
    assert leaves - {each.rpartition(".")[2] for each in told} - {"environment"} == set()


class TestEnvironment:
    def test_a_profile_without_tuning_takes_none(self, tmp_path: Path) -> None:
        found = problems(tmp_path, {}, "local-simulated")
        assert any("has no tuning" in each.message for each in found)

    def test_a_tenant_without_mysql_has_nowhere_to_keep_one(self, tmp_path: Path) -> None:
        (problem,) = problems(tmp_path, {"tenant": "delphi"}, "onprem")
        assert (problem.key, "has no MySQL" in problem.message) == ("tenant", True)

    def test_a_store_that_the_tenant_has_not_is_refused(self, tmp_path: Path) -> None:
        (problem,) = problems(
            tmp_path, {"tenant": "ember", "trial.stores": ["hdfs", "object-store"]}, "onprem"
        )[-1:]
        assert "is no store of tenant ember" in problem.message

    def test_gpus_are_for_those_who_have_some(self, tmp_path: Path) -> None:
        assert problems(tmp_path, {"trial.gpus": 1}) == ()
        found = problems(tmp_path, {"tenant": "ember", "trial.gpus": 1}, "onprem")
        assert "trial.gpus" in [each.key for each in found]

    def test_katibs_cma_es_knows_no_logarithm(self, directory: Path) -> None:
        file = directory / "study.yaml"
        file.write_text(yaml.safe_dump(changed({"algorithm": "cma-es", "parameters.depth.log": True})))
        (directory / "local-katib.yaml").write_text("extends: local\ntuning: {engine: katib}\n")
        load(file, load_profile("local", directory))
        with pytest.raises(StudyFileError) as refused:
            load(file, load_profile("local-katib", directory))
        assert [each.key for each in refused.value.problems] == ["parameters.depth.log"]

    def test_what_goes_to_katib_is_an_experiment(self, directory: Path) -> None:
        file = directory / "study.yaml"
        file.write_text(yaml.safe_dump(GOOD))
        (directory / "local-katib.yaml").write_text(
            "extends: local\ntuning: {engine: katib}\nmysql: null\ntracking: null\n"
        )
        profile = load_profile("local-katib", directory)
        assert command.rendered(load(file, profile), profile)["kind"] == "Experiment"
        assert profile.tuned == (), "what Katib needs is not declared"


class TestCommand:
    def test_it_renders_what_the_profiles_engine_takes(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump(GOOD))
        assert command.main(["render", str(file), "--profile", "local"]) == 0
        rendered = yaml.safe_load(capsys.readouterr().out)
        assert (rendered["kind"], rendered["metadata"]["namespace"]) == ("Job", "tenant-atlas")

    def test_it_says_what_is_wrong_and_fails(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump({**GOOD, "max_trials": 0}))
        assert command.main(["render", str(file)]) == 1
        told = capsys.readouterr().err
        assert told.startswith("study study.yaml has 1 problem")
        assert "max_trials = 0" in told

    @pytest.mark.parametrize(
        ("said", "way"),
        [
            ("Error from server (AlreadyExists): jobs", "kubectl delete job valley --namespace=tenant-atlas"),
            ("error: no matches for kind", "the cluster has no Katib"),
            ("Error from server (Forbidden)", "kubectl auth can-i create jobs --namespace=tenant-atlas"),
        ],
    )
    def test_what_the_cluster_refuses_has_a_way_out(
        self,
        said: str,
        way: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        called: list[list[str]] = []

        def kubectl(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            called.append(words)
            return subprocess.CompletedProcess(words, 1, "", said)

        monkeypatch.setattr(subprocess, "run", kubectl)
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump(GOOD))
        assert command.main(["submit", str(file)]) == 1
        assert called == [["kubectl", "create", "--filename=-"]]
        assert way in capsys.readouterr().err
