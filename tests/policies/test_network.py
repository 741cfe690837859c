"""The rules for networks."""

from __future__ import annotations

from typing import Any

import pytest

from policies.resource import UNKNOWN
from tests.policies.objects import DROP, Case, Edit, allowed, edited, expected, found, refused

_HOME = "Namespace tenant-atlas: "
_NO_INGRESS = _HOME + "no NetworkPolicy denies all ingress by default"
_NO_EGRESS = _HOME + "no NetworkPolicy denies all egress by default"
_DNS = "NetworkPolicy tenant-atlas/allow-dns: "
_SERVICE = "Service tenant-atlas/web: "
_INGRESS = "Ingress tenant-atlas/web: "
_METADATA = "169.254.169.254, which is the machine's own"
_SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "web",
        "namespace": "tenant-atlas",
        "labels": {"longhouse.dev/tenant": "atlas", "longhouse.dev/owner": "atlas-team"},
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.1.2.3"]}],
}


def _deny(path: str, value: Any = DROP) -> Edit:
    return Edit("deny", f"spec/{path}", value)


def _namespace(name: str) -> Any:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _peer(value: Any) -> Edit:
    return Edit("dns", "spec/egress/0/to/0", value)


def _service(**spec: Any) -> tuple[Edit, ...]:
    return tuple(Edit("service", f"spec/{key}", value) for key, value in spec.items())


