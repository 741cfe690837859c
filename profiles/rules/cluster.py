"""What must hold of the cluster and of what all tenants share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

from modules.kit.cluster import WebhookFailure
from modules.kit.network import network, overlap
from profiles.model import Profile
from profiles.problems import Key
from profiles.rules.finding import POOLS, Finding, Rule

NODE_MASK: Final = 24
"""Size of the range that each node gets for its pods: the controller manager's default `--node-cidr-mask-size-ipv4`
(https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/)."""

PRIVATE: Final = tuple(
    network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""Ranges that nobody else on the Internet has: RFC 1918, shared address space (RFC 6598, which cloud clusters use for pods), RFC 4193."""


def address_ranges_are_apart(profile: Profile) -> Iterator[Finding]:
    """An address that is both a pod's and a service's, or a pod's and the API server's, reaches the wrong one. The API server's addresses are
    those behind its service, so they lie in neither range."""
    cluster = profile.cluster
    ranges: list[tuple[Key, str]] = [
        (("cluster", "pod_cidr"), cluster.pod_cidr),
        (("cluster", "service_cidr"), cluster.service_cidr),
        *(
            (("cluster", "api_server", "cidrs", number), cidr)
            for number, cidr in enumerate(cluster.api_server.cidrs)
        ),
    ]
    for (one, a), (other, b) in combinations(ranges, 2):
        if one[1] != other[1] and overlap(a, b):
            yield Finding(
                other, f"shares addresses with {one[1]}, which is {a}", "choose a range of its own", (one,)
            )


def address_ranges_are_private(profile: Profile) -> Iterator[Finding]:
    """A public range hides the machines that own it from every pod, and lets pods pass for them."""
    for key, cidr in (("pod_cidr", profile.cluster.pod_cidr), ("service_cidr", profile.cluster.service_cidr)):
        own = network(cidr)
        if not any(own.version == range_.version and own.subnet_of(range_) for range_ in PRIVATE):  # type: ignore[arg-type]
            yield Finding(
                ("cluster", key),
                "is not a private range",
                "choose one within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10",
            )


def pod_range_holds_every_node(profile: Profile) -> Iterator[Finding]:
    """Each node takes a /24 of it (NODE_MASK); the first node for which none is left never gets a pod."""
    own = network(profile.cluster.pod_cidr)
    nodes = sum(pool.nodes for pool in profile.node_pools.values())
    if own.version == 4 and 2 ** max(0, NODE_MASK - own.prefixlen) * (own.prefixlen <= NODE_MASK) < nodes:
        bits = max(8, NODE_MASK - (nodes - 1).bit_length())
        room = 2 ** (NODE_MASK - own.prefixlen) if own.prefixlen <= NODE_MASK else 0
        yield Finding(
            ("cluster", "pod_cidr"),
            f"has room for {room} nodes, each with a /{NODE_MASK}, and the pools have {nodes}",
            f"choose a range of /{bits} or wider",
            ((POOLS,),),
        )


def service_range_has_a_usable_size(profile: Profile) -> Iterator[Finding]:
    """The API server takes at most 20 bits of addresses, so /12 at the widest for IPv4 (its flag `--service-cluster-ip-range`, "max of 20 bits"); and a
    platform of many tenants needs more than a few hundred, so /22 at the narrowest."""
    own = network(profile.cluster.service_cidr)
    if not 10 <= own.max_prefixlen - own.prefixlen <= 20:
        widest, narrowest = own.max_prefixlen - 20, own.max_prefixlen - 10
        yield Finding(
            ("cluster", "service_cidr"),
            f"must be between /{widest} and /{narrowest}",
            f"choose a range like 10.96.0.0/{16 if own.version == 4 else 108}",
        )


def webhooks_fail_closed_outside_local(profile: Profile) -> Iterator[Finding]:
    """With `Ignore`, a job that meets a restarting operator is admitted without its queue. Only local profiles, on a machine where no operator's pod can
    run, have no other way."""
    if profile.admission.webhooks is WebhookFailure.IGNORE and not profile.is_local:
        yield Finding(
            ("admission", "webhooks"),
            "lets requests through unchecked, which only profiles named local or local-* may",
            "write Fail",
        )


def group_prefix_is_not_kubernetes_own(profile: Profile) -> Iterator[Finding]:
    """Groups that begin with `system:` are Kubernetes' own; with that prefix the identity provider could hand out `system:masters`
    (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#openid-connect-tokens)."""
    if profile.identity.group_prefix.startswith("system:"):
        yield Finding(
            ("identity", "group_prefix"), "is the prefix of Kubernetes' own groups", 'write one like "oidc:"'
        )


def priorities_differ(profile: Profile) -> Iterator[Finding]:
    """Two names for one priority promise an order that is not there."""
    first: dict[int, str] = {}
    for name, value in profile.queueing.priorities.items():
        if value in first:
            yield Finding(
                ("queueing", "priorities", name),
                f"is the same as {first[value]}",
                "give each its own value, or keep one name",
                (("queueing", "priorities", first[value]),),
            )
        first.setdefault(value, name)


def our_image_can_be_pulled(profile: Profile) -> Iterator[Finding]:
    """Programs inside the cluster run in an image of the platform's own, which no public registry has."""
    if profile.cluster.images is None and not profile.is_local:
        yield Finding(
            ("cluster", "images"),
            "is missing, and a cluster that the sandbox does not build images for needs it",
            "push the image with `make images REGISTRY=...` and write that registry here",
        )


RULES: Final[tuple[Rule, ...]] = (
    address_ranges_are_apart,
    address_ranges_are_private,
    pod_range_holds_every_node,
    service_range_has_a_usable_size,
    webhooks_fail_closed_outside_local,
    group_prefix_is_not_kubernetes_own,
    priorities_differ,
    our_image_can_be_pulled,
)
