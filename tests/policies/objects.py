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


def _shared(api: str, kind: str, name: str, namespace: str | None = "stores", **body: Any) -> Manifest:
    """An object that serves all tenants."""
    made = _object(api, kind, name, namespace, **body)
    del made["metadata"]["labels"]["longhouse.dev/tenant"]
    return made


def container(name: str) -> Manifest:
    """A container that keeps every rule in a pod made by `pod_spec`."""
    amount = {"cpu": "100m", "memory": "64Mi"}
    return {
        "name": name,
        "image": "registry.example/team/app:1.4.2",
        "resources": {"requests": dict(amount), "limits": dict(amount)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "ports": [{"containerPort": 8080}],
    }


def pod_spec() -> Manifest:
    """A pod that keeps every rule."""
    probe = {"httpGet": {"path": "/", "port": 8080}}
    return {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [container("setup")],
        "containers": [{**container("app"), "livenessProbe": copy.deepcopy(probe), "readinessProbe": probe}],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}],
    }


def template(app: str, restart: str = "Always") -> Manifest:
    """A template of pods that keep every rule."""
    return {"metadata": {"labels": {"app": app}}, "spec": {**pod_spec(), "restartPolicy": restart}}


def compliant() -> Stack:
    """One tenant's objects and a few of the platform's, by a short name."""
    stack = {**_tenant(), **_queues(), **_platform(), **_stores()}
    stack["namespace"]["metadata"]["labels"] |= {
        "pod-security.kubernetes.io/enforce": "restricted",
        "longhouse.dev/data-class": "internal",
    }
    stack["namespace"]["metadata"]["annotations"] = {
        "longhouse.dev/gpus": "a100=nvidia.com/gpu mig=nvidia.com/mig-1g.10gb l4=nvidia.com/gpu.shared",
        "longhouse.dev/gpus-for-notebook": "mig=nvidia.com/mig-1g.10gb l4=nvidia.com/gpu.shared",
        "longhouse.dev/gpus-for-training": "a100=nvidia.com/gpu",
        "longhouse.dev/queues": "default gpu gpu.high",
        "longhouse.dev/budgeted-priorities": "high",
    }
    del stack["kube"]["metadata"]["labels"]
    return stack


