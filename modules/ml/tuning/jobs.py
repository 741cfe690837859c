"""What a study becomes: the Job of a trial, which both engines start, and for Optuna the Job of its driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modules.data.store import BINDING_PATH
from modules.foundation.gpu_pools.placement import GPU_RESOURCE
from modules.kit import labels, names, task
from modules.kit.pods import TMP
from modules.kit.quantities import cores
from modules.kit.task import Program
from modules.ml.tracking.config import NAME as TRACKING
from modules.ml.tuning.config import ACCOUNT, PROGRAM, Tuning
from modules.ml.tuning.inside.driver import GIVEN_UP, TRACKED
from modules.ml.tuning.inside.plan import STUDY, Parameter, Plan
from modules.ml.tuning.study import CategoricalParameter, Store, Study

DRIVER: Final = Program("modules.ml.tuning.inside.driver")
PLAN: Final = labels.PREFIX + "plan"
"""Annotation of a driver's pod: the study, as it reads it. A variable's own value would have `$(...)` in it replaced."""

PRIORITY: Final = "kueue.x-k8s.io/priority-class"
CONTAINER: Final = "trial"
_USER: Final = 1000
"""The user of the platform's own image for training."""

_SCRATCH: Final = "4Gi"
"""What a trial may keep on its node."""

_LOSSES: Final = 10
"""How often a driver may crash or be deleted, the most that a tenant's job may (LH-C-003). It is started again after ever longer pauses, up to six minutes, and goes on where it was."""


def trial(study: Study, image: str) -> Mapping[str, Any]:
    """The Job of a trial, with placeholders, without a name. ``image`` is for a study that names none. It has no token and no second chance:
    one that fails is told of, and only a pod that is taken from its node is made again."""
    wanted = study.trial
    size: dict[str, str] = {"cpu": wanted.cpu, "memory": wanted.memory}
    if wanted.gpus:
        size[GPU_RESOURCE] = str(wanted.gpus)
    stores = [each.value for each in wanted.stores]
    container = {
        "name": CONTAINER,
        "image": wanted.image or image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(wanted.command),
        "env": [{"name": name, "value": value} for name, value in wanted.environment.items()],
        "resources": {"requests": size, "limits": size},
        "volumeMounts": [
            {"name": "tmp", "mountPath": TMP},
            *({"name": each, "mountPath": f"{BINDING_PATH}/{each}", "readOnly": True} for each in stores),
        ],
        "securityContext": _restricted(),
    }
    volumes = [
        {"name": "tmp", "emptyDir": {"sizeLimit": _SCRATCH}},
        *({"name": each, "secret": {"secretName": each}} for each in stores),
    ]
    queue = names.GPU_QUEUE if wanted.gpus else names.DEFAULT_QUEUE
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "labels": {labels.QUEUE: queue, **({PRIORITY: wanted.priority} if wanted.priority else {})}
        },
        "spec": {
            "backoffLimit": 0,
            **({"activeDeadlineSeconds": wanted.minutes * 60} if wanted.minutes else {}),
            **_kept(),
            "template": {"spec": _pod(container, volumes)},
        },
    }


def plan(study: Study, image: str) -> Plan:
    """The study as its driver runs it."""
    return Plan(
        name=study.name,
        metric=study.objective.metric,
        direction=study.objective.direction.value,
        algorithm=study.algorithm.value,
        seed=study.seed,
        max_trials=study.max_trials,
        parallel_trials=study.parallel_trials,
        max_failed=study.max_failed,
        parameters=tuple(
            Parameter(name, each.type, choices=each.choices)
            if isinstance(each, CategoricalParameter)
            else Parameter(name, each.type, each.low, each.high, each.log, each.step or 0)
            for name, each in study.parameters.items()
        ),
        job=trial(study, image),
    )


def driver(study: Study, config: Tuning, image: str, *, tracked: bool = False) -> Mapping[str, Any]:
    """The Job that runs a study with Optuna. ``tracked`` says that the tenant has MLflow, where it is recorded too."""

    def of_pod(path: str) -> dict[str, Any]:
        return {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}

    found = {
        "STUDY_PLAN": of_pod(f"metadata.annotations['{PLAN}']"),
        "STUDY_JOB": of_pod("metadata.labels['batch.kubernetes.io/job-name']"),
        "STUDY_JOB_UID": of_pod("metadata.labels['batch.kubernetes.io/controller-uid']"),
    }
    said = {
        "PYTHONPATH": task.MOUNT,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **({TRACKED: "1"} if tracked else {}),
    }
    most = max(config.cpu, "1", key=cores)
    bindings = [Store.MYSQL.value, *([TRACKING] if tracked else [])]
    container = {
        "name": "driver",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", DRIVER.module],
        "env": [
            *({"name": name, "valueFrom": source} for name, source in found.items()),
            *({"name": name, "value": value} for name, value in said.items()),
        ],
        "resources": {
            "requests": {"cpu": config.cpu, "memory": config.memory},
            "limits": {"cpu": most, "memory": config.memory},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": TMP},
            {"name": "program", "mountPath": task.MOUNT, "readOnly": True},
            *({"name": each, "mountPath": f"{BINDING_PATH}/{each}", "readOnly": True} for each in bindings),
        ],
        "securityContext": _restricted(),
    }
    volumes = [
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        {
            "name": "program",
            "configMap": {
                "name": PROGRAM,
                "items": [{"key": key, "path": path} for key, path in DRIVER.paths.items()],
            },
        },
        *({"name": each, "secret": {"secretName": each}} for each in bindings),
    ]
    kept = _kept()
    over = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [GIVEN_UP]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": study.name,
            "namespace": names.namespace(study.tenant),
            "labels": {STUDY: study.name, labels.QUEUE: names.DEFAULT_QUEUE},
        },
        "spec": {
            "backoffLimit": _LOSSES,
            **kept,
            "podFailurePolicy": {"rules": [over, *kept["podFailurePolicy"]["rules"]]},
            "template": {
                "metadata": {
                    "labels": {STUDY: study.name},
                    "annotations": {PLAN: plan(study, image).text},
                },
                "spec": {
                    **_pod(container, volumes),
                    "serviceAccountName": ACCOUNT,
                    "automountServiceAccountToken": True,
                },
            },
        },
    }


def _kept() -> dict[str, Any]:
    """A pod that is taken from its node is made again, once it is gone, and is not counted as a failure."""
    taken = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {"podReplacementPolicy": "Failed", "podFailurePolicy": {"rules": [taken]}}


def _pod(container: Mapping[str, Any], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }


def _restricted() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
