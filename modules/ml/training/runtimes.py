"""The runtimes that a job names, as ClusterTrainingRuntimes of the platform's own: upstream's name images that nobody here has reviewed, let one
worker's Job begin again without the others, and state no resources.

A job is one JobSet, all of whose workers begin again together when one fails, when all of the time before are gone: what they had in common,
the rendezvous, went with the one that failed. A worker that is taken from its node (a drain, a preemption of Kubernetes' own) costs none of the restarts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modules.ml.training import image
from modules.ml.training.config import Training

API_VERSION: Final = "trainer.kubeflow.org/v1alpha1"
KIND: Final = "ClusterTrainingRuntime"

TORCH: Final = "torch"
XGBOOST: Final = "xgboost"
JAX: Final = "jax"
DEEPSPEED: Final = "deepspeed"

_ANCESTOR: Final = "trainer.kubeflow.org/trainjob-ancestor-step"
_START: Final = ("tini", "-g", "--", "python3", "-m", "longhouse_training")
"""What the platform's image starts a program with."""

_SSH_USER: Final = "mpiuser"
_SSH_FOLDER: Final = f"/home/{_SSH_USER}/.ssh"
"""Where upstream's image of DeepSpeed expects its keys, which the operator makes for each job."""

_SSH_PORT: Final = 2222
_STOP_SECONDS: Final = 30


def runtimes(config: Training, registry: str | None) -> dict[str, Mapping[str, Any]]:
    """`spec` of each runtime, by name. ``registry`` is where the platform's own image was pushed to.

    A job's `args` follow the runtime's command: the program and what it is given. `jax` and `deepspeed` have none, so the job says it.
    """
    own, given = image.image(registry), config.runtimes
    found = {
        TORCH: _together(config, {"torch": {}}, given.torch or own, [*_START, "torchrun"]),
        XGBOOST: _together(config, {"xgboost": {}}, given.xgboost or own, [*_START, "python3"]),
    }
    if given.jax:
        found[JAX] = _together(config, {"jax": {}}, given.jax)
    if given.deepspeed:
        found[DEEPSPEED] = _by_ssh(config, given.deepspeed)
    return found


def _together(
    config: Training, policy: Mapping[str, Any], image: str, command: list[str] | None = None
) -> Mapping[str, Any]:
    """Workers that are alike and find the first of them by its name."""
    node = _container(config, image, command)
    return {
        "mlPolicy": {"numNodes": 1, **policy},
        "template": {"spec": {**_restarted(config), "replicatedJobs": [_job("node", node, trains=True)]}},
    }


def _by_ssh(config: Training, image: str) -> Mapping[str, Any]:
    """A launcher, which is a worker too, and workers that it logs in to. The job is done when the launcher is."""
    server = {
        **_container(config, image, ["/usr/sbin/sshd"]),
        "args": ["-De", "-f", f"/home/{_SSH_USER}/.sshd_config"],
        "readinessProbe": {"tcpSocket": {"port": _SSH_PORT}, "initialDelaySeconds": 5},
    }
    launcher = _job("launcher", _container(config, image), trains=True)
    return {
        "mlPolicy": {
            "numNodes": 1,
            "mpi": {
                "numProcPerNode": 1,
                "mpiImplementation": "OpenMPI",
                "sshAuthMountPath": _SSH_FOLDER,
                "runLauncherAsNode": True,
            },
        },
        "template": {
            "spec": {
                **_restarted(config),
                "successPolicy": {"operator": "All", "targetReplicatedJobs": ["launcher"]},
                "replicatedJobs": [launcher, _job("node", server)],
            }
        },
    }


def _restarted(config: Training) -> Mapping[str, Any]:
    """(JobSet, "Failure policy": of a Job that its own policy fails, the reason is PodFailurePolicy.)"""
    return {
        "network": {"publishNotReadyAddresses": True},
        "failurePolicy": {
            "maxRestarts": config.restarts,
            "restartStrategy": "BlockingRecreate",
            "rules": [
                {
                    "name": "taken_from_its_node",
                    "action": "RestartJobSetAndIgnoreMaxRestarts",
                    "onJobFailureReasons": ["PodFailurePolicy"],
                }
            ],
        },
    }


def _job(name: str, container: Mapping[str, Any], *, trains: bool = False) -> Mapping[str, Any]:
    return {
        "name": name,
        "template": {
            "spec": {
                "backoffLimit": 0,
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                        }
                    ]
                },
                "template": {
                    "spec": {
                        "restartPolicy": "Never",
                        "enableServiceLinks": False,
                        "automountServiceAccountToken": False,
                        "terminationGracePeriodSeconds": _STOP_SECONDS,
                        "securityContext": {
                            "runAsNonRoot": True,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [container],
                    }
                },
            },
            **({"metadata": {"labels": {_ANCESTOR: "trainer"}}} if trains else {}),
        },
    }


def _container(config: Training, image: str, command: list[str] | None = None) -> dict[str, Any]:
    size = {"cpu": config.worker_cpu, "memory": config.worker_memory}
    return {
        "name": "node",
        "image": image,
        **({"command": command} if command else {}),
        "resources": {"requests": size, "limits": size},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
