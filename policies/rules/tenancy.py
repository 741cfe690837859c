"""Tenants: whose an object is, and how much of the cluster each may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from modules.kit import labels, names
from policies.claim import each, forbid, over, require
from policies.expression import (
    IN_TENANT,
    LABELS,
    META,
    NAMESPACE,
    OBJECT,
    SPEC,
    TENANTS,
    From,
    Name,
    any_of,
    either,
    text,
)
from policies.resource import LIMIT_RANGE, RESOURCE_QUOTA, UNKNOWN, Resource, at, items, record, records
from policies.resource import NAMESPACE as NAMESPACE_KIND
from policies.rule import SEVERAL, Family, Fault, ResourceRule, Severity, StackRule

_QUOTA: Final = "Kubernetes, Multi-tenancy: quotas"
_CLUSTER_QUEUE: Final = "kueue.x-k8s.io/ClusterQueue"
_GPU: Final = "nvidia.com/"
_WHOLE_GPU: Final = f"requests.{_GPU}gpu"
_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_ENFORCE_VERSION: Final = f"{_ENFORCE}-version"
_BOUNDS: Final[tuple[tuple[str, ...], ...]] = (
    ("requests.cpu", "cpu"),
    ("requests.memory", "memory"),
    ("requests.storage",),
    ("pods", "count/pods"),
)
"""What a tenant's quota bounds beside GPUs; each name, then the other spelling that Kubernetes takes for it."""


def _object_labels(resource: Resource) -> Iterator[str]:
    if resource.kind == NAMESPACE_KIND:
        return
    if resource.namespace == UNKNOWN:
        yield "lives in a namespace that is only known once deployed: nobody can tell whose it is"
    elif resource.tenant is not None:
        yield from _own_labels(resource, resource.tenant)
    elif labels.TENANT in resource.labels and not resource.labels.get(labels.OWNER):
        yield f"has no label {labels.OWNER}"


def _own_labels(resource: Resource, tenant: str) -> Iterator[str]:
    said = resource.labels.get(labels.TENANT)
    if not said:
        yield f"has no label {labels.TENANT}"
    elif said != tenant:
        yield f"carries {labels.TENANT}={said} in the namespace of the tenant {tenant}"
    if not resource.labels.get(labels.OWNER):
        yield f"has no label {labels.OWNER}"


def _quota(resources: Sequence[Resource]) -> Iterator[Fault]:
    bounds = (*_BOUNDS, *((gpu,) for gpu in _gpus(resources)))
    for home in resources:
        if home.kind != NAMESPACE_KIND or home.tenant is None:
            continue
        own = [
            each for each in resources if each.kind == RESOURCE_QUOTA and each.namespace == home.object_name
        ]
        hard = {
            str(key) for quota in own if _bounds_all(quota) for key in record(at(quota.props, "spec", "hard"))
        }
        if not own:
            yield Fault(home, "has no ResourceQuota")
            continue
        for spellings in bounds:
            if hard.isdisjoint(spellings):
                yield Fault(home, f"no ResourceQuota of all its pods bounds {spellings[0]}")


def _bounds_all(quota: Resource) -> bool:
    """Whether it counts every object of the namespace, not only those in a scope."""
    spec = record(quota.props.get("spec"))
    return not items(spec.get("scopes")) and not items(at(spec, "scopeSelector", "matchExpressions"))


def _gpus(resources: Sequence[Resource]) -> list[str]:
    """The GPU resources that can be had, as a quota names them: a quota that leaves one out leaves it unbounded."""
    found = {_WHOLE_GPU}
    for resource in resources:
        if resource.kind == RESOURCE_QUOTA:
            hard = map(str, record(at(resource.props, "spec", "hard")))
            found |= {key for key in hard if key.startswith(f"requests.{_GPU}")}
        elif resource.kind == _CLUSTER_QUEUE:
            for group in records(at(resource.props, "spec", "resourceGroups")):
                covered = map(str, items(group.get("coveredResources")))
                found |= {f"requests.{name}" for name in covered if name.startswith(_GPU)}
    return sorted(found)


_NAME: Final = META["name"]
_TENANTS_NAMESPACE: Final = _NAME.matches(TENANTS)
_TENANT_LABEL: Final = LABELS[labels.TENANT]
_OWNER_LABEL: Final = LABELS[labels.OWNER]

_NAMESPACE_LABELS: Final = over(
    NAMESPACE_KIND,
    forbid(
        ~_TENANTS_NAMESPACE & _TENANT_LABEL.present,
        f"carries {labels.TENANT}=", _TENANT_LABEL, f" but is not named {names.NAMESPACE_PREFIX}", _TENANT_LABEL,
    ),
    forbid(_TENANTS_NAMESPACE & ~_TENANT_LABEL.filled, f"has no label {labels.TENANT}"),
    forbid(
        _TENANTS_NAMESPACE & _TENANT_LABEL.filled & ~_NAME.eq(text(names.NAMESPACE_PREFIX, _TENANT_LABEL)),
        f"carries {labels.TENANT}=", _TENANT_LABEL,
        " in the namespace of the tenant ", From(_NAME, len(names.NAMESPACE_PREFIX)),
    ),
    forbid(_TENANTS_NAMESPACE & ~_OWNER_LABEL.filled, f"has no label {labels.OWNER}"),
)  # fmt: skip

_POD_SECURITY: Final = over(
    NAMESPACE_KIND,
    require(
        LABELS[_ENFORCE].eq("restricted"),
        "enforces the Pod Security Standard ",
        either(LABELS[_ENFORCE], "(none)"),
    ),
    where=_TENANTS_NAMESPACE,
)

