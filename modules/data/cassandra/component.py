"""Declares Cassandra: its servers, who may use them, and their backups."""

from __future__ import annotations

import configparser
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pulumi

from modules.data import store
from modules.data.cassandra import config, settings
from modules.data.cassandra.config import CLIENT_PORTS, CQL_PORT, DATACENTER, NAMESPACE, CassandraShare
from modules.data.cassandra.inside import __file__ as inside
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.certificates.authority import KeyPair
from modules.foundation.tenants.config import Tenant
from modules.kit import clients, server, task
from modules.kit.component import Component
from modules.kit.pods import Container, Pod, Probe, SecretFiles
from modules.kit.server import Disk, Server
from modules.kit.task import Program, Run
from upstream import maven

IMAGE: Final = f"docker.io/library/cassandra:{maven.version('cassandra')}"
"""Upstream's own image (https://hub.docker.com/_/cassandra): jars in /opt/cassandra/lib, Python for cqlsh, user 999."""
LIBRARIES: Final = "/opt/cassandra/lib"
USER: Final = 999
DISK_PATH: Final = "/var/lib/cassandra"

SERVER: Final = "cassandra"
CQL: Final = "cql"
HOST: Final = f"{CQL}.{NAMESPACE}.svc"
"""Where clients find the node of the plain engine. It is what the node says its address is, too: drivers keep to the address that a
node tells them, and that of a pod changes with each pod."""

ADMIN: Final = "longhouse"
"""The superuser's role. No tenant may have the name."""

METRICS_PORT: Final = 9404
INTERNODE_PORT: Final = 7000
JMX_PORT: Final = 7199

SETTINGS_PATH: Final = "/etc/longhouse-cassandra"
PREPARED: Final = "/longhouse-prepared"
"""Scratch folder for what the servers take from the platform's own image: the metrics agent, and the driver for the founding."""
ADMIN_PATH: Final = "/etc/longhouse-admin"

_GRACE_SECONDS: Final = 120
"""Time to drain. The server does on SIGTERM all that `nodetool drain` does (StorageService.drain as a shutdown hook), so no second
JVM is started for it."""


