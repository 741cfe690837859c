"""The rules as CrossGuard policies: what the pack in `pack/` is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    Policy,
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
from policies.rule import ResourceRule, Rule, Severity, StackRule, Violation, violations

PACK: Final = "longhouse"
"""The pack's name, which its violations carry."""

_LEVELS: Final = {
    Severity.ERROR: EnforcementLevel.MANDATORY,
    Severity.WARNING: EnforcementLevel.ADVISORY,
}


def policies(rules: Sequence[Rule] = RULES) -> list[Policy]:
    """One policy for the rules over objects and one for those over stacks, for each severity: a message begins with its rule's id.

    Rules over plans are not among them: an engine shows a pack no plan. A policy for each rule would have the SDK decode every object
    again for each of them, which takes longer than all rules together.
    """
    made: list[Policy] = []
    for severity, level in _LEVELS.items():
        held = [rule for rule in rules if rule.severity is severity]
        resource_rules = [rule for rule in held if isinstance(rule, ResourceRule) and not _needs_home(rule)]
        stack_rules = [rule for rule in held if isinstance(rule, StackRule) or _needs_home(rule)]
        if resource_rules:
            about = _about("objects", severity, level)
            made.append(ResourceValidationPolicy(validate=_over_resources(resource_rules), **about))
        if stack_rules:
            about = _about("stack", severity, level)
            made.append(StackValidationPolicy(validate=_over_stacks(stack_rules), **about))
    return made


def _about(what: str, severity: Severity, level: EnforcementLevel) -> dict[str, Any]:
    return {
        "name": f"{what}-{severity.value}",
        "description": f"Rules of severity {severity.value}; docs/policies.md has the reason and the remedy of each",
        "enforcement_level": level,
    }


def _over_resources(rules: Sequence[ResourceRule]) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        kind = Resource(args.urn, args.resource_type.removesuffix("List"), args.name, {}).kind
        concerned = [rule for rule in rules if not isinstance(rule.check, Claim) or rule.check.concerns(kind)]
        resources = kubernetes_resources(args.urn, args.resource_type, args.name, plain(args.props))
        for violation in violations(concerned, resources, exemptions=EXEMPTIONS):
            report(_said(violation), None)

    return validate


def _needs_home(rule: Rule) -> bool:
    """Whether the rule looks at an object's namespace, which the engine shows a policy over objects nothing of."""
    return isinstance(rule, ResourceRule) and isinstance(rule.check, Claim) and rule.check.home


def _over_stacks(rules: Sequence[Rule]) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [
            resource
            for each in args.resources
            for resource in kubernetes_resources(each.urn, each.resource_type, each.name, plain(each.props))
        ]
        for violation in violations(rules, resources, exemptions=EXEMPTIONS):
            report(_said(violation), violation.resource.urn)

    return validate


def _said(violation: Violation) -> str:
    return f"{violation.rule.id} {violation.text}"


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
