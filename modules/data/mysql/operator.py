"""The engine ``operator``: Percona XtraDB Cluster, MySQL on nodes that each commit what all commit, run by Percona's own operator.

What it is told stands in one custom resource. The cluster is called ``mysql``: its nodes are ``mysql-pxc-<number>``, and clients go to
``mysql-haproxy``, which leads all of them to the same node as long as that is up, so that no two write the same row at once.

Accounts are made by the access program, not by the resource's `users`: those have no TLS requirement, no limit of connections and no end,
and their grants name schemas without quotes (pkg/controller/pxc/users_custom.go).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import yaml

from modules.data.mysql import settings
from modules.data.mysql.config import NAMESPACE, MySql
from modules.data.store import Bucket
from modules.data.store_operator import RESTRICTED, StoreOperator, pod_security
from modules.kit.pods import Container, Probe
from modules.kit.server import METRICS
from modules.kit.task import PROGRAM
from upstream import Part, part

PART: Final = "percona-xtradb-cluster-operator"
API_VERSION: Final = "pxc.percona.com/v1"

CLUSTER: Final = "mysql"
HOST: Final = f"{CLUSTER}-haproxy.{NAMESPACE}.svc"

PASSWORDS: Final = "mysql-passwords"
"""Secret of the cluster's own accounts."""
TLS: Final = "mysql-tls"
BUCKET_KEY: Final = "mysql-backup-key"
STORAGE: Final = "backups"
ADMIN: Final = "root"

ACCOUNTS: Final = ("root", "operator", "monitor", "xtrabackup", "replication", "proxyadmin")
"""The cluster's own accounts (https://docs.percona.com/percona-operator-for-mysql/pxc/users.html#system-users)."""

METRICS_PORT: Final = 8080
_USER: Final = 1001
"""User of Percona's images (build/Dockerfile)."""
_STOP_SECONDS: Final = 600
_UPLOAD_SECONDS: Final = 60


def pin() -> Part:
    """The operator's pinned module."""
    return part(PART)


@cache
def _example() -> dict[str, Any]:
    """Upstream's own example, which names the images that the version was released with."""
    found: dict[str, Any] = yaml.safe_load((pin().directory / "deploy" / "cr.yaml").read_text())["spec"]
    return found


def version() -> str:
    """The operator's version, which the resource names too."""
    return pin().version.removeprefix("v")


def image(of: str) -> str:
    """Image of a part of the cluster: ``pxc``, ``haproxy`` or ``backup``."""
    return f"docker.io/{_example()[of]['image']}"


def operator_image() -> str:
    """Image of the operator, with whose files the cluster's pods begin too."""
    return f"docker.io/percona/percona-xtradb-cluster-operator:{version()}"


def node(number: int) -> str:
    """Host of one node."""
    return f"{CLUSTER}-pxc-{number}.{CLUSTER}-pxc.{NAMESPACE}.svc"


def names() -> tuple[str, ...]:
    """What the certificate says, of the way in and of the nodes."""
    haproxy = (HOST, f"{CLUSTER}-haproxy", f"{CLUSTER}-haproxy.{NAMESPACE}", f"{HOST}.cluster.local")
    nodes = [
        f"{CLUSTER}-pxc{end}"
        for end in ("", f".{NAMESPACE}", f".{NAMESPACE}.svc", f".{NAMESPACE}.svc.cluster.local")
    ]
    return (*haproxy, *nodes, *(f"*.{each}" for each in nodes))


def operator() -> StoreOperator:
    """The operator. It looks after its own namespace and calls nobody about itself."""
    return StoreOperator(
        pin().directory,
        "config/crd/bases",
        "deploy/rbac.yaml",
        NAMESPACE,
        Container(
            "operator",
            operator_image(),
            ("/usr/local/bin/percona-xtradb-cluster-operator",),
            cpu="100m",
            memory="256Mi",
            ports={METRICS: METRICS_PORT},
            environment={
                "WATCH_NAMESPACE": NAMESPACE,
                "OPERATOR_NAME": PART,
                "LOG_STRUCTURED": "true",
                "LOG_LEVEL": "INFO",
                "DISABLE_TELEMETRY": "true",
            },
            readiness=Probe(path="/metrics", port=METRICS_PORT),
            liveness=Probe(path="/metrics", port=METRICS_PORT, delay_seconds=30),
        ),
    )


