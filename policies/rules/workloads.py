"""Pods: what they may do to the node and its other pods, and what they take from it.

Field by field these are Kubernetes' Pod Security Standards, level restricted with baseline within it
(https://kubernetes.io/docs/concepts/security/pod-security-standards/), read as the API server's own admission reads them
(k8s.io/pod-security-admission v0.36, package policy); its tests' manifests, good and bad, are judged here the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from policies.resource import UNKNOWN, Container, Pod, Record, Resource, at, items, record, records
from policies.rule import Family, ResourceRule, Severity

_PSS: Final = "Pod Security Standards"
_CIS: Final = "CIS Kubernetes Benchmark"
_NSA: Final = "NSA/CISA Kubernetes Hardening Guide"

_VOLUMES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES: Final = frozenset(
    {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)
_PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})
_APPARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"


def _contexts(pod: Pod) -> Iterator[tuple[str, Record]]:
    """The security contexts of a pod and its containers, each after the words that begin messages about it."""
    yield f"{pod.where}pod", pod.security
    for container in pod.containers:
        yield container.where, container.security


def _in_user_namespace(pod: Pod) -> bool:
    """Whether root in the pod is nobody on the node; the standards then leave the user to the pod (since Kubernetes 1.35)."""
    return pod.spec.get("hostUsers") is False


def _resources(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        for container in pod.containers:
            if container.ephemeral:
                continue
            for side in ("requests", "limits"):
                for name in ("cpu", "memory"):
                    declared = (at(holder, "resources", side, name) for holder in (container.body, pod.spec))
                    if all(value is None for value in declared):
                        yield f"{container.where} sets no resources.{side}.{name}"


def _host(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(field):
                yield f"{pod.where}pod sets {field}"
        for where, volume in pod.volumes:
            if volume.get("hostPath") is not None:
                yield f"{where} is a hostPath ({at(volume, 'hostPath', 'path')})"
        for where, context in _contexts(pod):
            if at(context, "windowsOptions", "hostProcess"):
                yield f"{where} sets windowsOptions.hostProcess"
        for container in pod.containers:
            for port in records(container.body.get("ports")):
                if port.get("hostPort"):
                    yield f"{container.where} takes hostPort {_number(port['hostPort'])}"
            yield from _handlers(container)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _handlers(container: Container) -> Iterator[str]:
    """Probes and hooks that name a host make the kubelet, outside every network policy, call it."""
    places = [
        (probe, container.body.get(probe)) for probe in ("livenessProbe", "readinessProbe", "startupProbe")
    ]
    places += [
        (f"lifecycle.{hook}", at(container.body, "lifecycle", hook)) for hook in ("postStart", "preStop")
    ]
    for place, handler in places:
        for action in ("httpGet", "tcpSocket"):
            if at(handler, action, "host"):
                yield f"{container.where} has the node call {at(handler, action, 'host')} ({place}.{action}.host)"


def _privileges(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        for container in pod.containers:
            if container.security.get("privileged"):
                yield f"{container.where} is privileged"
            if pod.linux and container.security.get("allowPrivilegeEscalation") is not False:
                yield f"{container.where} does not set allowPrivilegeEscalation to false"


def _capabilities(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        if not pod.linux:
            continue
        for container in pod.containers:
            capabilities = record(container.security.get("capabilities"))
            if "ALL" not in items(capabilities.get("drop")):
                yield f"{container.where} does not drop ALL capabilities"
            for capability in items(capabilities.get("add")):
                if capability != "NET_BIND_SERVICE":
                    yield f"{container.where} adds the capability {capability}"


def _user(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        if _in_user_namespace(pod):
            continue
        if pod.security.get("runAsNonRoot") not in (None, True):
            yield f"{pod.where}pod does not set runAsNonRoot to true"
        for container in pod.containers:
            said = container.security.get("runAsNonRoot")
            if said is not True and (said is not None or pod.security.get("runAsNonRoot") is None):
                yield f"{container.where} does not set runAsNonRoot to true"
        for where, context in _contexts(pod):
            user = context.get("runAsUser")
            if user is not None and (isinstance(user, str) or user == 0):
                yield f"{where} runs as user {_number(user)}"


def _seccomp(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        if not pod.linux:
            continue
        of_pod = at(pod.security, "seccompProfile", "type")
        if of_pod is not None and of_pod not in _PROFILES:
            yield f"{pod.where}pod has the seccomp profile {of_pod}"
        for container in pod.containers:
            own = at(container.security, "seccompProfile", "type")
            if own is None and of_pod is None:
                yield f"{container.where} has no seccomp profile"
            if own is not None and own not in _PROFILES:
                yield f"{container.where} has the seccomp profile {own}"


def _volumes(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        for where, volume in pod.volumes:
            kinds = [key for key, value in volume.items() if key != "name" and value is not None]
            for kind in kinds if volume else [UNKNOWN]:  # One that names no type is an emptyDir.
                if kind not in _VOLUMES and kind != "hostPath":
                    yield f"{where} is of the type {kind}"


def _kernel(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        for sysctl in records(pod.security.get("sysctls")):
            if sysctl.get("name") not in _SYSCTLS:
                yield f"{pod.where}pod sets the sysctl {sysctl.get('name')}"
        for where, context in _contexts(pod):
            selinux = record(context.get("seLinuxOptions"))
            if selinux.get("type") is not None and selinux["type"] not in _SELINUX_TYPES:
                yield f"{where} has the SELinux type {selinux['type']}"
            for field in ("user", "role"):
                if selinux.get(field):
                    yield f"{where} sets the SELinux {field} {selinux[field]}"
            apparmor = at(context, "appArmorProfile", "type")
            if apparmor is not None and apparmor not in _PROFILES:
                yield f"{where} has the AppArmor profile {apparmor}"
            mount = context.get("procMount")
            if mount not in (None, "Default"):
                yield f"{where} has the procMount {mount}"
        for key, value in record(pod.metadata.get("annotations")).items():
            if key.startswith(_APPARMOR_ANNOTATION) and not _allowed_apparmor(str(value)):
                yield f"{pod.where}pod has the AppArmor profile {value} (annotation {key})"


def _allowed_apparmor(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


RULES: Final = (
    ResourceRule(
        id="LH-W-001",
        title="Every container states requests and limits for CPU and memory",
        reason="A container without limits takes what its neighbours need, and one without requests is placed where there is no room.",
        fix="Set resources.requests and resources.limits, each with cpu and memory, on the container or on the whole pod.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(f"{_NSA}: Resource policies",),
        check=_resources,
    ),
    ResourceRule(
        id="LH-W-002",
        title="No pod reaches into its node",
        reason="The node's network, processes, files and ports belong to every tenant on it; one pod with access to them has access to all.",
        fix="Take away the field. Share files through a volume claim, ports through a Service; let probes call the pod itself.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(
            f"{_PSS}, baseline: Host Namespaces, HostPath Volumes, Host Ports, HostProcess, Host Probes / Lifecycle Hooks",
            f"{_CIS}: 5.2 Pod Security Standards (host PID, IPC, network, HostPath, HostPorts)",
            f"{_NSA}: Pod security enforcement",
        ),
        check=_host,
    ),
    ResourceRule(
        id="LH-W-003",
        title="No container is privileged or can become so",
        reason="A privileged container is root on the node; a setuid program makes any other one root in its container.",
        fix="Set securityContext.allowPrivilegeEscalation to false and leave privileged away.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(
            f"{_PSS}, baseline: Privileged Containers",
            f"{_PSS}, restricted: Privilege Escalation",
            f"{_CIS}: 5.2 Pod Security Standards (privileged containers, allowPrivilegeEscalation)",
        ),
        check=_privileges,
    ),
    ResourceRule(
        id="LH-W-004",
        title="Every container drops all capabilities",
        reason="Each capability is a part of root; most ways out of a container begin with one.",
        fix='Set securityContext.capabilities.drop to ["ALL"]; add nothing but NET_BIND_SERVICE.',
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(
            f"{_PSS}, restricted: Capabilities",
            f"{_CIS}: 5.2 Pod Security Standards (added capabilities, capabilities assigned)",
        ),
        check=_capabilities,
    ),
    ResourceRule(
        id="LH-W-005",
        title="No container runs as root",
        reason="Root in a container is root on the node as soon as one other barrier fails.",
        fix="Set securityContext.runAsNonRoot to true for the pod, and runAsUser to a number other than 0 when the image does not.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(
            f"{_PSS}, restricted: Running as Non-root, Running as Non-root user",
            f"{_CIS}: 5.2 Pod Security Standards (root containers)",
            f"{_NSA}: Non-root containers",
        ),
        check=_user,
    ),
    ResourceRule(
        id="LH-W-006",
        title="Every container runs under a seccomp profile",
        reason="Without one it may make every system call that the kernel has, also those that only break-outs need.",
        fix="Set securityContext.seccompProfile.type to RuntimeDefault for the pod.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(f"{_PSS}, restricted: Seccomp", f"{_CIS}: 5.7 General Policies (seccomp profile)"),
        check=_seccomp,
    ),
    ResourceRule(
        id="LH-W-007",
        title="Pods mount only volumes that Kubernetes manages",
        reason="The other types mount storage of the node's network directly, past claims, quotas and storage classes.",
        fix="Use a persistentVolumeClaim, or one of: configMap, csi, downwardAPI, emptyDir, ephemeral, image, projected, secret.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(f"{_PSS}, restricted: Volume Types",),
        check=_volumes,
    ),
    ResourceRule(
        id="LH-W-008",
        title="No pod loosens the kernel's protection",
        reason="Sysctls outside the safe set change the node for all; SELinux, AppArmor and /proc masks keep a broken container inside.",
        fix="Leave sysctls, seLinuxOptions, appArmorProfile and procMount at the container runtime's defaults.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(f"{_PSS}, baseline: AppArmor, SELinux, /proc Mount Type, Sysctls",),
        check=_kernel,
    ),
)
