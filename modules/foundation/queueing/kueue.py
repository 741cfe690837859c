"""How Kueue is run: values of its chart, its own configuration, and what the chart cannot be told.

Facts are from Kueue v0.19.2's chart and code (`charts/kueue`, `cmd/kueue/main.go`, `pkg/util/cert`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import yaml

from modules.foundation.certificates.authority import KeyPair
from modules.foundation.queueing.config import BetweenTenants, Queueing
from modules.kit import labels, names
from modules.kit.cluster import WebhookFailure

PART: Final = "kueue"
"""Name of the pin in upstream/."""

CHART: Final = "charts/kueue"
RELEASE: Final = "kueue"
"""Name of the release; the chart makes every other name from it."""

DEPLOYMENT: Final = f"{RELEASE}-controller-manager"
SERVER_SECRET: Final = f"{RELEASE}-webhook-server-cert"
SERVICES: Final = (
    f"{RELEASE}-webhook-service",
    f"{RELEASE}-visibility-server",
    f"{RELEASE}-controller-manager-metrics-service",
)
SERVER_NAMES: Final = tuple(f"{service}.{names.KUEUE_NAMESPACE}.svc" for service in SERVICES)
"""Names by which the API server and a scraper reach the operator; one certificate answers to all."""

WEBHOOK_PORT: Final = 9443
VISIBILITY_PORT: Final = 8082
METRICS_PORT: Final = 8443

USER: Final = 65532
"""User that upstream's image runs as ("nonroot" of distroless); said here, so that any image of the same
program does."""

SETTLE_SECONDS: Final = 5
"""How long the operator has to be ready before it counts as available. Its webhooks are called through a
service, and every node's proxy has to learn of the new endpoint first; whatever is declared next would
otherwise be refused now and then."""

IGNORED_TIMEOUT_SECONDS: Final = 1
"""How long a webhook is waited for that may fail: where it cannot run at all, every request would wait
the default ten seconds for it."""

FRAMEWORKS: Final = (
    "batch/job",
    "pod",
    "jobset.x-k8s.io/jobset",
    "kubeflow.org/jaxjob",
    "kubeflow.org/mpijob",
    "kubeflow.org/paddlejob",
    "kubeflow.org/pytorchjob",
    "kubeflow.org/tfjob",
    "kubeflow.org/xgboostjob",
    "sparkoperator.k8s.io/sparkapplication",
    "trainer.kubeflow.org/trainjob",
)
"""What is queued. Kinds whose CRD is not there yet are waited for (`jobframework.SetupControllers`), so
naming them costs nothing.

Plain pods are among them: a pod that nobody queues would take a node from under the queues' counting, so
that shares would mean nothing. Pods of a kind that is queued itself are left alone."""

_FINAL: Final = "LessThanOrEqualToFinalShare"
_INITIAL: Final = "LessThanInitialShare"
STRATEGIES: Final = {
    BetweenTenants.FINAL_SHARE: (_FINAL,),
    BetweenTenants.INITIAL_SHARE: (_INITIAL,),
    BetweenTenants.FINAL_THEN_INITIAL: (_FINAL, _INITIAL),
}
"""The only lists that Kueue takes (`pkg/config/validation.go`)."""

GATES: Final = {"SparkApplicationIntegration": True}
"""Parts of Kueue that have to be asked for. Without this one a Spark application's executors are counted by nobody: they belong to the
driver's pod, and Kueue takes what belongs to a pod of its own for counted with it."""

NOT_DECLARED: Final = (
    "ClusterRole/kueue-*-editor-role",
    "ClusterRole/kueue-*-viewer-role",
    "ClusterRole/kueue-batch-*-role",
)
"""Roles of the chart that are for people: they would widen Kubernetes' own `view`, `edit` and `admin`, and
tenants' people have the platform's roles. The two that gather the others also come back when they are deleted
while Kubernetes' aggregation still sees what they gather."""

METRICS_CERTIFICATES: Final = "/etc/kueue/metrics/certs"
"""Where the operator looks for the certificate of its metrics, when it does not make its own."""


def values(config: Queueing, version: str) -> dict[str, Any]:
    """Values of the chart for an operator of that version (a tag of upstream's image)."""
    return {
        "controllerManager": {
            "replicas": config.replicas,
            "podDisruptionBudget": {"enabled": config.replicas > 1, "minAvailable": 1},
            "readinessProbe": {"initialDelaySeconds": 1, "periodSeconds": 2},
            "manager": {
                "image": {
                    "repository": "registry.k8s.io/kueue/kueue",
                    "tag": version,
                    "pullPolicy": "IfNotPresent",
                },
                "resources": {
                    "requests": {"cpu": "100m", "memory": "256Mi"},
                    "limits": {"cpu": "2", "memory": "1Gi"},
                },
                "podSecurityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER,
                    "runAsGroup": USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            },
        },
        "managerConfig": {
            "controllerManagerConfigYaml": yaml.safe_dump(configuration(config), sort_keys=True)
        },
    }


