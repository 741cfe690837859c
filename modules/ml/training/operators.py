"""Operators that work for all tenants from a namespace of their own. Kinds and webhooks are upstream's, read from the module that is pinned; their
pods, rights and certificates are the platform's.

Each reads everywhere, since it follows its kinds and not a list of namespaces, and writes where a binding in a tenant's namespace lets it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from modules.foundation.queueing.kueue import IGNORED_TIMEOUT_SECONDS
from modules.kit import labels
from modules.kit.accounts import READS, Rule
from modules.kit.cluster import WebhookFailure
from modules.kit.pods import TMP, Container, Pod, Probe, SecretFiles
from modules.kit.server import METRICS
from modules.ml.training.config import Training
from upstream import part

API_SERVER_CALLS: Final = 9443
"""Port at which the API server calls an operator's webhooks."""

HEALTH_PORT: Final = 8081
METRICS_PORT: Final = 8080
CERTIFICATES: Final = f"{TMP}/k8s-webhook-server/serving-certs"
"""Where controller-runtime looks for the certificate of webhooks."""

SERVICE: Final = "webhook"
USER: Final = 65532
"""User of images without a system in them ("nonroot" of distroless)."""

_WRITES: Final = ("create", "update", "patch", "delete", "deletecollection")
SETTINGS: Final = "/etc/operator"
_CERTIFICATE: Final = "certificate"

LEADS: Final = (
    Rule(("coordination.k8s.io",), ("leases",), (*READS, "create", "update", "patch")),
    Rule(("", "events.k8s.io"), ("events",), ("create", "patch", "update")),
)
"""What each does in its own namespace: instances agree on which of them works."""


@dataclass(frozen=True)
class Operator:
    """One operator, and its ``namespace``, which is its name too.

    ``everywhere`` is what it may do in all of the cluster beside reading what ``works`` names, ``works`` what it may do where a tenant is, ``own`` what in
    its own namespace. ``webhooks`` are configurations as upstream has them, ``certificate`` says whether the platform gives it its certificate, or it makes one of its own,
    into the Secret ``secret``.
    """

    name: str
    kinds: tuple[Path, ...]
    container: Container
    works: tuple[Rule, ...]
    everywhere: tuple[Rule, ...] = ()
    own: tuple[Rule, ...] = LEADS
    settings: Mapping[str, str] | None = None
    webhooks: tuple[Mapping[str, Any], ...] = ()
    secret: str | None = None

    @property
    def certified(self) -> bool:
        """Whether it shows a certificate of the platform's."""
        return bool(self.webhooks) and self.secret is None

    @property
    def server_name(self) -> str:
        """The name by which the API server calls it."""
        return f"{SERVICE}.{self.name}.svc"

    @property
    def reads(self) -> tuple[Rule, ...]:
        """What it may do in all of the cluster."""
        return (*self.everywhere, *_parts(self.works, READS))

    @property
    def writes(self) -> tuple[Rule, ...]:
        """What it may do beyond that in a tenant's namespace."""
        return tuple(_parts(self.works, _WRITES))

    def pod(self, certificate: Mapping[str, str]) -> Pod:
        """Its pod; ``certificate`` are the files of the platform's, none where it makes its own."""
        secrets: tuple[SecretFiles, ...] = ()
        if self.certified:
            secrets = (SecretFiles(_CERTIFICATE, CERTIFICATES, certificate),)
        elif self.secret:
            secrets = (SecretFiles(_CERTIFICATE, CERTIFICATES, existing=self.secret),)
        return Pod(
            containers=(self.container,),
            files=self.settings or {},
            files_path=SETTINGS,
            secrets=secrets,
            user=USER,
            service_account=self.name,
        )

    def hooks(self, bundle: str, failure: WebhookFailure) -> list[dict[str, Any]]:
        """Its webhooks, asked about tenants' objects only, and about what belongs to no namespace. ``bundle`` is whom callers trust, as PEM text."""
        trusted = {"caBundle": base64.b64encode(bundle.encode()).decode()} if self.certified else {}

        def hook(found: Mapping[str, Any]) -> dict[str, Any]:
            path = found["clientConfig"]["service"]["path"]
            service = {
                "name": SERVICE,
                "namespace": self.name,
                "path": path,
                "port": API_SERVER_CALLS,
            }
            softened = {"failurePolicy": failure.value, "timeoutSeconds": IGNORED_TIMEOUT_SECONDS}
            return {
                **found,
                "clientConfig": {"service": service, **trusted},
                "namespaceSelector": {"matchExpressions": [{"key": labels.TENANT, "operator": "Exists"}]},
                **(softened if failure is WebhookFailure.IGNORE else {}),
            }

        return [{**each, "webhooks": [hook(one) for one in each["webhooks"]]} for each in self.webhooks]


def _parts(rules: Iterable[Rule], verbs: Iterable[str]) -> list[Rule]:
    wanted = tuple(verbs)
    return [found for rule in rules if (found := rule.only(wanted))]


