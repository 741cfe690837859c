"""A small stack that keeps every rule, as plain data, and the edits that break it one at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from policies.catalogue import RULES
from policies.resource import Resource
from policies.rule import Step, violations

Manifest = dict[str, Any]
Stack = dict[str, Manifest]

DROP = object()
"""As a value: the field is taken away."""

_LABELS = {"longhouse.dev/tenant": "atlas", "longhouse.dev/owner": "atlas-team"}


def _object(api: str, kind: str, name: str, namespace: str | None = "tenant-atlas", **body: Any) -> Manifest:
    metadata: Manifest = {"name": name, "labels": dict(_LABELS)}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def container(name: str) -> Manifest:
    """A container that keeps every rule in a pod made by `pod_spec`."""
    amount = {"cpu": "100m", "memory": "64Mi"}
    return {
        "name": name,
        "image": "registry.example/team/app:1.4.2",
        "resources": {"requests": dict(amount), "limits": dict(amount)},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "ports": [{"containerPort": 8080}],
        "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
    }


def pod_spec() -> Manifest:
    """A pod that keeps every rule."""
    return {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [container("setup")],
        "containers": [container("app")],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }


def compliant() -> Stack:
    """One tenant's objects and a few of the platform's, by a short name."""
    core, network, access = "v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    dns = {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [
            {
                "to": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
                ],
                "ports": [{"port": 53, "protocol": "UDP"}],
            }
        ],
    }
    stack: Stack = {
        "namespace": _object(core, "Namespace", "tenant-atlas", None),
        "quota": _object(
            core,
            "ResourceQuota",
            "tenant",
            spec={
                "hard": {
                    "requests.cpu": "1",
                    "requests.memory": "2Gi",
                    "requests.storage": "20Gi",
                    "pods": "50",
                    "requests.nvidia.com/gpu": "0",
                }
            },
        ),
        "deny": _object(network, "NetworkPolicy", "default-deny", spec=deny),
        "dns": _object(network, "NetworkPolicy", "allow-dns", spec=dns),
        "web": _object("apps/v1", "Deployment", "web", spec={"template": {"spec": pod_spec()}}),
        "service": _object(core, "Service", "web", spec={"ports": [{"name": "http", "port": 80}]}),
        "ingress": _object(
            network,
            "Ingress",
            "web",
            spec={
                "tls": [{"hosts": ["atlas.example", "*.atlas.example"], "secretName": "web"}],
                "rules": [{"host": "atlas.example"}, {"host": "lab.atlas.example"}],
            },
        ),
        "role": _object(
            access, "Role", "reader", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
        ),
        "binding": _object(
            access,
            "RoleBinding",
            "reader",
            roleRef={"kind": "Role", "name": "reader"},
            subjects=[{"kind": "Group", "name": "oidc:atlas-readers"}],
        ),
        "queue": _object(
            "kueue.x-k8s.io/v1beta2",
            "ClusterQueue",
            "atlas-cpu",
            None,
            spec={"resourceGroups": [{"coveredResources": ["cpu", "memory"]}]},
        ),
        "kube": _object("apps/v1", "DaemonSet", "agent", "agents", spec={"template": {"spec": pod_spec()}}),
    }
    stack["namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    del stack["kube"]["metadata"]["labels"]
    return stack


@dataclass(frozen=True)
class Edit:
    """Put a value at a dotted path of one object, or take the object itself away with an empty path."""

    target: str
    path: str
    value: Any = DROP

    def apply(self, stack: Stack) -> None:
        """Change the stack in place."""
        if not self.path:
            if self.value is DROP:
                del stack[self.target]
            else:
                stack[self.target] = copy.deepcopy(self.value)
            return
        *way, last = _split(self.path)
        holder: Any = stack[self.target]
        for key in way:
            holder = holder[key] if isinstance(key, int) else holder.setdefault(key, {})
        if self.value is DROP:
            del holder[last]
        elif isinstance(holder, list) and last == len(holder):
            holder.append(copy.deepcopy(self.value))
        else:
            holder[last] = copy.deepcopy(self.value)


def _split(path: str) -> list[str | int]:
    """`a/b/0/c`: keys hold dots, so slashes part them; `~` stands for a slash in a key."""
    return [int(part) if part.isdigit() else part.replace("~", "/") for part in path.split("/")]


@dataclass(frozen=True)
class Case:
    """Edits of the compliant stack, and the one violation that they make; none when `rule` is None."""

    title: str
    edits: tuple[Edit, ...]
    rule: str | None = None
    text: str = ""

    def __str__(self) -> str:
        return self.title


def refused(rule: str, title: str, text: str, *edits: Edit) -> Case:
    """A stack that one rule refuses, with this text."""
    return Case(title, edits, rule, text)


def allowed(title: str, *edits: Edit) -> Case:
    """A stack that differs from the compliant one and keeps every rule too."""
    return Case(title, edits)


def edited(edits: Iterable[Edit]) -> Stack:
    """The compliant stack with the edits."""
    stack = compliant()
    for edit in edits:
        edit.apply(stack)
    return stack


def resource(manifest: Mapping[str, Any], name: str = "") -> Resource:
    """The object as Pulumi declares it."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    token = f"kubernetes:{group or 'core'}/{version}:{manifest['kind']}"
    name = name or manifest["metadata"].get("name", "unnamed")
    return Resource(f"urn:pulumi:test::longhouse::{token}::{name}", token, name, manifest)


def found(stack: Stack, steps: Iterable[Step] = ()) -> list[tuple[str, str]]:
    """What the whole catalogue says of the stack: rule and text."""
    resources = [resource(manifest, name) for name, manifest in stack.items()]
    return [(each.rule.id, each.text) for each in violations(RULES, resources, tuple(steps))]


def expected(case: Case) -> list[tuple[str, str]]:
    """What the whole catalogue has to say of the case: nobody else may object, so that one fault is reported once."""
    return [] if case.rule is None else [(case.rule, case.text)]