_CORE, _NETWORK, _ACCESS = "v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"
_DENY: Manifest = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def _tenant() -> Stack:
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
    amount = {"cpu": "100m", "memory": "64Mi"}
    limit = {
        "type": "Container",
        "default": dict(amount),
        "defaultRequest": dict(amount),
        "max": {"cpu": "4", "memory": "8Gi"},
    }
    quota = {
        "requests.cpu": "1",
        "requests.memory": "2Gi",
        "requests.storage": "20Gi",
        "pods": "50",
        "requests.nvidia.com/gpu": "0",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return {
        "namespace": _object(_CORE, "Namespace", "tenant-atlas", None),
        "quota": _object(_CORE, "ResourceQuota", "tenant", spec={"hard": quota}),
        "limits": _object(_CORE, "LimitRange", "tenant", spec={"limits": [copy.deepcopy(limit)]}),
        "deny": _object(_NETWORK, "NetworkPolicy", "default-deny", spec=copy.deepcopy(_DENY)),
        "dns": _object(_NETWORK, "NetworkPolicy", "allow-dns", spec=dns),
        "web": _object(
            "apps/v1",
            "Deployment",
            "web",
            spec={"selector": {"matchLabels": {"app": "web"}}, "template": template("web")},
        ),
        "service": _object(
            _CORE,
            "Service",
            "web",
            spec={"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]},
        ),
        "ingress": _object(
            _NETWORK,
            "Ingress",
            "web",
            spec={
                "tls": [{"hosts": ["atlas.example", "*.atlas.example"], "secretName": "web"}],
                "rules": [{"host": "atlas.example"}, {"host": "lab.atlas.example"}],
            },
        ),
        "role": _object(
            _ACCESS, "Role", "reader", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
        ),
        "binding": _object(
            _ACCESS,
            "RoleBinding",
            "reader",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            subjects=[
                {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "oidc:atlas-readers"}
            ],
        ),
        "config": _object(_CORE, "ConfigMap", "settings", data={"level": "info"}),
        "secret": _object(_CORE, "Secret", "credentials", type="Opaque", stringData={"password": "x"}),
        "certificate": _object(
            "cert-manager.io/v1",
            "Certificate",
            "web",
            spec={
                "secretName": "web",
                "dnsNames": ["atlas.example"],
                "issuerRef": {"name": "longhouse", "kind": "ClusterIssuer"},
                "privateKey": {"rotationPolicy": "Always"},
            },
        ),
    }


def _queues() -> Stack:
    kueue = "kueue.x-k8s.io/v1beta2"
    away = {
        "longhouse.dev/site": "cloud",
        "longhouse.dev/region": "eu-central-1",
        "longhouse.dev/pool": "away",
    }
    share = [{"name": name, "nominalQuota": "1"} for name in ("cpu", "memory")]
    return {
        "flavor": _shared(
            kueue,
            "ResourceFlavor",
            "general",
            None,
            spec={"nodeLabels": {"longhouse.dev/site": "home", "longhouse.dev/pool": "general"}},
        ),
        "away": _shared(kueue, "ResourceFlavor", "away", None, spec={"nodeLabels": away}),
        "queue": _object(
            kueue,
            "ClusterQueue",
            "atlas-cpu",
            None,
            spec={
                "cohortName": "longhouse",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tenant-atlas"}},
                "preemption": {
                    "reclaimWithinCohort": "Any",
                    "borrowWithinCohort": {"policy": "Never"},
                    "withinClusterQueue": "LowerPriority",
                },
                "resourceGroups": [
                    {
                        "coveredResources": ["cpu", "memory"],
                        "flavors": [{"name": name, "resources": share} for name in ("general", "away")],
                    }
                ],
            },
        ),
        "door": _object(kueue, "LocalQueue", "default", spec={"clusterQueue": "atlas-cpu"}),
        "priority": _shared(
            "scheduling.k8s.io/v1", "PriorityClass", "batch", None, value=10, preemptionPolicy="Never"
        ),
    }


def _platform() -> Stack:
    hook = {
        "name": "check.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": {"service": {"name": "hook", "namespace": "stores"}},
        "rules": [
            {
                "apiGroups": ["example.com"],
                "apiVersions": ["*"],
                "operations": ["CREATE"],
                "resources": ["things"],
            }
        ],
    }
    api = {"group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10}
    metrics = {"port": "metrics", "scheme": "https", "tlsConfig": {"serverName": "db.stores.svc"}}
    return {
        "kube": _object(
            "apps/v1",
            "DaemonSet",
            "agent",
            "agents",
            spec={"selector": {"matchLabels": {"app": "agent"}}, "template": template("agent")},
        ),
        "hook": _shared(
            "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "hook", None, webhooks=[hook]
        ),
        "api": _shared(
            "apiregistration.k8s.io/v1",
            "APIService",
            "v1.example.com",
            None,
            spec={**api, "service": {"name": "api", "namespace": "stores"}},
        ),
        "monitor": _shared(
            "monitoring.coreos.com/v1",
            "PodMonitor",
            "db",
            spec={"selector": {"matchLabels": {"app": "db"}}, "podMetricsEndpoints": [metrics]},
        ),
        "reader": _shared(
            _ACCESS,
            "ClusterRole",
            "reader",
            None,
            rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        ),
        "readers": _shared(
            _ACCESS,
            "ClusterRoleBinding",
            "readers",
            None,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
            subjects=[{"kind": "ServiceAccount", "name": "reader", "namespace": "stores"}],
        ),
    }


def _stores() -> Stack:
    strimzi = "kafka.strimzi.io/v1"
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    disk = {"id": 0, "type": "persistent-claim", "size": "1Gi"}
    job = {"backoffLimit": 1, "activeDeadlineSeconds": 3600, "template": template("backup", "Never")}
    datacenter = _shared(
        "cassandra.datastax.com/v1beta1",
        "CassandraDatacenter",
        "cassandra",
        spec={"clusterName": "cassandra", "serverType": "cassandra", "serverVersion": "4.1.8", "size": 3},
    )
    datacenter["metadata"]["annotations"] = {"cassandra.datastax.com/delete-pvc": "false"}
    return {
        "home": _shared(_CORE, "Namespace", "stores", None),
        "closed": _shared(_NETWORK, "NetworkPolicy", "default-deny", spec=copy.deepcopy(_DENY)),
        "db": _shared(
            "apps/v1",
            "StatefulSet",
            "db",
            spec={
                "replicas": 3,
                "serviceName": "db",
                "selector": {"matchLabels": {"app": "db"}},
                "template": template("db"),
                "volumeClaimTemplates": [claim],
            },
        ),
        "budget": _shared(
            "policy/v1",
            "PodDisruptionBudget",
            "db",
            spec={"maxUnavailable": 1, "selector": {"matchLabels": {"app": "db"}}},
        ),
        "backup": _shared(
            "batch/v1",
            "CronJob",
            "backup",
            spec={"schedule": "0 1 * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}},
        ),
        "class": _shared(
            "storage.k8s.io/v1",
            "StorageClass",
            "kept",
            None,
            provisioner="csi.example.com",
            reclaimPolicy="Retain",
        ),
        "kafka": _shared(strimzi, "Kafka", "kafka", spec={"kafka": {"config": {"min.insync.replicas": 2}}}),
        "brokers": _shared(
            strimzi,
            "KafkaNodePool",
            "brokers",
            spec={"replicas": 3, "roles": ["broker"], "storage": {"type": "jbod", "volumes": [disk]}},
        ),
        "topic": _shared(
            strimzi, "KafkaTopic", "events", spec={"replicas": 3, "config": {"retention.ms": 1}}
        ),
        "mysql": _shared("pxc.percona.com/v1", "PerconaXtraDBCluster", "mysql", spec={"crVersion": "1.20.0"}),
        "cassandra": datacenter,
    }


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
