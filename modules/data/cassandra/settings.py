"""The server's own settings, rendered once for both engines. Pure: text and plain objects.

What differs between engines is where a node stands (addresses, seeds, folders), and that each engine adds itself; what decides
whether data is safe, who gets in and what is limited is all here.
"""

from __future__ import annotations

import json
from typing import Any, Final
from xml.etree import ElementTree

from modules.data.cassandra import sizing
from modules.data.cassandra.config import CLUSTER, CQL_PORT, Cassandra

TLS_PATH: Final = "/etc/cassandra-tls"
"""Folder of the node's certificate with its key in one file, as Cassandra's PEM factory reads it, and of whom it trusts."""
PEM: Final = "server.pem"
AUTHORITY: Final = "ca.crt"

ADMIN: Final = "longhouse"
"""The superuser's role. No tenant may have the name."""
ADMIN_PATH: Final = "/etc/longhouse-admin"

REACTION_SECONDS: Final = 2
"""How long a node may rely on what it knew of roles, permissions and passwords: so soon does a removed tenant's open session fail.
It is Cassandra's default; below it each node would ask for roles at nearly every request."""

SYNC_WINDOW: Final = "10ms"
"""How long a write waits to share an fsync with others."""

Settings = dict[str, Any]


def cassandra_yaml(config: Cassandra) -> Settings:
    """What cassandra.yaml says with either engine."""
    return {**_durable(), **_fenced(), **_encrypted(), **_limited(config)}


def _durable() -> Settings:
    """A write is acknowledged when it is in the commit log on disk, not up to ten seconds before as by default.

    `group` waits for one fsync per window where `batch` would do one per write
    (https://cassandra.apache.org/doc/5.0/cassandra/architecture/storage-engine.html, "Commit log").
    """
    return {
        "commitlog_sync": "group",
        "commitlog_sync_group_window": SYNC_WINDOW,
        # Upstream's own file, into which cass-operator puts ours, says 10 s, with which `group` is refused at the start.
        "commitlog_sync_period": "0ms",
        # Late is better than an error after two seconds, after which nobody knows whether the write is there.
        "write_request_timeout": "10s",
        "read_request_timeout": "10s",
        "disk_failure_policy": "stop",
        "commit_failure_policy": "stop",
        # What a tenant drops or truncates can be had back for a week; without an end it would fill the disk.
        "auto_snapshot": True,
        "auto_snapshot_ttl": "7d",
    }


def _fenced() -> Settings:
    """Everybody needs a password and may do what was granted. The network authorizer also shuts out open sessions of a role that is
    gone: without it they could still read the schema of all keyspaces."""
    validity = f"{REACTION_SECONDS}s"
    return {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "role_manager": "CassandraRoleManager",
        "network_authorizer": "CassandraNetworkAuthorizer",
        "roles_validity": validity,
        "permissions_validity": validity,
        "credentials_validity": validity,
        # Code of tenants inside the server, and views that can lose rows, are off in 5.0; said here so that they stay off.
        "user_defined_functions_enabled": False,
        "materialized_views_enabled": False,
    }


def _encrypted() -> Settings:
    """TLS for clients and between nodes; nodes know each other by certificate."""
    tls: Settings = {
        "ssl_context_factory": {"class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory"},
        "keystore": f"{TLS_PATH}/{PEM}",
        "truststore": f"{TLS_PATH}/{AUTHORITY}",
        "accepted_protocols": ["TLSv1.3", "TLSv1.2"],
    }
    return {
        "client_encryption_options": {"enabled": True, "optional": False, **tls},
        "server_encryption_options": {"internode_encryption": "all", "require_client_auth": True, **tls},
    }


def _limited(config: Cassandra) -> Settings:
    """Guardrails (https://cassandra.apache.org/doc/5.0/cassandra/managing/configuration/cass_yaml_file.html, "guardrails"): they hold
    for all tenants together, for none of them apart, and not for superusers. They follow from the ring's own size: a tenant that
    comes or goes restarts no node."""
    return {
        "tables_fail_threshold": config.tables,
        "columns_per_table_fail_threshold": 500,
        "secondary_indexes_per_table_fail_threshold": 10,
        "partition_size_warn_threshold": "100MiB",
        "column_value_size_fail_threshold": "4MiB",
        "collection_size_fail_threshold": "4MiB",
        "page_size_fail_threshold": 10_000,
        "partition_keys_in_select_fail_threshold": 100,
        "data_disk_usage_percentage_warn_threshold": sizing.WARN_PERCENT,
        "data_disk_usage_percentage_fail_threshold": sizing.REFUSE_PERCENT,
        "data_disk_usage_max_disk_size": f"{sizing.disk_bytes(config)}B",
        "default_keyspace_rf": config.replication,
        "minimum_replication_factor_fail_threshold": config.replication,
        "simplestrategy_enabled": False,
        "compact_tables_enabled": False,
        "uncompressed_tables_enabled": False,
        # A write that only a hint holds is lost with the node that keeps the hint.
        "write_consistency_levels_disallowed": ["ANY"],
    }


def node_yaml(
    config: Cassandra,
    *,
    seed: str,
    cql_address: str | None,
    cql_public: str,
) -> Settings:
    """All of cassandra.yaml for a node of our own; JSON is YAML. ``cql_address`` is where it listens for clients, None for the pod's
    own address, and ``cql_public`` is what it tells clients."""
    return {
        "cluster_name": CLUSTER,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "num_tokens": 16,
        "endpoint_snitch": "GossipingPropertyFileSnitch",
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": seed}],
            }
        ],
        "native_transport_port": CQL_PORT,
        "rpc_address": cql_address,
        "broadcast_rpc_address": cql_public,
        **cassandra_yaml(config),
    }


