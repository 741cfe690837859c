"""Programs that run inside the cluster on the platform's behalf: once per deployment (a Task), or by the clock (a Schedule).

A program is a Python module below an ``inside`` folder. It is mounted with its neighbours under its own import path, so that
the same module is tested here and run there; it imports the standard library, what the clients image holds, and
``modules.kit.inside``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import (
    CronJob,
    CronJobSpecArgs,
    Job,
    JobSpecArgs,
    JobTemplateSpecArgs,
)
from pulumi_kubernetes.core.v1 import ConfigMap, PodTemplateSpecArgs
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from modules.kit import clients, pods, server
from modules.kit.component import Component
from modules.kit.pods import Container, Pod, SecretFiles

PROGRAM: Final = "longhouse.dev/program"
"""Label of the pods that run a program; network policies grant by it."""

MOUNT: Final = "/longhouse"
"""Folder that a program is mounted in, and imported from."""

_ROOT: Final = Path(__file__).parents[2]
_SHARED: Final = "modules.kit.inside"
_TRIES: Final = 6
_DEADLINE_SECONDS: Final = 1800
_RUN_SECONDS: Final = 12 * 3600
"""How long a run by the clock may take: one that hangs would hold up all later ones."""


@dataclass(frozen=True)
class Program:
    """A Python module that runs inside the cluster, such as ``modules.data.kafka.inside.access``."""

    module: str

    @property
    def files(self) -> dict[str, str]:
        """The module, its neighbours and what all share: paths as they are imported, and contents."""
        folders = [_ROOT / package.replace(".", "/") for package in (_SHARED, self.module.rpartition(".")[0])]
        return {
            str(path.relative_to(_ROOT)): path.read_text()
            for folder in folders
            for path in sorted(folder.glob("*.py"))
        }

    @property
    def data(self) -> dict[str, str]:
        """The same as a ConfigMap holds them."""
        return {_key(path): text for path, text in self.files.items()}

    @property
    def paths(self) -> dict[str, str]:
        """Where each key of that ConfigMap is mounted, below the folder of all programs."""
        return {_key(path): path for path in self.files}


@dataclass(frozen=True)
class Run:
    """One program and what it is given.

    ``secrets`` are folders of files, the program's desired state among them. ``service_account`` is named by a program that
    calls the API server, and by no other. ``image`` is the clients image unless another holds what it needs.
    """

    name: str
    namespace: str
    program: Program
    image: str
    arguments: tuple[str, ...] = ()
    secrets: tuple[SecretFiles, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    scratch: Mapping[str, str] = field(default_factory=dict)
    cpu: str = "20m"
    memory: str = "128Mi"
    service_account: str | None = None

    @property
    def pod(self) -> Pod:
        """The pod that runs it."""
        return Pod(
            containers=(
                Container(
                    name="main",
                    image=self.image,
                    command=("python3", "-m", self.program.module, *self.arguments),
                    cpu=self.cpu,
                    memory=self.memory,
                    environment={
                        "PYTHONPATH": f"{MOUNT}:{clients.PYTHON_PATH}",
                        "PYTHONUNBUFFERED": "1",
                        "PYTHONDONTWRITEBYTECODE": "1",
                        **self.environment,
                    },
                ),
            ),
            files=self.program.data,
            files_path=MOUNT,
            paths=self.program.paths,
            secrets=self.secrets,
            scratch=self.scratch,
            user=65532,
            grace_seconds=10,
            service_account=self.service_account,
        )

    @property
    def key(self) -> str:
        """Changes when anything does that it runs with."""
        facts = [
            self.pod.settings_hash,
            self.program.module,
            self.image,
            self.arguments,
            dict(self.environment),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


def task(component: Component, run: Run, depends_on: Sequence[pulumi.Resource] = ()) -> Job:
    """Run a program now, and again whenever what it runs with has changed; the deployment waits for its end.

    The Job's name carries a hash of its inputs, so that another input is another Job and the same input is none.
    """
    pod, parts = _declare(component, run, depends_on, "OnFailure")
    return Job(
        f"{run.namespace}-{run.name}",
        metadata=component.meta(f"{run.name}-{run.key}", namespace=run.namespace),
        spec=JobSpecArgs(template=pod, backoff_limit=_TRIES, active_deadline_seconds=_DEADLINE_SECONDS),
        opts=component.child(pulumi.ResourceOptions(depends_on=parts)),
    )


def schedule(
    component: Component, run: Run, cron: str, depends_on: Sequence[pulumi.Resource] = ()
) -> CronJob:
    """Run a program by the clock (``cron``: five fields, UTC), never twice at a time."""
    pod, parts = _declare(component, run, depends_on, "Never")
    return CronJob(
        f"{run.namespace}-{run.name}",
        metadata=component.meta(run.name, namespace=run.namespace),
        spec=CronJobSpecArgs(
            schedule=cron,
            time_zone="Etc/UTC",
            concurrency_policy="Forbid",
            successful_jobs_history_limit=1,
            failed_jobs_history_limit=3,
            job_template=JobTemplateSpecArgs(
                spec=JobSpecArgs(template=pod, backoff_limit=1, active_deadline_seconds=_RUN_SECONDS)
            ),
        ),
        opts=component.child(pulumi.ResourceOptions(depends_on=parts)),
    )


def _declare(
    component: Component, run: Run, depends_on: Sequence[pulumi.Resource], restart: str
) -> tuple[PodTemplateSpecArgs, list[pulumi.Resource]]:
    inside = component.child(pulumi.ResourceOptions(depends_on=list(depends_on)))
    pod = run.pod
    settings = ConfigMap(
        f"{run.namespace}-{run.name}-program",
        metadata=component.meta(f"{run.name}-program", namespace=run.namespace),
        data=dict(pod.files),
        opts=inside,
    )
    names, secrets = server.declare_secrets(component, run.namespace, run.name, pod, inside)
    template = PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(labels={**component.labels, PROGRAM: run.name}),
        spec=pods.spec(pod, settings=f"{run.name}-program", secret_names=names, restart=restart),
    )
    return template, [*depends_on, settings, *secrets]


def _key(path: str) -> str:
    """A ConfigMap's key for a path: keys have no slashes."""
    return path.replace("/", ".")