CASES = (
    refused("LH-N-001", "no denial of ingress", _NO_INGRESS, _deny("policyTypes", ["Egress"])),
    refused("LH-N-001", "no denial of egress", _NO_EGRESS, _deny("policyTypes", ["Ingress"])),
    refused("LH-N-001", "directions left to Kubernetes, which takes ingress only", _NO_EGRESS, _deny("policyTypes")),
    refused("LH-N-001", "a denial that lets something in", _NO_INGRESS, _deny("ingress", [{"from": [{"podSelector": {}}]}])),
    refused("LH-N-001", "a denial that lets something out", _NO_EGRESS, _deny("egress", [{"to": [{"podSelector": {}}]}])),
    allowed("each direction denied by a policy of its own", _deny("policyTypes", ["Ingress"]), Edit("dns", "spec/egress", [])),
    allowed("an empty selector spelled out", _deny("podSelector", {"matchLabels": {}, "matchExpressions": []})),
    refused("LH-N-002", "every address", _DNS + "egress[0] has no to: it means every address", Edit("dns", "spec/egress/0/to")),
    refused(
        "LH-N-002", "ingress from every address", "NetworkPolicy tenant-atlas/allow-dns: ingress[0] has no from: it means every address",
        Edit("dns", "spec/ingress", [{}]),
    ),
    refused("LH-N-002", "every namespace", _DNS + "egress[0].to selects every namespace", _peer({"namespaceSelector": {}})),
    refused(
        "LH-N-002", "every namespace, spelled out", _DNS + "egress[0].to selects every namespace",
        _peer({"namespaceSelector": {"matchLabels": {}}, "podSelector": {"matchLabels": {"app": "x"}}}),
    ),
    refused("LH-N-002", "a namespace not known yet", _DNS + "egress[0].to selects every namespace", _peer({"namespaceSelector": UNKNOWN})),
    refused("LH-N-002", "the world", _DNS + "egress[0].to is every address (0.0.0.0/0)", _peer({"ipBlock": {"cidr": "0.0.0.0/0"}})),
    refused("LH-N-002", "the newer world", _DNS + "egress[0].to is every address (::/0)", _peer({"ipBlock": {"cidr": "::/0"}})),
    allowed("the world but for the cluster and the machine", _peer({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}})),
    allowed("one namespace by an expression", _peer({"namespaceSelector": {"matchExpressions": [{"key": "k", "operator": "Exists"}]}})),
    allowed("a policy of the platform that opens to everything", Edit("dns", "metadata/namespace", "kube-system"), _peer({"namespaceSelector": {}})),
    refused("LH-N-003", "load balancer", _SERVICE + "port http is exposed by LoadBalancer and not declared as encrypted", *_service(type="LoadBalancer")),
    refused("LH-N-003", "node port", _SERVICE + "port http is exposed by NodePort and not declared as encrypted", *_service(type="NodePort")),
    refused("LH-N-003", "type not known yet", _SERVICE + f"port http is exposed by {UNKNOWN} and not declared as encrypted", *_service(type=UNKNOWN)),
    refused(
        "LH-N-003", "one port in the clear beside one that is not", _SERVICE + "port plain is exposed by NodePort and not declared as encrypted",
        *_service(type="NodePort", ports=[{"name": "https", "port": 443, "appProtocol": "https"}, {"name": "plain", "port": 80}]),
    ),
    allowed("ports that speak TLS", *_service(type="LoadBalancer", ports=[
        {"name": "https", "port": 443, "appProtocol": "https"}, {"name": "kafka", "port": 9094, "appProtocol": "longhouse.dev/tls"},
    ])),
    refused("LH-N-005", "another name", _SERVICE + "is another name for db.tenant-borealis.svc", Edit("service", "spec", {"type": "ExternalName", "externalName": "db.tenant-borealis.svc"})),
    refused("LH-N-006", "external addresses", _SERVICE + "takes the address 203.0.113.7", *_service(externalIPs=["203.0.113.7"])),
    refused("LH-N-007", "the machine's metadata", _DNS + f"egress[0].to reaches {_METADATA}", _peer({"ipBlock": {"cidr": "169.254.169.254/32"}})),
    refused("LH-N-007", "a range around the machine's metadata", _DNS + f"egress[0].to reaches {_METADATA}",
            _peer({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}})),
    refused("LH-N-007", "the newer metadata", _DNS + "egress[0].to reaches fd00:ec2::254, which is the machine's own", _peer({"ipBlock": {"cidr": "fd00::/8"}})),
    allowed("a range beside the machine's metadata", _peer({"ipBlock": {"cidr": "203.0.113.0/24"}})),
    refused("LH-N-008", "another tenant", _DNS + "egress[0].to is another tenant (tenant-borealis)", _peer(_namespace("tenant-borealis"))),
    refused("LH-N-008", "another tenant that comes in", _DNS + "ingress[0].from is another tenant (tenant-borealis)",
            Edit("dns", "spec/policyTypes", ["Ingress", "Egress"]), Edit("dns", "spec/ingress", [{"from": [_namespace("tenant-borealis")]}])),
    allowed("its own namespace by name", _peer(_namespace("tenant-atlas"))),
    refused("LH-N-009", "default backend", _INGRESS + "has a defaultBackend",
            Edit("ingress", "spec/defaultBackend", {"service": {"name": "web", "port": {"number": 80}}})),
    refused("LH-N-010", "snippet", _INGRESS + "carries nginx.ingress.kubernetes.io/configuration-snippet",
            Edit("ingress", "metadata/annotations", {"nginx.ingress.kubernetes.io/configuration-snippet": "x"})),
    refused("LH-N-010", "snippets of the other controller", _INGRESS + "carries nginx.org/server-snippets",
            Edit("ingress", "metadata/annotations", {"nginx.org/server-snippets": "x"})),
    allowed("an annotation that is no snippet", Edit("ingress", "metadata/annotations", {"nginx.ingress.kubernetes.io/proxy-body-size": "8m"})),
    refused("LH-N-011", "a store that all may call", "Namespace stores: no NetworkPolicy denies all ingress by default", Edit("closed", "")),
    allowed("a store that may call all", Edit("closed", "spec/policyTypes", ["Ingress"])),
    refused("LH-N-012", "addresses by hand", "EndpointSlice tenant-atlas/web: names addresses by hand", Edit("slice", "", _SLICE)),
    allowed("a service without address", *_service(clusterIP="None", type="ClusterIP")),
    refused("LH-N-004", "no TLS", _INGRESS + "has no TLS", Edit("ingress", "spec/tls")),
    refused(
        "LH-N-004", "a host without certificate", _INGRESS + "its TLS does not cover the host deep.lab.atlas.example",
        Edit("ingress", "spec/rules/0/host", "deep.lab.atlas.example"),
    ),
    refused("LH-N-004", "every host", _INGRESS + "its TLS does not cover the host *", Edit("ingress", "spec/rules/0/host")),
    allowed("a certificate for all hosts", Edit("ingress", "spec/tls", [{"secretName": "web"}]), Edit("ingress", "spec/rules/0/host")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_traffic_is_closed_and_encrypted(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)


@pytest.mark.parametrize(
    "edit",
    [
        Edit("deny", ""),
        _deny("podSelector", {"matchLabels": {"app": "web"}}),
        _deny("podSelector", UNKNOWN),
        Edit("deny", "metadata/namespace", "tenant-borealis"),
    ],
    ids=["absent", "of some pods only", "of pods not known yet", "in another namespace"],
)
def test_a_denial_that_is_not_there_is_missed_in_both_directions(edit: Edit) -> None:
    said = [text for rule, text in found(edited([edit])) if rule == "LH-N-001"]
    assert said == [_NO_INGRESS, _NO_EGRESS]


def test_a_namespace_that_is_no_tenants_needs_no_denial() -> None:
    platform = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kueue-system"}}
    assert found({"namespace": platform}) == []
