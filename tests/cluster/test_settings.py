"""The settings of every shipped profile, taken by the real servers, without a cluster.

For each store the profiles' renderings are compared, and those that differ in more than sizes are started: the server is ready by its
own probe, or says that it is. Only sizes are changed for it (heap, caches, disk), and how many of a kind there are. A setting that is
wrong is shown to be noticed. `local` itself is what `make up` starts.

What each store's operator adds is added here as it would, where there is no operator to do it; where that is, the test says so.
Percona's own server is not to be had: see ``TestMySql``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from modules.data.cassandra import operator as cass_operator
from modules.data.cassandra import plain as cassandra
from modules.data.cassandra import settings as cassandra_settings
from modules.data.hdfs.servers import Cast
from modules.data.kafka import operator as strimzi
from modules.data.kafka import plain as kafka
from modules.data.kafka import settings as kafka_settings
from modules.data.mysql import operator as pxc_operator
from modules.data.mysql import plain as mariadb
from modules.data.mysql import settings as mysql_settings
from modules.data.store import StoreContext
from modules.kit import clients
from modules.kit.pods import Container, Pod, SecretFiles
from modules.kit.server import Disk, Server
from profiles.load import load, names
from sandbox import images
from tests.bare_pods import BarePod, Unpacked, altered, bare_pods, start
from tests.conftest import record
from tests.unit.examples import AUTHORITY, CREDENTIALS, store_context

pytestmark = pytest.mark.data

GALERA: Final = images.Image(
    f"{images.MARIADB_IMAGE.reference}-galera",
    packages=(*images.MARIADB_IMAGE.packages, "galera-4"),
    user=images.MARIADB_IMAGE.user,
)
"""MariaDB as the platform runs it, with the library that makes a cluster of it."""
HEAP: Final = {r"-Xm([sx])\d+m": r"-Xm\g<1>160m"}


@pytest.fixture(scope="module")
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unpacked]:
    """The images' file systems, for as long as these tests run."""
    if request.config.getoption("--cluster") != "embedded":
        pytest.skip("starts servers on this machine, as root, and asks nothing of the cluster that was named")
    folder = tmp_path_factory.mktemp("images")
    yield Unpacked(folder, (GALERA,))
    shutil.rmtree(folder)


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Keys under which two have not the same."""
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def xml(name: str) -> str:
    """What finds the value of a property in a settings file of Hadoop's."""
    return rf"(?<=<name>{re.escape(name)}</name>\n    <value>)[^<]*"


def test_every_shipped_profile_is_one_of_those_compared_below() -> None:
    compared = {"onprem", "burst", "cloud", "local-full"}
    assert set(names()) == compared | {"local", "local-simulated"}, (
        "`make up` starts local, and the other runs no program"
    )


