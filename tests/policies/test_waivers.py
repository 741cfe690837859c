"""What a waiver lets pass, what it does not, and what is said of a bad one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from policies import waivers
from policies.catalogue import rule
from policies.plan import Finding, Plan
from policies.waivers import Filed, Waiver, WaiverError

_TODAY = date(2026, 11, 21)
_GOOD: dict[str, Any] = {
    "stack": "onprem",
    "rule": "LH-S-001",
    "resource": "PersistentVolumeClaim tenant-atlas/home",
    "reason": "copied to the object store, and compared",
    "approved_by": "m.ortega",
    "expires": "2026-12-01",
}
_LOST = Finding(
    "LH-S-001",
    rule("LH-S-001").severity,
    "PersistentVolumeClaim tenant-atlas/home",
    "would be deleted, and with it its volume",
    rule("LH-S-001").title,
    rule("LH-S-001").fix,
)


def _file(folder: Path, name: str = "home.yaml", **changes: Any) -> Path:
    record = {key: value for key, value in {**_GOOD, **changes}.items() if value is not None}
    path = folder / name
    path.write_text(yaml.safe_dump(record, sort_keys=False))
    return path


def _filed(**changes: Any) -> Filed:
    return Filed(Waiver.model_validate({**_GOOD, **changes}), Path("home.yaml"))


def _apply(
    filed: Filed, *findings: Finding, stack: str = "onprem", against_state: bool = True
) -> waivers.Judged:
    plan = Plan((), findings, (), ())
    return waivers.apply(plan, [filed], stack, _TODAY, against_state=against_state)


def test_a_waiver_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = _file(tmp_path)
    (filed,) = waivers.read(_TODAY, tmp_path)
    assert filed == Filed(Waiver.model_validate(_GOOD), file)
    assert filed.waiver.expires == date(2026, 12, 1)


def test_no_folder_holds_no_waiver(tmp_path: Path) -> None:
    assert waivers.read(_TODAY, tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("changes", "line", "said", "remedy"),
    [
        ({"approved_by": None}, 1, "approved_by", "add `approved_by:` with text"),
        ({"expires": "31.12.2026"}, 6, 'expires = "31.12.2026"', "write it like 2026-12-31"),
        ({"expires": "2026-02-31"}, 6, "is no day of the calendar", "write it like 2026-12-31"),
        ({"expires": "2027-11-21"}, 6, "is more than 90 days ahead", "write 2027-02-19 or earlier"),
        ({"rule": "LH-W-002"}, 2, "is no rule that can be waived", "write one of LH-P-002, LH-P-003, LH-P-007, LH-S-001, LH-S-015, LH-S-016"),
        ({"rule": "all"}, 2, 'rule = "all"', "see the reference"),
        ({"reason": "ok"}, 4, 'reason = "ok"', ""),
        ({"resources": "*"}, 7, "resources", "did you mean resource?"),
    ],
    ids=[
        "nobody approved it", "no date", "no day", "for ever", "not this rule", "no rule", "no reason", "a typing mistake",
    ],
)  # fmt: skip
def test_a_bad_waiver_is_refused_by_file_key_value_and_way_out(
    tmp_path: Path, changes: dict[str, Any], line: int, said: str, remedy: str
) -> None:
    file = _file(tmp_path, **changes)
    with pytest.raises(WaiverError) as caught:
        waivers.read(_TODAY, tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (file, line)
    assert said in str(caught.value)
    assert problem.remedy.startswith(remedy.split("see")[0])


def test_one_bad_waiver_leaves_none_in_force_and_all_are_told(tmp_path: Path) -> None:
    _file(tmp_path, "a.yaml")
    _file(tmp_path, "b.yaml", stack="On Prem")
    (tmp_path / "c.yaml").write_text("- not: a mapping\n")
    with pytest.raises(WaiverError, match="waivers have 2 problems") as caught:
        waivers.read(_TODAY, tmp_path)
    assert [problem.file.name for problem in caught.value.problems] == ["b.yaml", "c.yaml"]


def test_a_waiver_lets_its_own_fault_pass_and_no_other() -> None:
    other = replace(_LOST, subject="PersistentVolumeClaim tenant-atlas/work")
    judged = _apply(_filed(), _LOST, other)
    assert judged.plan.findings == (other,)
    assert [each.finding for each in judged.waived] == [_LOST]
    assert judged.notices == ()
    assert judged.plan.exit_code == 1
    assert _apply(_filed(), _LOST).plan.exit_code == 0


@pytest.mark.parametrize(
    "finding",
    [
        replace(_LOST, rule="LH-W-002"),
        replace(_LOST, subject="PersistentVolumeClaim tenant-borealis/home"),
        replace(_LOST, subject="PersistentVolume tenant-atlas/home"),
    ],
    ids=["another rule", "another tenant", "another kind"],
)
def test_what_a_waiver_does_not_name_it_does_not_let_pass(finding: Finding) -> None:
    judged = _apply(_filed(), finding)
    assert judged.plan.findings == (finding,)
    assert "nothing needs it" in judged.notices[0]


def test_a_waiver_counts_in_its_own_stack_only() -> None:
    judged = _apply(_filed(), _LOST, stack="cloud")
    assert judged.plan.findings == (_LOST,)
    assert judged.notices == (), "another stack's preview cannot know whether it is needed"


def test_a_waiver_counts_on_its_last_day_and_not_after_it() -> None:
    assert _apply(_filed(expires="2026-11-21"), _LOST).plan.findings == ()
    judged = _apply(_filed(expires="2026-11-20"), _LOST)
    assert judged.plan.findings == (_LOST,)
    assert judged.notices[0].startswith("home.yaml: expired on 2026-11-20")


def test_without_a_state_nobody_says_that_a_waiver_is_not_needed() -> None:
    assert _apply(_filed(), against_state=False).notices == ()
    assert "delete the file" in _apply(_filed()).notices[0]


def test_the_committed_schema_says_what_the_model_says() -> None:
    assert waivers.SCHEMA.read_text() == waivers.schema_text(), "run `python -m policies schema --write`"
    validator = Draft202012Validator(json.loads(waivers.SCHEMA.read_text()))
    assert validator.is_valid(_GOOD)
    assert not validator.is_valid({**_GOOD, "expires": "soon"})
    assert not validator.is_valid({**_GOOD, "until": "2026-12-01"})


def test_the_repositorys_own_waivers_are_right() -> None:
    waivers.read(date.today())
