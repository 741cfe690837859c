"""A plan out of the engine's events."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.automation.events import (
    DiagnosticEvent,
    EngineEvent,
    OpType,
    PolicyEvent,
    ResourcePreEvent,
    ResOutputsEvent,
    StepEventMetadata,
    StepEventStateMetadata,
    SummaryEvent,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies.catalogue import RULES, rule
from policies.plan import Change, Events, Finding, Plan, totals
from policies.rule import Exemption, Op, Severity
from policies.throwaway.charts import OUT_OF_REACH

_TENANT = "longhouse:foundation:Tenant"
_LABELS = {"longhouse.dev/tenant": "atlas", "longhouse.dev/owner": "atlas-team"}
_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
_SUMMARY = SummaryEvent(False, 1, {}, {"longhouse|local|policies/pack": "0.1.0"})


def _urn(kind: str, name: str, *parents: str) -> str:
    return f"urn:pulumi:onprem::longhouse::{'$'.join((*parents, kind))}::{name}"


def _state(kind: str, name: str, retain: bool = False, **metadata: Any) -> StepEventStateMetadata:
    inputs = {"metadata": {"name": name, "namespace": "tenant-atlas", "labels": _LABELS, **metadata}}
    return StepEventStateMetadata(
        kind, _urn(kind, name, _TENANT), "", "", "", retain_on_delete=retain, inputs=inputs
    )


def _step(op: OpType, kind: str, name: str, retain: bool = False, **metadata: Any) -> EngineEvent:
    state = _state(kind, name, retain, **metadata)
    old = None if op is OpType.CREATE else state
    new = None if op in (OpType.DELETE, OpType.DELETE_REPLACED) else state
    step = StepEventMetadata(op, state.urn, kind, "", old=old, new=new)
    return EngineEvent(0, 0, resource_pre_event=ResourcePreEvent(step))


def _policy(rule: str, text: str, level: str = "mandatory", pack: str = "longhouse") -> EngineEvent:
    said = f"a description.\n{rule} {text}\n"
    event = PolicyEvent(said, "never", "objects-error", pack, "0.1.0", "0.1.0", level)
    return EngineEvent(0, 0, policy_event=event)


def _diagnostic(severity: str, message: str, urn: str | None = None) -> EngineEvent:
    return EngineEvent(0, 0, diagnostic_event=DiagnosticEvent(message, "never", severity, urn=urn))


def _plan(*events: EngineEvent, failure: str | None = None, ended: bool = True, **options: Any) -> Plan:
    heard = Events()
    for event in (*events, *([EngineEvent(0, 0, summary_event=_SUMMARY)] if ended else [])):
        heard(event)
    return heard.plan(failure, **options)


def test_a_change_is_told_by_component_and_tenant() -> None:
    plan = _plan(_step(OpType.CREATE, "kubernetes:core/v1:ConfigMap", "settings"))
    urn = _urn("kubernetes:core/v1:ConfigMap", "settings", _TENANT)
    assert plan.changes == (
        Change(Op.CREATE, urn, "ConfigMap tenant-atlas/settings", "foundation:Tenant", "atlas"),
    )
    assert plan.exit_code == 0


def test_a_component_of_a_component_is_told_by_its_own_name() -> None:
    kind = "kubernetes:core/v1:ConfigMap"
    state = StepEventStateMetadata(
        kind,
        _urn(kind, "x", "longhouse:platform:Platform", _TENANT, "kubernetes:helm.sh/v4:Chart"),
        "",
        "",
        "",
        inputs={},
    )
    step = StepEventMetadata(OpType.CREATE, state.urn, kind, "", new=state)
    (change,) = _plan(EngineEvent(0, 0, resource_pre_event=ResourcePreEvent(step))).changes
    assert (change.component, change.tenant) == ("foundation:Tenant", "")


def test_what_is_no_object_of_kubernetes_is_not_counted() -> None:
    assert (
        _plan(
            _step(OpType.CREATE, _TENANT, "atlas"), _step(OpType.CREATE, "pulumi:providers:kubernetes", "k")
        ).changes
        == ()
    )


def test_steps_that_only_read_are_not_counted() -> None:
    assert _plan(_step(OpType.READ, _CLAIM, "home"), _step(OpType.REFRESH, _CLAIM, "work")).changes == ()


def test_the_three_steps_of_a_replacement_are_one_change() -> None:
    ops = (OpType.CREATE_REPLACEMENT, OpType.REPLACE, OpType.DELETE_REPLACED)
    plan = _plan(*(_step(op, _CLAIM, "home") for op in ops))
    assert [change.op for change in plan.changes] == [Op.REPLACE]
    assert [finding.message for finding in plan.findings] == ["would be replaced, and with it its volume"]


def test_a_deletion_of_data_is_refused_though_no_pack_ever_sees_it() -> None:
    plan = _plan(_step(OpType.DELETE, _CLAIM, "home"))
    lost = rule("LH-S-001")
    assert plan.findings == (
        Finding(
            "LH-S-001",
            Severity.ERROR,
            "PersistentVolumeClaim tenant-atlas/home",
            "would be deleted, and with it its volume",
            lost.title,
            lost.fix,
        ),
    )
    assert plan.exit_code == 1


def test_a_renamed_module_is_refused_for_what_it_deletes() -> None:
    old, new = _state(_CLAIM, "home"), _state(_CLAIM, "home")
    new.urn = _urn(_CLAIM, "home", "longhouse:ml:Notebooks")
    steps = (
        StepEventMetadata(OpType.CREATE, new.urn, _CLAIM, "", new=new),
        StepEventMetadata(OpType.DELETE, old.urn, _CLAIM, "", old=old),
    )
    plan = _plan(*(EngineEvent(0, 0, resource_pre_event=ResourcePreEvent(step)) for step in steps))
    assert [finding.rule for finding in plan.findings] == ["LH-S-001"]


def test_what_pulumi_lets_go_of_without_deleting_is_allowed() -> None:
    plan = _plan(_step(OpType.DELETE, _CLAIM, "home", retain=True))
    assert plan.findings == ()
    assert [change.op for change in plan.changes] == [Op.DELETE]


def test_an_exemption_lets_a_deletion_through_and_says_when_it_is_not_needed() -> None:
    exemption = Exemption("LH-S-001", _CLAIM, "tenant-atlas", "home", "its data was moved")
    deleted = _plan(_step(OpType.DELETE, _CLAIM, "home"), exemptions=[exemption])
    assert (deleted.findings, deleted.unused) == ((), ())
    kept = _plan(_step(OpType.SAME, _CLAIM, "home"), exemptions=[exemption])
    assert kept.unused == (exemption,)
    elsewhere = _plan(_step(OpType.SAME, _CLAIM, "work"), exemptions=[exemption])
    assert elsewhere.unused == (), "another stack may need it"


def test_a_violation_of_the_pack_is_told_with_its_object_and_its_fix() -> None:
    plan = _plan(_policy("LH-W-002", "Pod tenant-atlas/web: pod sets hostNetwork"), failure="exit status 255")
    host = rule("LH-W-002")
    assert plan.findings == (
        Finding(
            "LH-W-002", Severity.ERROR, "Pod tenant-atlas/web", "pod sets hostNetwork", host.title, host.fix
        ),
    )
    assert (plan.errors, plan.exit_code) == ((), 1)


def test_a_violation_told_twice_is_one() -> None:
    twice = _policy("LH-W-002", "Pod tenant-atlas/web: pod sets hostNetwork")
    assert len(_plan(twice, twice).findings) == 1


def test_a_warning_refuses_nothing() -> None:
    plan = _plan(_policy("LH-W-002", "Pod tenant-atlas/web: pod sets hostNetwork", level="advisory"))
    assert [finding.severity for finding in plan.findings] == [Severity.WARNING]
    assert (plan.refused, plan.exit_code) == (False, 0)


@pytest.mark.parametrize(("rule", "pack"), [("LH-W-002", "company"), ("LH-X-999", "longhouse")])
def test_a_violation_of_a_rule_not_known_here_is_told_as_it_came(rule: str, pack: str) -> None:
    plan = _plan(_policy(rule, "some text: more", pack=pack))
    said = f"a description.\n{rule} some text: more"
    assert plan.findings == (Finding("objects-error", Severity.ERROR, "", said, pack, ""),)


def test_errors_come_before_warnings_and_each_rule_together() -> None:
    plan = _plan(
        _policy("LH-W-003", "Pod b: x"),
        _policy("LH-W-001", "Pod a: x", level="advisory"),
        _policy("LH-W-002", "Pod c: x"),
        _policy("LH-W-003", "Pod a: x"),
    )
    assert [(finding.rule, finding.subject) for finding in plan.findings] == [
        ("LH-W-002", "Pod c"),
        ("LH-W-003", "Pod a"),
        ("LH-W-003", "Pod b"),
        ("LH-W-001", "Pod a"),
    ]


def test_an_error_of_the_program_decides_nothing() -> None:
    urn = _urn("kubernetes:helm.sh/v4:Chart", "kueue")
    plan = _plan(
        _diagnostic("error", "no such chart\n", urn),
        _policy("LH-W-002", "Pod x: y"),
        failure="exit status 255",
    )
    assert plan.errors == ("kueue: no such chart",)
    assert plan.exit_code == 2


def test_an_error_of_the_program_that_names_no_object_is_told_as_it_is() -> None:
    assert _plan(_diagnostic("error", "profiles/local.yaml: tenants: unknown\n")).errors == (
        "profiles/local.yaml: tenants: unknown",
    )


@pytest.mark.parametrize(
    "event", [_diagnostic("warning", "careful"), _diagnostic("error", "preview failed\n")]
)
def test_what_the_engine_only_remarks_is_no_error(event: EngineEvent) -> None:
    assert _plan(event).errors == ()


def test_what_could_not_be_judged_is_told_once() -> None:
    said = f"oci://registry.example.com/thing 1.2.0 {OUT_OF_REACH}"
    plan = _plan(_diagnostic("warning", f"{said}\n"), _diagnostic("warning", said))
    assert (plan.unjudged, plan.errors) == ((said,), ())
    assert _plan(_diagnostic("warning", "careful")).unjudged == ()


def test_a_command_that_fails_without_a_word_from_the_engine_is_an_error() -> None:
    assert _plan(failure="the pack does not start").errors == ("the pack does not start",)
    assert _plan(_policy("LH-W-002", "Pod x: y", level="advisory"), failure="it broke").errors == (
        "it broke",
    )


def test_a_deletion_of_data_does_not_explain_why_the_command_failed() -> None:
    assert _plan(_step(OpType.DELETE, _CLAIM, "home"), failure="it broke").exit_code == 2


def test_a_preview_without_an_end_decides_nothing() -> None:
    assert _plan(ended=False).errors == ("the preview ended without a summary",)


def test_a_preview_without_the_pack_decides_nothing() -> None:
    summary = SummaryEvent(False, 1, {}, {"another|local|x": "1"})
    assert _plan(EngineEvent(0, 0, summary_event=summary), ended=False).errors == (
        "the policy pack longhouse did not run",
    )


def test_what_is_not_known_yet_is_told_in_words() -> None:
    (change,) = _plan(_step(OpType.CREATE, _CLAIM, "home", namespace=UNKNOWN_STRING_VALUE)).changes
    assert change.subject == "PersistentVolumeClaim (known only once deployed)/home"


def test_changes_are_added_up_by_component_and_tenant() -> None:
    plan = _plan(
        _step(OpType.CREATE, _CLAIM, "a"),
        _step(OpType.CREATE, _CLAIM, "b"),
        _step(OpType.SAME, _CLAIM, "c"),
        _step(OpType.UPDATE, "kubernetes:core/v1:ConfigMap", "d", labels={}, namespace="kube-system"),
    )
    assert totals(plan.changes) == {
        ("foundation:Tenant", ""): {Op.UPDATE: 1},
        ("foundation:Tenant", "atlas"): {Op.CREATE: 2, Op.SAME: 1},
    }


def test_the_listener_says_how_far_it_is() -> None:
    heard = Events()
    heard(_step(OpType.CREATE, _CLAIM, "a"))
    heard(_step(OpType.CREATE, _CLAIM, "a"))
    heard(_step(OpType.CREATE, _CLAIM, "b"))
    assert heard.seen == 2


def test_rules_over_resources_are_left_to_the_pack() -> None:
    bad = _step(OpType.CREATE, "kubernetes:core/v1:Pod", "p", labels={})
    assert _plan(bad, rules=RULES).findings == ()


def _outputs(kind: str, before: dict[str, Any], now: dict[str, Any]) -> EngineEvent:
    old, new = (StepEventStateMetadata(kind, "", "", "", "", outputs=each) for each in (before, now))
    step = StepEventMetadata(OpType.SAME, "", kind, "", old=old, new=new)
    return EngineEvent(0, 0, res_outputs_event=ResOutputsEvent(step))


def test_what_the_stack_exported_and_would_export_is_kept() -> None:
    stack = "pulumi:pulumi:Stack"
    before, now = {"fixed": {"kafka.disk": "1Ti"}}, {"fixed": {"kafka.disk": "2Ti"}}
    plan = _plan(
        _outputs(
            stack, before, before
        ),  # Before the program has exported anything, the engine shows what was.
        _outputs(stack, before, now),
        _outputs(_TENANT, {}, {"namespace": "tenant-atlas"}),
    )
    assert (plan.exported_before, plan.exported) == (before, now)


def test_a_program_that_exports_nothing_has_nothing_to_compare() -> None:
    assert (_plan().exported_before, _plan().exported) == ({}, {})