_STANDARD_VERSION: Final = over(
    NAMESPACE_KIND,
    forbid(
        LABELS[_ENFORCE_VERSION].present & ~LABELS[_ENFORCE_VERSION].eq("latest"),
        "enforces the Pod Security Standard of ", LABELS[_ENFORCE_VERSION],
    ),
    where=_TENANTS_NAMESPACE,
)  # fmt: skip

_LIMIT: Final = Name("limit")
_LIMITS: Final = over(
    LIMIT_RANGE,
    *(
        require(
            any_of(SPEC["limits"], _LIMIT, _LIMIT["type"].eq("Container") & _LIMIT["max", name].present),
            f"bounds no container's {name}",
        )
        for name in ("cpu", "memory")
    ),
    where=IN_TENANT,
)

_SUBJECT: Final = Name("subject")
_ACCOUNT_OF_A_TENANT: Final = _SUBJECT["kind"].eq("ServiceAccount") & _SUBJECT["namespace"].matches(TENANTS)
_SUBJECTS: Final = [each(_SUBJECT, OBJECT["subjects"])]
_STRANGERS: Final = over(
    "rbac.authorization.k8s.io/RoleBinding",
    forbid(
        _ACCOUNT_OF_A_TENANT & ~_SUBJECT["namespace"].eq(NAMESPACE),
        "gives its role to an account of ", _SUBJECT["namespace"],
        over=_SUBJECTS,
    ),
    where=IN_TENANT,
)  # fmt: skip
_CLUSTER_WIDE: Final = over(
    "rbac.authorization.k8s.io/ClusterRoleBinding",
    forbid(
        _ACCOUNT_OF_A_TENANT,
        "gives its role in every namespace to an account of ", _SUBJECT["namespace"],
        over=_SUBJECTS,
    ),
)  # fmt: skip


def _limit_range(resources: Sequence[Resource]) -> Iterator[Fault]:
    limited = {each.namespace for each in resources if each.kind == LIMIT_RANGE}
    for home in resources:
        if home.kind == NAMESPACE_KIND and home.tenant is not None and home.object_name not in limited:
            yield Fault(home, "has no LimitRange")


RULES: Final = (
    ResourceRule(
        id="LH-T-001",
        title="Every tenant's namespace says whose it is",
        reason="Queues, network rules, cost and reports find a tenant by these labels; a namespace without them is nobody's.",
        fix=f"Label it {labels.TENANT} and {labels.OWNER}, and name it {names.NAMESPACE_PREFIX}<tenant>.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        check=_NAMESPACE_LABELS,
    ),
    ResourceRule(
        id="LH-T-002",
        title="Every object of a tenant says whose it is",
        reason="An object without the labels, or with another tenant's, is counted, reached and cleaned up as somebody else's.",
        fix=f"Label it {labels.OWNER}, and {labels.TENANT} with the tenant in whose namespace it lives.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        pull_request_only="What tenants start themselves need not carry the labels; what is declared for them must.",
        check=_object_labels,
    ),
    StackRule(
        id="LH-T-003",
        title="Every tenant's namespace has a quota, GPUs included",
        reason="Without a bound one tenant takes the whole cluster; a kind of GPU that the quota does not name is free for all.",
        fix="Declare a ResourceQuota without scopes that bounds CPU, memory, storage, pods and each GPU resource, with 0 for what it may not have.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        references=(_QUOTA, "NSA/CISA Kubernetes Hardening Guide: Resource policies"),
        pull_request_only=SEVERAL,
        check=_quota,
    ),
    ResourceRule(
        id="LH-T-004",
        title="Every tenant's namespace enforces the restricted Pod Security Standard",
        reason="What tenants start themselves is in no plan: only the API server can hold it to the rules that bind everything declared here.",
        fix=f"Label it {_ENFORCE}=restricted.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        references=(
            "Pod Security Standards, restricted",
            "CIS Kubernetes Benchmark: 5.2 Pod Security Standards (at least one active policy control mechanism)",
        ),
        check=_POD_SECURITY,
    ),
    ResourceRule(
        id="LH-T-005",
        title="No tenant's namespace is held to an old version of the Pod Security Standard",
        reason="A version that was pinned once does not know what later ones forbid.",
        fix=f"Take the label {_ENFORCE_VERSION} away.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        references=("Pod Security Standards, restricted",),
        check=_STANDARD_VERSION,
    ),
    StackRule(
        id="LH-T-006",
        title="Every tenant's namespace limits single containers",
        reason="A quota alone refuses every pod that states no resources, and lets one container take all of it.",
        fix="Declare a LimitRange in the namespace.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        references=("NSA/CISA Kubernetes Hardening Guide: Resource policies",),
        pull_request_only=SEVERAL,
        check=_limit_range,
    ),
    ResourceRule(
        id="LH-T-007",
        title="A tenant's limits bound each container",
        reason="Without a maximum one container takes all of the tenant's quota, or a node that no other tenant then gets.",
        fix="Give the limit of type Container a max of cpu and memory; what a container gets that says nothing is then the same, or its default.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        references=("NSA/CISA Kubernetes Hardening Guide: Resource policies",),
        check=_LIMITS,
    ),
    ResourceRule(
        id="LH-T-008",
        title="No tenant's account has access to another tenant",
        reason="Such a binding is a door between two tenants that no matrix of access expects.",
        fix="Bind an account of the namespace itself; share data through a store.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        references=("Kubernetes, Multi-tenancy: access controls",),
        check=_STRANGERS,
    ),
    ResourceRule(
        id="LH-T-009",
        title="No tenant's account has access to the whole cluster",
        reason="A ClusterRoleBinding holds in the namespaces of all other tenants too.",
        fix="Bind the role by a RoleBinding in the tenant's namespace.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        references=("Kubernetes, Multi-tenancy: access controls",),
        check=_CLUSTER_WIDE,
    ),
)
