"""The servers' pods, in every shape. Pure: what runs, not how it is declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.data.hdfs import metrics, places, settings, sizing
from modules.data.hdfs.config import (
    DATANODE_PORT,
    DATANODE_RPC_PORT,
    DATANODE_WEB_PORT,
    KDC_PORT,
    NAMENODE_PORT,
    NAMENODE_WEB_PORT,
    NAMESPACE,
    SUPERUSER,
    EmbeddedKdc,
    Hdfs,
    Size,
)
from modules.data.hdfs.places import METRICS_PORT
from modules.data.hdfs.realm import Realm
from modules.data.hdfs.settings import DATA_PATH, SECRETS_PATH, SETTINGS_PATH, STORES_PATH
from modules.foundation.certificates.authority import Authority
from modules.kit.credentials import Credentials
from modules.kit.pods import Container, Pod, Probe, SecretFiles
from modules.kit.server import METRICS, Disk, Server
from upstream import maven

IMAGE: Final = f"docker.io/apache/hadoop:{maven.version('hadoop')}"
"""Upstream's own image (https://hub.docker.com/r/apache/hadoop): jars below /opt/hadoop/share/hadoop, Java and bash."""

_HADOOP: Final = "/opt/hadoop/share/hadoop"
_CLASSPATH: Final = ":".join(
    (
        SETTINGS_PATH,
        SECRETS_PATH,
        f"{_HADOOP}/common/*",
        f"{_HADOOP}/common/lib/*",
        f"{_HADOOP}/hdfs",
        f"{_HADOOP}/hdfs/*",
        f"{_HADOOP}/hdfs/lib/*",
    )
)
_USER: Final = 1000
"""`hadoop` in upstream's image."""

_FILES: Final = Path(__file__).parent / "files"
_KRB5: Final = f"{SETTINGS_PATH}/krb5.conf"
_KDC_PATH: Final = "/dev/shm"
"""In memory: the database is written once a start, with a sync for each principal that a disk would have to wait for."""

_PREPARE_HEAP: Final = 128 * sizing.MIB
_ZONE: Final = "topology.kubernetes.io/zone"
_HOST: Final = "kubernetes.io/hostname"

_NAMENODE: Final = "org.apache.hadoop.hdfs.server.namenode.NameNode"
_DATANODE: Final = "org.apache.hadoop.hdfs.server.datanode.DataNode"


def _script(name: str) -> str:
    return (_FILES / name).read_text()


