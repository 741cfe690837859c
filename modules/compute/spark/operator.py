"""How the operator is run: values of its chart, and what the chart cannot be told.

Facts are from spark-operator v2.5.2's chart and code (`charts/spark-operator-chart`, `cmd/operator`, `pkg/certificate`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from modules.compute.spark import image
from modules.compute.spark.config import Spark
from modules.foundation.queueing.kueue import IGNORED_TIMEOUT_SECONDS, SETTLE_SECONDS
from modules.kit import labels
from modules.kit.accounts import READS, Rule
from modules.kit.cluster import WebhookFailure
from modules.kit.quantities import cores

PART: Final = "spark-operator"
"""Name of the pin in upstream/."""

CHART: Final = "charts/spark-operator-chart"
RELEASE: Final = "spark-operator"
"""Name of the release; the chart makes every other name from it."""

CONTROLLER: Final = f"{RELEASE}-controller"
WEBHOOK: Final = f"{RELEASE}-webhook"
WEBHOOK_PORT: Final = 9443
METRICS_PORT: Final = 8080

SELECTOR: Final = {"app.kubernetes.io/name": RELEASE, "app.kubernetes.io/component": "controller"}

_BURST: Final = "2"
"""Cores that a starting Java process may take where the operator was given less."""

_CONTEXT: Final = {
    "runAsNonRoot": True,
    "runAsUser": image.USER,
    "runAsGroup": image.USER,
    "fsGroup": image.USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}


_CRDS: Final = ("sparkoperator.k8s.io",)
WORKS: Final = (
    Rule(("",), ("pods",), (*READS, "create", "update", "delete")),
    Rule(("",), ("configmaps",), (*READS, "create", "update", "patch")),
    Rule(("",), ("services",), (*READS, "create", "update", "patch", "delete")),
    Rule(("",), ("events",), ("create", "update", "patch")),
    Rule(("extensions", "networking.k8s.io"), ("ingresses",), ("get", "create", "update", "delete")),
    Rule(_CRDS, ("sparkapplications",), (*READS, "create", "delete")),
    Rule(_CRDS, ("scheduledsparkapplications", "sparkconnects"), READS),
    Rule(
        _CRDS,
        ("sparkapplications/status", "sparkconnects/status", "scheduledsparkapplications/status"),
        ("update",),
    ),
    Rule(_CRDS, ("sparkapplications/finalizers",), ("update",)),
    Rule(_CRDS, ("scheduledsparkapplications/finalizers",), ("update",)),
    Rule(_CRDS, ("sparkconnects/finalizers",), ("update",)),
)
"""What the operator does where applications are: the chart's own rules (`spark-operator.controller.policyRules`), bound in each tenant's namespace."""


def values(config: Spark, version: str) -> dict[str, Any]:
    """Values of the chart for an operator of that version, which works in every namespace that is a tenant's, whenever it comes.

    Accounts and rights of drivers are the tenants' and not the chart's.
    """
    return {
        "image": {"tag": version.removeprefix("v")},
        "controller": {
            "replicas": config.replicas,
            "workers": config.submissions,
            "env": [{"name": "SPARK_HOME", "value": image.HOME}],
            "resources": {
                "requests": {"cpu": config.cpu, "memory": config.memory},
                "limits": {"cpu": max(config.cpu, _BURST, key=cores), "memory": config.memory},
            },
            "podSecurityContext": _CONTEXT,
            "podDisruptionBudget": {"enable": config.replicas > 1},
        },
        "webhook": {
            "replicas": config.replicas,
            "port": WEBHOOK_PORT,
            "resources": {
                "requests": {"cpu": "50m", "memory": "128Mi"},
                "limits": {"cpu": "1", "memory": "128Mi"},
            },
            "podSecurityContext": _CONTEXT,
            "podDisruptionBudget": {"enable": config.replicas > 1},
            "volumes": [_scratch("serving-certs"), _scratch("tmp")],
            "volumeMounts": [
                {
                    "name": "serving-certs",
                    "mountPath": "/etc/k8s-webhook-server/serving-certs",
                    "subPath": "serving-certs",
                },
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        },
        "spark": {
            "jobNamespaces": [],
            "jobNamespaceSelector": labels.TENANT,
            "serviceAccount": {"create": False},
            "rbac": {"create": False},
        },
        "prometheus": {"metrics": {"port": METRICS_PORT}},
    }


def _scratch(name: str) -> dict[str, Any]:
    return {"name": name, "emptyDir": {"sizeLimit": "16Mi"}}


def adjustment(failure: WebhookFailure) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What the chart cannot be told: that the operator reads everywhere and writes in tenants' namespaces only, where a binding of
    their own lets it (`WORKS`), whose requests its webhook sees, and what happens when that does not answer.

    The webhook makes its own certificate, and writes whom its callers trust into the two configurations that bear its name: given
    one, it reads RSA keys only, and the platform's authority makes none (`pkg/certificate/certificate.go`).
    """

    def adjust(found: dict[str, Any]) -> dict[str, Any]:
        kind = found["kind"]
        if kind == "Deployment":
            found["spec"]["minReadySeconds"] = SETTLE_SECONDS
        elif kind == "ClusterRole" and found["metadata"]["name"] == CONTROLLER:
            found["rules"] = [
                {**rule, "verbs": verbs}
                for rule in found["rules"]
                if (verbs := [verb for verb in rule["verbs"] if verb in READS])
            ]
        elif kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            for webhook in found["webhooks"]:
                webhook["namespaceSelector"] = {
                    "matchExpressions": [{"key": labels.TENANT, "operator": "Exists"}]
                }
                if failure is WebhookFailure.IGNORE:
                    webhook["failurePolicy"] = failure.value
                    webhook["timeoutSeconds"] = IGNORED_TIMEOUT_SECONDS
        return found

    return adjust
