"""NetworkPolicies as Kubernetes defines them (https://kubernetes.io/docs/concepts/services-networking/network-policies/).

A connection has to be allowed twice: by the egress of where it begins and the ingress of where it ends. A pod that no policy of a
direction selects is open in it; one that is selected may do what any of those policies lists, and nothing else.

What rendered objects leave open is taken for the worst. Tenants start pods that nobody has declared, with labels of their own choice: such
a pod (`labels` is None) is fenced in only by policies that select every pod, and profits from every rule that some labels would match. An
address is not known before a pod runs: a range reaches a pod where it shares any address with the pods' ranges, and any pod on its
node's own network, which no policy binds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from modules.kit.network import Network
from policies.resource import NETWORK_POLICY, Record, Resource, items, record, records

NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""Label that the API server puts on each namespace."""

_LAST_PORT: Final = 65535


class Ports(NamedTuple):
    """Ports of one protocol, both ends included."""

    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        if (self.first, self.last) == (0, _LAST_PORT):
            return f"{self.protocol} every port"
        return f"{self.protocol} {self.first}" + ("" if self.first == self.last else f"-{self.last}")


_EVERY: Final = tuple(Ports(protocol, 0, _LAST_PORT) for protocol in ("TCP", "UDP", "SCTP"))


@dataclass(frozen=True)
class Endpoint:
    """A pod, or any pod that somebody may start in a namespace."""

    namespace: str
    name: str
    labels: Mapping[str, str] | None = field(default=None, hash=False)
    """None for whatever labels its owner gives it."""
    ports: Mapping[str, Ports] = field(default_factory=dict, hash=False)
    """Named ports of its containers."""
    host_network: bool = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Policy:
    """A NetworkPolicy as far as it is about one direction."""

    namespace: str
    name: str
    selector: Record = field(hash=False)
    rules: tuple[Record, ...] = field(hash=False)


class Way(NamedTuple):
    """Ports on which one pod reaches another, and what lets it."""

    ports: Ports
    out: str
    into: str

    def __str__(self) -> str:
        return f"{self.ports} (out: {self.out}; in: {self.into})"


@dataclass(frozen=True)
class Fences:
    """All NetworkPolicies, with what they are judged by."""

    namespaces: Mapping[str, Mapping[str, str]]
    """Labels of each namespace."""
    ingress: Mapping[str, tuple[Policy, ...]]
    egress: Mapping[str, tuple[Policy, ...]]
    pod_ranges: tuple[Network, ...]
    """Where pods' addresses are, and those of Services, behind which there are pods."""

    def ways(self, source: Endpoint, target: Endpoint) -> tuple[Way, ...]:
        """How one pod reaches another; empty when it cannot."""
        out = self._allowed(self.egress, "to", source, target, target)
        if not out:
            return ()
        into = self._allowed(self.ingress, "from", target, source, target)
        found = (
            Way(shared, name_out, name_in)
            for name_out, ports_out in out
            for name_in, ports_in in into
            if (shared := _shared(ports_out, ports_in)) is not None
        )
        return tuple(dict.fromkeys(found))

    def _allowed(
        self,
        policies: Mapping[str, tuple[Policy, ...]],
        side: str,
        subject: Endpoint,
        peer: Endpoint,
        target: Endpoint,
    ) -> list[tuple[str, Ports]]:
        """What one end of a connection allows: each rule's name, and ports of the target. `side` is where rules list the other end."""
        if subject.host_network:
            return [("its node's network, which no policy binds", every) for every in _EVERY]
        own = policies.get(subject.namespace, ())
        found = [
            (f"{policy.namespace}/{policy.name}", ports)
            for policy in own
            if may_match(policy.selector, subject.labels)
            for rule in policy.rules
            if self._admits(policy, rule.get(side), peer)
            for ports in _ports(rule, target)
        ]
        if not any(must_match(policy.selector, subject.labels) for policy in own):
            found += [("no policy selects it", every) for every in _EVERY]
        return found

    def _admits(self, policy: Policy, listed: object, peer: Endpoint) -> bool:
        peers = records(listed)
        return not peers or any(self._is(policy, each, peer) for each in peers)

    def _is(self, policy: Policy, described: Record, peer: Endpoint) -> bool:
        if "ipBlock" in described:
            return peer.host_network or self._in_block(record(described["ipBlock"]))
        if peer.host_network:
            return False  # Its address is its node's: selectors do not find it.
        names, pods = described.get("namespaceSelector"), described.get("podSelector")
        if names is None and pods is None:
            return False
        if names is None:
            here = peer.namespace == policy.namespace
        else:
            known = {NAMESPACE_NAME: peer.namespace, **self.namespaces.get(peer.namespace, {})}
            here = must_match(record(names), known)
        return here and (pods is None or may_match(record(pods), peer.labels))

    def _in_block(self, block: Record) -> bool:
        """Whether some pod's address is in the range and in none of its exceptions."""
        try:
            whole = ipaddress.ip_network(str(block.get("cidr")), strict=False)
            without = [ipaddress.ip_network(str(each), strict=False) for each in items(block.get("except"))]
        except ValueError:
            return True  # Not known yet: taken for the worst.
        return any(_left(shared, without) for pods in self.pod_ranges if (shared := _both(whole, pods)))


