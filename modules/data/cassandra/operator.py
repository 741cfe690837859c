"""The engine ``operator``: a ring over racks, by cass-operator, in its namespaced shape.

What it is told stands in one CassandraDatacenter. Its nodes run upstream's Cassandra with the Management API beside it, which never
makes Cassandra's default superuser (it starts the server with ``-Dcassandra.skip_default_role_setup=true``) and makes ours over a
local socket. Deleting the resource keeps the volumes, which the operator would delete by default.

Its webhook is not declared: what it checks the API server does by schema, or the profile check before it.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from modules.data.cassandra import settings, sizing
from modules.data.cassandra.config import CLUSTER, DATACENTER, NAMESPACE, Cassandra
from modules.data.store_operator import RESTRICTED, StoreOperator, pod_security
from modules.kit.labels import MANAGED_BY
from modules.kit.pods import Container, Probe
from modules.kit.server import METRICS
from upstream import Part, maven, part

PART: Final = "cass-operator"
API_VERSION: Final = "cassandra.datastax.com/v1beta1"
KIND: Final = "CassandraDatacenter"
IMAGES: Final = "config/imageconfig/image_config.yaml"

HOST: Final = f"{CLUSTER}-{DATACENTER}-service.{NAMESPACE}.svc"
"""Service of the datacenter: every node that is ready (``GetDatacenterServiceName``)."""
STORAGE_CLASSES: Final = "longhouse:cass-operator"
"""ClusterRole: storage classes belong to no namespace."""

TLS: Final = "cassandra-tls"
ADMIN: Final = "cassandra-admin"
CONFIG: Final = "cassandra-config"
MANAGEMENT: Final = "cassandra-management"
"""Secret of the certificate by which the operator and the nodes' Management API know each other."""

METRICS_PORT: Final = 8080
_HEALTH_PORT: Final = 8081
NODE_METRICS: Final = "metrics"
NODE_METRICS_PORT: Final = 9000
"""Port of the Management API's own metrics agent."""

ZONE: Final = "topology.kubernetes.io/zone"
_USER: Final = 999
"""User of the servers' images."""
_RESTRICTED: Final[dict[str, Any]] = {**RESTRICTED, "readOnlyRootFilesystem": True}

KEEP_VOLUMES: Final = {"cassandra.datastax.com/delete-pvc": "false"}


def pin() -> Part:
    """The operator's pinned module."""
    return part(PART)


def image() -> str:
    """Image of the operator."""
    return f"docker.io/k8ssandra/cass-operator:{pin().version}"


@cache
def image_config() -> str:
    """Upstream's own list of the images that this version of the operator runs."""
    return (pin().directory / IMAGES).read_text()


def names() -> tuple[str, ...]:
    """Names that the nodes' one certificate has: those of the way in, and of each node."""
    return (HOST, f"*.{CLUSTER}-{DATACENTER}-all-pods-service.{NAMESPACE}.svc")


def operator() -> StoreOperator:
    """The operator. It looks after its own namespace."""
    return StoreOperator(
        pin().directory,
        "config/crd/bases",
        "config/rbac/role.yaml",
        NAMESPACE,
        Container(
            "operator",
            image(),
            (
                "/manager",
                f"--health-probe-bind-address=:{_HEALTH_PORT}",
                f"--metrics-bind-address=:{METRICS_PORT}",
                "--metrics-secure=false",
            ),
            cpu="100m",
            memory="256Mi",
            ports={METRICS: METRICS_PORT},
            environment={"WATCH_NAMESPACE": NAMESPACE},
            readiness=Probe(path="/readyz", port=_HEALTH_PORT),
            liveness=Probe(path="/healthz", port=_HEALTH_PORT, delay_seconds=15),
        ),
    )


def node_config(config: Cassandra) -> dict[str, str]:
    """The Secret with the nodes' settings. A change of it is rolled out by the operator, a rack at a time."""
    found = {
        "cassandra-yaml": settings.cassandra_yaml(config),
        "jvm-server-options": _jvm(config.memory),
    }
    return {"config": json.dumps(found, sort_keys=True)}


def datacenter(config: Cassandra, *, storage_class: str | None) -> dict[str, Any]:
    """The `spec` of the CassandraDatacenter."""
    return {
        "clusterName": CLUSTER,
        "serverType": "cassandra",
        "serverVersion": maven.version("cassandra"),
        "size": config.nodes,
        "racks": [{"name": rack, "nodeAffinityLabels": {ZONE: rack}} for rack in config.racks],
        "superuserSecretName": ADMIN,
        "managementApiAuth": {"manual": {"clientSecretName": MANAGEMENT, "serverSecretName": MANAGEMENT}},
        "resources": {
            "requests": {"cpu": config.cpu, "memory": config.memory},
            "limits": {"memory": config.memory},
        },
        "storageConfig": {
            "cassandraDataVolumeClaimSpec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": config.disk}},
                **({"storageClassName": storage_class} if storage_class else {}),
            },
            "additionalVolumes": [
                {
                    "name": "tls",
                    "mountPath": settings.TLS_PATH,
                    "volumeSource": {"secret": {"secretName": TLS}},
                }
            ],
        },
        # Not `config`: its schema says that it is text, so server-side apply takes no object there.
        "configSecret": CONFIG,
        # Said, though it is the default: with another image than upstream's it would be off.
        "readOnlyRootFilesystem": True,
        "podTemplateSpec": {
            "metadata": {"labels": {MANAGED_BY: "cass-operator"}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": pod_security(_USER),
                "initContainers": [
                    {"name": each, "securityContext": _RESTRICTED}
                    for each in ("server-config-init-base", "server-config-init")
                ],
                "containers": [
                    {"name": each, "securityContext": _RESTRICTED}
                    for each in ("cassandra", "server-system-logger")
                ],
            },
        },
    }


def _jvm(memory: str) -> dict[str, Any]:
    """Sizes; the collector and Java's modules are in the image's own options, which are upstream's."""
    heap = f"{sizing.heap(memory) // sizing.MIB}m"
    more = [f"-XX:MaxDirectMemorySize={sizing.direct(memory) // sizing.MIB}m", "-XX:+ExitOnOutOfMemoryError"]
    return {"initial_heap_size": heap, "max_heap_size": heap, "additional-jvm-opts": more}
