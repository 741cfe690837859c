"""What all stores have in common: a fenced namespace, an account for its programs, a binding per tenant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modules.data.store import Bucket, StoreNamespace, binding
from modules.kit.component import Component
from tests.conftest import Declared, Recording, record
from tests.unit.examples import BACKUPS, store_context

POLICIES = "networking.k8s.io/v1:NetworkPolicy"


class Store(Component):
    """A store of which atlas has a part."""

    AREA = "data"
    COMPONENT = "store"

    def __init__(self, tenants: tuple[str, ...], backups: Bucket | None) -> None:
        super().__init__("store", owner="us")
        context = store_context("atlas", "borealis")
        StoreNamespace(
            "stores",
            context=context,
            client_ports=[9042],
            metrics_ports=[9404],
            tenants=tenants,
            backups=backups,
            opts=self.child(),
        )
        for tenant in tenants:
            binding(
                self, tenant, "store", {"host": "store.stores.svc", "password": "not-a-password"}, context
            )
        self.register_outputs({})


def declared(tenants: tuple[str, ...] = ("atlas",), backups: Bucket | None = BACKUPS) -> Recording:
    return record(lambda: Store(tenants, backups))


def policies(recorded: Recording) -> dict[str, Declared]:
    return recorded.named(POLICIES)


def test_the_namespace_is_restricted_and_closed_before_anything_is_opened() -> None:
    recorded = declared()
    home = recorded.one("core/v1:Namespace", "stores")
    assert home.metadata.labels["pod-security.kubernetes.io/enforce"] == "restricted"
    denied = policies(recorded)["default-deny"].spec
    assert denied.policyTypes == ["Ingress", "Egress"]
    assert denied.ingress is None


def test_only_tenants_that_have_the_store_may_call_it_and_only_at_its_client_ports() -> None:
    (rule,) = policies(declared())["allow-clients"].spec.ingress
    namespaces = [peer.namespaceSelector.matchLabels["kubernetes.io/metadata.name"] for peer in rule["from"]]
    assert namespaces == ["tenant-atlas"]
    assert [port.port for port in rule.ports] == [9042]


def test_a_store_that_no_tenant_has_lets_nobody_in() -> None:
    recorded = declared(tenants=())
    assert "allow-clients" not in policies(recorded)
    assert not recorded.of("core/v1:Secret")


def test_only_programs_may_call_the_api_server_and_the_bucket() -> None:
    found = policies(declared())
    for name in ("programs-to-api-server", "programs-to-backups"):
        (expression,) = found[name].spec.podSelector.matchExpressions
        assert (expression.key, expression.operator) == ("longhouse.dev/program", "Exists")
    (rule,) = found["programs-to-backups"].spec.egress
    (peer,) = rule.to
    assert peer.namespaceSelector.matchLabels["kubernetes.io/metadata.name"] == "object-store"
    assert [port.port for port in rule.ports] == [9000]


def test_a_bucket_outside_the_cluster_is_reached_at_its_addresses_and_port_only() -> None:
    outside = replace(BACKUPS, namespace=None, port=443, cidrs=("10.0.16.0/24",))
    (rule,) = policies(declared(backups=outside))["programs-to-backups"].spec.egress
    assert [peer.ipBlock.cidr for peer in rule.to] == ["10.0.16.0/24"]
    assert [port.port for port in rule.ports] == [443]


def test_a_bucket_that_is_nowhere_opens_no_way_to_everywhere() -> None:
    with pytest.raises(ValueError, match="neither a namespace nor addresses"):
        replace(BACKUPS, namespace=None)


def test_without_backups_no_way_to_a_bucket_is_opened() -> None:
    assert "programs-to-backups" not in policies(declared(backups=None))


def test_programs_may_write_the_list_of_what_is_retained_and_nothing_else() -> None:
    recorded = declared()
    (rule,) = recorded.one("rbac.authorization.k8s.io/v1:Role", "access").inputs.rules
    assert (list(rule.resources), list(rule.resourceNames), list(rule.verbs)) == (
        ["configmaps"],
        ["retained"],
        ["get", "patch"],
    )
    kept = recorded.one("core/v1:ConfigMap", "retained")
    assert kept.metadata.labels["longhouse.dev/retained"] == "stores"
    assert not kept.inputs.data, "the programs own its content"


def test_a_binding_is_a_secret_in_the_tenants_own_namespace() -> None:
    found = declared().one("core/v1:Secret", "store")
    assert found.metadata.namespace == "tenant-atlas"
    assert found.metadata.labels["longhouse.dev/tenant"] == "atlas"
    assert found.inputs.type == "servicebinding.io/store"
    assert dict(found.inputs.stringData)["type"] == "store"
    assert "stringData" in found.secrets


def test_the_description_of_a_bucket_is_a_folder_of_files() -> None:
    files = BACKUPS.files()
    assert files.files["bucket"] == "backups"
    assert "ca.crt" in files.files
    assert "ca.crt" not in replace(BACKUPS, ca=None).files().files
    assert "not-a-secret" not in repr(BACKUPS)