def java(heap: int, rules: str | None = None, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Java for a server of Hadoop. A small heap is swept by one thread: others would cost memory and gain nothing.

    An OutOfMemoryError ends it: Kubernetes starts another, and half a server helps nobody.
    """
    agent = f"-javaagent:{STORES_PATH}/metrics-agent.jar={METRICS_PORT}:{SETTINGS_PATH}/{rules}"
    return (
        "java",
        f"-Xmx{heap // sizing.MIB}m",
        *(("-XX:+UseSerialGC",) if heap < 2 * sizing.GIB else ("-XX:+UseG1GC",)),
        "-XX:+ExitOnOutOfMemoryError",
        f"-Djava.security.krb5.conf={_KRB5}",
        *more,
        *((agent,) if rules else ()),
        "-cp",
        _CLASSPATH,
    )


def ready(*patterns: str) -> Probe:
    """Ready when the server's own metrics say so."""
    return Probe(
        command=("bash", f"{SETTINGS_PATH}/ready.sh", str(METRICS_PORT), *patterns),
        period_seconds=5,
        timeout_seconds=4,
    )


@dataclass(frozen=True)
class Cast:
    """All servers of one file system."""

    config: Hdfs
    credentials: Credentials
    authority: Authority
    clients: str
    """Reference of the platform's own image."""

    storage_class: str | None = None
    tenants: tuple[str, ...] = ()

    @property
    def realm(self) -> Realm:
        """Who is in it."""
        return Realm(self.config, self.credentials)

    @property
    def servers(self) -> tuple[Server, ...]:
        """Every server but the KDC, in the order in which one waits for the other."""
        quorum = (self.zookeeper(), self.journalnode()) if self.config.high_availability else ()
        return (*quorum, self.namenode(), *map(self.datanode, places.racks(self.config)))

    @property
    def _spread(self) -> tuple[str, ...]:
        return (_HOST,) if self.config.apart else ()

    def kdc(self) -> Server | None:
        """The KDC, where the platform runs it."""
        kdc = self.config.kerberos.kdc
        if not isinstance(kdc, EmbeddedKdc):
            return None
        realm = self.config.kerberos.realm
        container = Container(
            name=places.KDC,
            image=self.clients,
            command=("bash", f"{SETTINGS_PATH}/kdc.sh", realm, f"{SECRETS_PATH}/principals", _KDC_PATH),
            cpu="10m",
            memory="64Mi",
            ports={places.KDC: KDC_PORT},
            environment={"KRB5_CONFIG": _KRB5, "KRB5_KDC_PROFILE": f"{SETTINGS_PATH}/kdc.conf"},
            # It listens only once its database is whole.
            readiness=Probe(
                command=("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{KDC_PORT}"), period_seconds=2
            ),
        )
        files = {
            "krb5.conf": settings.krb5(realm, places.kdcs(self.config)),
            "kdc.conf": settings.kdc_conf(realm, KDC_PORT, _KDC_PATH),
            "kdc.sh": _script("kdc.sh"),
        }
        return Server(
            "realm",
            NAMESPACE,
            Pod(
                containers=(container,),
                files=files,
                files_path=SETTINGS_PATH,
                secrets=(
                    SecretFiles(
                        "principals", SECRETS_PATH, {"principals": self.realm.commands(self.tenants)}
                    ),
                ),
                user=_USER,
                grace_seconds=5,
            ),
            replicas=kdc.replicas,
            service=places.KDC,
            service_ports={places.KDC: KDC_PORT},
            together=True,
            spread=self._spread,
            scrape=None,
        )

    def namenode(self) -> Server:
        """The NameNodes, each with its failover controller where there are two."""
        size = self.config.namenode
        pair = self.config.high_availability
        heap = sizing.heap(size.memory)
        container = Container(
            name=places.NAMENODE,
            image=IMAGE,
            command=(*java(heap, "metrics.yaml"), _NAMENODE),
            cpu=size.cpu,
            memory=size.memory,
            ports={
                "rpc": NAMENODE_PORT,
                "service-rpc": places.SERVICE_PORT,
                "https": NAMENODE_WEB_PORT,
                METRICS: METRICS_PORT,
            },
            readiness=ready(*metrics.NAMENODE_READY, *((metrics.STANDBY_IN_SYNC,) if pair else ())),
        )
        files = {
            "hdfs-site.xml": settings.xml(settings.namenode(self.config)),
            "metrics.yaml": metrics.namenode(),
            "format.sh": _script("format.sh"),
        }
        if self.config.datanodes.racks:
            files["rack.sh"] = _script("rack.sh")
        if pair:
            files["failover.sh"] = _script("failover.sh")
        shape = '$([ "${HOSTNAME##*-}" = 0 ] && echo first || echo second)' if pair else "single"
        make = f'exec bash {SETTINGS_PATH}/format.sh {shape} "$@"'
        return self._server(
            places.NAMENODE,
            size,
            (container, self._failover()) if pair else (container,),
            files,
            places.namenodes(self.config),
            secrets=settings.zookeeper_account(self.credentials.password("hdfs/zookeeper/failover"))
            if pair
            else {},
            last=("bash", "-c", make, "format", *java(_PREPARE_HEAP)),
        )

    def datanode(self, rack: places.Rack) -> Server:
        """The DataNodes of one rack. What a drain takes at a time is one of each rack; copies stand in two racks, so one is left."""
        size = self.config.datanodes
        container = Container(
            name=places.DATANODE,
            image=IMAGE,
            command=(*java(sizing.heap(size.memory), "metrics.yaml"), _DATANODE),
            cpu=size.cpu,
            memory=size.memory,
            ports={
                "data": DATANODE_PORT,
                "https": DATANODE_WEB_PORT,
                "rpc": DATANODE_RPC_PORT,
                METRICS: METRICS_PORT,
            },
            readiness=ready(*metrics.DATANODE_READY),
        )
        files = {
            "hdfs-site.xml": settings.xml(settings.datanode(self.config)),
            "metrics.yaml": metrics.datanode(),
        }
        return self._server(
            rack.name,
            size,
            (container,),
            files,
            places.hosts(rack.name, rack.count),
            together=True,
            zone={_ZONE: rack.zone} if rack.zone else {},
        )

    def journalnode(self) -> Server:
        """The JournalNodes."""
        size = self.config.journalnode
        container = Container(
            name=places.JOURNALNODE,
            image=IMAGE,
            command=(
                *java(sizing.heap(size.memory), "metrics.yaml"),
                "org.apache.hadoop.hdfs.qjournal.server.JournalNode",
            ),
            cpu=size.cpu,
            memory=size.memory,
            ports={"rpc": places.JOURNAL_PORT, "https": places.JOURNAL_WEB_PORT, METRICS: METRICS_PORT},
            readiness=ready(*metrics.JOURNALNODE_READY),
        )
        files = {
            "hdfs-site.xml": settings.xml(settings.journalnode(self.config)),
            "metrics.yaml": metrics.journalnode(),
        }
        hosts = places.journalnodes(self.config)
        return self._server(places.JOURNALNODE, size, (container,), files, hosts, together=True)

    def zookeeper(self) -> Server:
        """The ZooKeeper servers: those of Hadoop's own release, out of its own jars."""
        size = self.config.zookeeper
        container = Container(
            name=places.ZOOKEEPER,
            image=IMAGE,
            command=(
                *("bash", f"{SETTINGS_PATH}/zookeeper.sh", settings.ZOOKEEPER_FOLDER),
                *java(
                    sizing.heap(size.memory),
                    "metrics.yaml",
                    more=(f"-Djava.security.auth.login.config={SECRETS_PATH}/jaas.conf",),
                ),
                "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                f"{SETTINGS_PATH}/zoo.cfg",
            ),
            cpu=size.cpu,
            memory=size.memory,
            ports={
                "client": places.ZOOKEEPER_PORT,
                "quorum": places.ZOOKEEPER_QUORUM_PORT,
                "election": places.ZOOKEEPER_ELECTION_PORT,
                METRICS: METRICS_PORT,
            },
            readiness=ready(*metrics.ZOOKEEPER_READY),
        )
        files = {
            "zoo.cfg": settings.zookeeper(self.config),
            "metrics.yaml": metrics.zookeeper(),
            "log4j.properties": settings.LOGGING,
            **{name: _script(name) for name in ("prepare.sh", "ready.sh", "zookeeper.sh")},
        }
        hosts = places.zookeepers(self.config)
        pair = self.authority.server("hdfs/zookeeper", hosts)
        secrets = {
            "tls.crt": pair.certificate,
            "tls.key": pair.private_key,
            "tls.pem": pair.private_key + pair.certificate,
            "ca.crt": self.authority.bundle,
            "store-password": self.credentials.password("hdfs/stores/zookeeper"),
            "jaas.conf": settings.zookeeper_login(self.credentials.password("hdfs/zookeeper/peers")),
        }
        return Server(
            places.ZOOKEEPER,
            NAMESPACE,
            Pod(
                containers=(container,),
                prepare=(self._prepare(size),),
                files=files,
                files_path=SETTINGS_PATH,
                secrets=(SecretFiles("secrets", SECRETS_PATH, secrets),),
                scratch={STORES_PATH: "32Mi"},
                user=_USER,
            ),
            replicas=len(hosts),
            disk=Disk(size.disk, DATA_PATH, self.storage_class),
            names_before_ready=True,
            together=True,
            spread=self._spread,
        )

    def _failover(self) -> Container:
        """The controller beside a NameNode: it watches it, and competes for office in its name."""
        size = self.config.failover
        command = java(sizing.heap(size.memory), more=settings.ZOOKEEPER_CLIENT)
        return Container(
            name="failover",
            image=IMAGE,
            command=("bash", f"{SETTINGS_PATH}/failover.sh", *command),
            cpu=size.cpu,
            memory=size.memory,
            ports={"failover": places.FAILOVER_PORT},
        )

    def _server(
        self,
        name: str,
        size: Size,
        containers: Sequence[Container],
        files: Mapping[str, str],
        hosts: Sequence[str],
        *,
        secrets: Mapping[str, str] | None = None,
        last: tuple[str, ...] = (),
        together: bool = False,
        zone: Mapping[str, str] | None = None,
    ) -> Server:
        """A server of Hadoop: its settings, its keys, and what has to be made of them before Java can start."""
        shared = {
            "core-site.xml": settings.xml(settings.core(self.config)),
            "hadoop-policy.xml": settings.xml(settings.policy()),
            "log4j.properties": settings.LOGGING,
            "krb5.conf": settings.krb5(self.config.kerberos.realm, places.kdcs(self.config)),
            **{script: _script(script) for script in ("prepare.sh", "trust.sh", "ready.sh")},
        }
        prepare = [
            self._step(
                "prepare", self.clients, ("prepare.sh", SECRETS_PATH, SETTINGS_PATH, STORES_PATH), size
            ),
            self._step("trust", IMAGE, ("trust.sh", SECRETS_PATH, STORES_PATH), size),
        ]
        if last:
            prepare.append(Container("format", IMAGE, last, cpu=size.cpu, memory=size.memory))
        return Server(
            name,
            NAMESPACE,
            Pod(
                containers=tuple(containers),
                prepare=tuple(prepare),
                files={**shared, **files},
                files_path=SETTINGS_PATH,
                secrets=(self._secrets(name, hosts, secrets or {}), self._keytab(name, hosts)),
                scratch={STORES_PATH: "32Mi"},
                user=_USER,
                node_labels=zone or {},
            ),
            replicas=len(hosts),
            disk=Disk(size.disk, DATA_PATH, self.storage_class),
            names_before_ready=True,
            together=together,
            spread=self._spread,
        )

    def _prepare(self, size: Size) -> Container:
        return self._step(
            "prepare", self.clients, ("prepare.sh", SECRETS_PATH, SETTINGS_PATH, STORES_PATH), size
        )

    def _step(self, name: str, image: str, script: Sequence[str], size: Size) -> Container:
        command = ("bash", f"{SETTINGS_PATH}/{script[0]}", *script[1:])
        return Container(name, image, command, cpu=size.cpu, memory=size.memory)

    def _secrets(self, name: str, hosts: Sequence[str], more: Mapping[str, str]) -> SecretFiles:
        pair = self.authority.server(f"hdfs/{name}", tuple(hosts))
        password = self.credentials.password(f"hdfs/stores/{name}")
        return SecretFiles(
            "secrets",
            SECRETS_PATH,
            {
                "tls.crt": pair.certificate,
                "tls.key": pair.private_key,
                "ca.crt": self.authority.bundle,
                "store-password": password,
                "ssl-server.xml": settings.xml(settings.ssl_server(password)),
                "ssl-client.xml": settings.xml(settings.ssl_client(password)),
                # NameNodes share it: who logged in at one is known to the other.
                "http-secret": self.credentials.password("hdfs/http-secret"),
                **more,
            },
        )

    def _keytab(self, name: str, hosts: Sequence[str]) -> SecretFiles:
        role = places.DATANODE if name.startswith(places.DATANODE) else name
        return self._keys(role, self.realm.servers(hosts))

    def superuser_keytab(self) -> SecretFiles:
        """The key of the programs that work as the superuser."""
        return self._keys("access", self.realm.user(SUPERUSER))

    def _keys(self, role: str, own: bytes) -> SecretFiles:
        """A keytab: our own, or the one that the realm's keeper made for the role."""
        if isinstance(self.config.kerberos.kdc, EmbeddedKdc):
            return SecretFiles("keytab", settings.KEYTAB_PATH, binary={"hdfs.keytab": own})
        return SecretFiles("keytab", settings.KEYTAB_PATH, existing=f"{role}-keytab")
