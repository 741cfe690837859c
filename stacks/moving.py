"""Moving tenants between stacks: what each state would hold. Pure; no object of the cluster is touched by it.

A resource keeps its name, type, parents and id, and only its URN's stack changes, so that the program of the other stack finds it as its own.
Pulumi's own `state move` cannot do it: a binding's parent is its store, with which it would move the store's servers too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modules.kit.labels import TENANT

State = Mapping[str, Any]
"""A deployment as `pulumi stack export` gives it."""

Resource = Mapping[str, Any]

_TENANT: Final = "longhouse:foundation:Tenant"
_STACK: Final = "pulumi:pulumi:Stack"
_CLUSTER: Final = "pulumi:providers:kubernetes"


@dataclass(frozen=True, order=True)
class Move:
    """A tenant, the stack that holds it, and the one that shall."""

    tenant: str
    source: str
    target: str


def moves(states: Mapping[str, State], wanted: Mapping[str, str]) -> tuple[Move, ...]:
    """What has to move, in order, for each tenant to be in the stack that is ``wanted`` for it. Of a tenant that nobody wants nothing
    moves: its stack takes it away.

    What a move that was cut off has left in two stacks moves again.
    """
    return tuple(
        sorted(
            Move(tenant, stack, wanted[tenant])
            for stack, state in states.items()
            for tenant in tenants(state)
            if wanted.get(tenant, stack) != stack
        )
    )


def tenants(state: State) -> frozenset[str]:
    """Those of whom the stack holds anything."""
    return frozenset(found for each in _resources(state) if (found := tenant_of(each)))


def tenant_of(resource: Resource) -> str | None:
    """Whose a resource is: the label says it of objects, the name of the component that holds most of them."""
    if resource["type"] == _TENANT:
        return _name(resource["urn"])
    meta = (resource.get("inputs") or {}).get("metadata")
    labels = meta.get("labels") if isinstance(meta, dict) else None
    found = labels.get(TENANT) if isinstance(labels, dict) else None
    return str(found) if found else None


def moved(states: Mapping[str, State], wanted: Sequence[Move]) -> tuple[tuple[str, State], ...]:
    """Stacks with what they shall hold, in the order in which that has to be written: whoever gains comes before whoever loses, so that a
    run that is cut off leaves a tenant in two states and never in none.
    """
    gained = dict(states)
    for target, source in sorted({(each.target, each.source) for each in wanted}):
        whose = {each.tenant for each in wanted if (each.source, each.target) == (source, target)}
        gained[target] = _gained(gained[target], target, states[source], source, whose)
    lost = {
        source: _lost(gained[source], {each.tenant for each in wanted if each.source == source})
        for source in sorted({each.source for each in wanted})
    }
    return (*((stack, gained[stack]) for stack in sorted({each.target for each in wanted})), *lost.items())


def _gained(state: State, stack: str, source: State, its_stack: str, whose: Iterable[str]) -> State:
    """A state with what another has of some tenants, and with copies of the components that hold it and of the provider."""
    before = {each["urn"]: each for each in _resources(source)}
    names = {urn: _renamed(urn, its_stack, stack) for urn in before}
    takes = {urn for urn, each in before.items() if not each.get("delete") and tenant_of(each) in set(whose)}
    takes |= {above for urn in takes for above in _above(before, urn)}
    takes |= {urn for urn in before if _type(urn) == _CLUSTER}
    now = {each["urn"]: each for each in _resources(state)}
    comes = [urn for urn in before if urn in takes and names[urn] not in now]
    known = now.keys() | {names[urn] for urn in comes}
    providers = {
        urn: f"{urn}::{each['id']}"
        for urn, each in ({names[urn]: before[urn] for urn in comes} | now).items()
        if _type(urn) == _CLUSTER
    }
    added = [_readdressed(_copied(before[urn]), names, known, providers) for urn in comes]
    base = state if state.get("resources") else {**source, "resources": []}
    return {**base, "resources": [*_resources(state), *added]}


def _copied(resource: Resource) -> Resource:
    """What a stack told the world is its own."""
    return {**resource, "outputs": {}} if resource["type"] == _STACK else resource


def _lost(state: State, gone: Iterable[str]) -> State:
    """A state without what it has of some tenants, and without whatever refers to it."""
    stays = [each for each in _resources(state) if each.get("delete") or tenant_of(each) not in set(gone)]
    known = {each["urn"] for each in stays}
    same = {urn: urn for urn in known}
    return {**state, "resources": [_readdressed(each, same, known, {}) for each in stays]}


def _readdressed(
    resource: Resource, names: Mapping[str, str], known: Iterable[str], providers: Mapping[str, str]
) -> Resource:
    """A resource under its name in another state, without references to what is not there."""
    there = frozenset(known)

    def kept(urns: Iterable[str] | None) -> list[str]:
        return [names[urn] for urn in urns or () if names.get(urn) in there]

    found = dict(copy.deepcopy(dict(resource)))
    found["urn"] = names[found["urn"]]
    for single in ("parent", "deletedWith"):
        if single in found and not (left := kept([found[single]])):
            del found[single]
        elif single in found:
            found[single] = left[0]
    if "dependencies" in found:
        found["dependencies"] = kept(found["dependencies"])
    if "propertyDependencies" in found:
        found["propertyDependencies"] = {
            key: kept(urns) for key, urns in found["propertyDependencies"].items()
        }
    provider = found.get("provider", "").rpartition("::")[0]
    if names.get(provider) in providers:
        found["provider"] = providers[names[provider]]
    return found


def _above(resources: Mapping[str, Resource], urn: str) -> Iterator[str]:
    """Its parents, up to the stack itself."""
    while (urn := str(resources[urn].get("parent"))) in resources:
        yield urn


def _renamed(urn: str, source: str, target: str) -> str:
    """The URN in the other stack. That of the stack's own resource ends in its name, too."""
    scheme, stack, rest = urn.partition(f"urn:pulumi:{source}::")
    assert (scheme, stack) == ("", f"urn:pulumi:{source}::"), f"{urn} is not of stack {source}"
    if _type(urn) == _STACK:
        rest = rest.removesuffix(source) + target
    return f"urn:pulumi:{target}::{rest}"


def _type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _resources(state: State) -> list[Resource]:
    return list(state.get("resources") or ())
