"""RBAC as Kubernetes defines it (https://kubernetes.io/docs/reference/access-authn-authz/rbac/): purely additive, no denials.

Evaluates bindings and roles among rendered objects. A ClusterRole that aggregates others holds what its selectors find among
them; roles that the API server brings itself (`cluster-admin`, `admin`, `edit`, `view`) are taken for what the documentation calls them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from policies.isolation.network import must_match
from policies.resource import Record, Resource, items, record, records

_GROUP: Final = "rbac.authorization.k8s.io"
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"

AUTHENTICATED: Final = "system:authenticated"
SERVICE_ACCOUNTS: Final = "system:serviceaccounts"


class Principal(NamedTuple):
    """Somebody who asks: a user name, and the groups that the API server knows it to be in."""

    user: str
    groups: tuple[str, ...] = ()

    @property
    def all_groups(self) -> frozenset[str]:
        """Its groups, with those that everybody who is known is in."""
        return frozenset((*self.groups, AUTHENTICATED))


def service_account(namespace: str, name: str) -> Principal:
    """A service account as the API server knows it."""
    return Principal(
        f"{_SERVICE_ACCOUNT}{namespace}:{name}", (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}")
    )


class Question(NamedTuple):
    """What somebody wants to do."""

    verb: str
    group: str
    resource: str
    """With its subresource, such as `pods/exec`."""
    namespace: str = ""
    """Empty for an object of the cluster, or for all namespaces at once."""
    name: str = ""
    """Empty for any object: a rule that names objects does not allow that."""


_BROUGHT: Final[Mapping[str, tuple[Record, ...]]] = {
    "cluster-admin": ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},),
    "admin": ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},),
    "edit": ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},),
    "view": ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},),
}
"""Roles of the API server that a binding may name without declaring them, taken for more than they are, never for less."""


@dataclass(frozen=True)
class Access:
    """All roles and bindings."""

    cluster_roles: Mapping[str, tuple[Record, ...]]
    roles: Mapping[tuple[str, str], tuple[Record, ...]]
    bindings: tuple[Resource, ...]

    def allows(self, principal: Principal, question: Question) -> str | None:
        """The binding and role that allow it; None when nothing does."""
        for binding in self.bindings:
            home = "" if binding.kind.endswith("/ClusterRoleBinding") else binding.namespace or "default"
            if home and home != question.namespace:
                continue
            if not any(_is(subject, principal, home) for subject in records(binding.props.get("subjects"))):
                continue
            reference = record(binding.props.get("roleRef"))
            if any(_covers(rule, question) for rule in self.rules(binding)):
                return f"{binding.subject} gives {reference.get('kind')} {reference.get('name')}"
        return None

    def subjects(self) -> Iterator[tuple[Resource, Record]]:
        """Everybody that some binding names, with the binding."""
        for binding in self.bindings:
            for subject in records(binding.props.get("subjects")):
                yield binding, subject

    def rules(self, binding: Resource) -> tuple[Record, ...]:
        """What a binding gives."""
        reference = record(binding.props.get("roleRef"))
        name = str(reference.get("name"))
        if reference.get("kind") == "Role":
            return self.roles.get((binding.namespace or "default", name), ())
        return self.cluster_roles.get(name, _BROUGHT.get(name, ()))


def access(resources: Iterable[Resource]) -> Access:
    """The roles and bindings among the objects."""
    found = [each for each in resources if each.kind.startswith(f"{_GROUP}/")]
    own = [each for each in found if each.kind == f"{_GROUP}/ClusterRole"]
    cluster_roles = {
        each.object_name: (*records(each.props.get("rules")), *_aggregated(each, own)) for each in own
    }
    roles = {
        (each.namespace or "default", each.object_name): records(each.props.get("rules"))
        for each in found
        if each.kind == f"{_GROUP}/Role"
    }
    bindings = tuple(each for each in found if each.kind.endswith("Binding"))
    return Access(cluster_roles, roles, bindings)


def _aggregated(role: Resource, others: Iterable[Resource]) -> Iterator[Record]:
    selectors = records(record(role.props.get("aggregationRule")).get("clusterRoleSelectors"))
    for other in others:
        if any(must_match(each, _text(other.labels)) for each in selectors):
            yield from records(other.props.get("rules"))


def _text(labels: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in labels.items()}


def _is(subject: Record, principal: Principal, home: str) -> bool:
    name = str(subject.get("name"))
    match subject.get("kind"):
        case "User":
            return name == principal.user
        case "Group":
            return name in principal.all_groups
        case "ServiceAccount":
            return principal.user == f"{_SERVICE_ACCOUNT}{subject.get('namespace') or home}:{name}"
    return False


def _covers(rule: Record, question: Question) -> bool:
    return (
        _has(rule.get("verbs"), question.verb)
        and _has(rule.get("apiGroups"), question.group)
        and _has_resource(rule.get("resources"), question.resource)
        and (
            not items(rule.get("resourceNames"))
            or (question.name in items(rule.get("resourceNames")) and question.name != "")
        )
    )


def _has(listed: object, wanted: str) -> bool:
    return "*" in items(listed) or wanted in items(listed)


def _has_resource(listed: object, wanted: str) -> bool:
    _, _, sub = wanted.partition("/")
    return _has(listed, wanted) or (bool(sub) and f"*/{sub}" in items(listed))
