"""`python -m profiles`, as people and programs call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from profiles import reference, schema
from profiles.__main__ import main, written
from profiles.load import load, names

NEED_PODS = (
    *("hdfs", "kafka", "cassandra", "object_store", "mysql"),
    *("spark", "flink", "training", "tuning", "tracking"),
)
Output = pytest.CaptureFixture[str]


def test_check_lists_every_profile_and_succeeds(capsys: Output) -> None:
    assert main(["check"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "PROFILE"
    assert [row.split()[0] for row in rows] == list(names())
    assert all(row.endswith("ok") for row in rows)


def test_check_tells_each_problem_once_with_the_profiles_that_have_it(
    directory: Path, capsys: Output
) -> None:
    base = directory / "base.yaml"
    base.write_text(base.read_text().replace("fair_sharing: true", "fair_sharing: maybe"))
    assert main(["--directory", str(directory), "check", "local", "local-full"]) == 1
    out = capsys.readouterr().out
    assert out.count("queueing.fair_sharing") == 1
    assert "(in local, local-full)" in out
    assert "1 problem" in out


def test_check_speaks_json_to_programs(directory: Path, capsys: Output) -> None:
    (directory / "local-x.yaml").write_text("extends: local\nqueueing: {replicas: 0}\n")
    assert main(["--directory", str(directory), "check", "--json", "local-x"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)
    assert (problem["profile"], problem["key"], problem["line"], problem["value"]) == (
        "local-x",
        "queueing.replicas",
        2,
        0,
    )


def test_check_of_an_unknown_profile_fails(capsys: Output) -> None:
    assert main(["check", "locl"]) == 1
    assert "did you mean local?" in capsys.readouterr().out


@pytest.mark.parametrize("name", names())
def test_show_prints_yaml_that_says_the_same(name: str, capsys: Output) -> None:
    assert main(["show", name]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == written(load(name))


def test_show_tells_where_each_key_was_set(capsys: Output) -> None:
    assert main(["show", "local-full", "--origin"]) == 0
    lines = {line.partition(":")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert lines["fair_sharing"].endswith("profiles/base.yaml:9")
    assert "profiles/local.yaml:" in lines["pod_cidr"]
    assert "profiles/local-full.yaml:3" in lines["description"]
    assert lines["pods"].rpartition("# ")[2].startswith(("profiles/local.yaml", "default"))
    assert lines["context"].endswith("# default")


def test_show_of_a_wrong_profile_fails_with_its_problems(directory: Path, capsys: Output) -> None:
    (directory / "local-x.yaml").write_text("extends: local\nqueueing: {replicas: 0}\n")
    assert main(["--directory", str(directory), "show", "local-x"]) == 1
    assert "must be at least 1" in capsys.readouterr().err


def test_diff_prints_the_keys_in_which_two_profiles_differ(capsys: Output) -> None:
    assert main(["diff", "local", "local-simulated"]) == 0
    out = capsys.readouterr().out.splitlines()
    marks = [line.split()[:2] for line in out[:-1]]
    assert [key for mark, key in marks if mark == "~"] == ["description", "admission.webhooks"]
    fewer = [key for mark, key in marks if mark == "-"]
    more = [key for mark, key in marks if mark == "+"]
    assert set(more) == {key.partition(".")[0] for key in fewer} <= set(NEED_PODS), "null stands for each"
    assert out[-1] == f"local → local-simulated: {len(more)} more, {len(fewer)} fewer, 2 changed"


def test_diff_of_a_profile_with_itself_is_empty(capsys: Output) -> None:
    assert main(["diff", "local", "local"]) == 0
    assert capsys.readouterr().out == "local → local: 0 more, 0 fewer, 0 changed\n"


def test_diff_tells_what_is_more_and_what_is_fewer(capsys: Output) -> None:
    assert main(["diff", "onprem", "burst"]) == 0
    forth = capsys.readouterr().out
    assert "+ node_pools.cloud-general-eu-west.region" in forth
    assert main(["diff", "burst", "onprem"]) == 0
    assert "- node_pools.cloud-general-eu-west.region" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["schema", "reference"])
def test_generated_files_are_checked_and_written(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(schema, "DIRECTORY", tmp_path / "schema")
    monkeypatch.setattr(reference, "FILE", tmp_path / "reference" / "profile.md")
    assert main([what, "--check"]) == 1
    assert "make generated" in capsys.readouterr().err
    assert main([what, "--write"]) == 0
    assert main([what, "--check"]) == 0


@pytest.mark.parametrize(
    "arguments", [[], ["frobnicate"], ["schema"], ["schema", "--write", "--check"], ["diff", "local"]]
)
def test_a_wrong_call_is_told_how_to_call(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m profiles" in capsys.readouterr().err