def jvm_options(memory: str) -> list[str]:
    """Heap, collector and what upstream's conf/jvm-server.options sets for safety, a line each.

    G1 with upstream's figures from 1 GiB of heap; below it regions of 16 MiB would be a handful, and the serial collector needs the
    least memory beside the heap.
    """
    heap = sizing.heap(memory)
    collector = ["-XX:+UseSerialGC"]
    if heap > sizing.SMALL_HEAP:
        collector = [
            "-XX:+UseG1GC",
            "-XX:+ParallelRefProcEnabled",
            "-XX:MaxTenuringThreshold=1",
            "-XX:G1HeapRegionSize=16m",
            "-XX:G1RSetUpdatingPauseTimePercent=5",
            "-XX:MaxGCPauseMillis=300",
            "-XX:InitiatingHeapOccupancyPercent=70",
            "-XX:+AlwaysPreTouch",
        ]
    return [
        f"-Xms{heap // sizing.MIB}m",
        f"-Xmx{heap // sizing.MIB}m",
        f"-XX:MaxDirectMemorySize={sizing.direct(memory) // sizing.MIB}m",
        *collector,
        "-ea",
        "-da:net.openhft...",
        "-Xss256k",
        "-XX:+PerfDisableSharedMem",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.net.preferIPv4Stack=true",
    ]


EXPORTS: Final = (
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.unsupported/sun.misc",
)
OPENS: Final = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
)
"""What of Java's own modules Cassandra uses (conf/jvm17-server.options), but for the compiler's, which a JRE has not."""


def modules() -> list[str]:
    """Java's options for what Cassandra uses of its modules."""
    return [
        "-Djdk.attach.allowAttachSelf=true",
        *(f"--add-exports={each}=ALL-UNNAMED" for each in EXPORTS),
        *(f"--add-opens={each}=ALL-UNNAMED" for each in OPENS),
    ]


METRICS: Final = json.dumps(
    {
        "lowercaseOutputName": True,
        "includeObjectNames": [
            "org.apache.cassandra.db:type=StorageService",
            "org.apache.cassandra.metrics:type=ClientRequest,*",
            "org.apache.cassandra.metrics:type=Client,name=connectedNativeClients",
            "org.apache.cassandra.metrics:type=Client,name=AuthFailure",
            "org.apache.cassandra.metrics:type=CommitLog,*",
            "org.apache.cassandra.metrics:type=Compaction,*",
            "org.apache.cassandra.metrics:type=DroppedMessage,*",
            "org.apache.cassandra.metrics:type=Keyspace,keyspace=*,name=LiveDiskSpaceUsed",
            "org.apache.cassandra.metrics:type=Storage,*",
            "java.lang:type=Memory",
        ],
        "rules": [
            {
                "pattern": r"org.apache.cassandra.db<type=StorageService><>OperationMode: (\w+)",
                "name": "cassandra_operation_mode",
                "labels": {"mode": "$1"},
                "value": "1",
            },
            {
                "pattern": r"org.apache.cassandra.db<type=StorageService><>(NativeTransport|Gossip)Running",
                "name": "cassandra_$1_running",
            },
            {
                "pattern": r"org.apache.cassandra.metrics<type=ClientRequest, scope=([\w-]+), name=(\w+)><>(Count|99thPercentile)",
                "name": "cassandra_client_$2_$3",
                "labels": {"request": "$1"},
            },
            {
                "pattern": r"org.apache.cassandra.metrics<type=DroppedMessage, scope=(\w+), name=Dropped><>Count",
                "name": "cassandra_dropped_messages_total",
                "labels": {"message": "$1"},
            },
            {
                "pattern": r"org.apache.cassandra.metrics<type=Keyspace, keyspace=(\w+), name=(\w+)><>Value",
                "name": "cassandra_keyspace_$2",
                "labels": {"keyspace": "$1"},
            },
            {
                "pattern": r"org.apache.cassandra.metrics<type=(\w+), name=(\w+)><>(Count|Value)",
                "name": "cassandra_$1_$2",
            },
            {"pattern": r"java.lang<type=Memory><(\w+)>(used|max)", "name": "jvm_memory_$1_$2_bytes"},
        ],
    },
    indent=1,
)
"""What the JMX exporter's agent reads: what tells load, errors, growth and the node's state. All of Cassandra's beans, several for
each table, would cost a core at each scrape."""


def rack_properties(datacenter: str, rack: str) -> str:
    """Where GossipingPropertyFileSnitch says that the node stands; both are label values, which a properties file need not quote."""
    return f"dc={datacenter}\nrack={rack}\n"


def logback() -> str:
    """Logging to standard output, a line an event."""
    root = ElementTree.Element("configuration")
    appender = ElementTree.SubElement(
        root, "appender", name="out", attrib={"class": "ch.qos.logback.core.ConsoleAppender"}
    )
    ElementTree.SubElement(
        ElementTree.SubElement(appender, "encoder"), "pattern"
    ).text = "%-5level [%thread] %date{ISO8601} %logger{0} - %msg%n"
    ElementTree.SubElement(ElementTree.SubElement(root, "root", level="INFO"), "appender-ref", ref="out")
    return ElementTree.tostring(root, encoding="unicode")
