"""Service accounts of what the platform runs, and what each may do: in its own namespace, and no more than its rules say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from modules.kit.component import Component

RBAC = "rbac.authorization.k8s.io"
READS: Final = ("get", "list", "watch")


@dataclass(frozen=True)
class Rule:
    """What somebody may do with resources of some API groups."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """The only objects that it is about; none named means all."""

    def only(self, verbs: Iterable[str]) -> Rule | None:
        """The part of it that is about those verbs; None where there is none."""
        kept = tuple(each for each in self.verbs if each in tuple(verbs))
        return Rule(self.groups, self.resources, kept, self.names) if kept else None

    @property
    def policy(self) -> PolicyRuleArgs:
        """As a role holds it."""
        return PolicyRuleArgs(
            api_groups=list(self.groups),
            resources=list(self.resources),
            verbs=list(self.verbs),
            resource_names=list(self.names) or None,
        )


def declare(
    component: Component,
    namespace: str,
    name: str,
    rules: Sequence[PolicyRuleArgs],
    depends_on: Sequence[pulumi.Resource],
) -> RoleBinding:
    """An account, a Role and its binding, all of one name. Gives the binding, which stands for all three.

    Depends on the namespace being among ``depends_on``.
    """
    inside = component.child(pulumi.ResourceOptions(depends_on=list(depends_on)))
    account = ServiceAccount(
        f"{namespace}-{name}",
        metadata=component.meta(name, namespace=namespace),
        automount_service_account_token=True,
        opts=inside,
    )
    role = Role(
        f"{namespace}-{name}",
        metadata=component.meta(name, namespace=namespace),
        rules=list(rules),
        opts=inside,
    )
    return RoleBinding(
        f"{namespace}-{name}",
        metadata=component.meta(name, namespace=namespace),
        role_ref=RoleRefArgs(api_group=RBAC, kind="Role", name=name),
        subjects=[subject(namespace, name)],
        opts=component.child(pulumi.ResourceOptions(depends_on=[account, role])),
    )


def subject(namespace: str, name: str) -> SubjectArgs:
    """A service account as a binding names it."""
    return SubjectArgs(kind="ServiceAccount", name=name, namespace=namespace)


def rules(found: Sequence[dict[str, list[str]]]) -> list[PolicyRuleArgs]:
    """Rules as upstream's own manifests have them."""
    return [
        PolicyRuleArgs(api_groups=each["apiGroups"], resources=each["resources"], verbs=each["verbs"])
        for each in found
    ]
