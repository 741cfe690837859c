"""Networks: what reaches a tenant's pods, and what reaches the cluster from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from modules.kit import labels
from policies.claim import Clause, each, each_entry, forbid, over, require
from policies.expression import (
    IN_TENANT,
    META,
    NAMESPACE,
    SPEC,
    TENANTS,
    AfterDot,
    Condition,
    Name,
    Term,
    any_of,
    either,
    text,
)
from policies.resource import NAMESPACE as NAMESPACE_KIND
from policies.resource import NETWORK_POLICY, UNKNOWN, Resource, at, items, record
from policies.rule import SEVERAL, Family, Fault, ResourceRule, Severity, StackRule

_CIS: Final = "CIS Kubernetes Benchmark"
_NSA: Final = "NSA/CISA Kubernetes Hardening Guide"
_DIRECTIONS: Final = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))
_METADATA_ADDRESSES: Final = ("169.254.169.254", "fd00:ec2::254")
_ENCRYPTED: Final = ("https", "kubernetes.io/wss", labels.PREFIX + "tls")
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
        if home.kind == NAMESPACE_KIND and home.tenant is not None:
            own = [policy for policy in policies if policy.namespace == home.object_name]
            for direction, rules, _ in _DIRECTIONS:
                if not any(_denies(policy, direction, rules) for policy in own):
                    yield Fault(home, f"no NetworkPolicy denies all {rules} by default")


def _platform_deny(resources: Sequence[Resource]) -> Iterator[Fault]:
    policies = [resource for resource in resources if resource.kind == NETWORK_POLICY]
    for home in resources:
        if home.kind == NAMESPACE_KIND and home.tenant is None and labels.OWNER in home.labels:
            own = [policy for policy in policies if policy.namespace == home.object_name]
            if not any(_denies(policy, "Ingress", "ingress") for policy in own):
                yield Fault(home, "no NetworkPolicy denies all ingress by default")


_RULE: Final = Name("rule")
_PEER: Final = Name("peer")
_EXCEPT: Final = Name("except_")
_PORT: Final = Name("port")
_TLS: Final = Name("tls")
_HOST: Final = Name("host")
_KEY: Final = Name("key")
_VALUE: Final = Name("value")
_SELECTOR: Final = _PEER["namespaceSelector"]
_CIDR: Final = _PEER["ipBlock", "cidr"]
_WORLD: Final = _CIDR.matches("/0$") & ~_PEER["ipBlock", "except"].filled


def _peers(wrong: Condition, *says: str | Term) -> tuple[Clause, ...]:
    """What is forbidden of the peers of either direction."""
    found = []
    for _, rules, peers in _DIRECTIONS:
        all_ = each(_RULE, SPEC[rules])
        found.append(
            forbid(wrong, f"{rules}[", all_.key, f"].{peers} ", *says, over=[all_, each(_PEER, _RULE[peers])])
        )
    return tuple(found)


_OPEN: Final = over(
    NETWORK_POLICY,
    *(
        forbid(
            ~_RULE[peers].filled,
            f"{rules}[",
            all_.key,
            f"] has no {peers}: it means every address",
            over=[all_],
        )
        for _, rules, peers in _DIRECTIONS
        for all_ in [each(_RULE, SPEC[rules])]
    ),
    *_peers(
        _SELECTOR.present & ~_SELECTOR["matchLabels"].filled & ~_SELECTOR["matchExpressions"].filled,
        "selects every namespace",
    ),
    *_peers(_WORLD, "is every address (", _CIDR, ")"),
    where=IN_TENANT,
)

_METADATA: Final = over(
    NETWORK_POLICY,
    *(
        clause
        for address in _METADATA_ADDRESSES
        for clause in _peers(
            _CIDR.known & ~_WORLD & _CIDR.contains_ip(address)
            & ~any_of(_PEER["ipBlock", "except"], _EXCEPT, _EXCEPT.contains_ip(address)),
            "reaches ", address, ", which is the machine's own",
        )
    ),
    where=IN_TENANT,
)  # fmt: skip

_OTHER_HOME: Final = _SELECTOR["matchLabels", "kubernetes.io/metadata.name"]
_BETWEEN: Final = over(
    NETWORK_POLICY,
    *_peers(
        _SELECTOR.known & _OTHER_HOME.matches(TENANTS) & ~_OTHER_HOME.eq(NAMESPACE),
        "is another tenant (", _OTHER_HOME, ")",
    ),
    where=IN_TENANT,
)  # fmt: skip

_PORTS: Final = each(_PORT, SPEC["ports"])
_EXPOSED: Final = over(
    "core/Service",
    require(
        _PORT["appProtocol"].among(_ENCRYPTED),
        "port ", either(_PORT["name"], _PORTS.key), " is exposed by ", SPEC["type"], " and not declared as encrypted",
        over=[_PORTS],
    ),
    where=SPEC["type"].present & ~SPEC["type"].among(("ClusterIP", "ExternalName")),
)  # fmt: skip

_NAMED: Final = either(_RULE["host"], "*")
_ENTRY_COVERS: Final = ~_TLS["hosts"].filled | any_of(
    _TLS["hosts"], _HOST, _HOST.eq(_NAMED) | _HOST.eq(text("*.", AfterDot(_NAMED)))
)
_ENCRYPTED_INGRESS: Final = over(
    "networking.k8s.io/Ingress",
    require(SPEC["tls"].filled, "has no TLS"),
    forbid(
        SPEC["tls"].filled & ~any_of(SPEC["tls"], _TLS, _ENTRY_COVERS),
        "its TLS does not cover the host ", _NAMED,
        over=[each(_RULE, SPEC["rules"])],
    ),
)  # fmt: skip

_ALIAS: Final = over(
    "core/Service",
    forbid(
        SPEC["type"].known & SPEC["type"].eq("ExternalName"), "is another name for ", SPEC["externalName"]
    ),
)
_ADDRESS: Final = Name("address")
_EXTERNAL: Final = over(
    "core/Service",
    forbid(_ADDRESS.present, "takes the address ", _ADDRESS, over=[each(_ADDRESS, SPEC["externalIPs"])]),
)
_CATCH_ALL: Final = over(
    "networking.k8s.io/Ingress", forbid(SPEC["defaultBackend"].present, "has a defaultBackend")
)
_SNIPPETS: Final = over(
    "networking.k8s.io/Ingress",
    forbid(
        _KEY.matches("^nginx[.](ingress[.]kubernetes[.]io|org)/.*-snippets?$"),
        "carries ", _KEY,
        over=[each_entry(_KEY, _VALUE, META["annotations"])],
    ),
)  # fmt: skip


def _by_hand(resource: Resource) -> Iterator[str]:
    if resource.kind in ("core/Endpoints", "discovery.k8s.io/EndpointSlice"):
        yield "names addresses by hand"


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
        pull_request_only=SEVERAL,
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
        check=_OPEN,
    ),
    ResourceRule(
        id="LH-N-003",
        title="No Service is exposed outside the cluster unencrypted",
        reason="What leaves the cluster's network in the clear can be read and changed on the way: credentials, prompts, data.",
        fix="Put it behind the gateway, or declare a port that itself speaks TLS by its appProtocol"
        f" ({', '.join(sorted(_ENCRYPTED))}).",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=(f"{_NSA}: Network separation and hardening (encrypt traffic)",),
        check=_EXPOSED,
    ),
    ResourceRule(
        id="LH-N-004",
        title="No Ingress is exposed outside the cluster unencrypted",
        reason="What leaves the cluster's network in the clear can be read and changed on the way: credentials, prompts, data.",
        fix="Give it a TLS certificate for each host.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=(f"{_NSA}: Network separation and hardening (encrypt traffic)",),
        check=_ENCRYPTED_INGRESS,
    ),
    ResourceRule(
        id="LH-N-005",
        title="No Service stands for a server outside",
        reason="Such a name sends whoever trusts it anywhere, other tenants' services too; whoever fronts it by a gateway opens them.",
        fix="Let clients use the server's own name, and open the way to its addresses by a NetworkPolicy.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=("Kubernetes, Service: ExternalName (warning)",),
        check=_ALIAS,
    ),
    ResourceRule(
        id="LH-N-006",
        title="No Service takes addresses by itself",
        reason="externalIPs draws traffic for any address, also for one that is somebody else's, to its own pods (CVE-2020-8554).",
        fix="Take externalIPs away; use the gateway, or a load balancer that is given its address.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=("Kubernetes, admission controller DenyServiceExternalIPs",),
        check=_EXTERNAL,
    ),
    ResourceRule(
        id="LH-N-007",
        title="No tenant's pod reaches its machine's metadata",
        reason="Clouds serve a machine's credentials there, and with them everything that the machine may do.",
        fix="Take 169.254.0.0/16 and fd00:ec2::/32 out of the range by except, or name a narrower one.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=(f"{_NSA}: Network separation and hardening (cloud metadata)",),
        check=_METADATA,
    ),
    ResourceRule(
        id="LH-N-008",
        title="No NetworkPolicy of a tenant names another tenant",
        reason="Tenants share through stores, which know them apart; a way from pod to pod knows nobody.",
        fix="Take the peer away; share data by a grant of a store.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=("Kubernetes, Multi-tenancy: network isolation",),
        check=_BETWEEN,
    ),
    ResourceRule(
        id="LH-N-009",
        title="No Ingress takes what is meant for others",
        reason="A default backend gets the requests for every host that nobody has claimed yet, with their cookies.",
        fix="Write rules that name their hosts.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        check=_CATCH_ALL,
    ),
    ResourceRule(
        id="LH-N-010",
        title="No Ingress writes into its controller's configuration",
        reason="A snippet runs as the controller, which reads the certificates and secrets of every namespace (CVE-2021-25742).",
        fix="Take the annotation away; use the controller's own options.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        check=_SNIPPETS,
    ),
    StackRule(
        id="LH-N-011",
        title="Every namespace of the platform denies ingress by default",
        reason="Operators and stores hold more power and data than any tenant; what may call them is named, port by port.",
        fix="Declare a NetworkPolicy in the namespace with an empty podSelector, policyTypes Ingress, and no ingress rules.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        references=(
            f"{_CIS}: 5.3 Network Policies and CNI (all Namespaces have Network Policies defined)",
            f"{_NSA}: Network policies",
        ),
        pull_request_only=SEVERAL,
        check=_platform_deny,
    ),
    ResourceRule(
        id="LH-N-012",
        title="Nobody names the pods behind a Service by hand",
        reason="Addresses that no selector chose may be another tenant's pods, which the Service then speaks for (CVE-2021-25740).",
        fix="Give the Service a selector.",
        severity=Severity.ERROR,
        family=Family.NETWORK,
        pull_request_only="In the cluster Kubernetes' controllers write these objects all the time, by names that differ with the cluster;"
        " tenants' roles do not grant it.",
        check=_by_hand,
    ),
)
