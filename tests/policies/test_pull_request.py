"""The report of a change: what it says, and that nothing in it means anything to Markdown."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from modules.kit.parts import Stacks, group_of
from policies import __main__ as command
from policies import preview, pull_request
from policies.cost import Bill, Line
from policies.crds import Change as KindChange
from policies.crds import Definition
from policies.dry_run import Asked
from policies.isolation.matrix import Matrix, Reached
from policies.isolation.network import Endpoint, Ports, Way
from policies.plan import Change, Finding, Plan
from policies.preview import Preview, PreviewError
from policies.pull_request import LONGEST, MARK, Review, markdown
from policies.resource import Resource
from policies.rule import Op, Severity
from policies.waivers import Filed, Waived, Waiver
from profiles.load import load

_FINDING = Finding(
    "LH-W-002",
    Severity.ERROR,
    "Pod tenant-atlas/web",
    "pod sets hostNetwork",
    "No pod reaches",
    "Take it away.",
)
_WARNING = Finding(
    "LH-P-003", Severity.WARNING, "CustomResourceDefinition a", "is odd", "Kinds stay", "Look."
)
_WAIVER = Waiver(
    stack="onprem", rule="LH-S-001", resource="Namespace tenant-atlas", reason="nobody is in it any more", approved_by="m.ortega",
    expires=date(2026, 12, 1),
)  # fmt: skip
_MINIO = Endpoint("object-store", "StatefulSet minio", {})
_MATRIX = Matrix(
    ("atlas", "borealis"), (_MINIO,), {}, 6, 9, 4, (Reached("atlas", _MINIO, Way(Ports("TCP", 9000, 9000), "a", "b"), True),), ()
)  # fmt: skip
_OLD = Definition(
    "things.example.org",
    "Thing",
    "things",
    "example.org",
    "Namespaced",
    ("v1beta1",),
    "v1beta1",
    ("v1beta1",),
)


def _review(
    *ops: Op, findings: tuple[Finding, ...] = (), errors: tuple[str, ...] = (), **more: Any
) -> Review:
    found = tuple(
        Change(op, f"urn:{number}", f"ConfigMap tenant-atlas/c{number}", "foundation:Tenant", "atlas")
        for number, op in enumerate(ops)
    )
    waived = more.pop("waived", ())
    plan = Plan(found, findings, errors, ())
    defaults: dict[str, Any] = {
        "base": "what commit 0123 declares",
        "currency": "USD",
        "bills": {"atlas": Bill("atlas", (Line("a100", "1 x gpu", 1200.0),), 2000)},
        "before": {"atlas": Bill("atlas", (Line("a100", "1 x gpu", 1000.0),), 2000)},
        "matrix": _MATRIX,
        "asked": Asked((), 12, 2),
        "images_before": frozenset({"a:1"}),
        "images_after": frozenset({"a:1"}),
        "kinds": (),
        "seconds": 12.3,
        "peak_mib": 200.0,
    }
    return Review(preview=Preview("onprem", plan, None, waived), **{**defaults, **more})


def test_the_report_begins_with_its_mark_and_the_verdict() -> None:
    lines = markdown(_review(Op.CREATE)).splitlines()
    assert lines[0] == MARK
    assert lines[2] == "## `onprem: allowed, no violation (1 change, 0 unchanged)`"


@pytest.mark.parametrize(
    ("review", "risk"),
    [
        (_review(Op.SAME), "none** (nothing changes)"),
        (_review(Op.CREATE, Op.SAME), "low** (1 new)"),
        (_review(Op.CREATE, Op.UPDATE), "medium** (1 changed in place)"),
        (_review(Op.SAME, images_after=frozenset({"a:2"})), "medium** (other images run)"),
        (_review(Op.UPDATE, Op.DELETE), "high** (1 deleted or replaced)"),
        (_review(Op.SAME, findings=(_FINDING,)), "high** (something is refused)"),
        (
            _review(Op.SAME, waived=(Waived(_FINDING, Filed(_WAIVER, Path("x.yaml"))),)),
            "high** (a waiver lets something be destroyed)",
        ),
        (
            _review(Op.SAME, kinds=(KindChange(_OLD, replace(_OLD, stored="v1")),)),
            "high** (a kind is stored otherwise)",
        ),
        (_review(errors=("no chart",)), "high** (nothing could be decided)"),
    ],
    ids=["nothing", "new", "changed", "images", "deleted", "refused", "waived", "stored otherwise", "failed"],
)
def test_the_risk_is_that_of_the_worst_that_happens(review: Review, risk: str) -> None:
    assert f"**Risk: {risk}" in markdown(review)


def test_changes_are_grouped_by_component_and_tenant_worst_first() -> None:
    text = markdown(_review(Op.CREATE, Op.DELETE, Op.SAME))
    assert "| `foundation:Tenant` | `atlas` | 1 |  |  | 1 |" in text
    assert text.index("- delete `ConfigMap tenant-atlas/c1`") < text.index(
        "- create `ConfigMap tenant-atlas/c0`"
    )
    assert "c2" not in text, "what stays is not listed"


def test_findings_are_told_by_rule_with_what_to_do() -> None:
    text = markdown(_review(Op.CREATE, findings=(_FINDING, replace(_FINDING, subject="Pod b"), _WARNING)))
    assert (
        "🔴 **`LH-W-002`** No pod reaches. Take it away\n\n- `Pod tenant-atlas/web` `pod sets hostNetwork`\n- `Pod b`"
        in text
    )
    assert "🟡 **`LH-P-003`**" in text
    assert "All kept." not in text
    assert "All kept." in markdown(_review(Op.CREATE))


def test_a_waived_fault_is_told_with_who_let_it_pass() -> None:
    text = markdown(_review(Op.SAME, waived=(Waived(_FINDING, Filed(_WAIVER, Path("x.yaml"))),)))
    assert (
        "🟠 waived: `Pod tenant-atlas/web pod sets hostNetwork: allowed by m.ortega until 2026-12-01" in text
    )


def test_the_cost_is_told_with_its_change_and_the_budget() -> None:
    assert "| `atlas` | 1,200 | +200 | 2,000 |" in markdown(_review(Op.SAME))
    assert "| `atlas` | 1,200 | ? | 2,000 |" in markdown(_review(Op.SAME, before=None))
    gone = markdown(_review(Op.SAME, bills={}))
    assert "| `atlas` | 0 | -1,000 | none |" in gone


def test_isolation_images_and_kinds_are_told() -> None:
    text = markdown(_review(Op.SAME, images_after=frozenset({"a:2"}), kinds=(KindChange(None, _OLD),)))
    assert (
        "2 tenants, 6 pairs of pods, 9 subjects of role bindings, 4 grants of stores: **no crossing**."
        in text
    )
    assert "| `atlas` | `TCP 9000` |" in text
    assert "- no longer `a:1`\n- new `a:2`" in text
    assert "- `things.example.org`: none → `v1beta1, stored as v1beta1`" in text


def test_a_failed_preview_shows_its_errors_and_no_half_of_the_rest() -> None:
    text = markdown(_review(Op.CREATE, errors=("profiles/onprem.yaml:3  tenants\n    @everyone <b>",)))
    assert "    profiles/onprem.yaml:3  tenants\n        @everyone <b>" in text, "as a block of code"
    assert "### Changes" not in text


@pytest.mark.parametrize(
    "evil", ["`</details><script>`", "a | b | @everyone", "# head\n\n![x](http://evil)", "``` ```"]
)
def test_what_a_change_brings_stays_inside_its_quotes(evil: str) -> None:
    finding = replace(_FINDING, subject=evil, message=evil)
    change = Change(Op.CREATE, "urn", evil, evil, evil)
    review = _review(
        Op.CREATE, findings=(finding,), images_after=frozenset({evil}), bills={evil: Bill(evil, (), None)}
    )
    plan = replace(review.preview.plan, changes=(change,))
    text = markdown(replace(review, preview=replace(review.preview, plan=plan)))
    for line in text.splitlines():
        outside = "".join(line.split("`")[::2])
        assert not any(word in outside for word in ("script", "everyone", "evil", "head")), line
    assert all(line.count("`") % 2 == 0 for line in text.splitlines())


def test_a_report_that_no_comment_could_hold_is_cut_and_says_so() -> None:
    many = tuple(replace(_FINDING, rule=f"LH-W-{number:03}", message="x" * 500) for number in range(300))
    text = markdown(_review(Op.CREATE, findings=many))
    assert len(text) <= LONGEST
    assert text.endswith("… cut here: the whole report is the job's artifact.\n")
    assert text.count("<details>") == text.count("</details>")


def test_the_command_writes_the_report_and_exits_as_the_plan_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.md"
    arguments = ["pr", "--stack", "onprem", "--out", str(out)]
    for review, code in (
        (_review(Op.CREATE), 0),
        (_review(findings=(_FINDING,)), 1),
        (_review(errors=("x",)), 2),
    ):
        monkeypatch.setattr(pull_request, "review", lambda *given, made=review: made)
        assert command.main(arguments) == code
        assert out.read_text() == markdown(review)
    assert "the report is" in capsys.readouterr().out


def test_what_cannot_be_previewed_is_reported_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> Review:
        raise PreviewError("waivers have 1 problem")

    monkeypatch.setattr(pull_request, "review", refuse)
    out = tmp_path / "report.md"
    assert command.main(["pr", "--stack", "onprem", "--out", str(out)]) == 2
    assert out.read_text().startswith(MARK)
    assert "waivers have 1 problem" in out.read_text()


def test_isolation_is_proved_over_all_stacks_of_an_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def rendered(stack: str, project: Path) -> tuple[Resource, ...]:
        asked.append(stack)
        return ()

    monkeypatch.setattr(preview, "rendered", rendered)
    whole = load("onprem")
    assert not list(pull_request._elsewhere("onprem", whole, tmp_path))
    assert not asked
    cut = whole.model_copy(update={"stacks": Stacks(groups=2)})
    assert {group_of(name, 2) for name in cut.tenants} == {1, 2}, "a group without tenants has no stack"
    list(pull_request._elsewhere("onprem-tenants-1", cut, tmp_path))
    assert asked == ["onprem", "onprem-tenants-2"]
