"""The rules of one family as the API server judges by them: data in, Kubernetes' objects out.

Facts are from https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modules.foundation.admission.config import Admission, Enforcement

API_VERSION: Final = "admissionregistration.k8s.io/v1"
PREFIX: Final = "longhouse-"
NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
_AUDIT: Final = "Audit"


@dataclass(frozen=True)
class Validation:
    """One rule, in CEL."""

    rule: str
    """The rule's id: begins each message."""
    faults: str
    """A list of texts, one for each fault; empty where the rule holds. May use the policy's variables."""
    fix: str


@dataclass(frozen=True)
class Policy:
    """Rules that are judged together."""

    name: str
    resources: tuple[tuple[str, tuple[str, ...]], ...]
    """What they speak of: API groups, each with resources."""
    variables: tuple[tuple[str, str], ...]
    """What the faults use, by name, in an order in which each needs earlier ones only."""
    validations: tuple[Validation, ...]
    warns: bool
    """Whether a violation is told and nothing more."""


def policy_spec(policy: Policy, config: Admission) -> Mapping[str, Any]:
    """`spec` of a ValidatingAdmissionPolicy.

    Each rule's faults are a variable, which the API server works out once, if at all. What is on its way out is let go: a finalizer
    could not be taken off otherwise.
    """
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [group],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": list(resources),
                }
                for group, resources in policy.resources
            ]
        },
        "matchConditions": [
            {"name": "stays", "expression": "!has(object.metadata.deletionTimestamp)"},
            {
                "name": "by-somebody-else",
                "expression": f"!(request.userInfo.username in {json.dumps(list(config.users_left_alone))})",
            },
        ],
        "variables": [
            *({"name": name, "expression": cel} for name, cel in policy.variables),
            *({"name": _variable(each), "expression": each.faults} for each in policy.validations),
        ],
        "validations": [
            {
                "expression": f"size(variables.{_variable(each)}) == 0",
                "messageExpression": f"{json.dumps(f'{each.rule}: ')} + variables.{_variable(each)}.join('; ')"
                f" + {json.dumps(f'. {each.fix}')}",
                "message": f"{each.rule}. {each.fix}",
                "reason": "Forbidden",
            }
            for each in policy.validations
        ],
    }


def binding_spec(policy: Policy, config: Admission) -> Mapping[str, Any]:
    """`spec` of the ValidatingAdmissionPolicyBinding that puts the policy into force."""
    actions = [config.enforcement.value]
    if policy.warns and config.enforcement is Enforcement.DENY:
        actions = [Enforcement.WARN.value]
    spec: dict[str, Any] = {
        "policyName": PREFIX + policy.name,
        "validationActions": actions if _AUDIT in actions else [*actions, _AUDIT],
    }
    if not config.namespaces_left_alone:
        return spec
    left_alone = {"key": NAMESPACE_NAME, "operator": "NotIn", "values": list(config.namespaces_left_alone)}
    return {**spec, "matchResources": {"namespaceSelector": {"matchExpressions": [left_alone]}}}


def _variable(validation: Validation) -> str:
    """`LH-W-002` as a name of CEL's."""
    return validation.rule.lower().replace("-", "_")
