"""Network policies that more than one kind of namespace needs: nothing by default, then what every pod needs.

Policies add up and never take away, so each grant is a policy of its own, named for what it grants.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final, cast

from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from modules.kit import network
from modules.kit.cluster import ApiServer, Cluster

INGRESS: Final = "Ingress"
EGRESS: Final = "Egress"
NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""Label that the API server itself puts on each namespace, so nobody can give it to another."""

DNS_NAMESPACE: Final = "kube-system"
DNS_PODS: Final = {"k8s-app": "kube-dns"}
"""Label of the cluster's DNS pods, CoreDNS too, wherever it is installed the usual way."""

DNS_PORT: Final = 53

LINK_LOCAL: Final = ("169.254.0.0/16", "fe80::/10")
"""Where clouds serve a machine's own metadata, and with it the machine's credentials."""


def all_pods() -> LabelSelectorArgs:
    """Every pod of the policy's namespace."""
    return LabelSelectorArgs()


def in_namespace(name: str, labels: dict[str, str] | None = None) -> NetworkPolicyPeerArgs:
    """Pods of another namespace, all or those with the labels."""
    return NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={NAMESPACE_NAME: name}),
        pod_selector=LabelSelectorArgs(match_labels=labels) if labels else None,
    )


def ports(numbers: Iterable[int], protocol: str = "TCP") -> list[NetworkPolicyPortArgs]:
    """Ports of one transport."""
    return [NetworkPolicyPortArgs(port=number, protocol=protocol) for number in numbers]


def deny_all() -> NetworkPolicySpecArgs:
    """Nothing in, nothing out."""
    return NetworkPolicySpecArgs(pod_selector=all_pods(), policy_types=[INGRESS, EGRESS])


def allow_dns() -> NetworkPolicySpecArgs:
    """All pods may ask the cluster's DNS."""
    return _egress([in_namespace(DNS_NAMESPACE, DNS_PODS)], ports([DNS_PORT], "UDP") + ports([DNS_PORT]))


def only(spec: NetworkPolicySpecArgs, labels: dict[str, str]) -> NetworkPolicySpecArgs:
    """A grant to the pods that have the labels, instead of to all."""
    spec.pod_selector = LabelSelectorArgs(match_labels=labels)
    return spec


def only_having(spec: NetworkPolicySpecArgs, label: str) -> NetworkPolicySpecArgs:
    """A grant to the pods that have the label, whatever its value, instead of to all."""
    spec.pod_selector = LabelSelectorArgs(
        match_expressions=[LabelSelectorRequirementArgs(key=label, operator="Exists")]
    )
    return spec


def allow_api_server(api_server: ApiServer) -> NetworkPolicySpecArgs:
    """All pods may call the API server, at the addresses that packets carry after service translation."""
    peers = [NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=cidr)) for cidr in api_server.cidrs]
    return _egress(peers, ports([api_server.port]))


def allow_within() -> NetworkPolicySpecArgs:
    """All pods of the namespace may talk to each other."""
    peer = NetworkPolicyPeerArgs(pod_selector=all_pods())
    return NetworkPolicySpecArgs(
        pod_selector=all_pods(),
        policy_types=[INGRESS, EGRESS],
        ingress=[NetworkPolicyIngressRuleArgs(from_=[peer])],
        egress=[NetworkPolicyEgressRuleArgs(to=[peer])],
    )


def allow_to(cidr: str, numbers: Sequence[int], protocol: str, cluster: Cluster) -> NetworkPolicySpecArgs:
    """All pods may reach an address range outside the cluster, at the ports, or at all if there is none.

    The cluster's own addresses and those of the machines' metadata are taken out of the range: a wide range
    must not become a way to other tenants' pods or to a machine's credentials. Raises ValueError for a
    range that lies wholly inside them.
    """
    block = IPBlockArgs(cidr=cidr, except_=_without(cidr, cluster) or None)
    return _egress([NetworkPolicyPeerArgs(ip_block=block)], ports(numbers, protocol) or None)


def allow_reach(reach: network.Reach, cluster: Cluster) -> NetworkPolicySpecArgs:
    """All pods may call a service of the platform. Raises ValueError as ``allow_to`` does."""
    if reach.namespace is not None:
        return _egress([in_namespace(reach.namespace)], ports(reach.ports))
    return together(*(allow_to(cidr, reach.ports, "TCP", cluster) for cidr in reach.cidrs))


def allow_from(namespace: str, numbers: Sequence[int], protocol: str) -> NetworkPolicySpecArgs:
    """Pods of another namespace may reach all pods, at the ports."""
    return NetworkPolicySpecArgs(
        pod_selector=all_pods(),
        policy_types=[INGRESS],
        ingress=[
            NetworkPolicyIngressRuleArgs(from_=[in_namespace(namespace)], ports=ports(numbers, protocol))
        ],
    )


def allow_ports(numbers: Sequence[int]) -> NetworkPolicySpecArgs:
    """Whoever can reach all pods' addresses may connect to the ports.

    For servers that the API server calls (webhooks, aggregated APIs): which address it calls from differs
    with the network plug-in (the node's, a tunnel's, one in the pods' range), so no range can be named.
    Tenants' pods still cannot: their own namespaces let nothing out to here.
    """
    return NetworkPolicySpecArgs(
        pod_selector=all_pods(),
        policy_types=[INGRESS],
        ingress=[NetworkPolicyIngressRuleArgs(ports=ports(numbers))],
    )


def together(*specs: NetworkPolicySpecArgs) -> NetworkPolicySpecArgs:
    """Several grants to all pods as one policy, for what is never granted apart: fewer objects say the
    same."""
    kinds: set[str] = set()
    ingress: list[NetworkPolicyIngressRuleArgs] = []
    egress: list[NetworkPolicyEgressRuleArgs] = []
    for spec in specs:
        kinds.update(cast("list[str]", spec.policy_types))
        ingress += cast("list[NetworkPolicyIngressRuleArgs]", spec.ingress or [])
        egress += cast("list[NetworkPolicyEgressRuleArgs]", spec.egress or [])
    return NetworkPolicySpecArgs(
        pod_selector=all_pods(),
        policy_types=[kind for kind in (INGRESS, EGRESS) if kind in kinds],
        ingress=ingress or None,
        egress=egress or None,
    )


def _egress(
    peers: list[NetworkPolicyPeerArgs], allowed: list[NetworkPolicyPortArgs] | None
) -> NetworkPolicySpecArgs:
    return NetworkPolicySpecArgs(
        pod_selector=all_pods(),
        policy_types=[EGRESS],
        egress=[NetworkPolicyEgressRuleArgs(to=peers, ports=allowed)],
    )


def _without(cidr: str, cluster: Cluster) -> list[str]:
    whole = network.network(cidr)
    taken = []
    for own in (cluster.pod_cidr, cluster.service_cidr, *LINK_LOCAL):
        if not network.overlap(cidr, own):
            continue
        if _inside(whole, network.network(own)):
            raise ValueError(
                f"{cidr} lies inside {own}, which no exception may open: name an address outside the cluster"
            )
        taken.append(own)
    return taken


def _inside(one: network.Network, other: network.Network) -> bool:
    if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return one.subnet_of(other)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return one.subnet_of(other)
    return False
