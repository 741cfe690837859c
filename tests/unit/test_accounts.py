"""Accounts of what the platform runs: bound to their own role in their own namespace."""

from __future__ import annotations

from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from modules.kit import accounts
from modules.kit.component import Component
from tests.conftest import Recording, record

RBAC = "rbac.authorization.k8s.io/v1"


class Service(Component):
    """A component that has one account."""

    AREA = "data"
    COMPONENT = "service"

    def __init__(self) -> None:
        super().__init__("service", owner="us")
        home = Namespace("services", metadata=self.meta("services"), opts=self.child())
        rule = PolicyRuleArgs(api_groups=[""], resources=["configmaps"], verbs=["get"])
        accounts.declare(self, "services", "reader", [rule], [home])
        self.register_outputs({})


def recorded() -> Recording:
    return record(Service)


def test_an_account_is_bound_to_the_role_of_its_name_and_to_nothing_beyond_its_namespace() -> None:
    found = recorded()
    binding = found.one(f"{RBAC}:RoleBinding", "reader")
    assert (binding.inputs.roleRef.kind, binding.inputs.roleRef.name) == ("Role", "reader")
    assert [(each.kind, each.namespace, each.name) for each in binding.inputs.subjects] == [
        ("ServiceAccount", "services", "reader")
    ]
    assert {each.metadata.namespace for each in found.objects if each.object_name == "reader"} == {"services"}
    assert not found.of(f"{RBAC}:ClusterRole")
    assert not found.of(f"{RBAC}:ClusterRoleBinding")


def test_a_role_lets_do_what_its_rules_say_and_no_more() -> None:
    (rule,) = recorded().one(f"{RBAC}:Role", "reader").inputs.rules
    assert (list(rule.apiGroups), list(rule.resources), list(rule.verbs)) == ([""], ["configmaps"], ["get"])


def test_upstreams_rules_are_taken_as_they_stand() -> None:
    (rule,) = accounts.rules(
        [{"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["list", "watch"]}]
    )
    assert (rule.api_groups, rule.resources, rule.verbs) == (["apps"], ["statefulsets"], ["list", "watch"])