def fences(resources: Iterable[Resource], pod_ranges: Sequence[Network]) -> Fences:
    """The policies and namespaces among the objects."""
    namespaces: dict[str, Mapping[str, str]] = {}
    ingress: dict[str, list[Policy]] = {}
    egress: dict[str, list[Policy]] = {}
    for each in resources:
        if each.kind == "core/Namespace":
            namespaces[each.object_name] = {str(key): str(value) for key, value in each.labels.items()}
        elif each.kind == NETWORK_POLICY:
            spec = record(each.props.get("spec"))
            namespace = each.namespace or "default"
            kinds = items(spec.get("policyTypes")) or (
                ("Ingress", "Egress") if items(spec.get("egress")) else ("Ingress",)
            )
            for kind, into, key in (("Ingress", ingress, "ingress"), ("Egress", egress, "egress")):
                if kind in kinds:
                    policy = Policy(
                        namespace, each.object_name, record(spec.get("podSelector")), records(spec.get(key))
                    )
                    into.setdefault(namespace, []).append(policy)
    return Fences(
        namespaces,
        {name: tuple(found) for name, found in ingress.items()},
        {name: tuple(found) for name, found in egress.items()},
        tuple(pod_ranges),
    )


def must_match(selector: Record, labels: Mapping[str, str] | None) -> bool:
    """Whether the selector surely matches: with labels that nobody knows, only the one that matches all."""
    if labels is None:
        return not selector.get("matchLabels") and not selector.get("matchExpressions")
    return all(
        labels.get(key) == value for key, value in record(selector.get("matchLabels")).items()
    ) and all(_holds(each, labels) for each in records(selector.get("matchExpressions")))


def may_match(selector: Record, labels: Mapping[str, str] | None) -> bool:
    """Whether the selector can match: with labels that nobody knows, it can."""
    return labels is None or must_match(selector, labels)


def _holds(expression: Record, labels: Mapping[str, str]) -> bool:
    key, values = str(expression.get("key")), items(expression.get("values"))
    match expression.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def _ports(rule: Record, target: Endpoint) -> Iterator[Ports]:
    """The ports that a rule allows. A name means what the target's containers call so, or any port where nobody knows them."""
    listed = records(rule.get("ports"))
    if not listed:
        yield from _EVERY
    for each in listed:
        protocol, port = str(each.get("protocol") or "TCP"), each.get("port")
        if port is None:
            yield Ports(protocol, 0, _LAST_PORT)
        elif isinstance(port, str) and not port.isdigit():
            if target.labels is None:
                yield Ports(protocol, 0, _LAST_PORT)
            elif (named := target.ports.get(port)) is not None and named.protocol == protocol:
                yield named
        else:
            yield Ports(protocol, int(port), int(each.get("endPort") or port))


def _shared(one: Ports, other: Ports) -> Ports | None:
    first, last = max(one.first, other.first), min(one.last, other.last)
    return Ports(one.protocol, first, last) if one.protocol == other.protocol and first <= last else None


def _both(one: Network, other: Network) -> Network | None:
    """What two ranges share: ranges lie within each other or apart."""
    if one.version != other.version or not one.overlaps(other):
        return None
    return one if one.prefixlen >= other.prefixlen else other


def _left(whole: Network, without: Iterable[Network]) -> bool:
    """Whether anything of the range is left when the others are taken out."""
    rest: list[Any] = [whole]
    for taken in without:
        rest = [
            part
            for each in rest
            for part in (
                [each]
                if each.version != taken.version or not each.overlaps(taken)
                else list(each.address_exclude(taken))
                if taken.prefixlen > each.prefixlen
                else []
            )
        ]
    return bool(rest)


def endpoints(resources: Iterable[Resource]) -> Iterator[Endpoint]:
    """Every pod that the objects declare, in the namespace in which it runs."""
    for each in resources:
        for number, pod in enumerate(each.pods):
            labels = {str(key): str(value) for key, value in record(pod.metadata.get("labels")).items()}
            if each.kind == "core/Pod":
                labels = {str(key): str(value) for key, value in each.labels.items()}
            ports = {
                str(port["name"]): Ports(
                    str(port.get("protocol") or "TCP"), int(port["containerPort"]), int(port["containerPort"])
                )
                for container in pod.containers
                for port in records(container.body.get("ports"))
                if port.get("name") and str(port.get("containerPort", "")).isdigit()
            }
            name = each.object_name if number == 0 else f"{each.object_name}[{number}]"
            yield Endpoint(
                each.namespace or "default",
                f"{each.kind.rpartition('/')[2]} {name}",
                labels,
                ports,
                host_network=bool(pod.spec.get("hostNetwork")),
            )
