"""The engine ``plain``: one node without an operator, for a machine on which the platform is tried.

The server is upstream's own image with our settings. Its first start is a founding (inside/found.py): nobody reaches it before the
superuser is ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from modules.data.cassandra import settings
from modules.data.cassandra.config import CQL_PORT, DATACENTER, NAMESPACE, Cassandra
from modules.data.cassandra.inside import __file__ as inside
from modules.data.cassandra.settings import ADMIN_PATH
from modules.data.store import StoreContext
from modules.kit import clients, server
from modules.kit.pods import Container, Pod, Probe, SecretFiles
from modules.kit.server import Disk, Server
from upstream import maven

IMAGE: Final = f"docker.io/library/cassandra:{maven.version('cassandra')}"
"""Upstream's own image (https://hub.docker.com/_/cassandra): jars in /opt/cassandra/lib, Python for cqlsh, user 999."""
LIBRARIES: Final = "/opt/cassandra/lib"
USER: Final = 999
DISK_PATH: Final = "/var/lib/cassandra"

SERVER: Final = "cassandra"
CQL: Final = "cql"
HOST: Final = f"{CQL}.{NAMESPACE}.svc"
"""Where clients find the node. It is what the node says its address is, too: drivers keep to the address that a node tells them, and
that of a pod changes with each pod."""

METRICS_PORT: Final = 9404
INTERNODE_PORT: Final = 7000
JMX_PORT: Final = 7199

SETTINGS_PATH: Final = "/etc/longhouse-cassandra"
PREPARED: Final = "/longhouse-prepared"
"""Scratch folder for what the server takes from the platform's own image: the metrics agent, and the driver for the founding."""

_GRACE_SECONDS: Final = 120
"""Time to drain. The server does on SIGTERM all that `nodetool drain` does (StorageService.drain as a shutdown hook), so no second
JVM is started for it."""

_NEVER: Final = str(2**53)
"""Milliseconds, some 285,000 years."""

_ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "4"}
"""As upstream's cassandra-env.sh: each further arena of glibc holds memory that the JVM does not know of."""

_PREPARE: Final = (
    f"set -e; mkdir {PREPARED}/python; cp {clients.JMX_AGENT}/jmx_prometheus_javaagent-*.jar {PREPARED}/metrics-agent.jar; "
    f"cp -r {clients.PYTHON_PATH}/cassandra {clients.PYTHON_PATH}/cassandra_driver-*.dist-info {PREPARED}/python/"
)
_JAVA: Final = ("java", f"@{SETTINGS_PATH}/jvm.options")
_DAEMON: Final = "org.apache.cassandra.service.CassandraDaemon"


def names() -> tuple[str, ...]:
    """Names that the node's certificate has."""
    return (HOST, f"*.{SERVER}.{NAMESPACE}.svc")


def node(
    config: Cassandra,
    context: StoreContext,
    *,
    tls: SecretFiles,
    admin: SecretFiles,
) -> Server:
    """The node as a server of our own."""
    pod = Pod(
        prepare=(
            Container("prepare", context.image, ("sh", "-c", _PREPARE), cpu="10m", memory="64Mi"),
            Container(
                "found",
                IMAGE,
                (
                    *("python3", f"{SETTINGS_PATH}/found.py"),
                    *(DISK_PATH, f"{settings.TLS_PATH}/{settings.AUTHORITY}", HOST, ADMIN_PATH),
                    *(*_JAVA, *_start("founding.yaml", superuser_after="0"), _DAEMON),
                ),
                environment={"PYTHONPATH": f"{PREPARED}/python", "PYTHONUNBUFFERED": "1", **_ENVIRONMENT},
                cpu=config.cpu,
                memory=config.memory,
            ),
        ),
        containers=(
            Container(
                SERVER,
                IMAGE,
                (*_JAVA, *_start("cassandra.yaml", superuser_after=_NEVER), _DAEMON),
                ports={"cql": CQL_PORT, "internode": INTERNODE_PORT, server.METRICS: METRICS_PORT},
                environment=_ENVIRONMENT,
                startup=_probe(failures=180, period_seconds=5),
                readiness=_probe(failures=3, period_seconds=10),
                cpu=config.cpu,
                memory=config.memory,
            ),
        ),
        files=files(config),
        files_path=SETTINGS_PATH,
        secrets=(tls, admin),
        scratch={PREPARED: "64Mi"},
        user=USER,
        grace_seconds=_GRACE_SECONDS,
    )
    return Server(
        SERVER,
        NAMESPACE,
        pod,
        replicas=config.nodes,
        disk=Disk(config.disk, DISK_PATH, context.cluster.storage_class),
        service=CQL,
        service_ports={"cql": CQL_PORT},
    )


def files(config: Cassandra) -> dict[str, str]:
    """Every settings file. The node is its own seed, by the name that /etc/hosts knows."""

    def listening(address: str | None) -> str:
        found = settings.node_yaml(config, seed=f"{SERVER}-0", cql_address=address, cql_public=HOST)
        return json.dumps(found, indent=1)

    programs = {each: (Path(inside).parent / each).read_text() for each in ("found.py", "ready.py")}
    return {
        "cassandra.yaml": listening(None),
        "founding.yaml": listening("127.0.0.1"),
        "cassandra-rackdc.properties": settings.rack_properties(DATACENTER, "default"),
        "jvm.options": "\n".join([*_jvm(), *settings.jvm_options(config.memory)]) + "\n",
        "logback.xml": settings.logback(),
        "metrics.json": settings.METRICS,
        **programs,
    }


def _start(file: str, *, superuser_after: str) -> tuple[str, ...]:
    return (
        f"-Dcassandra.config=file://{SETTINGS_PATH}/{file}",
        f"-Dcassandra.superuser_setup_delay_ms={superuser_after}",
    )


def _jvm() -> list[str]:
    """Java's options that follow from where things are in the image and the pod."""
    return [
        *settings.modules(),
        f"-javaagent:{LIBRARIES}/{_jar('jamm')}",
        f"-javaagent:{PREPARED}/metrics-agent.jar={METRICS_PORT}:{SETTINGS_PATH}/metrics.json",
        "-Dcassandra-foreground=yes",
        f"-Dcassandra.jmx.local.port={JMX_PORT}",
        f"-Dcassandra.storagedir={DISK_PATH}",
        "-Dcassandra.logdir=/tmp",
        f"-Dcassandra-rackdc.properties=file://{SETTINGS_PATH}/cassandra-rackdc.properties",
        f"-Dlogback.configurationFile={SETTINGS_PATH}/logback.xml",
        "-cp",
        f"{LIBRARIES}/*",
    ]


def _jar(name: str) -> str:
    lock = maven.lock_text("cassandra")
    (found,) = [jar for line in lock.splitlines() if (jar := line.split()[1]).startswith(f"{name}-")]
    return found


def _probe(*, failures: int, period_seconds: int) -> Probe:
    command = ("python3", f"{SETTINGS_PATH}/ready.py", str(METRICS_PORT), str(CQL_PORT))
    return Probe(
        command=(*command, f"{settings.TLS_PATH}/{settings.AUTHORITY}", HOST),
        period_seconds=period_seconds,
        failures=failures,
        timeout_seconds=10,
    )
