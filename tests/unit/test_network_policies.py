"""Network policies: nothing by default, grants that say exactly what they open."""

from __future__ import annotations

from typing import Any

import pulumi_kubernetes as kubernetes
import pytest
from pulumi_kubernetes.networking.v1 import NetworkPolicySpecArgs

from modules.kit import network_policies
from tests.conftest import Fields, record
from tests.unit.examples import CLUSTER


def declared(spec: NetworkPolicySpecArgs) -> Fields:
    """The policy as the API server would get it."""
    return (
        record(lambda: kubernetes.networking.v1.NetworkPolicy("p", spec=spec) and None)
        .of("networking.k8s.io/v1:NetworkPolicy")[0]
        .spec
    )


def plain(value: Any) -> Any:
    if isinstance(value, Fields):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def test_by_default_nothing_goes_in_or_out() -> None:
    assert plain(declared(network_policies.deny_all())) == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_dns_is_the_clusters_own_pods_on_their_port_only() -> None:
    (rule,) = plain(declared(network_policies.allow_dns()).egress)
    assert rule == {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }


def test_the_api_server_is_reached_at_its_addresses_and_port_only() -> None:
    (rule,) = plain(declared(network_policies.allow_api_server(CLUSTER.api_server)).egress)
    assert rule == {
        "to": [{"ipBlock": {"cidr": "172.30.255.1/32"}}],
        "ports": [{"port": 6443, "protocol": "TCP"}],
    }


def test_talk_within_a_namespace_names_no_other() -> None:
    spec = declared(network_policies.allow_within())
    peers = [*plain(spec.ingress[0]["from"]), *plain(spec.egress[0].to)]
    assert peers == [{"podSelector": {}}] * 2


def test_an_address_outside_is_opened_as_it_is() -> None:
    (rule,) = plain(declared(network_policies.allow_to("203.0.113.10/32", [443], "TCP", CLUSTER)).egress)
    assert rule == {
        "to": [{"ipBlock": {"cidr": "203.0.113.10/32"}}],
        "ports": [{"port": 443, "protocol": "TCP"}],
    }


def test_no_port_named_means_every_port_of_the_range() -> None:
    (rule,) = plain(declared(network_policies.allow_to("203.0.113.10/32", [], "TCP", CLUSTER)).egress)
    assert "ports" not in rule


@pytest.mark.parametrize(
    ("cidr", "taken_out"),
    [
        ("0.0.0.0/0", ["10.88.0.0/16", "10.96.0.0/16", "169.254.0.0/16"]),
        ("10.0.0.0/8", ["10.88.0.0/16", "10.96.0.0/16"]),
        ("::/0", ["fe80::/10"]),
    ],
)
def test_a_wide_range_never_opens_the_clusters_own_network_or_a_machines_metadata(
    cidr: str, taken_out: list[str]
) -> None:
    (rule,) = plain(declared(network_policies.allow_to(cidr, [443], "TCP", CLUSTER)).egress)
    assert rule["to"] == [{"ipBlock": {"cidr": cidr, "except": taken_out}}]


@pytest.mark.parametrize("cidr", ["10.88.3.0/24", "10.88.0.0/16", "10.96.0.10/32", "169.254.169.254/32"])
def test_a_range_inside_the_cluster_is_refused(cidr: str) -> None:
    with pytest.raises(ValueError, match=f"{cidr} lies inside"):
        network_policies.allow_to(cidr, [443], "TCP", CLUSTER)


def test_another_namespace_is_let_in_by_its_own_name_at_its_ports() -> None:
    spec = plain(declared(network_policies.allow_from("gateway-system", [8080], "TCP")))
    assert spec == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway-system"}}}
                ],
                "ports": [{"port": 8080, "protocol": "TCP"}],
            }
        ],
    }


def test_grants_together_are_the_sum_of_their_rules() -> None:
    one, other = network_policies.allow_dns(), network_policies.allow_within()
    both = plain(declared(network_policies.together(one, other)))
    assert both["policyTypes"] == ["Ingress", "Egress"]
    assert both["egress"] == plain(declared(one).egress) + plain(declared(other).egress)
    assert both["ingress"] == plain(declared(other).ingress)


def test_grants_in_one_direction_say_nothing_of_the_other() -> None:
    spec = plain(declared(network_policies.together(network_policies.allow_dns())))
    assert spec["policyTypes"] == ["Egress"]
    assert "ingress" not in spec


def test_a_grant_is_narrowed_to_the_pods_that_have_a_label_or_one_of_its_values() -> None:
    whole = declared(network_policies.allow_dns())
    one = declared(network_policies.only(network_policies.allow_dns(), {"app": "one"}))
    having = declared(network_policies.only_having(network_policies.allow_dns(), "app"))
    assert plain(whole.podSelector) == {}
    assert plain(one.podSelector) == {"matchLabels": {"app": "one"}}
    assert plain(having.podSelector) == {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
    assert plain(one.egress) == plain(having.egress) == plain(whole.egress)
