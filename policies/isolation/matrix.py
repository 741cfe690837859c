"""Every pair of tenants, and every tenant with every server of the platform: who reaches what, and by which path.

A crossing is a path that no record grants. A tenant's record grants the client ports of the stores that it names, and a way in for the
namespaces that it names; an API group that two records name is in both. Nothing else crosses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from modules.kit import names
from modules.kit.network import network
from policies.gate import Gate
from policies.isolation import stores
from policies.isolation.access import AUTHENTICATED, SERVICE_ACCOUNTS, Access, access
from policies.isolation.network import Endpoint, Fences, Ports, Way, endpoints, fences
from policies.plan import Finding
from policies.resource import Record, Resource, items, record
from profiles.model import Profile

CROSSING: Final = Gate(
    id="LH-P-004",
    title="No tenant reaches what is another's or the platform's without a grant in its record",
    reason="Policies, bindings and grants add up: one that is too wide undoes all the others, and no single object shows it.",
    fix="Take away or narrow what the path names; where it is meant, grant it in the tenant's record.",
    looks_at="network policies, role bindings and the stores' grants of all tenants together",
)

_UNAUTHENTICATED: Final = "system:unauthenticated"
ANY_POD: Final = "any pod"


class Reached(NamedTuple):
    """A way from one pod to another that is open."""

    source: str
    """The tenant or the namespace that it begins in."""
    target: Endpoint
    way: Way
    granted: bool


@dataclass(frozen=True)
class Matrix:
    """What was asked and what came of it."""

    tenants: tuple[str, ...]
    servers: tuple[Endpoint, ...]
    """The platform's own pods."""
    services: Mapping[str, tuple[str, ...]]
    """Services by the pods behind them."""
    pairs: int
    """How many pairs of pods were judged."""
    bindings: int
    grants: int
    reached: tuple[Reached, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Granted:
    """What tenants' records grant."""

    out: Mapping[str, Mapping[str, frozenset[int]]]
    """Tenant to the platform's namespaces that it may call, and at which ports."""
    into: Mapping[str, Mapping[str, frozenset[int]]]
    """Tenant to the namespaces that may call it, and at which ports."""
    groups: Mapping[str, frozenset[str]]
    """Tenant to its groups, as the API server knows them."""
    pod_ranges: tuple[str, ...]


def granted(profile: Profile) -> Granted:
    """What the records of a profile's tenants grant."""
    prefix = profile.identity.group_prefix
    out: dict[str, dict[str, frozenset[int]]] = {}
    for name, tenant in profile.tenants.items():
        out[name] = {
            reach.namespace: frozenset(reach.ports) for reach in profile.reaches(tenant) if reach.namespace
        }
    into = {
        name: {each.namespace: frozenset(each.ports) for each in tenant.network.ingress}
        for name, tenant in profile.tenants.items()
    }
    groups = {
        name: frozenset(
            f"{prefix}{group}"
            for group in (*tenant.groups.viewer, *tenant.groups.editor, *tenant.groups.admin)
        )
        for name, tenant in profile.tenants.items()
    }
    return Granted(out, into, groups, (profile.cluster.pod_cidr, profile.cluster.service_cidr))


def matrix(resources: Sequence[Resource], grants: Granted) -> Matrix:
    """Judge everything that the objects declare. The stores' own grants are judged by `in_stores`."""
    fenced = fences(resources, [network(each) for each in grants.pod_ranges])
    homes = {tenant: names.namespace(tenant) for tenant in grants.groups}
    # What operators start later stands in no object: any pod of the platform's namespaces stands for it.
    servers = (
        *(each for each in endpoints(resources) if each.namespace not in homes.values()),
        *(Endpoint(each, ANY_POD) for each in fenced.namespaces if each not in homes.values()),
    )
    reached = tuple(_reached(fenced, homes, servers, grants))
    rights = access(resources)
    findings = [
        *(_network_finding(each) for each in reached if not each.granted),
        *_rights(rights, homes, grants),
        *(
            CROSSING.finding(f"Namespace {home}", "is not declared, so nothing fences it in")
            for home in homes.values()
            if home not in fenced.namespaces
        ),
    ]
    return Matrix(
        tuple(homes),
        servers,
        _services(resources, servers),
        len(homes) * (len(homes) - 1) + 2 * len(homes) * len(servers),
        sum(1 for _ in rights.subjects()),
        0,
        reached,
        tuple(findings),
    )


def _reached(
    fenced: Fences, homes: Mapping[str, str], servers: Sequence[Endpoint], grants: Granted
) -> Iterator[Reached]:
    anybody = {tenant: Endpoint(home, ANY_POD) for tenant, home in homes.items()}
    for tenant, source in anybody.items():
        for other, target in anybody.items():
            if other != tenant:
                yield from (Reached(tenant, target, way, False) for way in fenced.ways(source, target))
        for server in servers:
            may = grants.out[tenant].get(server.namespace, frozenset())
            for way in fenced.ways(source, server):
                yield Reached(tenant, server, way, _within(way.ports, may))
            into = grants.into[tenant].get(server.namespace, frozenset())
            for way in fenced.ways(server, source):
                yield Reached(str(server), source, way, _within(way.ports, into))


def _within(ports: Ports, numbers: frozenset[int]) -> bool:
    return all(port in numbers for port in range(ports.first, ports.last + 1))


def _network_finding(found: Reached) -> Finding:
    target = found.target
    name = f"Namespace {target.namespace}" if target.name == ANY_POD else f"{target.name.partition(' ')[0]} "
    if target.name != ANY_POD:
        name += f"{target.namespace}/{target.name.partition(' ')[2]}"
    return CROSSING.finding(name, f"is reached from {found.source} at {found.way}")


def _rights(rights: Access, homes: Mapping[str, str], grants: Granted) -> Iterator[Finding]:
    """Every binding that gives a tenant's people or accounts a right outside its own namespace."""
    for binding, subject in rights.subjects():
        reference = record(binding.props.get("roleRef"))
        home = None if binding.kind.endswith("/ClusterRoleBinding") else binding.namespace or "default"
        if not rights.rules(binding):
            continue
        for tenant in _stands_for(subject, home or "", homes, grants):
            if home == homes[tenant] and not _everybody(subject):
                continue
            sharer = next((name for name, each in homes.items() if each == home), None)
            if sharer and subject.get("kind") == "Group" and subject.get("name") in grants.groups[sharer]:
                continue
            where = "in the whole cluster" if home is None else f"in {home}"
            yield CROSSING.finding(
                binding.subject,
                f"gives {subject.get('kind')} {subject.get('name')} of tenant {tenant} the "
                f"{reference.get('kind')} {reference.get('name')} {where}: {_told(rights.rules(binding))}",
            )


def _everybody(subject: Record) -> bool:
    return subject.get("kind") == "Group" and subject.get("name") in (
        AUTHENTICATED,
        SERVICE_ACCOUNTS,
        _UNAUTHENTICATED,
    )


def _stands_for(subject: Record, home: str, homes: Mapping[str, str], grants: Granted) -> Iterator[str]:
    """The tenants whose people or accounts a subject of a binding is."""
    kind, name = subject.get("kind"), str(subject.get("name"))
    for tenant, own in homes.items():
        if kind == "ServiceAccount":
            ours = (subject.get("namespace") or home) == own
        elif kind == "Group":
            ours = _everybody(subject) or name in grants.groups[tenant] or name == f"{SERVICE_ACCOUNTS}:{own}"
        else:
            ours = name.startswith(f"system:serviceaccount:{own}:")
        if ours:
            yield tenant


def _told(rules: Sequence[Record]) -> str:
    parts = [
        f"{', '.join(map(str, items(rule.get('verbs'))))} {', '.join(map(str, items(rule.get('resources'))))}"
        for rule in rules
    ]
    return "; ".join(parts[:3]) + ("; …" if len(parts) > 3 else "")


def in_stores(profile: Profile) -> tuple[int, list[Finding]]:
    """How many of the stores' grants were judged, and those that cover what is another tenant's."""
    grants, things = stores.of(profile)
    return len(grants), [
        CROSSING.finding(
            f"Tenant {touch.grant.tenant}",
            f"may touch {touch.thing.name} of tenant {touch.thing.tenant} in {touch.grant.store} by its grant {touch.grant.says}",
        )
        for touch in stores.crossings(grants, things)
    ]


def _services(resources: Sequence[Resource], servers: Sequence[Endpoint]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for each in resources:
        selector = record(record(each.props.get("spec")).get("selector"))
        if each.kind == "core/Service" and selector:
            for server in servers:
                labels = server.labels or {}
                if server.namespace == each.namespace and all(
                    labels.get(k) == v for k, v in selector.items()
                ):
                    found.setdefault(str(server), []).append(each.object_name)
    return {name: tuple(each) for name, each in found.items()}


def proof(resources: Sequence[Resource], profile: Profile) -> Matrix:
    """The whole: network, rights, and the stores' grants."""
    found = matrix(resources, granted(profile))
    judged, crossings = in_stores(profile)
    return replace(found, grants=judged, findings=(*found.findings, *crossings))