class TestHdfs:
    """Every server of the highly available shape, with Kerberos, TLS and racks; and its difference from the other profiles.

    Among the sizes are what follows from the number of DataNodes: copies, threads, and how long a start waits for them.
    """

    SIZES: Final = {
        "dfs.datanode.du.reserved", "dfs.blocksize", "dfs.replication", "dfs.namenode.handler.count",
        "dfs.namenode.service.handler.count", "dfs.namenode.safemode.extension",
    }  # fmt: skip
    RACKS: Final = {"net.topology.script.file.name", "dfs.namenode.reject-unresolved-dn-topology-mapping"}

    @staticmethod
    def servers(profile: str) -> list[Server]:
        """All servers as the profile has them."""
        config = load(profile).hdfs
        assert config
        cast = Cast(config, CREDENTIALS, AUTHORITY, clients.image())
        kdc = cast.kdc()
        assert kdc
        return [kdc, *cast.servers]

    @classmethod
    def small(cls, profile: str, only: tuple[str, ...] = ()) -> list[Server]:
        """The same with small heaps and disks, one KDC, and one DataNode for each rack; those that are named, if any are."""
        found = []
        for server in cls.servers(profile):
            sizes = {} if server.name == "realm" else {r"-Xmx\d+m": "-Xmx160m"}
            if server.name.startswith("datanode"):
                sizes |= {xml("dfs.datanode.du.reserved"): "0"}
            one = server.name == "realm" or server.name.startswith("datanode")
            # The KDC is awaited, as in a deployment.
            together = server.together and server.name != "realm"
            found.append(
                replace(altered(server, sizes), replicas=1 if one else server.replicas, together=together)
            )
        return [each for each in found if not only or each.name in only]

    @staticmethod
    def properties(server: Server) -> dict[str, str]:
        """Every setting of a server, by file and name; files that have no names count whole."""
        found: dict[str, str] = {}
        for file, text in server.pod.files.items():
            pairs = re.findall(r"<name>(.*?)</name>\s*<value>(.*?)</value>", text, re.DOTALL)
            found |= dict(pairs) if pairs else {file: text}
        return found

    def test_burst_has_on_premises_settings_and_the_cloud_has_no_hdfs(self) -> None:
        assert self.servers("burst") == self.servers("onprem")
        assert load("cloud").hdfs is None

    def test_local_full_differs_from_on_premises_in_sizes_and_racks_alone(self) -> None:
        ours = {each.name: self.properties(each) for each in self.servers("onprem")}
        theirs = {each.name: self.properties(each) for each in self.servers("local-full")}
        racks = {name for name in ours if name.startswith("datanode-")}
        assert ours.keys() - racks == theirs.keys() - {"datanode"}
        for name, found in theirs.items():
            other = ours["datanode-rack-a" if name == "datanode" else name]
            assert differing(found, other) <= self.SIZES | self.RACKS | {"rack.sh"}

    def test_on_premises_settings_start_every_server_and_put_each_datanode_into_its_rack(
        self, unpacked: Unpacked, tmp_path: Path
    ) -> None:
        with bare_pods(tmp_path, unpacked, self.small("onprem")) as pods:
            start(pods, 420)
            offices = [
                pods[f"namenode-{number}"].says("failover", "to (active|standby) state") for number in (0, 1)
            ]
            assert sorted(offices) == ["to active state", "to standby state"]
            for rack in ("rack-a", "rack-b", "rack-c"):
                address = pods[f"datanode-{rack}-0"].address
                pods["namenode-0"].says("namenode", f"Adding a new node: /{rack}/{address}:")

    def test_a_wrong_setting_is_no_start(self, unpacked: Unpacked, tmp_path: Path) -> None:
        kdc, journal = self.small("onprem", ("realm", "journalnode"))
        wrong = altered(replace(journal, replicas=1), {xml("dfs.http.policy"): "HTTPS_MAYBE"})
        with (
            bare_pods(tmp_path, unpacked, [kdc, wrong]) as pods,
            pytest.raises(AssertionError, match="HTTPS_MAYBE"),
        ):
            start(pods, 180)


