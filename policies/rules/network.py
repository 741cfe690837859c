"""Networks: what reaches a tenant's pods, and what reaches the cluster from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from modules.kit import labels
from policies.resource import NAMESPACE, NETWORK_POLICY, UNKNOWN, Record, Resource, at, items, record, records
from policies.rule import Family, Fault, ResourceRule, Severity, StackRule

_CIS: Final = "CIS Kubernetes Benchmark"
_NSA: Final = "NSA/CISA Kubernetes Hardening Guide"
_DIRECTIONS: Final = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))
_ENCRYPTED: Final = frozenset({"https", "kubernetes.io/wss", labels.PREFIX + "tls"})
"""Values of a Service port's `appProtocol` that say what passes is encrypted. Kubernetes leaves prefixed names to the user, and has none
of its own for other protocols over TLS (https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol)."""


def _policy_types(policy: Resource) -> tuple[object, ...]:
    """The directions that it speaks of; Kubernetes infers them when it does not say."""
    said = at(policy.props, "spec", "policyTypes")
    if said is None:
        return ("Ingress", "Egress") if items(at(policy.props, "spec", "egress")) else ("Ingress",)
    return items(said)


def _denies(policy: Resource, direction: str, rules: str) -> bool:
    spec = record(policy.props.get("spec"))
    narrow = _narrows(spec.get("podSelector"), unknown=True)
    return not narrow and direction in _policy_types(policy) and not items(spec.get(rules))


def _narrows(selector: object, *, unknown: bool) -> bool:
    """Whether a label selector leaves anything out; `unknown` answers for one that cannot be known."""
    labels_wanted, expressions = at(selector, "matchLabels"), at(selector, "matchExpressions")
    if UNKNOWN in (selector, labels_wanted, expressions):
        return unknown
    return bool(record(labels_wanted)) or bool(items(expressions))


def _default_deny(resources: Sequence[Resource]) -> Iterator[Fault]:
    policies = [resource for resource in resources if resource.kind == NETWORK_POLICY]
    for home in resources:
        if home.kind == NAMESPACE and home.tenant is not None:
            own = [policy for policy in policies if policy.namespace == home.object_name]
            for direction, rules, _ in _DIRECTIONS:
                if not any(_denies(policy, direction, rules) for policy in own):
                    yield Fault(home, f"no NetworkPolicy denies all {rules} by default")


def _open(resource: Resource) -> Iterator[str]:
    if resource.kind != NETWORK_POLICY or resource.tenant is None:
        return
    for _, rules, peers in _DIRECTIONS:
        for number, rule in enumerate(records(at(resource.props, "spec", rules))):
            where = f"{rules}[{number}]"
            if not items(rule.get(peers)):
                yield f"{where} has no {peers}: it means every address"
            for peer in records(rule.get(peers)):
                if (fault := _everywhere(peer)) is not None:
                    yield f"{where}.{peers} {fault}"


def _everywhere(peer: Record) -> str | None:
    selector = peer.get("namespaceSelector")
    if selector is not None and not _narrows(selector, unknown=False):
        return "selects every namespace"
    cidr = at(peer, "ipBlock", "cidr")
    if cidr == UNKNOWN or (
        cidr is not None and str(cidr).endswith("/0") and not items(at(peer, "ipBlock", "except"))
    ):
        return f"is every address ({cidr})"
    return None


def _exposed(resource: Resource) -> Iterator[str]:
    if resource.kind == "core/Service":
        yield from _service(record(resource.props.get("spec")))
    elif resource.kind == "networking.k8s.io/Ingress":
        yield from _ingress(record(resource.props.get("spec")))


def _service(spec: Record) -> Iterator[str]:
    kind = spec.get("type")
    outside = items(spec.get("externalIPs"))
    if kind in (None, "ClusterIP", "ExternalName") and not outside:
        return
    how = "externalIPs" if outside else str(kind)
    for number, port in enumerate(records(spec.get("ports"))):
        if port.get("appProtocol") not in _ENCRYPTED:
            yield f"port {port.get('name') or number} is exposed by {how} and not declared as encrypted"


def _ingress(spec: Record) -> Iterator[str]:
    certificates = records(spec.get("tls"))
    if not certificates:
        yield "has no TLS"
        return
    if not all(items(entry.get("hosts")) for entry in certificates):
        return  # An entry without hosts holds for all of them.
    covered = {str(host) for entry in certificates for host in items(entry.get("hosts"))}
    for rule in records(spec.get("rules")):
        host = str(rule.get("host") or "*")
        if host not in covered and f"*.{host.partition('.')[2]}" not in covered:
            yield f"its TLS does not cover the host {host}"


RULES: Final = (
    StackRule(
        id="LH-N-001",
        title="Every tenant's namespace denies all traffic by default, in both directions",
        reason="Without it every pod of the cluster reaches the tenant's pods, and they reach every pod and the world.",
        fix="Declare a NetworkPolicy in the namespace with an empty podSelector, both policyTypes, and no ingress or egress rules.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=(
            f"{_CIS}: 5.3 Network Policies and CNI (all Namespaces have Network Policies defined)",
            f"{_NSA}: Network policies",
        ),
        check=_default_deny,
    ),
    ResourceRule(
        id="LH-N-002",
        title="No NetworkPolicy of a tenant opens to everything",
        reason="Policies add up: one that allows every peer undoes the default that denies.",
        fix="Name the peers: namespaces by their labels, addresses by a range smaller than all.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=(f"{_NSA}: Network policies",),
        check=_open,
    ),
    ResourceRule(
        id="LH-N-003",
        title="Nothing is exposed outside the cluster unencrypted",
        reason="What leaves the cluster's network in the clear can be read and changed on the way: credentials, prompts, data.",
        fix="Put it behind the gateway; give an Ingress a TLS certificate for each host; or declare a Service port that itself speaks TLS"
        f" by its appProtocol ({', '.join(sorted(_ENCRYPTED))}).",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=(f"{_NSA}: Network separation and hardening (encrypt traffic)",),
        check=_exposed,
    ),
)
