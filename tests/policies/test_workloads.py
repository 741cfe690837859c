"""The rules for pods: each mutation of a compliant stack is refused by one rule, with one message."""

from __future__ import annotations

from typing import Any

import pytest

from policies.resource import UNKNOWN
from tests.policies.objects import (
    DROP,
    Case,
    Edit,
    allowed,
    compliant,
    container,
    edited,
    expected,
    found,
    pod_spec,
    refused,
)

_POD = "spec/template/spec"
_APP = f"{_POD}/containers/0"
_SETUP = f"{_POD}/initContainers/0"
_WEB = "Deployment tenant-atlas/web: "
_BUDGET = "PodDisruptionBudget stores/db: "


def _web(path: str, value: Any = DROP) -> Edit:
    return Edit("web", f"{_POD}/{path}", value)


def _app(path: str, value: Any = DROP) -> Edit:
    return Edit("web", f"{_APP}/{path}", value)


def _setup(path: str, value: Any = DROP) -> Edit:
    return Edit("web", f"{_SETUP}/{path}", value)


def _ephemeral(**security: Any) -> Edit:
    body = container("debug")
    del body["resources"]
    body["securityContext"] |= security
    return _web("ephemeralContainers", [body])


_CUSTOM = {
    "apiVersion": "jobset.x-k8s.io/v1alpha2",
    "kind": "JobSet",
    "metadata": {
        "name": "train",
        "namespace": "tenant-atlas",
        "labels": {"longhouse.dev/tenant": "atlas", "longhouse.dev/owner": "atlas-team"},
    },
    "spec": {"replicatedJobs": [{"template": {"spec": {"template": {"spec": pod_spec()}}}}]},
}
_CLAIM = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
_MANAGED: dict[str, dict[str, Any]] = {
    "configMap": {"name": "settings"},
    "csi": {"driver": "csi.example.com"},
    "downwardAPI": {},
    "emptyDir": {"sizeLimit": "1Gi"},
    "ephemeral": {"volumeClaimTemplate": _CLAIM},
    "projected": {"sources": []},
    "secret": {"secretName": "credentials"},
}
_CUSTOM_POD = "spec/replicatedJobs/0/template/spec/template/spec"

