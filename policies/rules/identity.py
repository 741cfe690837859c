"""Access to the Kubernetes API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.resource import UNKNOWN, Resource, at, items, records
from policies.rule import Family, ResourceRule, Severity

_CIS: Final = "CIS Kubernetes Benchmark"
_NSA: Final = "NSA/CISA Kubernetes Hardening Guide: Authentication and authorization"
_API: Final = "rbac.authorization.k8s.io/"
_ROLES: Final = frozenset({_API + "Role", _API + "ClusterRole"})
_BINDINGS: Final = frozenset({_API + "RoleBinding", _API + "ClusterRoleBinding"})
_FIELDS: Final = ("verbs", "apiGroups", "resources", "nonResourceURLs")
_POWERS: Final = ("bind", "escalate", "impersonate")
_EVERYBODY: Final = frozenset({"system:anonymous", "system:authenticated", "system:unauthenticated"})
_PUBLIC_ROLES: Final = frozenset({"system:basic-user", "system:discovery", "system:public-info-viewer"})
"""ClusterRoles that Kubernetes itself gives to everybody."""


def _wildcards(resource: Resource) -> Iterator[str]:
    if resource.kind in _ROLES:
        for number, rule in enumerate(records(resource.props.get("rules"))):
            for field in _FIELDS:
                for value in items(rule.get(field)):
                    if _is_wildcard(field, str(value)):
                        yield f"rules[{number}].{field} holds {value}"


def _is_wildcard(field: str, value: str) -> bool:
    if field == "resources":
        return "*" in value.split("/") or value == UNKNOWN
    return value in ("*", "/*", UNKNOWN)


def _powers(resource: Resource) -> Iterator[str]:
    if resource.kind in _ROLES:
        for number, rule in enumerate(records(resource.props.get("rules"))):
            for verb in _POWERS:
                if verb in items(rule.get("verbs")):
                    yield f"rules[{number}].verbs holds {verb}"


def _bindings(resource: Resource) -> Iterator[str]:
    if resource.kind not in _BINDINGS:
        return
    role = at(resource.props, "roleRef", "name")
    if role in ("cluster-admin", UNKNOWN):
        yield f"binds {role}"
    for subject in records(resource.props.get("subjects")):
        name = subject.get("name")
        if name == "system:masters":
            yield "gives its role to system:masters, whom no rule of access holds"
        elif name in _EVERYBODY and role not in _PUBLIC_ROLES:
            yield f"gives its role to everybody ({name})"


RULES: Final = (
    ResourceRule(
        id="LH-A-001",
        title="No role holds a wildcard",
        reason="A wildcard also grants what later versions and other operators add, secrets and CRDs with it.",
        fix="Name the verbs, API groups and resources that are used.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (wildcard use in Roles and ClusterRoles)", _NSA),
        check=_wildcards,
    ),
    ResourceRule(
        id="LH-A-002",
        title="No role can make itself more powerful",
        reason="Who may escalate or bind roles, or impersonate others, has every right that exists.",
        fix="Take the verb away: grant the rights themselves.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(f"{_CIS}: 5.1 RBAC and Service Accounts (bind, impersonate and escalate permissions)",),
        check=_powers,
    ),
    ResourceRule(
        id="LH-A-003",
        title="Nobody is made administrator of the cluster, and nothing is granted to everybody",
        reason="Such a binding outlives its purpose, and no namespace, quota or review stands in its way.",
        fix="Bind a role that holds what is needed to the group or service account that needs it.",
        severity=Severity.ERROR,
        family=Family.IDENTITY,
        references=(
            f"{_CIS}: 5.1 RBAC and Service Accounts (cluster-admin role, system:masters group)",
            _NSA,
        ),
        check=_bindings,
    ),
)
