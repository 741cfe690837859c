"""The rules for access to the Kubernetes API."""

from __future__ import annotations

from typing import Any

import pytest

from policies.resource import UNKNOWN
from tests.policies.objects import Case, Edit, allowed, edited, expected, found, refused

_ROLE = "Role tenant-atlas/reader: "
_BINDING = "RoleBinding tenant-atlas/reader: "


def _rule(field: str, *values: str) -> Edit:
    return Edit("role", f"rules/0/{field}", list(values))


def _subject(name: str) -> Edit:
    return Edit("binding", "subjects/0", {"kind": "Group", "name": name})


def _binds(role: Any) -> Edit:
    return Edit("binding", "roleRef", {"kind": "ClusterRole", "name": role})


CASES = (
    refused("LH-A-001", "every verb", _ROLE + "rules[0].verbs holds *", _rule("verbs", "*")),
    refused("LH-A-001", "every API group", _ROLE + "rules[0].apiGroups holds *", _rule("apiGroups", "", "*")),
    refused("LH-A-001", "every resource", _ROLE + "rules[0].resources holds *", _rule("resources", "*")),
    refused("LH-A-001", "every subresource", _ROLE + "rules[0].resources holds pods/*", _rule("resources", "pods/*")),
    refused("LH-A-001", "that subresource of all", _ROLE + "rules[0].resources holds */scale", _rule("resources", "*/scale")),
    refused("LH-A-001", "every other URL", _ROLE + "rules[0].nonResourceURLs holds /*", _rule("nonResourceURLs", "/*")),
    refused("LH-A-001", "verbs not known yet", _ROLE + f"rules[0].verbs holds {UNKNOWN}", Edit("role", "rules/0/verbs", UNKNOWN)),
    allowed("URLs below one path", _rule("nonResourceURLs", "/healthz/*")),
    allowed("a role that others add to", Edit("role", "rules", None)),
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
    allowed("all service accounts of one namespace", _subject("system:serviceaccounts:tenant-atlas")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_access_is_given_by_name(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)
