"""What a Flink Job is made of: one Indexed Job whose first pod is the JobManager and every other a TaskManager, so that the queue takes it
whole and no pod of it is counted by nobody.

The same parts make a tenant's session cluster, which is declared, and complete an application, which the tenant starts (`admission.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING
from typing import Any, Final

from modules.compute.flink import image
from modules.compute.flink.config import ACCOUNT, SESSION, Flink, FlinkSession
from modules.data.store import BINDING_PATH
from modules.kit.mutation import Dynamic
from modules.kit.quantities import cores

CONTAINER: Final = "flink"

BINDINGS: Final = ("object-store", "kafka")
"""Stores that the image makes ready; one that the tenant has not is an empty folder."""

FAILED: Final = 163
"""How a JobManager ends whose application failed for good, or whose script is wrong: 1443 (`ApplicationStatus.FAILED`), of which an exit
code keeps a byte."""

JOB: Final = "/job"
"""Where the script stands."""

SCRATCH: Final = "4Gi"
"""What a pod may keep on its node: logs, and state that RocksDB keeps there."""


def settings() -> Mapping[str, Any]:
    """Fields of a Job's spec. A process that crashes is started again in its pod, and a pod that is taken away is made again, however often: an
    application runs for years. Only one that failed for good ends the Job."""
    return {
        "completionMode": "Indexed",
        "podReplacementPolicy": "Failed",  # never two that are the first
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [FAILED]}},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [FAILED]}},
            ]
        },
    }


def pod() -> Mapping[str, Any]:
    """Fields of a pod's spec, but containers and volumes."""
    return {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": image.USER,
            "runAsGroup": image.USER,
            "fsGroup": image.USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def container() -> Mapping[str, Any]:
    """Fields of the container, but its image, resources and what it mounts."""
    return {
        "imagePullPolicy": "IfNotPresent",
        "command": [image.START],
        "restartPolicy": "Never",
        "restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0, FAILED]}}
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def environment(task_managers: Dynamic | str, checkpoint_seconds: int) -> list[dict[str, Any]]:
    """What the entry point asks for (`files/entrypoint.sh`)."""

    def of_pod(path: str) -> dict[str, Any]:
        return {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}

    def of_container(resource: str) -> dict[str, Any]:
        return {"resourceFieldRef": {"containerName": CONTAINER, "resource": resource, "divisor": "1"}}

    found = {
        "FLINK_NAME": of_pod("metadata.labels['batch.kubernetes.io/job-name']"),
        "FLINK_NAMESPACE": of_pod("metadata.namespace"),
        "FLINK_ADDRESS": of_pod("status.podIP"),
        "FLINK_MEMORY": of_container("limits.memory"),
        "FLINK_CORES": of_container("limits.cpu"),
    }
    return [
        *({"name": name, "valueFrom": source} for name, source in found.items()),
        {"name": "FLINK_TASK_MANAGERS", "value": task_managers},
        {"name": "FLINK_CHECKPOINT_SECONDS", "value": str(checkpoint_seconds)},
    ]


def mounts() -> list[dict[str, Any]]:
    """What the container mounts."""
    stores = [{"name": store, "mountPath": f"{BINDING_PATH}/{store}", "readOnly": True} for store in BINDINGS]
    return [
        {"name": "tmp", "mountPath": "/tmp"},
        *stores,
        {"name": "job", "mountPath": JOB, "readOnly": True},
    ]


def volumes(name: Dynamic | str) -> list[dict[str, Any]]:
    """The volumes of a Job of that name: the ConfigMap with its script bears the same."""
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH}},
        *({"name": store, "secret": {"secretName": store, "optional": True}} for store in BINDINGS),
        {"name": "job", "configMap": {"name": name, "optional": True}},
    ]


def session(config: Flink, wanted: FlinkSession, image: str) -> Mapping[str, Any]:
    """`spec` of the Job that is a tenant's session cluster."""
    pods = wanted.task_managers + 1
    whole = str(cores(wanted.cpu).to_integral_value(rounding=ROUND_CEILING))
    main = {
        "name": CONTAINER,
        "image": image,
        "args": ["session"],
        "resources": {
            "requests": {"cpu": wanted.cpu, "memory": wanted.memory},
            "limits": {"cpu": whole, "memory": wanted.memory},
        },
        "env": environment(str(wanted.task_managers), config.checkpoint_seconds),
        "volumeMounts": mounts(),
        **container(),
    }
    return {
        **settings(),
        "completions": pods,
        "parallelism": pods,
        "template": {"spec": {**pod(), "containers": [main], "volumes": volumes(SESSION)}},
    }
