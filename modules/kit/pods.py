"""Pods that the platform itself runs: always restricted, never more than they name.

The parts of a pod as plain frozen records, so that what runs can be decided and tested without Pulumi, and the one translation
into what Kubernetes takes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    ExecActionArgs,
    HTTPGetActionArgs,
    KeyToPathArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    VolumeArgs,
    VolumeMountArgs,
)

from modules.kit import quantities
from modules.kit.component import secret

SETTINGS: Final = "longhouse.dev/settings"
"""Annotation of a pod with the hash of its settings: another hash is another pod, so that a server restarts when its own settings
changed and at no other time."""

TMP: Final = "/tmp"
"""The only folder that every container may write to unasked: the root file system is read-only."""


@dataclass(frozen=True)
class SecretFiles:
    """Files that only the pod may read: a Secret, mounted as a folder at ``path``.

    ``name`` is unique within the pod, ``files`` are file names and contents, ``binary`` those that are no text. A Secret that
    somebody else keeps is named by ``existing``, and then there are none.
    """

    name: str
    path: str
    files: Mapping[str, str] = field(repr=False, default_factory=dict)
    existing: str | None = None
    binary: Mapping[str, bytes] = field(repr=False, default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """A question that the kubelet asks a container: a command to run in it, or an HTTP path on a port of it."""

    command: tuple[str, ...] = ()
    path: str = ""
    port: int = 0
    scheme: str = "HTTP"
    delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 5
    failures: int = 3


@dataclass(frozen=True)
class Container:
    """One container. ``command`` is complete: no image's own entry point is relied upon.

    ``cpu`` is asked for and ``cpu_limit`` never exceeded (two cores, or what is asked for where that is more), ``memory`` is both.
    """

    name: str
    image: str
    command: tuple[str, ...]
    cpu: str
    memory: str
    cpu_limit: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    startup: Probe | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None
    before_stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pod:
    """What a pod is made of.

    Every container sees ``files`` (settings, from the ConfigMap ``settings``) at ``files_path``, where ``paths`` puts a file at a path
    below it, the ``secrets`` at theirs and the ``scratch`` folders (path to size), which go with the pod. ``user`` is the numeric user and group that all run as,
    ``node_labels`` is what a node must have to be its.
    """

    containers: tuple[Container, ...]
    prepare: tuple[Container, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    files_path: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[SecretFiles, ...] = ()
    scratch: Mapping[str, str] = field(default_factory=dict)
    user: int = 1000
    grace_seconds: int = 30
    service_account: str | None = None
    node_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings_hash(self) -> str:
        """Changes when a settings file or a secret file does. Secrets are derived, of 190 bits or more: their hash tells nothing."""
        facts: list[object] = [dict(self.files), [dict(each.files) for each in self.secrets]]
        facts += [
            {name: content.hex() for name, content in each.binary.items()}
            for each in self.secrets
            if each.binary
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def spec(
    pod: Pod,
    *,
    settings: str,
    secret_names: Mapping[str, str],
    restart: str = "Always",
    disk: tuple[str, str] | None = None,
) -> PodSpecArgs:
    """The pod as Kubernetes takes it.

    ``settings`` names the ConfigMap with its files, ``secret_names`` the Secret of each of its secrets; ``disk`` is the volume
    claim's name and path.
    """
    mounts, volumes = _volumes(pod, settings, secret_names)
    if disk is not None:
        mounts.append(VolumeMountArgs(name=disk[0], mount_path=disk[1]))
    return PodSpecArgs(
        automount_service_account_token=pod.service_account is not None,
        service_account_name=pod.service_account,
        enable_service_links=False,
        node_selector=dict(pod.node_labels) or None,
        restart_policy=restart,
        termination_grace_period_seconds=pod.grace_seconds,
        security_context=PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=pod.user,
            run_as_group=pod.user,
            fs_group=pod.user,
            fs_group_change_policy="OnRootMismatch",
            seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
        ),
        init_containers=[_container(each, mounts) for each in pod.prepare] or None,
        containers=[_container(each, mounts) for each in pod.containers],
        volumes=volumes,
    )


def encoded(binary: Mapping[str, bytes]) -> dict[str, pulumi.Output[str]] | None:
    """Files that are no text as a Secret takes them; None where there are none."""
    return {name: secret(base64.b64encode(content).decode()) for name, content in binary.items()} or None


def _volumes(
    pod: Pod, settings: str, secret_names: Mapping[str, str]
) -> tuple[list[VolumeMountArgs], list[VolumeArgs]]:
    mounts, volumes = [], []
    for number, (path, size) in enumerate({TMP: "64Mi", **pod.scratch}.items()):
        mounts.append(VolumeMountArgs(name=f"scratch-{number}", mount_path=path))
        volumes.append(
            VolumeArgs(name=f"scratch-{number}", empty_dir=EmptyDirVolumeSourceArgs(size_limit=size))
        )
    if pod.files:
        items = [KeyToPathArgs(key=key, path=path) for key, path in pod.paths.items()]
        mounts.append(VolumeMountArgs(name="settings", mount_path=pod.files_path, read_only=True))
        volumes.append(
            VolumeArgs(
                name="settings", config_map=ConfigMapVolumeSourceArgs(name=settings, items=items or None)
            )
        )
    for each in pod.secrets:
        mounts.append(VolumeMountArgs(name=each.name, mount_path=each.path, read_only=True))
        volumes.append(
            VolumeArgs(
                name=each.name,
                secret=SecretVolumeSourceArgs(secret_name=secret_names[each.name], default_mode=0o440),
            )
        )
    return mounts, volumes


def _container(container: Container, mounts: Sequence[VolumeMountArgs]) -> ContainerArgs:
    stop = LifecycleHandlerArgs(exec_=ExecActionArgs(command=list(container.before_stop)))
    return ContainerArgs(
        name=container.name,
        image=container.image,
        image_pull_policy="IfNotPresent",
        command=list(container.command),
        env=[EnvVarArgs(name=name, value=value) for name, value in container.environment.items()] or None,
        ports=[ContainerPortArgs(name=name, container_port=port) for name, port in container.ports.items()]
        or None,
        resources=ResourceRequirementsArgs(
            requests={"cpu": container.cpu, "memory": container.memory},
            limits={"cpu": container.cpu_limit or _cpu_limit(container.cpu), "memory": container.memory},
        ),
        security_context=SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            run_as_non_root=True,
            capabilities=CapabilitiesArgs(drop=["ALL"]),
            seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
        ),
        startup_probe=_probe(container.startup),
        readiness_probe=_probe(container.readiness),
        liveness_probe=_probe(container.liveness),
        lifecycle=LifecycleArgs(pre_stop=stop) if container.before_stop else None,
        volume_mounts=list(mounts),
        termination_message_policy="FallbackToLogsOnError",
    )


def _cpu_limit(asked: str) -> str:
    return max(asked, "2", key=quantities.cores)


def _probe(probe: Probe | None) -> ProbeArgs | None:
    if probe is None:
        return None
    return ProbeArgs(
        exec_=ExecActionArgs(command=list(probe.command)) if probe.command else None,
        http_get=None
        if probe.command
        else HTTPGetActionArgs(path=probe.path, port=probe.port, scheme=probe.scheme),
        initial_delay_seconds=probe.delay_seconds,
        period_seconds=probe.period_seconds,
        timeout_seconds=probe.timeout_seconds,
        failure_threshold=probe.failures,
    )