CASES = (
    # LH-W-001
    allowed("requests left to Kubernetes, which then takes the limits", _app("resources/requests")),
    refused("LH-W-001", "no CPU limit", _WEB + "container app sets no resources.limits.cpu", _app("resources/limits/cpu")),
    refused("LH-W-001", "no memory limit", _WEB + "container app sets no resources.limits.memory", _app("resources/limits/memory")),
    refused(
        "LH-W-001", "no memory limit of an init container", _WEB + "init container setup sets no resources.limits.memory",
        _setup("resources/limits/memory"),
    ),
    allowed("resources of the whole pod", _app("resources/limits/cpu"), _setup("resources/limits/cpu"), _web("resources", {"limits": {"cpu": "1"}})),
    allowed("an ephemeral container, which can have no resources", _ephemeral()),
    # LH-W-002
    refused("LH-W-002", "host network", _WEB + "pod sets hostNetwork", _web("hostNetwork", True)),
    refused("LH-W-002", "host processes", _WEB + "pod sets hostPID", _web("hostPID", True)),
    refused("LH-W-002", "host IPC", _WEB + "pod sets hostIPC", _web("hostIPC", True)),
    refused("LH-W-002", "host network not known yet", _WEB + "pod sets hostNetwork", _web("hostNetwork", UNKNOWN)),
    refused(
        "LH-W-002", "host path", _WEB + "volume root is a hostPath (/etc)",
        _web("volumes/1", {"name": "root", "hostPath": {"path": "/etc"}}),
    ),
    refused("LH-W-002", "host port", _WEB + "container app takes hostPort 80", _app("ports/0/hostPort", 80)),
    refused("LH-W-002", "host port as a policy pack reads numbers", _WEB + "container app takes hostPort 80", _app("ports/0/hostPort", 80.0)),
    refused(
        "LH-W-002", "host process of the pod", _WEB + "pod sets windowsOptions.hostProcess",
        _web("securityContext/windowsOptions", {"hostProcess": True}),
    ),
    refused(
        "LH-W-002", "host process of a container", _WEB + "container app sets windowsOptions.hostProcess",
        _app("securityContext/windowsOptions", {"hostProcess": True}),
    ),
    refused(
        "LH-W-002", "probe of another host", _WEB + "container app has the node call 169.254.169.254 (livenessProbe.httpGet.host)",
        _app("livenessProbe/httpGet/host", "169.254.169.254"),
    ),
    refused(
        "LH-W-002", "hook to another host", _WEB + "container app has the node call db (lifecycle.preStop.tcpSocket.host)",
        _app("lifecycle", {"preStop": {"tcpSocket": {"host": "db", "port": 1}}}),
    ),
    allowed("host fields set to what they are by default", _web("hostNetwork", False), _app("ports/0/hostPort", 0)),
    # LH-W-003
    refused("LH-W-003", "privileged", _WEB + "container app is privileged", _app("securityContext/privileged", True)),
    refused(
        "LH-W-003", "privilege escalation", _WEB + "container app does not set allowPrivilegeEscalation to false",
        _app("securityContext/allowPrivilegeEscalation", True),
    ),
    refused(
        "LH-W-003", "privilege escalation left open", _WEB + "init container setup does not set allowPrivilegeEscalation to false",
        _setup("securityContext/allowPrivilegeEscalation"),
    ),
    refused(
        "LH-W-003", "privileged ephemeral container", _WEB + "ephemeral container debug is privileged", _ephemeral(privileged=True)
    ),
    # LH-W-004
    refused(
        "LH-W-004", "capabilities kept", _WEB + "container app does not drop ALL capabilities", _app("securityContext/capabilities")
    ),
    refused(
        "LH-W-004", "some capabilities dropped", _WEB + "container app does not drop ALL capabilities",
        _app("securityContext/capabilities/drop", ["NET_RAW"]),
    ),
    refused(
        "LH-W-004", "capability added", _WEB + "container app adds the capability SYS_ADMIN",
        _app("securityContext/capabilities/add", ["NET_BIND_SERVICE", "SYS_ADMIN"]),
    ),
    allowed("the one capability that may be added", _app("securityContext/capabilities/add", ["NET_BIND_SERVICE"])),
    # LH-W-005
    refused(
        "LH-W-005", "pod may run as root", _WEB + "pod does not set runAsNonRoot to true", _web("securityContext/runAsNonRoot", False)
    ),
    refused(
        "LH-W-005", "container may run as root", _WEB + "container app does not set runAsNonRoot to true",
        _app("securityContext/runAsNonRoot", False),
    ),
    refused(
        "LH-W-005", "nobody says that one container is not root", _WEB + "init container setup does not set runAsNonRoot to true",
        _web("securityContext/runAsNonRoot"), _app("securityContext/runAsNonRoot", True),
    ),
    refused("LH-W-005", "pod runs as root", _WEB + "pod runs as user 0", _web("securityContext/runAsUser", 0)),
    refused("LH-W-005", "container runs as root", _WEB + "container app runs as user 0", _app("securityContext/runAsUser", 0.0)),
    allowed("each container says that it is not root", _web("securityContext/runAsNonRoot"),
            _app("securityContext/runAsNonRoot", True), _setup("securityContext/runAsNonRoot", True)),
    allowed("root in a user namespace of its own", _web("hostUsers", False), _web("securityContext/runAsUser", 0)),
    # LH-W-006
    refused(
        "LH-W-006", "pod without seccomp", _WEB + "pod has the seccomp profile Unconfined",
        _web("securityContext/seccompProfile/type", "Unconfined"),
    ),
    refused(
        "LH-W-006", "container without seccomp", _WEB + "container app has the seccomp profile Unconfined",
        _app("securityContext/seccompProfile", {"type": "Unconfined"}),
    ),
    refused(
        "LH-W-006", "no seccomp profile named for one container", _WEB + "init container setup has no seccomp profile",
        _web("securityContext/seccompProfile"), _app("securityContext/seccompProfile", {"type": "RuntimeDefault"}),
    ),
    allowed("a seccomp profile of the node's", _web("securityContext/seccompProfile", {"type": "Localhost", "localhostProfile": "app.json"})),
    # LH-W-007
    refused(
        "LH-W-007", "NFS volume", _WEB + "volume data is of the type nfs",
        _web("volumes/1", {"name": "data", "nfs": {"server": "files", "path": "/"}}),
    ),
    allowed(
        "each volume type that Kubernetes manages",
        _web("volumes", [{"name": kind.lower(), kind: body} for kind, body in _MANAGED.items()]),
    ),
    # LH-W-008
    refused(
        "LH-W-008", "sysctl", _WEB + "pod sets the sysctl kernel.msgmax",
        _web("securityContext/sysctls", [{"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": "kernel.msgmax", "value": "1"}]),
    ),
    refused(
        "LH-W-008", "SELinux type", _WEB + "container app has the SELinux type spc_t",
        _app("securityContext/seLinuxOptions", {"type": "spc_t"}),
    ),
    refused(
        "LH-W-008", "SELinux user", _WEB + "pod sets the SELinux user root", _web("securityContext/seLinuxOptions", {"user": "root"})
    ),
    refused(
        "LH-W-008", "SELinux role", _WEB + "pod sets the SELinux role r", _web("securityContext/seLinuxOptions", {"role": "r"})
    ),
    refused(
        "LH-W-008", "AppArmor profile", _WEB + "pod has the AppArmor profile Unconfined",
        _web("securityContext/appArmorProfile", {"type": "Unconfined"}),
    ),
    refused(
        "LH-W-008", "AppArmor profile by annotation",
        _WEB + "pod has the AppArmor profile unconfined (annotation container.apparmor.security.beta.kubernetes.io/app)",
        Edit("web", "spec/template/metadata/annotations", {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"}),
    ),
    refused("LH-W-008", "unmasked /proc", _WEB + "container app has the procMount Unmasked", _app("securityContext/procMount", "Unmasked")),
    refused(
        "LH-W-008", "unmasked /proc in a user namespace", _WEB + "container app has the procMount Unmasked",
        _web("hostUsers", False), _app("securityContext/procMount", "Unmasked"),
    ),
    allowed(
        "kernel settings within bounds",
        _web("securityContext/sysctls", [{"name": "net.ipv4.tcp_rmem", "value": "4096"}]),
        _web("securityContext/seLinuxOptions", {"type": "container_t", "level": "s0:c1"}),
        _web("securityContext/appArmorProfile", {"type": "RuntimeDefault"}),
        _app("securityContext/procMount", "Default"),
    ),
    # LH-W-009
    refused("LH-W-009", "files of the image may be written", _WEB + "container app may write to its image's files",
            _app("securityContext/readOnlyRootFilesystem", False)),
    refused("LH-W-009", "nothing said of the image's files", _WEB + "init container setup may write to its image's files",
            _setup("securityContext/readOnlyRootFilesystem")),
    # LH-W-010
    refused("LH-W-010", "priority of the system", _WEB + "pod takes the priority system-node-critical", _web("priorityClassName", "system-node-critical")),
    allowed("a priority of one's own", _web("priorityClassName", "batch")),
    # LH-W-011
    refused("LH-W-011", "emptyDir of any size", _WEB + "volume scratch is an emptyDir without sizeLimit", _web("volumes/0/emptyDir", {})),
    refused("LH-W-011", "emptyDir in memory", _WEB + "volume scratch is an emptyDir without sizeLimit", _web("volumes/0/emptyDir", {"medium": "Memory"})),
    refused("LH-W-011", "a volume of no type, which is an emptyDir", _WEB + "volume data is an emptyDir without sizeLimit", _web("volumes/1", {"name": "data"})),
    # LH-W-012
    refused("LH-W-012", "no readiness probe", _WEB + "pod has no readinessProbe", _app("readinessProbe")),
    refused("LH-W-012", "no readiness probe of a StatefulSet", "StatefulSet stores/db: pod has no readinessProbe",
            Edit("db", f"{_APP}/readinessProbe")),
    allowed("a helper that serves nobody beside the server", _web("containers/1", container("helper"))),
    allowed("no readiness probe of a Job's pods", Edit("backup", f"spec/jobTemplate/{_APP}/readinessProbe")),
    # LH-W-013
    refused("LH-W-013", "a node by name", _WEB + "pod names the node node-1", _web("nodeName", "node-1")),
    allowed("nodes by their labels", _web("nodeSelector", {"longhouse.dev/pool": "general"})),
    # LH-W-014
    refused("LH-W-014", "shared processes", _WEB + "pod sets shareProcessNamespace", _web("shareProcessNamespace", True)),
    allowed("processes that are not shared, spelled out", _web("shareProcessNamespace", False)),
    # LH-W-015
    refused("LH-W-015", "no pod may be unavailable", _BUDGET + "lets no pod be unavailable", Edit("budget", "spec/maxUnavailable", 0)),
    refused("LH-W-015", "no part of the pods may be unavailable", _BUDGET + "lets no pod be unavailable", Edit("budget", "spec/maxUnavailable", "0%")),
    refused("LH-W-015", "every pod wanted", _BUDGET + "wants every pod available",
            Edit("budget", "spec/maxUnavailable"), Edit("budget", "spec/minAvailable", "100%")),
    allowed("two of three pods wanted", Edit("budget", "spec/maxUnavailable"), Edit("budget", "spec/minAvailable", 2)),
    # The same rules over other kinds
    refused(
        "LH-W-002", "pod template in a custom resource",
        "JobSet tenant-atlas/train: spec.replicatedJobs[0].template.spec.template: pod sets hostNetwork",
        Edit("set", "", _CUSTOM), Edit("set", f"{_CUSTOM_POD}/hostNetwork", True),
    ),
    allowed("a custom resource whose pods keep the rules", Edit("set", "", _CUSTOM)),
    allowed(
        "a definition whose schema only looks like a pod template",
        Edit("crd", "", {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "sets.example"},
            "spec": {"template": {"spec": {"containers": [{"name": "x"}]}}},
        }),
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_rules_say_what_is_wrong_with_a_pod_and_nothing_else(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)


def test_a_container_that_says_nothing_is_refused_field_by_field() -> None:
    bare = edited([_web("securityContext"), _web("containers", [{"name": "app"}])])
    said = [text for _, text in found(bare) if "container app" in text and "init" not in text]

    assert said == [
        _WEB + "container app " + fault
        for fault in (
            "sets no resources.requests.cpu",
            "sets no resources.requests.memory",
            "sets no resources.limits.cpu",
            "sets no resources.limits.memory",
            "does not set allowPrivilegeEscalation to false",
            "does not drop ALL capabilities",
            "does not set runAsNonRoot to true",
            "has no seccomp profile",
            "may write to its image's files",
            "names no image",
        )
    ]


def test_a_list_of_containers_that_is_not_known_is_refused() -> None:
    assert ("LH-W-006", _WEB + "container 0 does not set runAsNonRoot to true") not in found(compliant())
    rules = {rule for rule, _ in found(edited([_web("containers", UNKNOWN)]))}
    assert rules == {"LH-W-001", "LH-W-003", "LH-W-004", "LH-W-009", "LH-W-012", "LH-I-001"}
    rules = {rule for rule, _ in found(edited([_web("volumes", UNKNOWN)]))}
    assert {"LH-W-002", "LH-W-007"} <= rules


_PLACES: dict[tuple[str, str], dict[str, Any]] = {
    ("v1", "Pod"): pod_spec(),
    ("v1", "ReplicationController"): {"template": {"spec": pod_spec()}},
    ("apps/v1", "Deployment"): {"template": {"spec": pod_spec()}},
    ("apps/v1", "StatefulSet"): {"template": {"spec": pod_spec()}},
    ("apps/v1", "DaemonSet"): {"template": {"spec": pod_spec()}},
    ("apps/v1", "ReplicaSet"): {"template": {"spec": pod_spec()}},
    ("batch/v1", "Job"): {"template": {"spec": pod_spec()}},
    ("batch/v1", "CronJob"): {
        "concurrencyPolicy": "Forbid",
        "jobTemplate": {"spec": {"activeDeadlineSeconds": 60, "template": {"spec": pod_spec()}}},
    },
}


@pytest.mark.parametrize(("api", "kind"), _PLACES, ids=lambda part: part)
def test_every_workload_kind_is_looked_into(api: str, kind: str) -> None:
    manifest = {"apiVersion": api, "kind": kind, "metadata": {"name": "it"}, "spec": _PLACES[api, kind]}
    assert found({"it": manifest}) == []

    text = f"{kind} it: container app is privileged"
    path = {"Pod": "spec", "CronJob": "spec/jobTemplate/spec/template/spec"}.get(kind, _POD)
    stack = edited(
        [Edit("it", "", manifest), Edit("it", f"{path}/containers/0/securityContext/privileged", True)]
    )
    assert found(stack) == [("LH-W-003", text)]


def test_a_pod_template_object_is_looked_into() -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "it"},
        "template": {"spec": pod_spec()},
    }
    assert found({"it": manifest}) == []
    manifest["template"]["spec"]["hostPID"] = True  # type: ignore[index]
    assert found({"it": manifest}) == [("LH-W-002", "PodTemplate it: pod sets hostPID")]


def test_a_windows_pod_need_not_set_what_windows_does_not_have() -> None:
    linux_only = [_app("securityContext"), _setup("securityContext"), _web("securityContext/seccompProfile")]
    assert {rule for rule, _ in found(edited(linux_only))} == {"LH-W-003", "LH-W-004", "LH-W-006", "LH-W-009"}
    assert found(edited([*linux_only, _web("os", {"name": "windows"})])) == []
