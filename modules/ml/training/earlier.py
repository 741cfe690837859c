"""The kinds of before Trainer, for jobs that are written in them: two operators, each for the kinds that the other does not take.

PyTorchJob, TFJob, XGBoostJob and PaddleJob are training-operator's (v1.9.3: `manifests/base`, `cmd/training-operator.v1`), MPIJob is mpi-operator's
(v0.8.2), whose v2beta1 took the place of training-operator's v1: the two CustomResourceDefinitions have one name, so there can be only one of them.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import yaml

from modules.kit.accounts import READS, Rule
from modules.kit.pods import Container, Probe
from modules.ml.training import operators as current
from modules.ml.training.config import Training
from modules.ml.training.operators import LEADS, Operator
from upstream import part

GROUP: Final = "kubeflow.org"
KINDS: Final = ("paddlejob", "pytorchjob", "tfjob", "xgboostjob")
"""What training-operator looks after."""

MPI: Final = "mpijob"
RESOURCES: Final = tuple(f"{each}s" for each in (MPI, *KINDS))

_SECRET: Final = "training-operator-webhook-cert"
_TRUSTED_BY: Final = "validator.training-operator.kubeflow.org"
"""Name of the configuration that training-operator writes its own authority into (`webhookConfigurationName`)."""

_HEALTH_OF_MPI: Final = 8080
_WAIT: Final = """
import socket, sys, time
for _ in range(int(sys.argv[2])):
    try:
        socket.getaddrinfo(sys.argv[1], None)
        sys.exit()
    except socket.gaierror:
        print("waiting for", sys.argv[1], flush=True)
        time.sleep(2)
sys.exit(1)
"""


def operators(config: Training, image: str) -> tuple[Operator, Operator]:
    """Both. ``image`` is what a worker of a PyTorchJob waits for its master in."""
    return training_operator(config, image), mpi_operator(config)


@cache
def training_operator_image() -> str:
    """As upstream's own manifests name it: the tag is a commit."""
    file = (
        part("training-operator").directory / "manifests" / "overlays" / "standalone" / "kustomization.yaml"
    )
    (found,) = yaml.safe_load(file.read_text())["images"]
    return f"{found['name']}:{found['newTag']}"


def training_operator(config: Training, image: str) -> Operator:
    """It always makes its own certificate (`pkg/cert`), and writes whom its callers trust into its webhooks."""
    pin = part("training-operator")
    base = pin.directory / "manifests" / "base"
    container = current.manager(
        config,
        training_operator_image(),
        "/manager",
        *(f"--enable-scheme={each}" for each in KINDS),
        "--leader-elect",
        "--zap-log-level=info",
        f"--webhook-service-name={current.SERVICE}",
        f"--webhook-secret-name={_SECRET}",
        f"--pytorch-init-container-image={image}",
        f"--pytorch-init-container-template-file={current.SETTINGS}/wait.yaml",
        environment={"MY_POD_NAMESPACE": "training-operator"},
    )
    return Operator(
        name="training-operator",
        kinds=tuple(base / "crds" / f"{GROUP}_{each}s.yaml" for each in KINDS),
        container=container,
        settings={"wait.yaml": yaml.safe_dump([_waits()], sort_keys=True)},
        everywhere=(
            Rule(("admissionregistration.k8s.io",), ("validatingwebhookconfigurations",), READS),
            Rule(
                ("admissionregistration.k8s.io",),
                ("validatingwebhookconfigurations",),
                ("update",),
                (_TRUSTED_BY,),
            ),
        ),
        own=(*LEADS, Rule(("",), ("secrets",), (*READS, "update"))),
        works=(
            Rule(("",), ("configmaps",), ("list", "watch", "create", "update")),
            Rule(("",), ("events",), (*READS, "create", "update", "patch", "delete")),
            Rule(("",), ("pods",), (*READS, "create", "update", "patch", "delete")),
            Rule(("",), ("services",), (*READS, "create", "delete")),
            Rule(("autoscaling",), ("horizontalpodautoscalers",), (*READS, "create", "update", "patch", "delete")),
            *(_kind(f"{each}s") for each in KINDS),
            *(Rule((GROUP,), (f"{each}s/finalizers",), ("update",)) for each in KINDS),
            *(Rule((GROUP,), (f"{each}s/status",), ("get", "update", "patch")) for each in KINDS),
        ),
        webhooks=current.webhooks(base / "webhook" / "manifests.yaml", _TRUSTED_BY, _of_kinds),
        secret=_SECRET,
    )  # fmt: skip


def _kind(resources: str) -> Rule:
    return Rule((GROUP,), (resources,), (*READS, "create", "update", "patch", "delete"))


def _of_kinds(hook: dict[str, Any]) -> dict[str, Any] | None:
    (rule,) = hook["rules"]
    return hook if set(rule["resources"]) <= {f"{each}s" for each in KINDS} else None


def _waits() -> dict[str, Any]:
    """What a worker runs first, until its master has an address: upstream's asks by `nslookup`, which not every image has."""
    size = {"cpu": "50m", "memory": "64Mi"}
    return {
        "name": "init-pytorch",
        "image": "{{.InitContainerImage}}",
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": size, "limits": size},
        "command": ["python3", "-c", _WAIT, "{{.MasterAddr}}", "{{.MaxTries}}"],
    }


def mpi_operator(config: Training) -> Operator:
    """It has no webhooks, and answers for itself at a port of its own."""
    pin = part("mpi-operator")
    version = pin.version.removeprefix("v")
    return Operator(
        name="mpi-operator",
        kinds=(pin.directory / "manifests" / "base" / f"{GROUP}_{MPI}s.yaml",),
        container=Container(
            "mpi-operator",
            f"docker.io/mpioperator/mpi-operator:{version}",
            ("/opt/mpi-operator", "-alsologtostderr", "--lock-namespace=mpi-operator"),
            cpu=config.cpu,
            memory=config.memory,
            ports={"health": _HEALTH_OF_MPI},
            readiness=Probe(path="/healthz", port=_HEALTH_OF_MPI),
            liveness=Probe(path="/healthz", port=_HEALTH_OF_MPI, delay_seconds=15),
        ),
        everywhere=(
            Rule(("apiextensions.k8s.io",), ("customresourcedefinitions",), ("get",)),
            # It waits for them to be listed, and ends when they cannot be.
            Rule(("scheduling.k8s.io",), ("priorityclasses",), READS),
        ),
        works=(
            Rule(("",), ("configmaps", "secrets", "services"), ("list", "watch", "create", "update")),
            Rule(("",), ("pods",), (*READS, "create", "update", "patch", "delete")),
            Rule(("",), ("events",), ("create", "patch")),
            Rule(("batch",), ("jobs",), ("list", "watch", "create", "update")),
            _kind(f"{MPI}s"),
            Rule((GROUP,), (f"{MPI}s/finalizers", f"{MPI}s/status"), ("get", "update", "patch")),
        ),
    )
