"""The rules for tenants."""

from __future__ import annotations

import pytest

from policies.resource import UNKNOWN
from tests.policies.objects import Case, Edit, allowed, edited, expected, found, refused

_TENANT = "metadata/labels/longhouse.dev~tenant"
_OWNER = "metadata/labels/longhouse.dev~owner"
_ENFORCE = "metadata/labels/pod-security.kubernetes.io~enforce"
_HOME = "Namespace tenant-atlas: "
_HARD = "spec/hard/"
_UNBOUND = _HOME + "no ResourceQuota of all its pods bounds "
_LIMITS = "LimitRange tenant-atlas/tenant: "
_LIMIT = "spec/limits/0/"
_PLATFORM = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "shared", "labels": {"longhouse.dev/tenant": "atlas"}},
}


def _account(namespace: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": "workload", "namespace": namespace}


CASES = (
    refused("LH-T-001", "namespace without tenant", _HOME + "has no label longhouse.dev/tenant", Edit("namespace", _TENANT)),
    refused("LH-T-001", "namespace without owner", _HOME + "has no label longhouse.dev/owner", Edit("namespace", _OWNER)),
    refused("LH-T-001", "namespace with an empty owner", _HOME + "has no label longhouse.dev/owner", Edit("namespace", _OWNER, "")),
    refused(
        "LH-T-001", "namespace of somebody else", _HOME + "carries longhouse.dev/tenant=borealis in the namespace of the tenant atlas",
        Edit("namespace", _TENANT, "borealis"),
    ),
    refused(
        "LH-T-001", "a tenant's namespace by another name", "Namespace shared: carries longhouse.dev/tenant=atlas but is not named tenant-atlas",
        Edit("shared", "", _PLATFORM),
    ),
    refused("LH-T-002", "object without tenant", "Service tenant-atlas/web: has no label longhouse.dev/tenant", Edit("service", _TENANT)),
    refused("LH-T-002", "object without owner", "Service tenant-atlas/web: has no label longhouse.dev/owner", Edit("service", _OWNER)),
    refused(
        "LH-T-002", "object with another tenant's label",
        "Role tenant-atlas/reader: carries longhouse.dev/tenant=borealis in the namespace of the tenant atlas",
        Edit("role", _TENANT, "borealis"),
    ),
    refused("LH-T-002", "object of a tenant outside, without owner", "ClusterQueue atlas-cpu: has no label longhouse.dev/owner", Edit("queue", _OWNER)),
    refused(
        "LH-T-002", "namespace not known yet",
        f"Service {UNKNOWN}/web: lives in a namespace that is only known once deployed: nobody can tell whose it is",
        Edit("service", "metadata/namespace", UNKNOWN),
    ),
    allowed("more labels than asked for", Edit("service", "metadata/labels/team", "x")),
    allowed("an object of the platform without labels", Edit("closed", "metadata/labels")),
    refused("LH-T-003", "no quota", _HOME + "has no ResourceQuota", Edit("quota", "")),
    refused("LH-T-003", "CPU unbounded", _UNBOUND + "requests.cpu", Edit("quota", _HARD + "requests.cpu")),
    refused("LH-T-003", "memory unbounded", _UNBOUND + "requests.memory", Edit("quota", _HARD + "requests.memory")),
    refused("LH-T-003", "storage unbounded", _UNBOUND + "requests.storage", Edit("quota", _HARD + "requests.storage")),
    refused("LH-T-003", "pods unbounded", _UNBOUND + "pods", Edit("quota", _HARD + "pods")),
    refused("LH-T-003", "GPUs unbounded", _UNBOUND + "requests.nvidia.com/gpu", Edit("quota", _HARD + "requests.nvidia.com~gpu")),
    refused(
        "LH-T-003", "slices of GPUs unbounded", _UNBOUND + "requests.nvidia.com/mig-1g.10gb",
        Edit("queue", "spec/resourceGroups/0/coveredResources", ["cpu", "memory", "nvidia.com/mig-1g.10gb"]),
    ),
    refused("LH-T-003", "quota elsewhere", _HOME + "has no ResourceQuota", Edit("quota", "metadata/namespace", "shared")),
    allowed("slices of GPUs forbidden", Edit("quota", _HARD + "requests.nvidia.com~mig-1g.10gb", "0"),
            Edit("queue", "spec/resourceGroups/0/coveredResources", ["cpu", "memory", "nvidia.com/mig-1g.10gb"])),
    allowed("the other spellings", Edit("quota", _HARD + "requests.cpu"), Edit("quota", _HARD + "cpu", "1"),
            Edit("quota", _HARD + "pods"), Edit("quota", _HARD + "count~pods", "1")),
    refused("LH-T-004", "no Pod Security Standard", _HOME + "enforces the Pod Security Standard (none)", Edit("namespace", _ENFORCE)),
    refused("LH-T-005", "a Pod Security Standard of old", _HOME + "enforces the Pod Security Standard of v1.25", Edit("namespace", _ENFORCE + "-version", "v1.25")),
    allowed("the latest Pod Security Standard, spelled out", Edit("namespace", _ENFORCE + "-version", "latest")),
    refused("LH-T-006", "no limits", _HOME + "has no LimitRange", Edit("limits", "")),
    refused("LH-T-007", "containers with any CPU", _LIMITS + "bounds no container's cpu", Edit("limits", _LIMIT + "max/cpu")),
    refused("LH-T-007", "containers of any size", _LIMITS + "bounds no container's memory", Edit("limits", _LIMIT + "max/memory")),
    refused("LH-T-007", "pods bounded, and containers not", _LIMITS + "bounds no container's cpu", Edit("limits", _LIMIT + "max/cpu"),
            Edit("limits", "spec/limits/1", {"type": "Pod", "max": {"cpu": "4"}})),
    allowed("defaults left to Kubernetes, which takes the maximum", Edit("limits", _LIMIT + "default"), Edit("limits", _LIMIT + "defaultRequest")),
    allowed("limits of claims beside those of containers", Edit("limits", "spec/limits/1", {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}})),
    refused("LH-T-008", "another tenant's account", "RoleBinding tenant-atlas/reader: gives its role to an account of tenant-borealis",
            Edit("binding", "subjects/1", _account("tenant-borealis"))),
    allowed("an account of its own", Edit("binding", "subjects/1", _account("tenant-atlas"))),
    allowed("an account of the platform", Edit("binding", "subjects/1", _account("notebooks"))),
    refused("LH-T-009", "a tenant in every namespace", "ClusterRoleBinding readers: gives its role in every namespace to an account of tenant-atlas",
            Edit("readers", "subjects/1", _account("tenant-atlas"))),
    refused("LH-T-004", "a weaker Pod Security Standard", _HOME + "enforces the Pod Security Standard baseline", Edit("namespace", _ENFORCE, "baseline")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_tenant_is_labelled_and_bounded(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)


@pytest.mark.parametrize(
    "edit",
    [
        Edit("quota", "spec/scopes", ["BestEffort"]),
        Edit(
            "quota",
            "spec/scopeSelector",
            {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]},
        ),
        Edit("quota", "spec/hard", UNKNOWN),
    ],
    ids=["scopes", "scope selector", "bounds not known yet"],
)
def test_a_quota_that_may_not_count_everything_bounds_nothing(edit: Edit) -> None:
    bounds = ("requests.cpu", "requests.memory", "requests.storage", "pods", "requests.nvidia.com/gpu")
    assert found(edited([edit])) == [("LH-T-003", _UNBOUND + bound) for bound in bounds]


def test_a_gpu_that_only_another_tenants_quota_names_is_unbounded() -> None:
    other = edited([])["quota"]
    other["metadata"]["namespace"] = "tenant-borealis"
    other["metadata"]["labels"]["longhouse.dev/tenant"] = "borealis"
    other["spec"]["hard"]["requests.nvidia.com/mig-2g.20gb"] = "4"

    assert found(edited([Edit("other", "", other)])) == [
        ("LH-T-003", _UNBOUND + "requests.nvidia.com/mig-2g.20gb")
    ]
