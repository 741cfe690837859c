"""What must hold of tenants' network exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.kit import names
from modules.kit.network import network, overlap
from profiles.model import Profile
from profiles.rules.finding import TENANTS, Finding, Rule

METADATA: Final = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")
"""Link-local ranges, which hold 169.254.169.254, and the address that AWS uses for IPv6: there clouds hand the machine's own
credentials to whoever asks from it (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html)."""


def network_rules_are_named_once(profile: Profile) -> Iterator[Finding]:
    """The name becomes the name of a NetworkPolicy, of which the second would replace the first."""
    for name, tenant in profile.tenants.items():
        for direction, given in (
            ("egress", [rule.name for rule in tenant.network.egress]),
            ("ingress", [rule.name for rule in tenant.network.ingress]),
        ):
            seen: set[str] = set()
            for number, rule_name in enumerate(given):
                if rule_name in seen:
                    yield Finding(
                        (TENANTS, name, "network", direction, number, "name"),
                        "names another rule of the list too",
                        "give each its own name",
                    )
                seen.add(rule_name)


def egress_to_everywhere_names_its_ports(profile: Profile) -> Iterator[Finding]:
    """All addresses on all ports is no exception to default-deny but its end."""
    for name, tenant in profile.tenants.items():
        for number, rule in enumerate(tenant.network.egress):
            if network(rule.cidr).prefixlen == 0 and not rule.ports:
                yield Finding(
                    (TENANTS, name, "network", "egress", number, "ports"),
                    f"names none, and {rule.cidr} is everywhere",
                    "write the ports, such as [443], or the addresses that are meant",
                    ((TENANTS, name, "network", "egress", number, "cidr"),),
                )


def egress_stays_out_of_the_cluster(profile: Profile) -> Iterator[Finding]:
    """Addresses of pods and services would open other tenants; the link-local ones hand out the machine's cloud credentials. "Everywhere"
    (0.0.0.0/0, ::/0) is told apart: the declared policy cuts those ranges out of it."""
    cluster = profile.cluster
    forbidden = {
        cluster.pod_cidr: "pods (cluster.pod_cidr)",
        cluster.service_cidr: "services (cluster.service_cidr)",
        **dict.fromkeys(METADATA, "the cloud's metadata service"),
    }
    for name, tenant in profile.tenants.items():
        for number, rule in enumerate(tenant.network.egress):
            for cidr, what in forbidden.items():
                if network(rule.cidr).prefixlen > 0 and overlap(rule.cidr, cidr):
                    yield Finding(
                        (TENANTS, name, "network", "egress", number, "cidr"),
                        f"covers addresses of {what}",
                        f"choose addresses outside {cidr}",
                        (("cluster", "pod_cidr"), ("cluster", "service_cidr")),
                    )


def ingress_comes_from_the_platform(profile: Profile) -> Iterator[Finding]:
    """Tenants never reach each other, so no exception may name a tenant's namespace; what they share goes through a store."""
    for name, tenant in profile.tenants.items():
        for number, rule in enumerate(tenant.network.ingress):
            if rule.namespace.startswith(names.NAMESPACE_PREFIX) or rule.namespace == "default":
                yield Finding(
                    (TENANTS, name, "network", "ingress", number, "namespace"),
                    "is not a namespace of the platform",
                    "name the platform's namespace that calls, such as gateway-system",
                )


RULES: Final[tuple[Rule, ...]] = (
    network_rules_are_named_once,
    egress_to_everywhere_names_its_ports,
    egress_stays_out_of_the_cluster,
    ingress_comes_from_the_platform,
)
