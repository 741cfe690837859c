"""The rules as CrossGuard policies: what the pack in `pack/` is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.catalogue import RULES
from policies.claim import Claim
from policies.exemptions import EXEMPTIONS
from policies.resource import UNKNOWN, Resource, kubernetes_resources
from policies.rule import ResourceRule, Rule, Severity, StackRule, violations

PACK: Final = "longhouse"
"""The pack's name, which its violations carry."""

_LEVELS: Final = {
    Severity.ERROR: EnforcementLevel.MANDATORY,
    Severity.WARNING: EnforcementLevel.ADVISORY,
}


def policies(rules: Sequence[Rule] = RULES) -> list[Policy]:
    """One policy for each rule that an engine can run: rules over plans are not among them."""
    return [made for rule in rules if (made := _policy(rule)) is not None]


def _policy(rule: Rule) -> Policy | None:
    if isinstance(rule, ResourceRule):
        return ResourceValidationPolicy(validate=_over_resources(rule), **_about(rule))
    if isinstance(rule, StackRule):
        return StackValidationPolicy(validate=_over_stacks(rule), **_about(rule))
    return None


def _about(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.id,
        "display_name": rule.title,
        "description": f"{rule.title}. {rule.fix}",
        "enforcement_level": _LEVELS[rule.severity],
        "framework": PolicyComplianceFramework(specification="; ".join(rule.references))
        if rule.references
        else None,
        "tags": [rule.family.value],
        "remediation_steps": rule.fix,
    }


def _over_resources(rule: ResourceRule) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        kind = Resource(args.urn, args.resource_type.removesuffix("List"), args.name, {}).kind
        if isinstance(rule.check, Claim) and not rule.check.concerns(kind):
            return  # Reading the properties takes most of the time.
        resources = kubernetes_resources(args.urn, args.resource_type, args.name, plain(args.props))
        for violation in violations([rule], resources, exemptions=EXEMPTIONS):
            report(violation.text, None)

    return validate


def _over_stacks(rule: StackRule) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [
            resource
            for each in args.resources
            for resource in kubernetes_resources(each.urn, each.resource_type, each.name, plain(each.props))
        ]
        for violation in violations([rule], resources, exemptions=EXEMPTIONS):
            report(violation.text, violation.resource.urn)

    return validate


def plain(value: Any) -> Any:
    """The properties as plain data. The SDK raises on reading what a preview cannot know; here it reads as `UNKNOWN`, and the rule goes on."""
    if isinstance(value, Mapping):
        return {key: _read(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_read(value, index) for index in range(len(value))]
    return value


def _read(holder: Any, key: Any) -> Any:
    try:
        return plain(holder[key])
    except UnknownValueError:
        return UNKNOWN
