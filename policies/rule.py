"""What a rule is, and how rules are run over resources and plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from policies.resource import Resource, at_home

SEVERAL: Final = "It takes several objects to see, and the API server sees one at a time."
"""Why a rule over a stack is not enforced in the cluster."""


class Severity(StrEnum):
    """What a violation does."""

    ERROR = "error"
    """Stops the deployment."""
    WARNING = "warning"
    """Is reported, stops nothing."""


class Family(StrEnum):
    """What a rule protects. The families are the modules of `policies.rules`."""

    TENANCY = "tenancy"
    WORKLOADS = "workloads"
    IMAGES = "images"
    NETWORK = "network"
    IDENTITY = "identity"
    STORAGE = "storage"
    GPUS = "gpus"
    QUEUES = "queues"
    RESIDENCY = "residency"
    COST = "cost"
    SECRETS = "secrets"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One property that must hold. Two rules never report the same fault."""

    id: str
    """Never reused, never renumbered: exemptions and reports name it."""
    title: str
    """What holds, as a sentence."""
    reason: str
    """What goes wrong where it does not hold."""
    fix: str
    """What to change."""
    severity: Severity
    family: Family
    references: tuple[str, ...] = ()
    """Clauses of public standards that ask for the same."""
    pull_request_only: str = ""
    """Why the cluster does not enforce it too; empty where it does."""


@dataclass(frozen=True, kw_only=True)
class ResourceRule(Rule):
    """Holds for each resource by itself."""

    check: Callable[[Resource], Iterable[str]]
    """Gives one message for each fault."""


@dataclass(frozen=True)
class Fault:
    """A fault that takes several resources to see, reported on the one to change."""

    resource: Resource
    message: str


@dataclass(frozen=True, kw_only=True)
class StackRule(Rule):
    """Holds for all resources of a stack together."""

    check: Callable[[Sequence[Resource]], Iterable[Fault]]


class Op(StrEnum):
    """What a plan does to a resource."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"


@dataclass(frozen=True)
class Step:
    """What a plan does to one Kubernetes object: all that the engine does to it, as one step."""

    op: Op
    old: Resource | None
    """As the last deployment left it; None when it is new."""
    new: Resource | None
    """As it is declared now; None when it is no longer declared."""
    retained: bool = False
    """Whether Pulumi forgets the object instead of deleting it."""

    @property
    def resource(self) -> Resource:
        """What is declared now, or what was."""
        found = self.new or self.old
        assert found is not None, "a step has an old or a new side"
        return found


@dataclass(frozen=True, kw_only=True)
class PlanRule(Rule):
    """Holds for each step of a plan. The engine shows a policy pack no deletion, so the preview applies these itself."""

    check: Callable[[Step], Iterable[str]]


@dataclass(frozen=True)
class Exemption:
    """One rule does not hold for one object, and why that is right."""

    rule: str
    type: str
    """Pulumi's type token."""
    namespace: str | None
    name: str
    """The object's name in the cluster."""
    reason: str

    @property
    def subject(self) -> tuple[str, str | None, str]:
        """The object: type, namespace and name."""
        return self.type, self.namespace, self.name

    def covers(self, rule: Rule, resource: Resource) -> bool:
        """Whether it speaks of this rule and this object."""
        found = (resource.type, resource.namespace, resource.object_name)
        return self.rule == rule.id and found == self.subject


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold, and where."""

    rule: Rule
    resource: Resource
    message: str

    @property
    def text(self) -> str:
        """The message with the object it speaks of."""
        return f"{self.resource.subject}: {self.message}"


def violations(
    rules: Iterable[Rule],
    resources: Sequence[Resource] = (),
    steps: Sequence[Step] = (),
    exemptions: Sequence[Exemption] = (),
) -> Iterator[Violation]:
    """All violations that no exemption covers."""
    for found in _faults(rules, resources, steps):
        if not any(exemption.covers(found.rule, found.resource) for exemption in exemptions):
            yield found


def unused(
    exemptions: Sequence[Exemption],
    rules: Iterable[Rule],
    resources: Sequence[Resource] = (),
    steps: Sequence[Step] = (),
) -> tuple[Exemption, ...]:
    """The exemptions without which nothing more would be reported."""
    found = tuple(_faults(rules, resources, steps))
    return tuple(
        each for each in exemptions if not any(each.covers(fault.rule, fault.resource) for fault in found)
    )


def _faults(
    rules: Iterable[Rule], resources: Sequence[Resource], steps: Sequence[Step]
) -> Iterator[Violation]:
    settled = at_home(resources)
    for rule in rules:
        if isinstance(rule, ResourceRule):
            for resource in settled:
                yield from (Violation(rule, resource, message) for message in rule.check(resource))
        elif isinstance(rule, StackRule):
            yield from (Violation(rule, fault.resource, fault.message) for fault in rule.check(resources))
        elif isinstance(rule, PlanRule):
            for step in steps:
                yield from (Violation(rule, step.resource, message) for message in rule.check(step))
