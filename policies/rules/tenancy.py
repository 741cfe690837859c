"""Tenants: whose an object is, and how much of the cluster each may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from modules.kit import labels, names
from policies.resource import NAMESPACE, RESOURCE_QUOTA, UNKNOWN, Resource, at, items, record, records
from policies.rule import Family, Fault, ResourceRule, Severity, StackRule

_QUOTA: Final = "Kubernetes, Multi-tenancy: quotas"
_CLUSTER_QUEUE: Final = "kueue.x-k8s.io/ClusterQueue"
_GPU: Final = "nvidia.com/"
_WHOLE_GPU: Final = f"requests.{_GPU}gpu"
_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_BOUNDS: Final[tuple[tuple[str, ...], ...]] = (
    ("requests.cpu", "cpu"),
    ("requests.memory", "memory"),
    ("requests.storage",),
    ("pods", "count/pods"),
)
"""What a tenant's quota bounds beside GPUs; each name, then the other spelling that Kubernetes takes for it."""


def _namespace_labels(resource: Resource) -> Iterator[str]:
    if resource.kind != NAMESPACE:
        return
    said = resource.labels.get(labels.TENANT)
    if resource.tenant is None:
        if said is not None:
            yield f"carries {labels.TENANT}={said} but is not named {names.namespace(str(said))}"
        return
    yield from _own_labels(resource, resource.tenant)


def _object_labels(resource: Resource) -> Iterator[str]:
    if resource.kind == NAMESPACE:
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
        if home.kind != NAMESPACE or home.tenant is None:
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


def _pod_security(resource: Resource) -> Iterator[str]:
    if resource.kind == NAMESPACE and resource.tenant is not None:
        level = resource.labels.get(_ENFORCE)
        if level != "restricted":
            yield f"enforces the Pod Security Standard {level or '(none)'}"


RULES: Final = (
    ResourceRule(
        id="LH-T-001",
        title="Every tenant's namespace says whose it is",
        reason="Queues, network rules, cost and reports find a tenant by these labels; a namespace without them is nobody's.",
        fix=f"Label it {labels.TENANT} and {labels.OWNER}, and name it {names.NAMESPACE_PREFIX}<tenant>.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
        check=_namespace_labels,
    ),
    ResourceRule(
        id="LH-T-002",
        title="Every object of a tenant says whose it is",
        reason="An object without the labels, or with another tenant's, is counted, reached and cleaned up as somebody else's.",
        fix=f"Label it {labels.OWNER}, and {labels.TENANT} with the tenant in whose namespace it lives.",
        severity=Severity.ERROR,
        family=Family.TENANCY,
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
        check=_pod_security,
    ),
)
