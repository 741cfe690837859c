"""The evaluator of NetworkPolicies against what Kubernetes' own documentation says of its own examples.

Quoted from https://kubernetes.io/docs/concepts/services-networking/network-policies/, section by section.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from policies.isolation.network import Endpoint, Fences, Ports, endpoints, fences
from tests.policies.objects import resource

_PODS = ("10.244.0.0/16",)
_DB = Endpoint("default", "db", {"role": "db"}, {"redis": Ports("TCP", 6379, 6379)})
_ALL = ["TCP every port", "UDP every port", "SCTP every port"]


def _namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _policy(spec: dict[str, Any], namespace: str = "default", name: str = "policy") -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _fences(*specs: dict[str, Any], ranges: tuple[str, ...] = _PODS) -> Fences:
    made = [
        _namespace("default"),
        _namespace("mine", project="myproject"),
        _namespace("yours", project="yours", user="alice"),
        *(_policy(spec, name=f"policy-{number}") for number, spec in enumerate(specs)),
    ]
    return fences(map(resource, made), [ipaddress.ip_network(each) for each in ranges])


def _ports(fenced: Fences, source: Endpoint, target: Endpoint) -> list[str]:
    return list(dict.fromkeys(str(way.ports) for way in fenced.ways(source, target)))


def _pod(namespace: str = "default", name: str = "other", **labels: str) -> Endpoint:
    return Endpoint(namespace, name, labels)


_RESOURCE: dict[str, Any] = {
    "podSelector": {"matchLabels": {"role": "db"}},
    "policyTypes": ["Ingress", "Egress"],
    "ingress": [
        {
            "from": [
                {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
                {"namespaceSelector": {"matchLabels": {"project": "myproject"}}},
                {"podSelector": {"matchLabels": {"role": "frontend"}}},
            ],
            "ports": [{"protocol": "TCP", "port": 6379}],
        }
    ],
    "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"protocol": "TCP", "port": 5978}]}],
}
"""'The NetworkPolicy resource': its example."""


@pytest.mark.parametrize(
    ("source", "ports"),
    [
        (_pod(role="frontend"), ["TCP 6379"]),
        (_pod("mine"), ["TCP 6379"]),
        (_pod("mine", role="frontend"), ["TCP 6379"]),
        (_pod(), []),
        (_pod(role="backend"), []),
        (_pod("yours", role="frontend"), []),
        (Endpoint("yours", "any pod"), []),
        (Endpoint("default", "any pod"), ["TCP 6379"]),
    ],
    ids=str,
)
def test_the_documented_example_lets_in_whom_the_documentation_names(
    source: Endpoint, ports: list[str]
) -> None:
    assert _ports(_fences(_RESOURCE), source, _DB) == ports


@pytest.mark.parametrize(
    ("range_", "ports"),
    [
        ("172.17.0.0/24", ["TCP 6379"]),
        ("172.17.2.0/24", ["TCP 6379"]),
        ("172.17.1.0/24", []),
        ("172.17.1.128/25", []),
        ("172.17.0.0/23", ["TCP 6379"]),
        ("172.16.0.0/16", []),
    ],
)
def test_the_documented_example_lets_in_addresses_outside_the_exception(
    range_: str, ports: list[str]
) -> None:
    assert _ports(_fences(_RESOURCE, ranges=(range_,)), _pod("yours"), _DB) == ports


def test_the_documented_example_lets_out_to_its_addresses_and_nowhere_else() -> None:
    assert _ports(_fences(_RESOURCE), _DB, _pod()) == []
    assert _ports(_fences(_RESOURCE, ranges=("10.0.0.0/16",)), _DB, _pod()) == ["TCP 5978"]


def test_a_pod_that_is_not_selected_is_open_both_ways() -> None:
    assert _ports(_fences(_RESOURCE), _pod("yours"), _pod()) == _ALL
    assert _ports(_fences(_RESOURCE), _pod(), _pod("yours")) == _ALL


@pytest.mark.parametrize(
    ("peers", "own", "alices", "clients"),
    [
        (
            [{"namespaceSelector": {"matchLabels": {"user": "alice"}}, "podSelector": {"matchLabels": {"role": "client"}}}],
            False, False, True,
        ),
        (
            [{"namespaceSelector": {"matchLabels": {"user": "alice"}}}, {"podSelector": {"matchLabels": {"role": "client"}}}],
            True, True, True,
        ),
    ],
    ids=["one peer with both selectors", "two peers"],
)  # fmt: skip
def test_to_and_from_selectors_differ_by_one_dash(
    peers: list[dict[str, Any]], own: bool, alices: bool, clients: bool
) -> None:
    fenced = _fences({"podSelector": {}, "ingress": [{"from": peers}]})
    assert bool(_ports(fenced, _pod(role="client"), _DB)) is own
    assert bool(_ports(fenced, _pod("yours"), _DB)) is alices
    assert bool(_ports(fenced, _pod("yours", role="client"), _DB)) is clients


@pytest.mark.parametrize(
    ("spec", "into", "out"),
    [
        ({"podSelector": {}, "policyTypes": ["Ingress"]}, False, True),
        ({"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]}, True, True),
        ({"podSelector": {}, "policyTypes": ["Egress"]}, True, False),
        ({"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]}, True, True),
        ({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, False, False),
        ({"podSelector": {}}, False, True),
        ({"podSelector": {}, "egress": [{"to": [{"podSelector": {}}]}]}, False, False),
        ({"podSelector": {}, "ingress": [], "egress": []}, False, True),
        ({"podSelector": {}, "ingress": [{"from": []}]}, True, True),
    ],
    ids=[
        "deny all ingress", "allow all ingress", "deny all egress", "allow all egress", "deny all", "no types: ingress",
        "no types but egress rules: both", "no types and an empty list of egress: ingress", "an empty list of peers: all",
    ],
)  # fmt: skip
def test_default_policies_do_what_their_names_say(spec: dict[str, Any], into: bool, out: bool) -> None:
    fenced = _fences(spec)
    assert _ports(fenced, _pod("yours"), _DB) == (_ALL if into else [])
    assert _ports(fenced, _DB, _pod("yours")) == (_ALL if out else [])


def test_a_range_of_ports_is_all_ports_between_port_and_end_port() -> None:
    spec = {
        "podSelector": {"matchLabels": {"role": "db"}},
        "policyTypes": ["Egress"],
        "egress": [
            {
                "to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}],
                "ports": [{"protocol": "TCP", "port": 32000, "endPort": 32768}],
            }
        ],
    }
    fenced = _fences(spec, ranges=("10.0.0.0/24",))
    assert _ports(fenced, _DB, _pod()) == ["TCP 32000-32768"]


def test_namespaces_are_selected_by_several_labels_and_by_their_names() -> None:
    chosen = {"matchExpressions": [{"key": "project", "operator": "In", "values": ["myproject", "other"]}]}
    fenced = _fences({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": chosen}]}]})
    assert _ports(fenced, _pod("mine"), _DB) == _ALL
    assert _ports(fenced, _pod("yours"), _DB) == []
    named = {"matchLabels": {"kubernetes.io/metadata.name": "yours"}}
    fenced = _fences({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": named}]}]})
    assert _ports(fenced, _pod("yours"), _DB) == _ALL
    assert _ports(fenced, _pod("mine"), _DB) == []


@pytest.mark.parametrize(
    ("expression", "with_label", "without"),
    [
        ({"operator": "In", "values": ["db"]}, True, False),
        ({"operator": "NotIn", "values": ["db"]}, False, True),
        ({"operator": "Exists"}, True, False),
        ({"operator": "DoesNotExist"}, False, True),
    ],
    ids=["In", "NotIn", "Exists", "DoesNotExist"],
)
def test_expressions_hold_as_label_selectors_are_documented(
    expression: dict[str, Any], with_label: bool, without: bool
) -> None:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"""
    selector = {"matchExpressions": [{"key": "role", **expression}]}
    fenced = _fences({"podSelector": selector})
    assert (_ports(fenced, _pod("yours"), _DB) == []) is with_label
    assert (_ports(fenced, _pod("yours"), _pod()) == []) is without