def cluster(config: MySql, *, storage_class: str | None, bucket: Bucket | None) -> dict[str, Any]:
    """The `spec` of the PerconaXtraDBCluster."""
    return {
        "crVersion": version(),
        "secretsName": PASSWORDS,
        "sslSecretName": TLS,
        "sslInternalSecretName": TLS,
        "tls": {"enabled": True},
        "updateStrategy": "SmartUpdate",
        "upgradeOptions": {"apply": "disabled"},
        "initContainer": {
            "image": operator_image(),
            "containerSecurityContext": RESTRICTED,
            "resources": _resources("100m", "200Mi"),
        },
        "pxc": {
            **_pods(config, "pxc", _resources(config.cpu, config.memory), _STOP_SECONDS),
            "autoRecovery": True,
            "configuration": settings.option_file(config),
            "volumeSpec": {
                "persistentVolumeClaim": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": config.disk}},
                    **({"storageClassName": storage_class} if storage_class else {}),
                }
            },
        },
        "haproxy": {"enabled": True, **_pods(config, "haproxy", _resources("500m", "512Mi"), 30)},
        "proxysql": {"enabled": False},
        # Without it the server's log goes to standard output, where every other server's is.
        "logcollector": {"enabled": False},
        "pmm": {"enabled": False},
        **({"backup": _backup(config, bucket)} if bucket else {}),
    }


def _pods(config: MySql, of: str, resources: dict[str, Any], stop_seconds: int) -> dict[str, Any]:
    """What nodes and proxies have in common: as many of each, on different machines, one away at a time."""
    return {
        "size": config.nodes,
        "image": image(of),
        "resources": resources,
        "affinity": {"antiAffinityTopologyKey": "kubernetes.io/hostname"},
        "podDisruptionBudget": {"maxUnavailable": 1},
        "gracePeriod": stop_seconds,
        "containerSecurityContext": RESTRICTED,
        "podSecurityContext": pod_security(_USER),
    }


def _backup(config: MySql, bucket: Bucket) -> dict[str, Any]:
    """Whole copies by the clock, and the binary logs every minute, so that any moment between can be recovered.

    Nothing is deleted from the bucket by whoever may write to it: its own lifecycle does that.
    """
    s3 = {
        "bucket": bucket.name,
        "prefix": bucket.prefix.rstrip("/"),
        "region": bucket.region,
        "endpointUrl": bucket.endpoint,
        "credentialsSecret": BUCKET_KEY,
        "forcePathStyle": True,
        "skipBucketExistsCheck": True,
        **({"caBundle": {"name": BUCKET_KEY, "key": "ca.crt"}} if bucket.ca else {}),
    }
    return {
        "image": image("backup"),
        "allowParallel": False,
        "storages": {
            STORAGE: {
                "type": "s3",
                "verifyTLS": True,
                "s3": s3,
                "labels": {PROGRAM: "backup"},
                "resources": _resources("500m", "1Gi"),
                "containerSecurityContext": RESTRICTED,
                "podSecurityContext": pod_security(_USER),
            }
        },
        "schedule": [
            {
                "name": "all",
                "schedule": config.backup,
                "storageName": STORAGE,
                "retention": {"type": "count", "count": config.backups, "deleteFromStorage": False},
            }
        ],
        "pitr": {
            "enabled": True,
            "storageName": STORAGE,
            "timeBetweenUploads": _UPLOAD_SECONDS,
            "resources": _resources("100m", "256Mi"),
        },
    }


def bucket_key(bucket: Bucket) -> dict[str, str]:
    """The Secret that the resource names, in the operator's own keys."""
    return {
        "AWS_ACCESS_KEY_ID": bucket.access_key,
        "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
        **({"ca.crt": bucket.ca} if bucket.ca else {}),
    }


def _resources(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
