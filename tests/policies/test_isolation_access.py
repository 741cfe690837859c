"""The evaluator of RBAC against what Kubernetes documents. `tests/cluster/test_access_reviews.py` asks a real API server the same."""

from __future__ import annotations

from typing import Any

import pytest

from policies.isolation.access import Access, Principal, Question, access, service_account
from tests.policies.objects import resource

_RBAC = "rbac.authorization.k8s.io"
ANNA = Principal("anna", ("readers",))


def _object(kind: str, name: str, namespace: str | None = None, **body: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, **body.pop("metadata", {})}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, **body}


def _rule(
    verbs: list[str], resources: list[str], groups: tuple[str, ...] = ("",), **rest: Any
) -> dict[str, Any]:
    return {"verbs": verbs, "resources": resources, "apiGroups": list(groups), **rest}


def _subject(kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "name": name, **({"namespace": namespace} if namespace else {"apiGroup": _RBAC})}


def _bind(
    name: str, namespace: str | None, role: tuple[str, str], *subjects: dict[str, Any]
) -> dict[str, Any]:
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    reference = {"apiGroup": _RBAC, "kind": role[0], "name": role[1]}
    return _object(kind, name, namespace, roleRef=reference, subjects=list(subjects))


OBJECTS = (
    _object("Role", "pod-reader", "a", rules=[_rule(["get", "watch", "list"], ["pods"])]),
    _object("Role", "pod-reader", "b", rules=[_rule(["delete"], ["pods"])]),
    _object("ClusterRole", "secret-reader", rules=[_rule(["get"], ["secrets"])]),
    _object(
        "ClusterRole", "one-map", rules=[_rule(["get", "list"], ["configmaps"], resourceNames=["settings"])]
    ),
    _object("ClusterRole", "logs", rules=[_rule(["get"], ["pods/log", "*/scale"], ("", "apps"))]),
    _object("ClusterRole", "all-of-apps", rules=[_rule(["*"], ["*"], ("apps",))]),
    _bind("read", "a", ("Role", "pod-reader"), _subject("Group", "readers")),
    _bind("secrets", "a", ("ClusterRole", "secret-reader"), _subject("ServiceAccount", "robot", "b")),
    _bind("everywhere", None, ("ClusterRole", "one-map"), _subject("User", "anna")),
    _bind("logs", "b", ("ClusterRole", "logs"), _subject("Group", "system:authenticated")),
    _bind("apps", "b", ("ClusterRole", "all-of-apps"), _subject("Group", "system:serviceaccounts:a")),
    _bind("nothing", "b", ("Role", "missing"), _subject("Group", "readers")),
)
ROBOT = service_account("b", "robot")

CASES_OF_ACCESS: tuple[tuple[str, Principal, Question, bool], ...] = (
    ("a role where it is bound", ANNA, Question("list", "", "pods", "a"), True),
    ("not what the role does not name", ANNA, Question("delete", "", "pods", "a"), False),
    ("not in another namespace, whatever its role of that name says", ANNA, Question("delete", "", "pods", "b"), False),
    ("not in all namespaces at once", ANNA, Question("list", "", "pods"), False),
    ("not who is in no group", Principal("otto"), Question("list", "", "pods", "a"), False),
    ("a role is not of its subresources", ANNA, Question("get", "", "pods/exec", "a"), False),
    ("a cluster's role bound in a namespace", ROBOT, Question("get", "", "secrets", "a", "key"), True),
    ("and only there", ROBOT, Question("get", "", "secrets", "b", "key"), False),
    ("not a namesake of another namespace", service_account("a", "robot"), Question("get", "", "secrets", "a"), False),
    ("a cluster's binding, everywhere", ANNA, Question("get", "", "configmaps", "b", "settings"), True),
    ("also for all at once, by name", ANNA, Question("list", "", "configmaps", "", "settings"), True),
    ("not another name", ANNA, Question("get", "", "configmaps", "b", "other"), False),
    ("not without a name", ANNA, Question("list", "", "configmaps", "b"), False),
    ("not another API group", ANNA, Question("get", "apps", "configmaps", "b", "settings"), False),
    ("everybody who is known", Principal("otto"), Question("get", "", "pods/log", "b", "x"), True),
    ("a subresource of any kind", Principal("otto"), Question("get", "apps", "deployments/scale", "b", "x"), True),
    ("a subresource is not its kind", Principal("otto"), Question("get", "apps", "deployments", "b", "x"), False),
    ("any verb and kind of a group", service_account("a", "x"), Question("delete", "apps", "deployments", "b"), True),
    ("and its subresources", service_account("a", "x"), Question("patch", "apps", "deployments/status", "b"), True),
    ("of that group alone", service_account("a", "x"), Question("delete", "", "pods", "b"), False),
    ("for accounts of that namespace alone", service_account("b", "x"), Question("delete", "apps", "deployments", "b"), False),
    ("a role that is not there", ANNA, Question("get", "", "pods", "b"), False),
)  # fmt: skip


def _access(*objects: dict[str, Any]) -> Access:
    return access([resource(each) for each in objects])


@pytest.mark.parametrize(
    ("principal", "question", "allowed"),
    [each[1:] for each in CASES_OF_ACCESS],
    ids=[each[0] for each in CASES_OF_ACCESS],
)
def test_rights_are_what_bindings_add_up_to(principal: Principal, question: Question, allowed: bool) -> None:
    assert (_access(*OBJECTS).allows(principal, question) is not None) is allowed


def test_the_path_is_named() -> None:
    assert (
        _access(*OBJECTS).allows(ANNA, Question("list", "", "pods", "a"))
        == "RoleBinding a/read gives Role pod-reader"
    )


def test_an_aggregated_role_holds_what_its_selectors_find() -> None:
    whole = _object(
        "ClusterRole", "monitoring", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to-monitoring": "true"}}]}, rules=[],
    )  # fmt: skip
    part = _object(
        "ClusterRole",
        "endpoints",
        metadata={"labels": {"to-monitoring": "true"}},
        rules=[_rule(["get"], ["endpoints"])],
    )
    bound = _bind("m", "a", ("ClusterRole", "monitoring"), _subject("User", "anna"))
    assert _access(whole, part, bound).allows(ANNA, Question("get", "", "endpoints", "a"))
    assert not _access(whole, bound).allows(ANNA, Question("get", "", "endpoints", "a"))


def test_roles_that_the_api_server_brings_are_never_taken_for_less_than_they_are() -> None:
    bound = _bind("m", "a", ("ClusterRole", "cluster-admin"), _subject("User", "anna"))
    assert _access(bound).allows(ANNA, Question("delete", "apps", "deployments", "a"))
    assert not _access(bound).allows(ANNA, Question("delete", "apps", "deployments", "b"))