def test_a_named_port_is_what_the_target_calls_so() -> None:
    fenced = _fences({"podSelector": {}, "ingress": [{"ports": [{"port": "redis"}]}]})
    assert _ports(fenced, _pod("yours"), _DB) == ["TCP 6379"]
    assert _ports(fenced, _pod("yours"), _pod()) == []
    assert _ports(fenced, _pod("yours"), Endpoint("default", "any pod")) == ["TCP every port"]


def test_a_port_alone_is_tcp_and_a_protocol_alone_is_every_port() -> None:
    fenced = _fences({"podSelector": {}, "ingress": [{"ports": [{"port": 80}, {"protocol": "UDP"}]}]})
    assert _ports(fenced, _pod("yours"), _DB) == ["TCP 80", "UDP every port"]


def test_policies_add_up_and_never_conflict() -> None:
    one = {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 1}]}]}
    two = {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 2}]}]}
    assert _ports(_fences(one, two), _pod(), _DB) == ["TCP 1", "TCP 2"]


def test_both_ends_have_to_allow_a_connection() -> None:
    out = {
        "podSelector": {"matchLabels": {"role": "web"}},
        "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": 1, "endPort": 9}]}],
    }
    into = {
        "podSelector": {"matchLabels": {"role": "db"}},
        "ingress": [{"ports": [{"port": 5, "endPort": 20}]}],
    }
    (way,) = _fences(out, into).ways(_pod(role="web"), _DB)
    assert str(way) == "TCP 5-9 (out: default/policy-0; in: default/policy-1)"


def test_a_pod_on_its_nodes_network_is_bound_by_no_policy() -> None:
    host = Endpoint("default", "agent", {"role": "db"}, host_network=True)
    fenced = _fences({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    assert _ports(fenced, host, host) == _ALL
    assert _ports(fenced, host, _DB) == []


def test_labels_that_nobody_knows_are_taken_for_the_worst() -> None:
    anybody = Endpoint("default", "any pod")
    some = _fences({"podSelector": {"matchLabels": {"role": "db"}}, "policyTypes": ["Ingress"]})
    assert _ports(some, _pod("yours"), anybody) == _ALL, "a pod with other labels is open"
    every = _fences(
        {"podSelector": {}, "policyTypes": ["Ingress"]},
        {"podSelector": {"matchLabels": {"role": "db"}}, "ingress": [{"ports": [{"port": 5}]}]},
    )
    assert _ports(every, _pod("yours"), anybody) == ["TCP 5"], (
        "a pod that gives itself the label profits from it"
    )


def test_an_address_range_that_is_not_known_yet_is_taken_for_the_worst() -> None:
    fenced = _fences(
        {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "(known only once deployed)"}}]}]}
    )
    assert _ports(fenced, _pod("yours"), _DB) == _ALL


def test_pods_are_found_with_their_labels_and_named_ports() -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "mine"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{"ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 1}]}]
                },
            }
        },
    }
    (found,) = endpoints([resource(deployment)])
    assert str(found) == "mine/Deployment web"
    assert found.labels == {"app": "web"}
    assert found.ports == {"http": Ports("TCP", 8080, 8080)}