class TestCassandra:
    """A node of the ring that cass-operator would start.

    Its settings are put together as the operator's config builder does it (k8ssandra-client v0.8.8, pkg/config/builder.go): ours over
    those of upstream's conf/cassandra_latest.yaml, of which ``SHIPPED`` has what is not the server's own default. Two things of the
    operator's image are not there: the Management API, and with it the class that finds seeds by DNS.
    """

    SIZES: Final = {"data_disk_usage_max_disk_size", "tables_fail_threshold"}
    SHIPPED: Final[Mapping[str, Any]] = {
        "num_tokens": 16,
        "allocate_tokens_for_local_replication_factor": 3,
        "authenticator": {"class_name": "org.apache.cassandra.auth.AllowAllAuthenticator"},
        "cidr_authorizer": {"class_name": "AllowAllCIDRAuthorizer"},
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "key_cache_size": "0MiB",
        "commitlog_sync": "periodic",
        "commitlog_sync_period": "10000ms",
        "commitlog_disk_access_mode": "auto",
        "memtable": {
            "configurations": {
                "skiplist": {"class_name": "SkipListMemtable"},
                "trie": {"class_name": "TrieMemtable"},
                "default": {"inherits": "trie"},
            }
        },
        "memtable_allocation_type": "offheap_objects",
        "trickle_fsync": True,
        "sstable": {"selected_format": "bti"},
        "column_index_size": "4KiB",
        "default_compaction": {
            "class_name": "UnifiedCompactionStrategy",
            "parameters": {
                "scaling_parameters": "T4",
                "max_sstables_to_compact": 64,
                "target_sstable_size": "1GiB",
                "sstable_growth": 0.3333333333333333,
                "min_sstable_size": "100MiB",
            },
        },
        "concurrent_compactors": 8,
        "uuid_sstable_identifiers_enabled": True,
        "counter_write_request_timeout": "1000ms",
        "cas_contention_timeout": "5000ms",
        "server_encryption_options": {
            "internode_encryption": "none",
            "legacy_ssl_storage_port_enabled": False,
            "keystore": "conf/.keystore",
            "require_client_auth": False,
            "truststore": "conf/.truststore",
            "require_endpoint_verification": False,
        },
        "client_encryption_options": {"enabled": False, "keystore": "conf/.keystore", "require_client_auth": False},
        "internode_compression": "dc",
        "inter_dc_tcp_nodelay": False,
        "default_secondary_index": "sai",
        "storage_compatibility_mode": "NONE",
    }  # fmt: skip

    @staticmethod
    def rendered(profile: str) -> dict[str, Any]:
        """What the operator is told."""
        config = load(profile).cassandra
        assert config
        found: dict[str, Any] = json.loads(cass_operator.node_config(config)["config"])
        return found

    @classmethod
    def merged(cls, shipped: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
        """Ours over upstream's: what is a mapping in both is merged, all else is ours."""
        found = dict(shipped)
        for key, value in ours.items():
            before = shipped.get(key)
            both = isinstance(before, dict) and isinstance(value, dict)
            found[key] = cls.merged(shipped[key], value) if both else value
        return found

    @classmethod
    def node(cls, profile: str, wrong: Mapping[str, Any] | None = None) -> Server:
        """A node of the ring in the pod of the engine ``plain``, which has the same server: without what founds a single node's disk."""
        config, given = load(profile).cassandra, cls.rendered(profile)
        assert config
        pair = AUTHORITY.server("cassandra/server", cass_operator.names())
        pem = {"server.pem": pair.private_key + pair.certificate, "ca.crt": AUTHORITY.bundle}
        tls = SecretFiles("tls", cassandra_settings.TLS_PATH, pem)
        frame = cassandra.node(
            config, context(), tls=tls, admin=SecretFiles("admin", cassandra_settings.ADMIN_PATH)
        )
        name = f"{frame.name}-0"
        seeds = {
            "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
            "parameters": [{"seeds": name}],
        }
        yaml = {
            **cls.merged(cls.SHIPPED, given["cassandra-yaml"]),
            "seed_provider": [seeds],
            "listen_address": name,
            "rpc_address": "0.0.0.0",
            "broadcast_rpc_address": name,
            "endpoint_snitch": "GossipingPropertyFileSnitch",
            "cluster_name": "longhouse",
            "data_disk_usage_max_disk_size": "1GiB",
            **(wrong or {}),
        }
        java = [
            *given["jvm-server-options"]["additional-jvm-opts"],
            "-Dcassandra.skip_default_role_setup=true",
        ]
        files = {
            **frame.pod.files,
            "cassandra.yaml": json.dumps(yaml),
            "jvm.options": frame.pod.files["jvm.options"] + "\n".join(java) + "\n",
        }
        (server,) = frame.pod.containers
        assert server.readiness
        ready = replace(server.readiness, command=(*server.readiness.command[:-1], cass_operator.HOST))
        pod = replace(
            frame.pod,
            files=files,
            prepare=frame.pod.prepare[:1],
            containers=(replace(server, readiness=ready),),
        )
        sizes = {r"-Xm([sx])\d+m": r"-Xm\g<1>400m", r"MaxDirectMemorySize=\d+m": "MaxDirectMemorySize=128m"}
        return altered(replace(frame, replicas=1, pod=pod), sizes)

    @pytest.mark.parametrize("profile", ["burst", "cloud"])
    def test_a_profile_differs_from_on_premises_in_sizes_alone(self, profile: str) -> None:
        ours, theirs = self.rendered("onprem"), self.rendered(profile)
        assert differing(ours["cassandra-yaml"], theirs["cassandra-yaml"]) <= self.SIZES
        assert ours.keys() == theirs.keys()
        without_sizes = [
            re.sub(r"\d+m", "m", json.dumps(each["jvm-server-options"])) for each in (ours, theirs)
        ]
        assert without_sizes[0] == without_sizes[1]

    def test_on_premises_settings_over_upstreams_start_a_node(
        self, unpacked: Unpacked, tmp_path: Path
    ) -> None:
        with bare_pods(tmp_path, unpacked, [self.node("onprem")]) as pods:
            start(pods, 240)
            pods["cassandra-0"].says("cassandra", "Startup complete|state jump to NORMAL")

    def test_a_wrong_setting_is_no_start(self, unpacked: Unpacked, tmp_path: Path) -> None:
        wrong = self.node("onprem", {"commitlog_sync_period": "10000ms"})
        with (
            bare_pods(tmp_path, unpacked, [wrong]) as pods,
            pytest.raises(AssertionError, match="Group sync specified, but commitlog_sync_period found"),
        ):
            start(pods, 180)


class TestKafka:
    """Three brokers with the settings of ``local-full``; other profiles' brokers have the same ones in other sizes."""

    SIZES: Final = {
        "log.retention.bytes", "log.segment.bytes", "log.cleaner.dedupe.buffer.size", "socket.request.max.bytes",
        "queued.max.request.bytes", "offsets.topic.num.partitions", "transaction.state.log.num.partitions",
        "share.coordinator.state.topic.num.partitions",
    }  # fmt: skip

    @staticmethod
    def brokers() -> Server:
        """The servers of the engine ``plain``."""
        config = load("local-full").kafka
        assert config
        return kafka.brokers(
            config, credentials=CREDENTIALS, pair=AUTHORITY.server("kafka/server", kafka.NAMES),
            authority=AUTHORITY.bundle, image=clients.image(), storage_class=None,
        )  # fmt: skip

    @pytest.mark.parametrize("profile", ["onprem", "burst", "cloud"])
    def test_what_strimzi_is_told_differs_from_local_full_in_sizes_alone(self, profile: str) -> None:
        ours, theirs = load("local-full").kafka, load(profile).kafka
        assert ours
        assert theirs
        (cluster,) = [each for each in strimzi.shared_resources(theirs) if each["kind"] == "Kafka"]
        assert differing(cluster["spec"]["kafka"]["config"], kafka_settings.shared(ours)) <= self.SIZES

    def test_the_settings_start_three_brokers_that_each_follow_or_lead(
        self, unpacked: Unpacked, tmp_path: Path
    ) -> None:
        with bare_pods(tmp_path, unpacked, [altered(self.brokers(), HEAP)]) as pods:
            start(pods, 240)
            for number in range(3):
                pods[f"kafka-{number}"].says("kafka", "Kafka Server started")

    def test_a_wrong_setting_is_no_start(self, unpacked: Unpacked, tmp_path: Path) -> None:
        wrong = altered(self.brokers(), {r"(?m)^min\.insync\.replicas=.*$": "min.insync.replicas=most"})
        with (
            bare_pods(tmp_path, unpacked, [replace(wrong, replicas=1)]) as pods,
            pytest.raises(
                AssertionError, match=r"Invalid value most for configuration min\.insync\.replicas"
            ),
        ):
            start(pods, 180)


class TestMySql:
    """What Percona XtraDB Cluster is told, by the server that is nearest to it, since its own is in no package registry: MariaDB with the
    real Galera library. It takes every variable but two that are MySQL's own and one that is Percona's (https://dev.mysql.com/doc/refman/8.4/en/
    server-system-variable-reference.html; https://docs.percona.com/percona-xtradb-cluster/8.4/wsrep-system-index.html).
    """

    SIZES: Final = {
        "innodb_buffer_pool_size", "innodb_redo_log_capacity", "max_connections", "max_binlog_size", "wsrep_provider_options",
    }  # fmt: skip
    NOT_MARIADBS: Final = {"innodb_redo_log_capacity", "temptable_max_ram", "pxc_strict_mode"}

    FOLDER: Final = "/etc/mysql-check"
    TLS: Final = "/etc/mysql-tls"
    DISK: Final = "/var/lib/mysql"

    @staticmethod
    def rendered(profile: str) -> dict[str, str]:
        """The option file that the operator is given, by variable."""
        config = load(profile).mysql
        assert config
        cluster = pxc_operator.cluster(config, storage_class=None, bucket=None)
        lines = cluster["pxc"]["configuration"].splitlines()
        assert lines[0] == "[mysqld]"
        return dict(line.split(" = ", 1) for line in lines[1:] if line)

    @staticmethod
    def unknown(root: Path, options: Mapping[str, str]) -> set[str]:
        """The variables that the server does not know: each is named when it is met, and left out then."""
        left, found = dict(options), set[str]()
        while True:
            words = [
                "mariadbd",
                "--no-defaults",
                *(f"--{name}={value}" for name, value in left.items()),
                "--help",
                "--verbose",
            ]
            done = subprocess.run(["chroot", root, *words], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return found
            named = re.search(r"unknown variable '([a-z_]+)=", done.stderr)
            assert named, done.stderr[-2000:]
            found.add(named[1])
            del left[named[1]]

    @classmethod
    def server(cls, first: tuple[str, ...], more: Mapping[str, str]) -> Server:
        """One server with the option file of the on-premises profile; ``more`` is what the operator's image says of places."""
        options = {
            name: value for name, value in cls.rendered("onprem").items() if name not in cls.NOT_MARIADBS
        }
        pair = AUTHORITY.server("mysql/server", pxc_operator.names())
        places = {
            "datadir": f"{cls.DISK}/data", "socket": "/tmp/mysqld.sock", "pid_file": "/tmp/mysqld.pid", "ssl_ca": f"{cls.TLS}/ca.crt",
            "ssl_cert": f"{cls.TLS}/tls.crt", "ssl_key": f"{cls.TLS}/tls.key", "server_id": "1", **more,
        }  # fmt: skip
        pem = {"tls.crt": pair.certificate, "tls.key": pair.private_key, "ca.crt": AUTHORITY.bundle}
        pod = Pod(
            prepare=(Container("initialise", GALERA.reference, first, cpu="1", memory="1Gi"),),
            containers=(Container("mysql", GALERA.reference, ("mariadbd", f"--defaults-file={cls.FOLDER}/my.cnf"), cpu="1", memory="1Gi"),),
            files={"my.cnf": mysql_settings.ini({mysql_settings.SECTION: {**options, **places}})},
            files_path=cls.FOLDER,
            secrets=(SecretFiles("tls", cls.TLS, pem),),
            user=mariadb.USER,
        )  # fmt: skip
        sizes = {
            r"(?m)^innodb_buffer_pool_size = .*$": "innodb_buffer_pool_size = 67108864",
            r"gcache\.size=\d+M": "gcache.size=32M",
        }
        return altered(Server("mysql", "mysql", pod, disk=Disk("1Gi", cls.DISK)), sizes)

    @classmethod
    def galera(cls, wrong: Mapping[str, str] | None = None) -> Server:
        """MariaDB as the first node of a cluster of one."""
        more = {
            "wsrep_on": "ON", "wsrep_provider": "/usr/lib/galera/libgalera_smm.so", "wsrep_cluster_address": "gcomm://",
            "wsrep_node_address": "mysql-0", "innodb_autoinc_lock_mode": "2", **(wrong or {}),
        }  # fmt: skip
        first = (
            *("mariadb-install-db", "--no-defaults", "--force", "--skip-test-db"),
            *("--auth-root-authentication-method=normal", f"--datadir={cls.DISK}/data"),
        )
        return cls.server(first, more)

    @pytest.mark.parametrize("profile", ["burst", "cloud"])
    def test_a_profile_differs_from_on_premises_in_sizes_alone(self, profile: str) -> None:
        ours, theirs = self.rendered("onprem"), self.rendered(profile)
        assert ours.keys() == theirs.keys()
        assert differing(ours, theirs) <= self.SIZES
        assert all(re.sub(r"\d+", "", ours[name]) == re.sub(r"\d+", "", theirs[name]) for name in self.SIZES)

    def test_all_variables_are_known_to_a_real_server_but_those_of_mysql_and_percona_alone(
        self, unpacked: Unpacked
    ) -> None:
        assert self.unknown(unpacked.root(GALERA.reference), self.rendered("onprem")) == self.NOT_MARIADBS

    @staticmethod
    def serve(pods: Mapping[str, BarePod]) -> None:
        """Start the server and wait until it serves."""
        start(pods, 180)
        pods["mysql-0"].says("mysql", "mariadbd: ready for connections", 60)

    def test_the_settings_start_mariadb_as_a_node_of_galera(self, unpacked: Unpacked, tmp_path: Path) -> None:
        with bare_pods(tmp_path, unpacked, [self.galera()]) as pods:
            self.serve(pods)
            pods["mysql-0"].says("mysql", "Synchronized with group, ready for connections")

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"innodb_flush_log_at_trx_comit": "1"}, "unknown variable 'innodb_flush_log_at_trx_comit=1'"),
            ({"binlog_format": "ROWS"}, "Error while setting value 'ROWS' to 'binlog_format'"),
        ],
    )
    def test_a_wrong_setting_is_no_start(
        self, wrong: dict[str, str], said: str, unpacked: Unpacked, tmp_path: Path
    ) -> None:
        with (
            bare_pods(tmp_path, unpacked, [self.galera(wrong)]) as pods,
            pytest.raises(AssertionError, match=said),
        ):
            self.serve(pods)


def context() -> StoreContext:
    """What a store is given, as far as its pods need it."""
    found: list[StoreContext] = []
    record(lambda: found.append(store_context()))
    return found[0]
