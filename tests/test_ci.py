"""What the two forges are told to run is there, and both report on every stack that ships."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from profiles.load import load, names

CHECKOUT = Path(__file__).parent.parent
GITHUB = sorted((CHECKOUT / ".github" / "workflows").glob("*.yaml"))
GITLAB = CHECKOUT / ".gitlab-ci.yml"
STACKS = {name for name in names() if not load(name).is_local}


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", [*GITHUB, GITLAB], ids=lambda path: path.name)
def test_every_command_of_make_that_is_run_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+) [A-Z]+=", path.read_text())) <= targets


def test_both_report_on_every_stack_that_is_no_sandbox() -> None:
    report = _read(CHECKOUT / ".github" / "workflows" / "pull-request.yaml")["jobs"]["report"]
    comment = _read(CHECKOUT / ".github" / "workflows" / "comment.yaml")["jobs"]["comment"]
    assert set(report["strategy"]["matrix"]["stack"]) == STACKS
    assert set(comment["strategy"]["matrix"]["stack"]) == STACKS
    jobs = _read(GITLAB)
    for name in ("report", "comment"):
        assert set(jobs[name]["parallel"]["matrix"][0]["STACK"]) == STACKS


def test_what_runs_a_pull_requests_code_has_no_secret_and_may_change_nothing() -> None:
    text = (CHECKOUT / ".github" / "workflows" / "pull-request.yaml").read_text()
    workflow = _read(CHECKOUT / ".github" / "workflows" / "pull-request.yaml")
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    assert "secrets." not in text
    assert "pull_request_target" not in text
    assert "REPORT_TOKEN" not in repr(_read(GITLAB)["report"])


def test_what_may_comment_runs_nothing_of_the_pull_request() -> None:
    (job,) = _read(CHECKOUT / ".github" / "workflows" / "comment.yaml")["jobs"].values()
    assert not [step for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert not re.search(r"\$\{\{", "".join(step.get("run", "") for step in job["steps"])), (
        "values come by environment"
    )
    assert _read(GITLAB)["comment"]["variables"]["GIT_STRATEGY"] == "none"


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_actions_are_named_by_commit(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text())
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each) for each in used)