def webhooks(
    file: Path, name: str, adjust: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> tuple[Mapping[str, Any], ...]:
    """Webhook configurations from upstream's file, each named ``name``; ``adjust`` gives a webhook as it shall be, None for one that is left out."""
    return tuple(
        {
            "apiVersion": found["apiVersion"],
            "kind": found["kind"],
            "name": name,
            "webhooks": [each for one in found["webhooks"] if (each := adjust(one))],
        }
        for found in yaml.safe_load_all(file.read_text())
        if found
    )  # fmt: skip


def manager(
    config: Training,
    image: str,
    *command: str,
    environment: Mapping[str, str] | None = None,
    metrics: bool = True,
) -> Container:
    """The container of an operator that is built on controller-runtime."""
    ports = {"webhook": API_SERVER_CALLS, **({METRICS: METRICS_PORT} if metrics else {})}
    return Container(
        "manager",
        image,
        command,
        cpu=config.cpu,
        memory=config.memory,
        ports=ports,
        environment=environment or {},
        readiness=Probe(path="/readyz", port=HEALTH_PORT, period_seconds=2),
        liveness=Probe(path="/healthz", port=HEALTH_PORT, delay_seconds=15),
    )  # fmt: skip


def settings(configuration: Mapping[str, Any]) -> Mapping[str, str]:
    """An operator's own configuration, as a file."""
    return {"config.yaml": yaml.safe_dump(dict(configuration), sort_keys=True)}


def operators(config: Training) -> tuple[Operator, Operator]:
    """JobSet, and Trainer, which makes JobSets."""
    return jobset(config), trainer(config)


_JOBSETS: Final = ("jobset.x-k8s.io",)


def jobset(config: Training) -> Operator:
    """Facts are from JobSet v0.12's manifests and code (`config/components`, `main.go`)."""
    pin = part("jobset")
    components = pin.directory / "config" / "components"
    return Operator(
        name="jobset-system",
        kinds=(components / "crd" / "bases" / "jobset.x-k8s.io_jobsets.yaml",),
        container=manager(
            config,
            f"registry.k8s.io/jobset/jobset:{pin.version}",
            "/manager",
            f"--config={SETTINGS}/config.yaml",
            "--zap-log-level=info",
            metrics=False,
        ),
        settings=settings(
            {
                "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
                "kind": "Configuration",
                "health": {"healthProbeBindAddress": f":{HEALTH_PORT}"},
                # They are behind questions to the API server that this account may not ask.
                "metrics": {"bindAddress": "0"},
                "webhook": {"port": API_SERVER_CALLS},
                "leaderElection": {"leaderElect": True},
                "clientConnection": {"qps": 200, "burst": 300},
                "internalCertManagement": {"enable": False},
            }
        ),
        everywhere=(Rule(("",), ("nodes",), READS),),
        works=(
            Rule(("", "events.k8s.io"), ("events",), ("create", "watch", "update", "patch")),
            Rule(("",), ("persistentvolumeclaims",), (*READS, "create")),
            Rule(("",), ("pods",), (*READS, "update", "patch", "delete")),
            Rule(("",), ("services",), (*READS, "create", "update", "patch", "delete")),
            Rule(("batch",), ("jobs",), (*READS, "create", "update", "patch", "delete")),
            Rule(("batch",), ("jobs/status",), ("get", "update", "patch")),
            Rule(_JOBSETS, ("jobsets",), (*READS, "create", "update", "patch", "delete")),
            Rule(_JOBSETS, ("jobsets/finalizers",), ("update",)),
            Rule(_JOBSETS, ("jobsets/status",), ("get", "update", "patch")),
        ),
        webhooks=webhooks(components / "webhook" / "manifests.yaml", "jobset-system", _of_jobsets),
    )


def _of_jobsets(hook: dict[str, Any]) -> dict[str, Any]:
    """Pods that belong to none are not asked about (`config/components/webhook/patches`)."""
    if hook["rules"][0]["resources"] != ["pods"]:
        return hook
    named = {"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}
    return {**hook, "objectSelector": {"matchExpressions": [named]}}


_TRAINER: Final = ("trainer.kubeflow.org",)


def trainer(config: Training) -> Operator:
    """Facts are from Trainer v2.2's manifests and code (`manifests/base`, `cmd/trainer-controller-manager`)."""
    pin = part("trainer")
    base = pin.directory / "manifests" / "base"
    return Operator(
        name="trainer-system",
        kinds=tuple(sorted((base / "crds").glob("trainer.kubeflow.org_*.yaml"))),
        container=manager(
            config,
            f"ghcr.io/kubeflow/trainer/trainer-controller-manager:{pin.version}",
            "/manager",
            f"--config={SETTINGS}/config.yaml",
            "--zap-log-level=info",
        ),
        settings=settings(
            {
                "apiVersion": "config.trainer.kubeflow.org/v1alpha1",
                "kind": "Configuration",
                "health": {"healthProbeBindAddress": f":{HEALTH_PORT}"},
                "metrics": {"bindAddress": f":{METRICS_PORT}", "secureServing": False},
                "webhook": {"port": API_SERVER_CALLS},
                "leaderElection": {
                    "leaderElect": True,
                    "resourceName": "trainer.kubeflow.org",
                    # Without these it has 0 s for each and does not start.
                    "leaseDuration": "15s",
                    "renewDeadline": "10s",
                    "retryPeriod": "2s",
                },
                "clientConnection": {"qps": 100, "burst": 200},
                "certManagement": {"enable": False},
            }
        ),
        everywhere=(
            Rule(_TRAINER, ("clustertrainingruntimes",), (*READS, "update", "patch")),
            Rule(_TRAINER, ("clustertrainingruntimes/finalizers",), ("get", "update", "patch")),
        ),
        works=(
            # Of a job over SSH: its host list, and the keys of its workers.
            Rule(("",), ("configmaps", "secrets"), (*READS, "create", "update", "patch")),
            Rule(("", "events.k8s.io"), ("events",), ("create", "watch", "update", "patch")),
            Rule(_JOBSETS, ("jobsets",), (*READS, "create", "update", "patch")),
            Rule(_TRAINER, ("trainingruntimes", "trainjobs"), (*READS, "update", "patch")),
            Rule(
                _TRAINER,
                ("trainingruntimes/finalizers", "trainjobs/finalizers", "trainjobs/status"),
                ("get", "update", "patch"),
            ),
        ),
        webhooks=webhooks(base / "webhook" / "manifests.yaml", "trainer-system", lambda hook: hook),
    )
