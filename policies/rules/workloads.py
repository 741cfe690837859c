"""Pods: what they may do to the node and its other pods, and what they take from it.

The first eight are, field by field, Kubernetes' Pod Security Standards, level restricted with baseline within it
(https://kubernetes.io/docs/concepts/security/pod-security-standards/), read as the API server's own admission reads them
(k8s.io/pod-security-admission v0.36, package policy); its tests' manifests, good and bad, are judged here the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policies.claim import CONTAINERS, WORKLOADS, Clause, each, each_entry, forbid, over, over_pods, require
from policies.expression import (
    BODY,
    CONTAINER,
    POD,
    POD_SPEC,
    SPEC,
    WHERE,
    Condition,
    Name,
    Term,
    any_key,
    any_of,
    either,
)
from policies.rule import Family, ResourceRule, Severity

_PSS: Final = "Pod Security Standards"
_CIS: Final = "CIS Kubernetes Benchmark"
_NSA: Final = "NSA/CISA Kubernetes Hardening Guide"

_VOLUME_TYPES: Final = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_SYSCTLS: Final = (
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
)
_SELINUX_TYPES: Final = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_PROFILES: Final = ("RuntimeDefault", "Localhost")
_SERVERS: Final = ("apps/DaemonSet", "apps/Deployment", "apps/StatefulSet")

_VOLUME: Final = Name("volume")
_KEY: Final = Name("key")
_VALUE: Final = Name("value")
_VOLUMES: Final = each(_VOLUME, POD_SPEC["volumes"])
_VOLUME_NAME: Final = either(_VOLUME["name"], _VOLUMES.key)
_PORT: Final = Name("port")
_CAPABILITY: Final = Name("capability")
_SYSCTL: Final = Name("sysctl")
_OWN: Final = BODY["securityContext"]
_OF_POD: Final = POD_SPEC["securityContext"]
_LINUX: Final = ~POD_SPEC["os", "name"].eq("windows")
"""Some fields cannot be set on Windows."""


def _contexts(
    wrong: Callable[[Term], Condition], *said: str, value: tuple[str, ...] = ()
) -> tuple[Clause, ...]:
    """What is forbidden in the security contexts of a pod and of each of its containers; `value` is said last."""
    return (
        forbid(wrong(_OF_POD), "pod", *said, *((_OF_POD[value],) if value else ())),
        forbid(wrong(_OWN), WHERE, *said, *((_OWN[value],) if value else ()), over=[CONTAINERS]),
    )


def _called_host(*place: str) -> Clause:
    """Probes and hooks that name a host make the kubelet, outside every network policy, call it."""
    host = BODY[(*place, "host")]
    return forbid(
        host.filled,
        WHERE, " has the node call ", host, f" ({'.'.join(place)}.host)",
        over=[CONTAINERS],
    )  # fmt: skip


_RESOURCES: Final = over_pods(
    *(
        forbid(
            CONTAINER["ephemeral"].eq(False) & BODY["resources", side, name].absent & POD_SPEC["resources", side, name].absent
            & BODY["resources", "limits", name].absent,
            WHERE, f" sets no resources.{side}.{name}",
            over=[CONTAINERS],
        )
        for side in ("requests", "limits")
        for name in ("cpu", "memory")
    )
)  # fmt: skip

_NODE: Final = over_pods(
    *(
        forbid(POD_SPEC[field].eq(True), f"pod sets {field}") for field in ("hostNetwork", "hostPID", "hostIPC")
    ),
    forbid(
        _VOLUME["hostPath"].present,
        "volume ", _VOLUME_NAME, " is a hostPath (", _VOLUME["hostPath", "path"], ")",
        over=[_VOLUMES],
    ),
    *_contexts(lambda context: context["windowsOptions", "hostProcess"].eq(True), " sets windowsOptions.hostProcess"),
    forbid(
        _PORT["hostPort"].more_than(0),
        WHERE, " takes hostPort ", _PORT["hostPort"],
        over=[CONTAINERS, each(_PORT, BODY["ports"])],
    ),
    *(
        _called_host(probe, action)
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        for action in ("httpGet", "tcpSocket")
    ),
    *(
        _called_host("lifecycle", hook, action)
        for hook in ("postStart", "preStop")
        for action in ("httpGet", "tcpSocket")
    ),
)  # fmt: skip

_PRIVILEGES: Final = over_pods(
    forbid(_OWN["privileged"].eq(True), WHERE, " is privileged", over=[CONTAINERS]),
    forbid(
        _LINUX & ~_OWN["allowPrivilegeEscalation"].eq(False),
        WHERE, " does not set allowPrivilegeEscalation to false",
        over=[CONTAINERS],
    ),
)  # fmt: skip

_CAPABILITIES: Final = over_pods(
    require(
        _OWN["capabilities", "drop"].has("ALL"), WHERE, " does not drop ALL capabilities", over=[CONTAINERS]
    ),
    require(
        _CAPABILITY.eq("NET_BIND_SERVICE"),
        WHERE, " adds the capability ", _CAPABILITY,
        over=[CONTAINERS, each(_CAPABILITY, _OWN["capabilities", "add"])],
    ),
    where=_LINUX,
)  # fmt: skip

_USER: Final = over_pods(
    forbid(
        _OF_POD["runAsNonRoot"].present & ~_OF_POD["runAsNonRoot"].eq(True),
        "pod does not set runAsNonRoot to true",
    ),
    forbid(
        ~_OWN["runAsNonRoot"].eq(True) & (_OWN["runAsNonRoot"].present | _OF_POD["runAsNonRoot"].absent),
        WHERE, " does not set runAsNonRoot to true",
        over=[CONTAINERS],
    ),
    *_contexts(lambda context: context["runAsUser"].eq(0), " runs as user ", value=("runAsUser",)),
    # Root in such a pod is nobody on the node; the standards then leave the user to the pod (since Kubernetes 1.35).
    where=~POD_SPEC["hostUsers"].eq(False),
)  # fmt: skip

_SECCOMP_OF_POD: Final = _OF_POD["seccompProfile", "type"]
_SECCOMP_OF_OWN: Final = _OWN["seccompProfile", "type"]
_SECCOMP: Final = over_pods(
    forbid(
        _SECCOMP_OF_POD.present & ~_SECCOMP_OF_POD.among(_PROFILES),
        "pod has the seccomp profile ", _SECCOMP_OF_POD,
    ),
    forbid(
        _SECCOMP_OF_OWN.absent & _SECCOMP_OF_POD.absent, WHERE, " has no seccomp profile", over=[CONTAINERS]
    ),
    forbid(
        _SECCOMP_OF_OWN.present & ~_SECCOMP_OF_OWN.among(_PROFILES),
        WHERE, " has the seccomp profile ", _SECCOMP_OF_OWN,
        over=[CONTAINERS],
    ),
    where=_LINUX,
)  # fmt: skip

_TYPES: Final = over_pods(
    forbid(
        # What names no type at all is an emptyDir, and a hostPath is another rule's business.
        _VALUE.present & ~_KEY.among(("name", "hostPath", *_VOLUME_TYPES)),
        "volume ", _VOLUME_NAME, " is of the type ", _KEY,
        over=[_VOLUMES, each_entry(_KEY, _VALUE, _VOLUME)],
    )
)  # fmt: skip

_KERNEL: Final = over_pods(
    require(
        _SYSCTL["name"].among(_SYSCTLS),
        "pod sets the sysctl ", _SYSCTL["name"],
        over=[each(_SYSCTL, _OF_POD["sysctls"])],
    ),
    *_contexts(
        lambda context: context["seLinuxOptions", "type"].present
        & ~context["seLinuxOptions", "type"].among(_SELINUX_TYPES),
        " has the SELinux type ",
        value=("seLinuxOptions", "type"),
    ),
    *_contexts(
        lambda context: context["seLinuxOptions", "user"].filled,
        " sets the SELinux user ",
        value=("seLinuxOptions", "user"),
    ),
    *_contexts(
        lambda context: context["seLinuxOptions", "role"].filled,
        " sets the SELinux role ",
        value=("seLinuxOptions", "role"),
    ),
    *_contexts(
        lambda context: context["appArmorProfile", "type"].present
        & ~context["appArmorProfile", "type"].among(_PROFILES),
        " has the AppArmor profile ",
        value=("appArmorProfile", "type"),
    ),
    *_contexts(
        lambda context: context["procMount"].present & ~context["procMount"].eq("Default"),
        " has the procMount ",
        value=("procMount",),
    ),
    forbid(
        _KEY.matches("^container[.]apparmor[.]security[.]beta[.]kubernetes[.]io/")
        & ~_VALUE.matches("^($|runtime/default$|localhost/)"),
        "pod has the AppArmor profile ", _VALUE, " (annotation ", _KEY, ")",
        over=[each_entry(_KEY, _VALUE, POD["metadata", "annotations"])],
    ),
)  # fmt: skip

_WRITABLE: Final = over_pods(
    require(
        _OWN["readOnlyRootFilesystem"].eq(True), WHERE, " may write to its image's files", over=[CONTAINERS]
    ),
    where=_LINUX,
    kinds=_SERVERS,
)

_SYSTEM_PRIORITY: Final = over_pods(
    forbid(
        POD_SPEC["priorityClassName"].matches("^system-"),
        "pod takes the priority ", POD_SPEC["priorityClassName"],
    )
)  # fmt: skip

_SCRATCH: Final = over_pods(
    forbid(
        _VOLUME.known & _VOLUME["emptyDir", "sizeLimit"].absent
        & (_VOLUME["emptyDir"].present | ~any_key(_VOLUME, _KEY, ~_KEY.eq("name"))),
        "volume ", _VOLUME_NAME, " is an emptyDir without sizeLimit",
        over=[_VOLUMES],
    )
)  # fmt: skip

_PROBED: Final = Name("probed")
_PROBES: Final = over_pods(
    require(
        any_of(POD_SPEC["containers"], _PROBED, _PROBED["readinessProbe"].present),
        "pod has no readinessProbe",
    ),
    kinds=_SERVERS,
)

_CHOSEN_NODE: Final = over_pods(
    forbid(POD_SPEC["nodeName"].filled, "pod names the node ", POD_SPEC["nodeName"]),
    kinds=tuple(kind for kind in WORKLOADS if kind != "core/Pod"),
)

_SHARED_PROCESSES: Final = over_pods(
    forbid(POD_SPEC["shareProcessNamespace"].eq(True), "pod sets shareProcessNamespace")
)

_DRAIN: Final = over(
    "policy/PodDisruptionBudget",
    forbid(
        SPEC["maxUnavailable"].eq(0) | SPEC["maxUnavailable"].among(("0", "0%")),
        "lets no pod be unavailable",
    ),
    forbid(SPEC["minAvailable"].eq("100%"), "wants every pod available"),
)  # fmt: skip

RULES: Final = (
    ResourceRule(
        id="LH-W-001",
        title="Every container states requests and limits for CPU and memory",
        reason="A container without limits takes what its neighbours need, and one without requests is placed where there is no room.",
        fix="Set resources.limits with cpu and memory, and resources.requests where they are to be lower, on the container or on the whole pod.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(f"{_NSA}: Resource policies",),
        pull_request_only="In a tenant's namespace the LimitRange states what a pod does not; elsewhere operators know the sizes of what they make.",
        check=_RESOURCES,
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
        check=_NODE,
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
        check=_PRIVILEGES,
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
        check=_CAPABILITIES,
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
        check=_USER,
    ),
    ResourceRule(
        id="LH-W-006",
        title="Every container runs under a seccomp profile",
        reason="Without one it may make every system call that the kernel has, also those that only break-outs need.",
        fix="Set securityContext.seccompProfile.type to RuntimeDefault for the pod.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(f"{_PSS}, restricted: Seccomp", f"{_CIS}: 5.7 General Policies (seccomp profile)"),
        check=_SECCOMP,
    ),
    ResourceRule(
        id="LH-W-007",
        title="Pods mount only volumes that Kubernetes manages",
        reason="The other types mount storage of the node's network directly, past claims, quotas and storage classes.",
        fix="Use a persistentVolumeClaim, or one of: configMap, csi, downwardAPI, emptyDir, ephemeral, image, projected, secret.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(f"{_PSS}, restricted: Volume Types",),
        check=_TYPES,
    ),
    ResourceRule(
        id="LH-W-008",
        title="No pod loosens the kernel's protection",
        reason="Sysctls outside the safe set change the node for all; SELinux, AppArmor and /proc masks keep a broken container inside.",
        fix="Leave sysctls, seLinuxOptions, appArmorProfile and procMount at the container runtime's defaults.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        references=(f"{_PSS}, baseline: AppArmor, SELinux, /proc Mount Type, Sysctls",),
        check=_KERNEL,
    ),
    ResourceRule(
        id="LH-W-009",
        title="No server writes to the files of its image",
        reason="Whoever breaks into a server that can change its own programs stays there; and what it writes is gone, and fills the node's disk.",
        fix="Set securityContext.readOnlyRootFilesystem to true and mount an emptyDir where it has to write.",
        severity=Severity.WARNING,
        family=Family.WORKLOADS,
        references=(f"{_NSA}: Immutable container file systems",),
        check=_WRITABLE,
    ),
    ResourceRule(
        id="LH-W-010",
        title="No pod takes a priority of Kubernetes' own",
        reason="Those priorities push out every other pod of the cluster, DNS and stores with them; they are for what no node can do without.",
        fix="Take priorityClassName away; say in a queue what goes first, by a WorkloadPriorityClass.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        check=_SYSTEM_PRIORITY,
    ),
    ResourceRule(
        id="LH-W-011",
        title="Every emptyDir has a size",
        reason="One that has none fills the node's disk, and the kubelet then evicts pods of all tenants.",
        fix="Set emptyDir.sizeLimit.",
        severity=Severity.WARNING,
        family=Family.WORKLOADS,
        references=(f"{_NSA}: Resource policies",),
        check=_SCRATCH,
    ),
    ResourceRule(
        id="LH-W-012",
        title="Every server says when it is ready",
        reason="Without a readinessProbe it gets requests before it can answer, and an update replaces the last good pod with one that never works.",
        fix="Give the server's container a readinessProbe that asks the server itself.",
        severity=Severity.WARNING,
        family=Family.WORKLOADS,
        check=_PROBES,
    ),
    ResourceRule(
        id="LH-W-013",
        title="No template of pods names a node",
        reason="Such pods pass by the scheduler, and with it by taints, GPU pools and everything that keeps tenants' work apart.",
        fix="Take nodeName away; choose nodes by the labels of their pool.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        check=_CHOSEN_NODE,
    ),
    ResourceRule(
        id="LH-W-014",
        title="Containers of a pod do not see each other's processes",
        reason="A container that does reads the others' environment and memory, credentials with them.",
        fix="Take shareProcessNamespace away; share files through an emptyDir.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        check=_SHARED_PROCESSES,
    ),
    ResourceRule(
        id="LH-W-015",
        title="Every node can be drained",
        reason="A disruption budget that allows no disruption stops the upgrade of every node that has such a pod, until somebody deletes it in a hurry.",
        fix="Set maxUnavailable to 1, and run one replica more where even that is too much.",
        severity=Severity.ERROR,
        family=Family.WORKLOADS,
        check=_DRAIN,
    ),
)
