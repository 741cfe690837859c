"""Admission: rules as data become policies and bindings."""

from __future__ import annotations

from typing import Any

import pytest

from modules.foundation.admission.component import Admission
from modules.foundation.admission.config import Admission as Config
from modules.foundation.admission.policy import Policy, Validation
from tests.conftest import Recording, record

POLICY = "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"
RULE = Validation("LH-X-001", "object.spec.bad ? ['is bad'] : []", "Be good.")


def policy(**fields: Any) -> Policy:
    return Policy(
        **{
            "name": "examples",
            "resources": (("", ("pods", "services")), ("apps", ("deployments",))),
            "variables": (("kind", "request.kind.kind"),),
            "validations": (RULE,),
            "warns": False,
            **fields,
        }
    )


def declared(config: Config | None = None, **fields: Any) -> Recording:
    return record(lambda: Admission("admission", config or Config(), [policy(**fields)], owner="us"))


def test_a_policy_is_in_force_by_a_binding() -> None:
    found = declared()
    assert found.one(POLICY, "longhouse-examples").spec.failurePolicy == "Fail"
    binding = found.one(POLICY + "Binding", "longhouse-examples")
    assert binding.spec.policyName == "longhouse-examples"
    assert found.one(POLICY).urn in binding.dependencies


def test_it_speaks_of_its_resources_when_they_are_made_and_changed() -> None:
    found = declared().one(POLICY).spec.matchConstraints.resourceRules
    assert [(each.apiGroups, each.resources) for each in found] == [
        ([""], ["pods", "services"]),
        (["apps"], ["deployments"]),
    ]
    assert all(each.operations == ["CREATE", "UPDATE"] for each in found)


def test_a_rule_gives_its_id_its_faults_and_its_fix() -> None:
    spec = declared().one(POLICY).spec
    assert [each["name"] for each in spec.variables] == ["kind", "lh_x_001"]
    (check,) = spec.validations
    assert check.expression == "size(variables.lh_x_001) == 0"
    assert check.messageExpression == '"LH-X-001: " + variables.lh_x_001.join(\'; \') + ". Be good."'


@pytest.mark.parametrize(
    ("enforcement", "warns", "actions"),
    [
        ("Deny", False, ["Deny", "Audit"]),
        ("Deny", True, ["Warn", "Audit"]),
        ("Warn", False, ["Warn", "Audit"]),
        ("Warn", True, ["Warn", "Audit"]),
        ("Audit", False, ["Audit"]),
        ("Audit", True, ["Audit"]),
    ],
)
def test_the_profile_says_what_a_violation_does_and_a_warning_never_refuses(
    enforcement: str, warns: bool, actions: list[str]
) -> None:
    found = declared(Config(enforcement=enforcement), warns=warns).one(POLICY + "Binding")  # type: ignore[arg-type]
    assert found.spec.validationActions == actions


def test_only_kubernetes_own_namespaces_and_users_are_left_alone() -> None:
    found = declared()
    (selector,) = found.one(POLICY + "Binding").spec.matchResources.namespaceSelector.matchExpressions
    assert (selector.operator, selector["values"]) == (
        "NotIn",
        ["kube-system", "kube-public", "kube-node-lease"],
    )
    conditions = [each.expression for each in found.one(POLICY).spec.matchConditions]
    assert '!(request.userInfo.username in ["system:apiserver"])' in conditions


def test_no_namespace_need_be_left_alone() -> None:
    found = declared(Config(namespaces_left_alone=())).one(POLICY + "Binding")
    assert "matchResources" not in found.spec
