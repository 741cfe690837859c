"""The rules as the API server is to judge by them: the claims among them, printed as CEL."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from modules.foundation.admission.policy import Policy, Validation
from policies.catalogue import RULES
from policies.claim import Claim
from policies.exemptions import EXEMPTIONS
from policies.resource import Resource
from policies.rule import Exemption, ResourceRule, Rule, Severity

_KIND: Final = "kind"
_PLURALS: Final = (
    (re.compile("(s|x|ch|sh)$"), r"\1es"),
    (re.compile("([^aeiou])y$"), r"\1ies"),
    (re.compile("$"), "s"),
)
_SUBRESOURCES: Final = {"core/Pod": ("pods/ephemeralcontainers",)}
"""Parts of an object that are changed past the object itself, and that rules speak of."""


def admission_policies(
    rules: Sequence[Rule] = RULES, exemptions: Sequence[Exemption] = EXEMPTIONS
) -> tuple[Policy, ...]:
    """One policy for each family and severity that the cluster enforces anything of."""
    claims = sorted(enforced(rules), key=lambda rule: (rule.family.value, rule.severity.value))
    return tuple(
        _policy(family.value, severity is Severity.WARNING, list(group), exemptions)
        for (family, severity), group in groupby(claims, key=lambda rule: (rule.family, rule.severity))
    )


def enforced(rules: Sequence[Rule] = RULES) -> tuple[ResourceRule, ...]:
    """The rules that the cluster enforces too."""
    return tuple(rule for rule in rules if isinstance(rule, ResourceRule) and not rule.pull_request_only)


def _policy(
    family: str, warns: bool, rules: Sequence[ResourceRule], exemptions: Sequence[Exemption]
) -> Policy:
    kinds = sorted({kind for rule in rules for kind in _claim(rule).kinds})
    needed = dict(variable for rule in rules for variable in _claim(rule).variables)
    return Policy(
        name=f"{family}-warnings" if warns else family,
        resources=tuple(
            (group, tuple(name for kind in of_group for name in resources(kind)))
            for group, of_group in groupby(kinds, key=_group)
        ),
        variables=(
            (_KIND, "(request.kind.group == '' ? 'core' : request.kind.group) + '/' + request.kind.kind"),
            *needed.items(),
        ),
        validations=tuple(Validation(rule.id, _faults(rule, exemptions), rule.fix) for rule in rules),
        warns=warns,
    )


def _claim(rule: ResourceRule) -> Claim:
    assert isinstance(rule.check, Claim)
    return rule.check


def _faults(rule: ResourceRule, exemptions: Sequence[Exemption]) -> str:
    claim = _claim(rule)
    conditions = [f"variables.{_KIND} in {json.dumps(list(claim.kinds))}"]
    conditions += [f"!({_is(each)})" for each in exemptions if each.rule == rule.id]
    return f"{' && '.join(conditions)} ? {claim.cel} : []"


def _is(exemption: Exemption) -> str:
    """Whether the request is about that object. A chart may give a namespace to what has none; the API server takes it away."""
    kind = Resource("", exemption.type, "", {}).kind
    named = f"variables.{_KIND} == {json.dumps(kind)} && object.metadata.?name.orValue('') == {json.dumps(exemption.name)}"
    if exemption.namespace is None:
        return named
    return f"{named} && object.metadata[?'namespace'].orValue({json.dumps(exemption.namespace)}) == {json.dumps(exemption.namespace)}"


def _group(kind: str) -> str:
    group = kind.partition("/")[0]
    return "" if group == "core" else group


def resources(kind: str) -> tuple[str, ...]:
    """How the API names the objects of a kind, and the parts of them that are changed apart."""
    name = kind.partition("/")[2].lower()
    ending, plural = next((ending, plural) for ending, plural in _PLURALS if ending.search(name))
    return (ending.sub(plural, name, count=1), *_SUBRESOURCES.get(kind, ()))
