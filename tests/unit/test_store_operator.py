"""Operators that upstream writes for a store: its rights are upstream's, its pod is ours, its reach is its own namespace."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from modules.data import store_operator
from modules.data.store import StoreNamespace
from modules.data.store_operator import StoreOperator
from modules.kit.component import Component
from modules.kit.pods import Container
from tests.conftest import Recording, record
from tests.unit.examples import store_context

KIND = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rings.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Ring", "plural": "rings"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
ROLE = {
    "kind": "Role",
    "rules": [{"apiGroups": ["example.com"], "resources": ["rings"], "verbs": ["get", "watch"]}],
}


@pytest.fixture
def recorded(tmp_path: Path) -> Recording:
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "rings.yaml").write_text(yaml.safe_dump(KIND))
    (tmp_path / "rbac.yaml").write_text(yaml.safe_dump_all([{"kind": "ServiceAccount"}, ROLE]))
    container = Container(
        "operator", "docker.io/example/operator:1.0", ("/operator",), cpu="100m", memory="64Mi"
    )
    operator = StoreOperator(tmp_path, "crds", "rbac.yaml", "rings", container)

    class Rings(Component):
        AREA = "data"
        COMPONENT = "rings"

        def __init__(self) -> None:
            super().__init__("rings", owner="us")
            context = store_context("atlas")
            home = StoreNamespace(
                "rings", context=context, client_ports=[], metrics_ports=[], tenants=[], opts=self.child()
            )
            store_operator.declare(self, operator, context, [home])
            self.register_outputs({})

    return record(Rings)


def test_its_kinds_are_those_of_its_module(recorded: Recording) -> None:
    assert "rings.example.com" in recorded.named("apiextensions.k8s.io/v1:CustomResourceDefinition")


def test_it_may_do_what_upstreams_role_says_in_its_own_namespace_only(recorded: Recording) -> None:
    role = recorded.one("rbac.authorization.k8s.io/v1:Role", store_operator.NAME)
    assert role.metadata.namespace == "rings"
    (rule,) = role.inputs.rules
    assert (list(rule.apiGroups), list(rule.resources), list(rule.verbs)) == (
        ["example.com"],
        ["rings"],
        ["get", "watch"],
    )
    assert not recorded.of("rbac.authorization.k8s.io/v1:ClusterRoleBinding")


def test_only_its_own_pod_may_call_the_api_server_by_that_account(recorded: Recording) -> None:
    policy = recorded.one("networking.k8s.io/v1:NetworkPolicy", "operator-to-api-server")
    assert dict(policy.spec.podSelector.matchLabels) == {"app.kubernetes.io/name": "operator"}
    pod = recorded.one("apps/v1:StatefulSet", "operator").spec.template
    assert pod.metadata.labels["app.kubernetes.io/name"] == "operator"
    assert pod.spec.serviceAccountName == store_operator.NAME
    assert pod.spec.securityContext.runAsUser == 65532
