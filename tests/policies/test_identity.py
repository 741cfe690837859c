"""The rules for access to the Kubernetes API."""

from __future__ import annotations

from typing import Any

import pytest

from policies.resource import UNKNOWN
from tests.policies.objects import Case, Edit, allowed, edited, expected, found, refused

_ROLE = "Role tenant-atlas/reader: "
_BINDING = "RoleBinding tenant-atlas/reader: "
_READER = "ClusterRole reader: "
_WEB = "Deployment tenant-atlas/web: "


def _rule(field: str, *values: str) -> Edit:
    return Edit("role", f"rules/0/{field}", list(values))


def _subject(name: str) -> Edit:
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name}
    return Edit("binding", "subjects/0", group)


def _grant(role: str, group: str, kind: str, verb: str, **more: Any) -> tuple[Edit, ...]:
    return (Edit(role, "rules/0", {"apiGroups": [group], "resources": [kind], "verbs": [verb], **more}),)


def _token(seconds: int) -> tuple[Edit, ...]:
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": seconds}}
    volume = {"name": "token", "projected": {"sources": [source]}}
    return (
        Edit("web", "spec/template/spec/volumes/1", volume),
        Edit("web", "spec/template/spec/serviceAccountName", "workload"),
    )


def _binds(role: Any) -> Edit:
    return Edit(
        "binding", "roleRef", {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    )


CASES = (
    refused("LH-A-001", "every verb", _ROLE + "rules[0].verbs holds *", _rule("verbs", "*")),
    refused("LH-A-001", "every API group", _ROLE + "rules[0].apiGroups holds *", _rule("apiGroups", "", "*")),
    refused("LH-A-001", "every resource", _ROLE + "rules[0].resources holds *", _rule("resources", "*")),
    refused("LH-A-001", "every subresource", _ROLE + "rules[0].resources holds pods/*", _rule("resources", "pods/*")),
    refused("LH-A-001", "that subresource of all", _ROLE + "rules[0].resources holds */scale", _rule("resources", "*/scale")),
    refused("LH-A-001", "every other URL", _READER + "rules[0].nonResourceURLs holds /*",
            Edit("reader", "rules/0", {"nonResourceURLs": ["/*"], "verbs": ["get"]})),
    refused("LH-A-001", "verbs not known yet", _ROLE + f"rules[0].verbs holds {UNKNOWN}", Edit("role", "rules/0/verbs", UNKNOWN)),
    allowed("URLs below one path", Edit("reader", "rules/0", {"nonResourceURLs": ["/healthz/*"], "verbs": ["get"]})),
    allowed("a role without rules", Edit("role", "rules", [])),
    allowed(
        "a role that gathers others", Edit("reader", "aggregationRule", {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]}),
        Edit("reader", "rules", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*", "escalate"]}]),
    ),
    refused("LH-A-002", "bind", _ROLE + "rules[0].verbs holds bind", _rule("verbs", "get", "bind")),
    refused("LH-A-002", "escalate", _ROLE + "rules[0].verbs holds escalate", _rule("verbs", "escalate")),
    refused("LH-A-002", "impersonate", _ROLE + "rules[0].verbs holds impersonate", _rule("verbs", "impersonate")),
    allowed("binding pods to nodes, which is a resource and no verb", _rule("resources", "pods/binding")),
    refused("LH-A-003", "administrator", _BINDING + "binds cluster-admin", _binds("cluster-admin")),
    refused("LH-A-003", "a role not known yet", _BINDING + f"binds {UNKNOWN}", _binds(UNKNOWN)),
    refused(
        "LH-A-003", "masters", _BINDING + "gives its role to system:masters, whom no rule of access holds", _subject("system:masters")
    ),
    refused(
        "LH-A-003", "everybody who is logged in", _BINDING + "gives its role to everybody (system:authenticated)",
        _subject("system:authenticated"),
    ),
    refused(
        "LH-A-003", "everybody who is not", _BINDING + "gives its role to everybody (system:unauthenticated)",
        _subject("system:unauthenticated"),
    ),
    refused("LH-A-003", "nobody in particular", _BINDING + "gives its role to everybody (system:anonymous)", _subject("system:anonymous")),
    allowed("what Kubernetes itself gives to everybody", _binds("system:discovery"), _subject("system:authenticated")),
    refused("LH-A-004", "all secrets", _READER + "rules[0] grants secrets", *_grant("reader", "", "secrets", "list")),
    allowed("one secret by name", *_grant("reader", "", "secrets", "get", resourceNames=["ours"])),
    allowed("secrets of one namespace", *_grant("role", "", "secrets", "list")),
    allowed("secrets that may only be written", *_grant("reader", "", "secrets", "create")),
    refused("LH-A-005", "tokens of all accounts", _READER + "rules[0] grants serviceaccounts/token", *_grant("reader", "", "serviceaccounts/token", "create")),
    refused("LH-A-005", "tokens of a namespace's accounts", _ROLE + "rules[0] grants serviceaccounts/token", *_grant("role", "", "serviceaccounts/token", "create")),
    refused(
        "LH-A-005", "any certificate", _READER + "rules[0] grants certificatesigningrequests/approval",
        *_grant("reader", "certificates.k8s.io", "certificatesigningrequests/approval", "update"),
    ),
    allowed("tokens of one account", *_grant("role", "", "serviceaccounts/token", "create", resourceNames=["workload"])),
    refused("LH-A-006", "the kubelet", _READER + "rules[0] grants nodes/proxy", *_grant("reader", "", "nodes/proxy", "get")),
    allowed("the kubelet's numbers", *_grant("reader", "", "nodes/metrics", "get")),
    refused(
        "LH-A-007", "webhooks", _READER + "rules[0] grants mutatingwebhookconfigurations",
        *_grant("reader", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "patch"),
    ),
    refused(
        "LH-A-007", "these very rules", _READER + "rules[0] grants validatingadmissionpolicies",
        *_grant("reader", "admissionregistration.k8s.io", "validatingadmissionpolicies", "delete"),
    ),
    allowed("webhooks to look at", *_grant("reader", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "list")),
    refused("LH-A-008", "volumes", _READER + "rules[0] grants persistentvolumes", *_grant("reader", "", "persistentvolumes", "create")),
    allowed("claims", *_grant("reader", "", "persistentvolumeclaims", "create")),
    refused("LH-A-009", "all service accounts", _BINDING + "gives its role to system:serviceaccounts", _subject("system:serviceaccounts")),
    refused("LH-A-009", "all nodes", _BINDING + "gives its role to system:nodes", _subject("system:nodes")),
    refused("LH-A-010", "Kubernetes' own editor", _BINDING + "binds edit, which grows with every operator", _binds("edit")),
    allowed("a role of a namespace that is called so", Edit("binding", "roleRef/name", "edit")),
    allowed("Kubernetes' own viewer for the platform's people", Edit("readers", "roleRef/name", "view")),
    refused("LH-A-011", "a token for a year", _WEB + "volume token holds a token for 31536000 seconds", *_token(31536000)),
    allowed("a token for an hour", *_token(3600)),
    refused(
        "LH-A-012", "the default account's token", _WEB + "pod takes the token of its namespace's default account",
        Edit("web", "spec/template/spec/automountServiceAccountToken"),
    ),
    refused(
        "LH-A-012", "the default account's token, asked for", _WEB + "pod takes the token of its namespace's default account",
        Edit("web", "spec/template/spec/automountServiceAccountToken", True), Edit("web", "spec/template/spec/serviceAccountName", "default"),
    ),
    allowed("the token of an account of its own", Edit("web", "spec/template/spec/automountServiceAccountToken"),
            Edit("web", "spec/template/spec/serviceAccountName", "workload")),
    allowed("all service accounts of one namespace", _subject("system:serviceaccounts:tenant-atlas")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_access_is_given_by_name(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)