def configuration(config: Queueing) -> dict[str, Any]:
    """Kueue's own configuration, `config.kueue.x-k8s.io/v1beta2`.

    Everything in a tenant's namespace is queued, whether it says so or not: a job without a queue label is
    put in the namespace's LocalQueue `default`, and what can't be queued does not run. Namespaces of the
    platform are left alone.

    Kueue does not manage its own certificate: it would write it, and the bundle for its callers, into
    objects that are declared here, at a moment of its choosing.
    """
    found: dict[str, Any] = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": ":8081"},
        "metrics": {"bindAddress": f":{METRICS_PORT}", "enableClusterQueueResources": True},
        "webhook": {"port": WEBHOOK_PORT},
        "leaderElection": {"leaderElect": True, "resourceName": "c1f6bfd2.kueue.x-k8s.io"},
        "controller": {
            "groupKindConcurrency": {
                "Job.batch": 5,
                "Pod": 5,
                "Workload.kueue.x-k8s.io": 10,
                "LocalQueue.kueue.x-k8s.io": 5,
                "ClusterQueue.kueue.x-k8s.io": 5,
                "ResourceFlavor.kueue.x-k8s.io": 1,
            }
        },
        "clientConnection": {"qps": 300, "burst": 500},
        "internalCertManagement": {"enable": False},
        "manageJobsWithoutQueueName": True,
        "managedJobsNamespaceSelector": {"matchExpressions": [{"key": labels.TENANT, "operator": "Exists"}]},
        "integrations": {"frameworks": list(FRAMEWORKS)},
        "waitForPodsReady": _whole(config),
        "featureGates": dict(GATES),
    }
    if config.fair_sharing:
        strategies = list(STRATEGIES[config.preemption.between_tenants])
        return {**found, "fairSharing": {"preemptionStrategies": strategies}}
    return found


def _whole(config: Queueing) -> dict[str, Any]:
    """What keeps a gang whole beyond its quota: pods that fit by the count and on no node hold nothing for ever. Who comes back waits longer each
    time (Kueue, "Setup All-or-nothing with ready Pods")."""
    patience = f"{config.ready_minutes}m"
    return {
        "timeout": patience,
        "recoveryTimeout": patience,
        "blockAdmission": False,
        "requeuingStrategy": {
            "timestamp": "Eviction",
            "backoffBaseSeconds": 60,
            "backoffMaxSeconds": 3600,
        },
    }


def adjustment(
    pair: KeyPair, bundle: str, failure: WebhookFailure, conceal: Callable[[dict[str, str]], Any]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What the chart cannot be told: the certificate the operator serves with, who trusts it, and what
    happens when it does not answer.

    ``bundle`` is what callers trust, as PEM text. ``conceal`` marks the secret's data as secret to whatever
    records it.
    """
    trusted = _base64(bundle)

    def adjust(found: dict[str, Any]) -> dict[str, Any]:
        kind, name = found["kind"], found["metadata"]["name"]
        if kind == "Secret" and name == SERVER_SECRET:
            found["data"] = conceal(
                {
                    "ca.crt": trusted,
                    "tls.crt": _base64(pair.certificate),
                    "tls.key": _base64(pair.private_key),
                }
            )
        elif kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            for webhook in found["webhooks"]:
                webhook["clientConfig"]["caBundle"] = trusted
                if failure is WebhookFailure.IGNORE:
                    webhook["failurePolicy"] = failure.value
                    webhook["timeoutSeconds"] = IGNORED_TIMEOUT_SECONDS
        elif kind == "CustomResourceDefinition":
            conversion = found["spec"].get("conversion", {})
            if conversion.get("strategy") == "Webhook":
                conversion["webhook"]["clientConfig"]["caBundle"] = trusted
        elif kind == "APIService":
            found["spec"].pop("insecureSkipTLSVerify", None)
            found["spec"]["caBundle"] = trusted
        elif kind == "Deployment" and name == DEPLOYMENT:
            _serve_with_certificate(found["spec"])
        return found

    return adjust


def _serve_with_certificate(deployment: dict[str, Any]) -> None:
    """Let metrics and the visibility API serve with the webhooks' certificate.

    Told not to manage certificates, the operator wants one for each; the chart mounts those only together
    with cert-manager's objects.
    """
    deployment["minReadySeconds"] = SETTLE_SECONDS
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    container["volumeMounts"].append({"name": "cert", "mountPath": METRICS_CERTIFICATES, "readOnly": True})
    for volume in pod["volumes"]:
        if volume["name"] == "visibility":
            volume.pop("emptyDir", None)
            volume["secret"] = {"secretName": SERVER_SECRET, "defaultMode": 420}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
