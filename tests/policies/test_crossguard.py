"""The pack's policies, called as the engine calls them, without the pack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import yaml
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import (
    UNKNOWN_ARRAY_VALUE,
    UNKNOWN_BOOLEAN_VALUE,
    UNKNOWN_STRING_VALUE,
    unknown_checking_proxy,
)

from policies.catalogue import RULES, rule
from policies.crossguard import plain, policies
from policies.preview import CHECKOUT
from policies.resource import UNKNOWN
from policies.rule import PlanRule, Severity
from tests.policies.objects import Edit, Stack, compliant, edited, resource

_OPTIONS = PolicyResourceOptions(False, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])


def _alone(name: str) -> Policy:
    """The policy that holds one rule and no other."""
    (policy,) = policies([rule(name)])
    return policy


def _into(said: list[tuple[str, str | None]]) -> ReportViolation:
    def report(message: str, urn: str | None = None) -> None:
        said.append((message, urn))

    return report


def _validate_resource(
    name: str, props: Any, kind: str = "kubernetes:apps/v1:Deployment"
) -> list[tuple[str, str | None]]:
    policy = _alone(name)
    assert isinstance(policy, ResourceValidationPolicy)
    said: list[tuple[str, str | None]] = []
    args = ResourceValidationArgs(kind, unknown_checking_proxy(props), "urn:web", "web", _OPTIONS, None)
    policy.validate(args, _into(said))
    return said


def _validate_stack(name: str, stack: Stack) -> list[tuple[str, str | None]]:
    policy = _alone(name)
    assert isinstance(policy, StackValidationPolicy)
    found = [resource(manifest, short) for short, manifest in stack.items()]
    resources = [
        PolicyResource(
            each.type,
            unknown_checking_proxy(dict(each.props)),
            each.urn,
            each.name,
            _OPTIONS,
            None,
            None,
            [],
            {},
        )
        for each in found
    ]
    said: list[tuple[str, str | None]] = []
    policy.validate(StackValidationArgs(resources), _into(said))
    return said


def test_all_rules_that_an_engine_can_run_are_held_by_four_policies() -> None:
    """Each policy costs another reading of every object."""
    assert [(policy.name, policy.enforcement_level) for policy in policies()] == [
        ("objects-error", EnforcementLevel.MANDATORY),
        ("stack-error", EnforcementLevel.MANDATORY),
        ("objects-warning", EnforcementLevel.ADVISORY),
    ]


def test_a_rule_over_plans_is_held_by_none() -> None:
    assert policies([each for each in RULES if isinstance(each, PlanRule)]) == []


def test_every_rule_that_an_object_breaks_is_told_at_once() -> None:
    broken = edited(
        [
            Edit("web", "spec/template/spec/hostNetwork", True),
            Edit("web", "spec/template/spec/containers/0/image", UNKNOWN_STRING_VALUE),
        ]
    )["web"]
    policy = policies()[0]
    assert isinstance(policy, ResourceValidationPolicy)
    said: list[tuple[str, str | None]] = []
    kind = "kubernetes:apps/v1:Deployment"
    args = ResourceValidationArgs(kind, unknown_checking_proxy(broken), "urn:web", "web", _OPTIONS, None)
    policy.validate(args, _into(said))
    assert {text.partition(" ")[0] for text, _ in said} >= {"LH-W-002", "LH-I-001"}


@pytest.mark.parametrize(
    ("severity", "level"),
    [(Severity.ERROR, EnforcementLevel.MANDATORY), (Severity.WARNING, EnforcementLevel.ADVISORY)],
)
def test_an_error_stops_a_deployment_and_a_warning_does_not(
    severity: Severity, level: EnforcementLevel
) -> None:
    (policy,) = policies([replace(rule("LH-W-001"), severity=severity)])
    assert policy.enforcement_level is level


def test_a_resource_is_refused_by_name() -> None:
    assert _validate_resource("LH-W-002", compliant()["web"]) == []
    broken = edited([Edit("web", "spec/template/spec/hostNetwork", True)])["web"]
    assert _validate_resource("LH-W-002", broken) == [
        ("LH-W-002 Deployment tenant-atlas/web: pod sets hostNetwork", None)
    ]


def test_a_component_is_none_of_the_rules_business() -> None:
    assert (
        _validate_resource(
            "LH-T-002", {"metadata": {"namespace": "tenant-atlas"}}, "longhouse:foundation:Tenant"
        )
        == []
    )


def test_a_stack_is_refused_on_the_resource_to_change() -> None:
    assert _validate_stack("LH-T-003", compliant()) == []
    stack = edited([Edit("quota", "")])
    urn = resource(stack["namespace"], "namespace").urn
    assert _validate_stack("LH-T-003", stack) == [
        ("LH-T-003 Namespace tenant-atlas: has no ResourceQuota", urn)
    ]


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("LH-W-002", "spec/template/spec/hostNetwork", UNKNOWN_BOOLEAN_VALUE),
        ("LH-I-001", "spec/template/spec/containers/0/image", UNKNOWN_STRING_VALUE),
        ("LH-W-003", "spec/template/spec/containers", UNKNOWN_ARRAY_VALUE),
    ],
)
def test_a_value_that_a_preview_cannot_know_is_refused_not_passed_over(
    name: str, path: str, value: str
) -> None:
    assert _validate_resource(name, edited([Edit("web", path, value)])["web"]) != []


def test_plain_data_holds_no_proxies() -> None:
    value = plain(unknown_checking_proxy({"a": [{"b": UNKNOWN_STRING_VALUE}, "c"], "d": 1.0}))
    assert value == {"a": [{"b": UNKNOWN}, "c"], "d": 1.0}
    assert type(value["a"]) is list
    assert type(value["a"][0]) is dict


def test_the_pack_runs_in_the_checkouts_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = CHECKOUT / "policies" / "pack"
    options = yaml.safe_load((pack / "PulumiPolicy.yaml").read_text())["runtime"]["options"]
    assert (pack / options["virtualenv"]).resolve() == CHECKOUT / ".venv"

    made: list[tuple[str, Sequence[str]]] = []

    def pack_class(*, name: str, policies: Sequence[Policy], enforcement_level: EnforcementLevel) -> None:
        made.append((name, [policy.name for policy in policies]))

    monkeypatch.setattr("pulumi_policy.PolicyPack", pack_class)
    exec(compile((pack / "__main__.py").read_text(), "__main__.py", "exec"), {"__name__": "__main__"})
    assert made == [("longhouse", [policy.name for policy in policies()])]
