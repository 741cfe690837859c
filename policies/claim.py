"""Checks that are written once and read twice: judged here over declared resources, and printed as CEL for the API server.

A check is data: each clause forbids what a condition describes, in words that may hold values. `Claim` judges a resource by evaluating
that data; `Claim.cel` prints the same data as one CEL expression, the text of all faults and empty when there is none
(https://kubernetes.io/docs/reference/using-api/cel/).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from policies.expression import (
    CONTAINER,
    Condition,
    Name,
    Scope,
    Term,
    Text,
    Variable,
    list_of,
    literal,
    map_of,
    pairs,
)
from policies.resource import Pod, Resource

WORKLOADS: Final = (
    "core/Pod",
    "core/PodTemplate",
    "core/ReplicationController",
    "apps/DaemonSet",
    "apps/Deployment",
    "apps/ReplicaSet",
    "apps/StatefulSet",
    "batch/CronJob",
    "batch/Job",
)
"""Kubernetes' own kinds that make pods. In the cluster the pods of other kinds are judged when they are made."""

_POD: Final = (
    "object.kind == 'Pod' ? object"
    " : object.kind == 'PodTemplate' ? object.template"
    " : object.kind == 'CronJob' ? object.spec.jobTemplate.spec.template"
    " : object.spec.template"
)
_LISTS: Final = (
    ("init container", "initContainers", False),
    ("container", "containers", False),
    ("ephemeral container", "ephemeralContainers", True),
)


@dataclass(frozen=True)
class Each:
    """A list that is gone through, or a record by its keys: the clause speaks of each `name`, and may say its number or key by `key`."""

    name: Name
    inside: Term
    key: Name
    record: bool = False


def each(name: Name, inside: Term, key: Name | None = None) -> Each:
    """Each item of a list."""
    return Each(name, inside, key or Name(f"{name.name}_number"))


def each_entry(key: Name, name: Name, inside: Term) -> Each:
    """Each entry of a record, by key and value."""
    return Each(name, inside, key, record=True)


CONTAINERS: Final = each(CONTAINER, Variable("containers"))
"""Each container of the pod, of whichever list."""


@dataclass(frozen=True)
class Clause:
    """What is forbidden, of each item of the lists that are gone through one inside the other, and what to say of it."""

    forbidden: Condition
    message: Text
    over: tuple[Each, ...] = ()

    def faults(self, scope: Scope) -> Iterator[str]:
        """One message for each fault."""
        yield from self._inside(self.over, scope)

    def _inside(self, over: Sequence[Each], scope: Scope) -> Iterator[str]:
        if not over:
            if self.forbidden.holds(scope) is not False:
                yield self.message.value(scope)
            return
        first, *rest = over
        for key, value in pairs(first.inside.value(scope), first.record):
            yield from self._inside(rest, {**scope, first.key.name: key, first.name.name: value})

    @property
    def cel(self) -> str:
        """The messages in CEL, as one text."""
        if not self.over:
            return f"({self.forbidden.cel} ? {self.message.cel} : '')"
        *outer, last = self.over
        holder = (map_of if last.record else list_of)(last.inside)
        found = f"{holder}.transformList({last.key.cel}, {last.name.cel}, {self.forbidden.cel}, {self.message.cel})"
        for around in reversed(outer):
            holder = (map_of if around.record else list_of)(around.inside)
            found = (
                f"{holder}.transformList({around.key.cel}, {around.name.cel}, {_joined(found)})"
                ".filter(said, said != '')"
            )
        return _joined(found)


def _joined(found: str) -> str:
    return f"{found}.join('; ')"


def forbid(forbidden: Condition, *message: str | Term, over: Sequence[Each] = ()) -> Clause:
    """That something is not so."""
    return Clause(forbidden, Text(message), tuple(over))


def require(wanted: Condition, *message: str | Term, over: Sequence[Each] = ()) -> Clause:
    """That something is so."""
    return Clause(~wanted, Text(message), tuple(over))


@dataclass(frozen=True)
class Claim:
    """A whole check: clauses over objects of some kinds, or over the pods of some kinds."""

    kinds: tuple[str, ...]
    clauses: tuple[Clause, ...]
    where: Condition | None = None
    """Of which objects, or pods, it speaks; of all when None."""
    pods: bool = False
    """Whether it speaks of pods: a fault is then told with the pod's place in its object, and custom resources are looked into too."""
    home: bool = False
    """Whether it looks at the namespace too, which an object that is judged alone does not show."""

    def concerns(self, kind: str) -> bool:
        """Whether it may have something to say of objects of a kind."""
        return kind in self.kinds or (self.pods and self.kinds == WORKLOADS)

    def __call__(self, resource: Resource) -> Iterator[str]:
        """One message for each fault."""
        if not self.concerns(resource.kind):
            return
        if not self.pods:
            yield from self._faults({"object": resource.props, "home": resource.home})
            return
        for pod in resource.pods:
            for message in self._faults({"object": resource.props, "home": resource.home, **_scope(pod)}):
                yield pod.where + message

    def _faults(self, scope: Scope) -> Iterator[str]:
        if self.where is None or self.where.holds(scope) is not False:
            for clause in self.clauses:
                yield from clause.faults(scope)

    @property
    def cel(self) -> str:
        """All messages in CEL, as a list of texts that are empty where there is no fault. May use `variables`."""
        found = f"[{', '.join(clause.cel for clause in self.clauses)}].filter(said, said != '')"
        return f"({self.where.cel} ? {found} : [])" if self.where else found

    @property
    def variables(self) -> tuple[tuple[str, str], ...]:
        """What a CEL expression needs beside the object, by name, in order."""
        if not self.pods:
            return ()
        lists = " + ".join(
            f"variables.pod.?spec.?{key}.orValue([]).map(b, {{'where': dyn('{title} ' + b.name), 'ephemeral': dyn({literal(late)}), 'body': dyn(b)}})"
            for title, key, late in _LISTS
        )
        return ("pod", _POD), ("containers", lists)


def over_pods(
    *clauses: Clause,
    where: Condition | None = None,
    kinds: tuple[str, ...] = WORKLOADS,
    home: bool = False,
) -> Claim:
    """A claim over pods."""
    return Claim(kinds, clauses, where, pods=True, home=home)


def over(
    kinds: str | tuple[str, ...], *clauses: Clause, where: Condition | None = None, home: bool = False
) -> Claim:
    """A claim over objects of some kinds."""
    return Claim((kinds,) if isinstance(kinds, str) else kinds, clauses, where, home=home)


def _scope(pod: Pod) -> dict[str, Any]:
    containers = [
        {"where": each.where.removeprefix(pod.where), "ephemeral": each.ephemeral, "body": each.body}
        for each in pod.containers
    ]
    return {"pod": {"metadata": pod.metadata, "spec": pod.spec}, "containers": containers}