class Cassandra(Component):
    """One ring of nodes for all tenants, a keyspace and a role for each of them."""

    AREA = "data"
    COMPONENT = "cassandra"

    def __init__(
        self,
        name: str,
        config: config.Cassandra,
        *,
        context: StoreContext,
        tenants: Sequence[Tenant],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are all of the environment; those that have a keyspace say so."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context = config, context
        self._shares = {each.name: each.data.cassandra for each in tenants if each.data.cassandra is not None}
        self._place: dict[str, Any] = {
            "host": HOST,
            "port": CQL_PORT,
            "server_name": HOST,
            "datacenter": DATACENTER,
            "username": ADMIN,
            "passwords": _passwords(context),
        }
        home = StoreNamespace(
            NAMESPACE,
            context=context,
            client_ports=CLIENT_PORTS,
            metrics_ports=(METRICS_PORT,),
            tenants=sorted(self._shares),
            backups=context.backups(NAMESPACE),
            opts=self.child(),
        )
        node = server.declare(
            self, node_server(config, tuple(self._shares.values()), context), [home, context.monitors]
        )
        access = task.task(self, self._access(), [home, node])
        self._backup([home, access])
        for tenant in self._shares:
            store.binding(self, tenant, NAMESPACE, self._binding(tenant), context)
        self.ready = access
        self.register_outputs({})

    def _access(self) -> Run:
        passwords = {tenant: tenant_password(self._context, tenant) for tenant in self._shares}
        return Run(
            "access",
            NAMESPACE,
            Program("modules.data.cassandra.inside.access"),
            self._context.image,
            secrets=(
                self._wanted(
                    {
                        "access": {
                            "datacenter": DATACENTER,
                            "replication": self._config.replication,
                            "tenants": passwords,
                            "delete_data": sorted(self._context.delete_data),
                        }
                    }
                ),
            ),
            service_account=store.ACCESS_ACCOUNT,
        )

    def _backup(self, depends_on: Sequence[pulumi.Resource]) -> None:
        """By the clock all keyspaces; the same program with other arguments restores one."""
        bucket = self._context.backups(NAMESPACE)
        if bucket is None:
            return
        run = Run(
            "backup",
            NAMESPACE,
            Program("modules.data.cassandra.inside.backup"),
            self._context.image,
            secrets=(self._wanted({}), bucket.files()),
            memory="256Mi",
        )
        task.schedule(self, run, self._config.backup, depends_on)

    def _wanted(self, more: Mapping[str, Any]) -> SecretFiles:
        facts = json.dumps({"place": self._place, **more}, sort_keys=True)
        return SecretFiles(
            "wanted", "/longhouse-cassandra", {"wanted.json": facts, "ca.crt": self._context.authority.bundle}
        )

    def _binding(self, tenant: str) -> dict[str, str]:
        """What a client needs; nodes go by address, so it has to be told the name that their certificate has."""
        keyspace = keyspace_of(tenant)
        return {
            "provider": "apache",
            "host": HOST,
            "port": str(CQL_PORT),
            "server_name": HOST,
            "datacenter": DATACENTER,
            "username": keyspace,
            "password": tenant_password(self._context, tenant),
            "keyspace": keyspace,
            "consistency": "LOCAL_QUORUM",
            "ca.crt": self._context.authority.bundle,
            "cqlshrc": _cqlshrc(keyspace),
        }


def node_server(config: config.Cassandra, shares: Sequence[CassandraShare], context: StoreContext) -> Server:
    """The node as a server of our own."""
    certificate = context.authority.server("cassandra/server", names())
    java = ("java", f"@{SETTINGS_PATH}/jvm.options")
    daemon = "org.apache.cassandra.service.CassandraDaemon"
    pod = Pod(
        prepare=(
            Container("prepare", context.image, ("sh", "-c", _PREPARE), cpu="10m", memory="64Mi"),
            Container(
                "found",
                IMAGE,
                (
                    *("python3", f"{SETTINGS_PATH}/found.py"),
                    *(DISK_PATH, f"{settings.TLS_PATH}/{settings.AUTHORITY}", HOST, ADMIN_PATH),
                    *(*java, *_start("founding.yaml", superuser_after="0"), daemon),
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
                (*java, *_start("cassandra.yaml", superuser_after=_NEVER), daemon),
                ports={"cql": CQL_PORT, "internode": INTERNODE_PORT, server.METRICS: METRICS_PORT},
                environment=_ENVIRONMENT,
                startup=_probe(failures=180, period_seconds=2),
                readiness=_probe(failures=2, period_seconds=10),
                cpu=config.cpu,
                memory=config.memory,
            ),
        ),
        files=node_files(config, shares),
        files_path=SETTINGS_PATH,
        secrets=(
            SecretFiles("tls", settings.TLS_PATH, tls_files(certificate, context.authority.bundle)),
            SecretFiles("admin", ADMIN_PATH, {"username": ADMIN, "password": _passwords(context)[0]}),
        ),
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


def node_files(config: config.Cassandra, shares: Sequence[CassandraShare]) -> dict[str, str]:
    """Every settings file of a node of our own. It is its own seed, by the name that /etc/hosts knows: there is one node."""

    def node(cql_address: str | None) -> str:
        found = settings.node_yaml(
            config, shares, seed=f"{SERVER}-0", cql_address=cql_address, cql_public=HOST
        )
        return json.dumps(found, indent=1)

    programs = {each: (Path(inside).parent / each).read_text() for each in ("found.py", "ready.py")}
    return {
        "cassandra.yaml": node(None),
        "founding.yaml": node("127.0.0.1"),
        "cassandra-rackdc.properties": settings.rack_properties(DATACENTER, "default"),
        "jvm.options": "\n".join([*_jvm(), *settings.jvm_options(config.memory)]) + "\n",
        "logback.xml": settings.logback(),
        "metrics.json": settings.METRICS,
        **programs,
    }


def tls_files(certificate: KeyPair, bundle: str) -> dict[str, str]:
    """A node's certificate as Cassandra's PEM factory reads it: the key first, in the same file."""
    return {settings.PEM: certificate.private_key + certificate.certificate, settings.AUTHORITY: bundle}


def names() -> tuple[str, ...]:
    """Names that the nodes' one certificate has."""
    return (HOST, f"*.{SERVER}.{NAMESPACE}.svc")


def keyspace_of(tenant: str) -> str:
    """The tenant's keyspace and role: a tenant's name has no underscore, so no two tenants share one."""
    return tenant.replace("-", "_")


def tenant_password(context: StoreContext, tenant: str) -> str:
    """The password of a tenant's role."""
    return context.credentials.password(f"cassandra/tenants/{tenant}")


def _passwords(context: StoreContext) -> list[str]:
    """The superuser's password, and the one that a rotation replaces."""
    epochs = [context.credentials, context.credentials.previous()]
    return [each.password("cassandra/admin") for each in epochs if each is not None]


_NEVER: Final = str(2**53)
"""Milliseconds, some 285,000 years."""

_ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "4"}
"""As upstream's cassandra-env.sh: each further arena of glibc holds memory that the JVM does not know of."""

_PREPARE: Final = (
    f"set -e; mkdir {PREPARED}/python; cp {clients.JMX_AGENT}/jmx_prometheus_javaagent-*.jar {PREPARED}/metrics-agent.jar; "
    f"cp -r {clients.PYTHON_PATH}/cassandra {clients.PYTHON_PATH}/cassandra_driver-*.dist-info {PREPARED}/python/"
)


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
        timeout_seconds=8,
    )


def _cqlshrc(keyspace: str) -> str:
    """For cqlsh, where the binding is mounted at its place; it asks for the password."""
    found = configparser.ConfigParser()
    found["authentication"] = {"username": keyspace, "keyspace": keyspace}
    found["connection"] = {"hostname": HOST, "port": str(CQL_PORT), "ssl": "true"}
    found["ssl"] = {"certfile": f"{store.BINDING_PATH}/{NAMESPACE}/ca.crt", "validate": "true"}
    text = io.StringIO()
    found.write(text)
    return text.getvalue()
