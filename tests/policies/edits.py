"""Edits as people make them, and what each would lose. Those of one group touch different things, so that one preview judges them together."""

from __future__ import annotations

from typing import Any, Final

from sandbox.platform import STACK
from tests.policies.checkout import Edit, Refusal, Text, deleted, fixed, kept, replaced, scaled_down

PROFILE: Final = "local-full"
"""The profile that is deployed."""

_HDFS: Final = (
    "StatefulSet hdfs/datanode",
    "StatefulSet hdfs/journalnode",
    "StatefulSet hdfs/namenode",
    "StatefulSet hdfs/zookeeper",
)
_STORES: Final = (
    *_HDFS,
    "StatefulSet cassandra/cassandra",
    "StatefulSet kafka/kafka",
    "StatefulSet mysql/mariadb",
    "StatefulSet object-store/minio",
)
"""Every server with volumes."""
_STORE_NAMESPACES: Final = tuple(
    f"Namespace {each}" for each in ("cassandra", "hdfs", "kafka", "mysql", "object-store")
)
_HOMES: Final = ("Namespace tenant-atlas", "Namespace tenant-borealis")
"""Tenants' namespaces: what is in them are volumes with home directories."""
_MONITORS: Final = tuple(
    f"CustomResourceDefinition {each}.monitoring.coreos.com" for each in ("podmonitors", "servicemonitors")
)
_KUEUE: Final = tuple(
    f"CustomResourceDefinition {each}.kueue.x-k8s.io"
    for each in (
        "admissionchecks", "clusterqueues", "cohorts", "localqueues", "multikueueclusters", "multikueueconfigs",
        "provisioningrequestconfigs", "resourceflavors", "topologies", "workloadpriorityclasses", "workloads",
    )
)  # fmt: skip
_SPARK: Final = (
    "Namespace spark-operator",
    *(
        f"CustomResourceDefinition {each}.sparkoperator.k8s.io"
        for each in ("scheduledsparkapplications", "sparkapplications", "sparkconnects")
    ),
)


_JOBS: Final = (
    *(
        f"CustomResourceDefinition {each}.kubeflow.org"
        for each in ("mpijobs", "paddlejobs", "pytorchjobs", "tfjobs", "xgboostjobs")
    ),
    "CustomResourceDefinition jobsets.jobset.x-k8s.io",
    "CustomResourceDefinition trainingruntimes.trainer.kubeflow.org",
    "CustomResourceDefinition trainjobs.trainer.kubeflow.org",
)
_RUNTIMES: Final = "CustomResourceDefinition clustertrainingruntimes.trainer.kubeflow.org"
_TRAINING: Final = (
    *(
        f"Namespace {each}"
        for each in ("jobset-system", "mpi-operator", "trainer-system", "training-operator")
    ),
    *_JOBS,
    _RUNTIMES,
)
_KINDS: Final = (*_MONITORS, *_JOBS, _RUNTIMES)
"""Kinds that come without a chart, from `modules/kit/crds.py`."""
_SERVICES: Final = ("Namespace dataset-cache", "Namespace tracking")
"""Namespaces of what keeps something in the stores."""


def _data(tenant: str, store: str, **share: Any) -> dict[str, Any]:
    return {"tenants": {tenant: {"data": {store: share}}}}


def _topic(tenant: str, topic: str, **settings: Any) -> dict[str, Any]:
    return _data(tenant, "kafka", topics={topic: settings})


def _key(tenant: str, topic: str, key: str) -> str:
    return f"tenants.{tenant}.data.kafka.topics.{topic}.{key}"


_PLATFORM: Final = "stacks/platform.py"
_PLACES: Final = "modules/data/hdfs/places.py"
_SERVERS: Final = "modules/data/hdfs/servers.py"

MODULES: Final = (
    Edit(
        "a store is moved to another area",
        program=(Text("modules/data/hdfs/component.py", 'AREA = "data"', 'AREA = "files"'),),
        refused=deleted("Namespace hdfs", *_HDFS),
    ),
    Edit(
        "the class of a store is renamed",
        program=(
            Text("modules/data/kafka/component.py", "class Kafka(Component)", "class Messages(Component)"),
            Text(_PLATFORM, "component import Kafka", "component import Messages as Kafka"),
        ),
        refused=deleted("Namespace kafka", "StatefulSet kafka/kafka"),
    ),
    Edit(
        "the class of another store is renamed",
        program=(
            Text(
                "modules/data/cassandra/component.py", "class Cassandra(Component)", "class Ring(Component)"
            ),
            Text(_PLATFORM, "component import Cassandra", "component import Ring as Cassandra"),
        ),
        refused=deleted("Namespace cassandra", "StatefulSet cassandra/cassandra"),
    ),
    Edit(
        "a store is moved to an area of its own",
        program=(Text("modules/data/mysql/component.py", 'AREA = "data"', 'AREA = "databases"'),),
        refused=deleted("Namespace mysql", "StatefulSet mysql/mariadb"),
    ),
    Edit(
        "a store is moved below a new component",
        program=(
            Text(
                _PLATFORM,
                "            folders={FOLDER: tracking_home.name} if tracking_home else {},\n                opts=opts,\n",
                "            folders={FOLDER: tracking_home.name} if tracking_home else {},\n"
                '            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(parent=pulumi.ComponentResource("longhouse:data:Stores", "stores", None, opts))),\n',
            ),
        ),
        refused=deleted("Namespace object-store", "StatefulSet object-store/minio"),
    ),
    Edit(
        "the module of the tenants is renamed, and with it go their home directories",
        program=(
            Text(
                "modules/foundation/tenants/component.py", "class Tenant(Component)", "class Team(Component)"
            ),
            Text(
                _PLATFORM,
                "component import Tenant, TenantRoles",
                "component import Team as Tenant, TenantRoles",
            ),
        ),
        refused=deleted(*_HOMES),
    ),
    Edit(
        "the module of kinds is moved",
        program=(Text("modules/kit/crds.py", 'AREA = "kit"', 'AREA = "kinds"'),),
        refused=deleted(*_KINDS),
    ),
    Edit(
        "the module of the queues is moved",
        program=(Text("modules/foundation/queueing/component.py", 'AREA = "foundation"', 'AREA = "queues"'),),
        refused=deleted("Namespace kueue-system", *_KUEUE),
    ),
)

NAMES: Final = (
    Edit("the NameNodes are renamed", program=(Text(_PLACES, 'NAMENODE: Final = "namenode"', 'NAMENODE: Final = "names"'),), refused=deleted("StatefulSet hdfs/namenode")),
    Edit("the DataNodes are renamed", program=(Text(_PLACES, 'DATANODE: Final = "datanode"', 'DATANODE: Final = "blocks"'),), refused=(*deleted("StatefulSet hdfs/datanode"), *fixed(PROFILE, "hdfs.datanodes"))),
    Edit("the JournalNodes are renamed", program=(Text(_PLACES, 'JOURNALNODE: Final = "journalnode"', 'JOURNALNODE: Final = "journal"'),), refused=deleted("StatefulSet hdfs/journalnode")),
    Edit("the ZooKeeper servers are renamed", program=(Text(_PLACES, 'ZOOKEEPER: Final = "zookeeper"', 'ZOOKEEPER: Final = "keeper"'),), refused=deleted("StatefulSet hdfs/zookeeper")),
    Edit("a store is moved to another namespace", program=(Text("modules/data/kafka/config.py", 'NAMESPACE: Final = "kafka"', 'NAMESPACE: Final = "messages"'),), refused=deleted("Namespace kafka", "StatefulSet kafka/kafka")),
    Edit("the node is renamed", program=(Text("modules/data/cassandra/plain.py", 'SERVER: Final = "cassandra"', 'SERVER: Final = "node"'),), refused=deleted("StatefulSet cassandra/cassandra")),
    Edit("the database is renamed", program=(Text("modules/data/mysql/plain.py", 'SERVER: Final = "mariadb"', 'SERVER: Final = "db"'),), refused=deleted("StatefulSet mysql/mariadb")),
    Edit("the object store's servers are renamed", program=(Text("modules/data/object_store/settings.py", 'SERVER: Final = "minio"', 'SERVER: Final = "s3"'),), refused=deleted("StatefulSet object-store/minio")),
    Edit("tenants' namespaces are renamed", program=(Text("modules/kit/names.py", 'NAMESPACE_PREFIX: Final = "tenant-"', 'NAMESPACE_PREFIX: Final = "team-"'),), refused=deleted(*_HOMES)),
    Edit("a kind is no longer declared", program=(Text(_PLATFORM, ' + sorted(pin.glob("*_servicemonitors.yaml"))', ""),), refused=deleted(_MONITORS[1])),
)  # fmt: skip

STORAGE: Final = (
    Edit(
        "a tenant is renamed in the profile",
        {"tenants": {"atlas": None, "meridian": {"owner": "atlas-team", "groups": {"admin": ["atlas-leads"]}, "quota": {"cpu": "300m", "memory": "256Mi", "storage": "1Gi", "pods": 5}}}},
        refused=deleted("Namespace tenant-atlas"),
    ),
    Edit(
        "a tenant is removed for good",
        {"tenants": {"borealis": None}, "departed": {"borealis": {"approved_by": "m.ortega", "reason": "the project has ended"}}},
        # With the renamed one's record, nobody with a bucket is left, whom MLflow would be for.
        refused=(*deleted("Namespace tenant-borealis", "Namespace tracking"), *kept(PROFILE, "departed")),
    ),
    Edit("an operator's namespace is renamed", program=(Text("modules/kit/names.py", 'KUEUE_NAMESPACE: Final = "kueue-system"', 'KUEUE_NAMESPACE: Final = "queues"'),), refused=deleted("Namespace kueue-system")),
    Edit("kinds are named otherwise in the program", program=(Text("modules/kit/crds.py", '                metadata["name"],\n                crd', '                "kind-" + metadata["name"],\n                crd'),), refused=deleted(*_KINDS)),
    Edit("what is removed stays in the trash for an hour", {"hdfs": {"trash_hours": 1}}, refused=kept(PROFILE, "hdfs.trash_hours")),
    Edit("fewer hours of changes are kept", {"mysql": {"binlog_hours": 24}}, refused=kept(PROFILE, "mysql.binlog_hours")),
    Edit("backups are kept for four days", {"object_store": {"backups": {"keep_days": 4}}}, refused=kept(PROFILE, "object_store.backups.keep_days")),
)  # fmt: skip


def _disk(title: str, key: str, size: str, server: str) -> Edit:
    profile: Any = size
    for part in reversed(key.split(".")):
        profile = {part: profile}
    return Edit(title, profile, refused=(*replaced(server), *fixed(PROFILE, key)))


FROZEN: Final = (
    _disk("the names' disks shrink", "hdfs.namenode.disk", "1Gi", "StatefulSet hdfs/namenode"),
    _disk("the journal's disks grow", "hdfs.journalnode.disk", "2Gi", "StatefulSet hdfs/journalnode"),
    _disk("ZooKeeper's disks shrink", "hdfs.zookeeper.disk", "512Mi", "StatefulSet hdfs/zookeeper"),
    _disk("the messages' disks grow", "kafka.disk", "6Gi", "StatefulSet kafka/kafka"),
    _disk("the database's disk shrinks", "mysql.disk", "1Gi", "StatefulSet mysql/mariadb"),
    _disk("the objects' disk shrinks", "object_store.disk", "6Gi", "StatefulSet object-store/minio"),
    Edit(
        "DataNodes start one after the other",
        program=(Text(_SERVERS, "            places.hosts(rack.name, rack.count),\n            together=True,\n", "            places.hosts(rack.name, rack.count),\n"),),
        refused=replaced("StatefulSet hdfs/datanode"),
    ),
    Edit(
        "a node has no volume any more",
        program=(Text("modules/data/cassandra/plain.py", "        disk=Disk(config.disk, DISK_PATH, context.cluster.storage_class),\n", ""),),
        refused=replaced("StatefulSet cassandra/cassandra"),
    ),
)  # fmt: skip
"""What a StatefulSet never changes, so that it would be made anew."""

CLASS: Final = (
    Edit(
        "volumes are of another storage class",
        {"cluster": {"storage_class": "fast"}},
        refused=replaced(*_STORES),
    ),
    Edit(
        "kinds are in no namespace any more",
        program=(
            Text(
                "modules/kit/crds.py",
                '{"spec": crd["spec"]}',
                '{"spec": {**crd["spec"], "scope": "Cluster"}}',
            ),
        ),
        refused=tuple(Refusal("LH-P-003", each, "would become Cluster") for each in (*_MONITORS, *_JOBS)),
    ),
)

ENGINES: Final = (
    Edit(
        "fewer brokers with fewer copies",
        {"kafka": {"brokers": 1, "replication": 1, "min_in_sync": 1}},
        refused=(*fixed(PROFILE, "kafka.brokers", "kafka.replication", "controllers of kafka"), scaled_down("StatefulSet kafka/kafka", 3, 1)),
    ),
    Edit(
        "each partition has a smaller part of the disks",
        {"kafka": {"partitions": 120}},
        refused=kept(PROFILE, "kafka bytes of a partition", _key("borealis", "events", "retention_bytes")),
    ),
    Edit(
        "the second NameNode goes",
        {"hdfs": {"high_availability": False}},
        refused=(
            *fixed(PROFILE, "hdfs.high_availability"),
            *deleted("StatefulSet hdfs/journalnode", "StatefulSet hdfs/zookeeper"),
            scaled_down("StatefulSet hdfs/namenode", 2, 1),
        ),
    ),
    Edit(
        "a DataNode goes",
        {"hdfs": {"datanodes": {"count": 1}, "replication": 1}},
        refused=(*fixed(PROFILE, "hdfs.datanodes"), scaled_down("StatefulSet hdfs/datanode", 2, 1)),
    ),
    Edit(
        "an operator takes over the ring",
        {"cassandra": {"engine": "operator"}},
        refused=(*fixed(PROFILE, "cassandra.engine"), *deleted("StatefulSet cassandra/cassandra")),
    ),
    Edit(
        "the database is somebody else's",
        {"mysql": {"engine": "external", "external": {"host": "db.example.com", "cidrs": ["203.0.113.0/28"]}}},
        refused=(*fixed(PROFILE, "mysql.engine"), *deleted("StatefulSet mysql/mariadb")),
    ),
    Edit(
        "the objects are in somebody else's S3",
        {"object_store": {"engine": "external", "external": {"endpoint": "https://s3.example.com", "region": "eu-central-1", "site": "home", "cidrs": ["203.0.113.16/28"], "accounts": "given"}}},
        refused=(*fixed(PROFILE, "object_store.engine"), *deleted("StatefulSet object-store/minio")),
    ),
    Edit("a tenant is removed", {"tenants": {"atlas": None}}, refused=deleted("Namespace tenant-atlas")),
)  # fmt: skip

_KEPT: Final = "deletes its volumes when it is deleted"

TRAPS: Final = (
    Edit("a topic keeps a day", _topic("atlas", "events", retention_hours=24), refused=kept(PROFILE, _key("atlas", "events", "retention_hours"))),
    Edit("a topic is compacted", _topic("borealis", "events", compact=True), refused=kept(PROFILE, _key("borealis", "events", "compact"))),
    Edit("a topic keeps fewer bytes", _topic("borealis", "events", retention_bytes="2Mi"), refused=kept(PROFILE, _key("borealis", "events", "retention_bytes"))),
    Edit("old versions of objects go sooner", _data("atlas", "object_store", keep_versions_days=1), refused=kept(PROFILE, "tenants.atlas.data.object_store.keep_versions_days")),
    Edit(
        "a quorum of one",
        program=(Text(_PLACES, "QUORUM: Final = 3", "QUORUM: Final = 1"),),
        refused=(scaled_down("StatefulSet hdfs/journalnode", 3, 1), scaled_down("StatefulSet hdfs/zookeeper", 3, 1)),
    ),
    Edit(
        "brokers have their volume elsewhere",
        program=(Text("modules/data/kafka/plain.py", "Disk(config.disk, settings.DISK_PATH", 'Disk(config.disk, "/srv/kafka"'),),
        refused=(Refusal("LH-S-016", "StatefulSet kafka/kafka", "would no longer see its volume data at "),),
    ),
    Edit("another page size", {"mysql": {"settings": {"innodb_page_size": "8k"}}}, refused=fixed(PROFILE, "mysql.settings.innodb_page_size")),
    Edit("buckets are called otherwise", {"object_store": {"bucket_prefix": "tribe-"}}, refused=fixed(PROFILE, "object_store.bucket_prefix")),
    Edit(
        "Pulumi's name of tenants' namespaces changes",
        program=(Text("modules/foundation/tenants/component.py", "home = Namespace(\n            self.namespace,\n", 'home = Namespace(\n            f"{self.namespace}-home",\n'),),
        refused=deleted(*_HOMES),
    ),
    Edit(
        "volumes go with their server",
        program=(
            Text("modules/kit/server.py", "        volume_claim_templates=[_claim(server.disk)] if server.disk else None,\n", "        volume_claim_templates=[_claim(server.disk)] if server.disk else None,\n        persistent_volume_claim_retention_policy={\"when_deleted\": \"Delete\"},\n"),
        ),
        refused=tuple(Refusal("LH-S-002", each, _KEPT) for each in (*_STORES, "StatefulSet hdfs/realm", "StatefulSet mysql/exporter", "StatefulSet tracking/mlflow")),
    ),
)  # fmt: skip

CLUSTER: Final = (
    Edit(
        "the cluster is known by another name",
        program=(
            Text(
                _PLATFORM,
                "cluster_identifier=StackName.of(pulumi.get_stack()).platform",
                "cluster_identifier=profile.name",
            ),
        ),
        refused=replaced(
            *_HOMES,
            *_STORE_NAMESPACES,
            *_STORES,
            *_MONITORS,
            *_KUEUE,
            "Namespace kueue-system",
            *_SPARK,
            *_TRAINING,
            *_SERVICES,
        ),
    ),
)

SWITCHED: Final = (
    Edit(
        "the stack has another profile, one without stores",
        program=(Text(f"stacks/Pulumi.{STACK}.yaml", f"profile: {PROFILE}", "profile: local-simulated"),),
        refused=deleted(*_STORE_NAMESPACES, *_STORES, *_SPARK, *_TRAINING, *_SERVICES),
    ),
)

DESTRUCTIVE: Final = {
    "modules": MODULES,
    "names": NAMES,
    "storage": STORAGE,
    "engines": ENGINES,
    "traps": TRAPS,
    "cluster": CLUSTER,
    "switched": SWITCHED,
}
"""By what is previewed together."""

RENDERED: Final = {"frozen": FROZEN, "class": CLASS}
"""By what is previewed together, where the provider renders: a live API server refuses to be asked for another such object under the same name, and the preview
ends there."""

_OPERATOR: Final = "github.com/kubeflow/spark-operator/v2"
RELEASE: Final = Edit(
    "another release of Spark's operator",
    program=(
        Text("upstream/spark-operator/go.mod", f"{_OPERATOR} v2.5.2", f"{_OPERATOR} v2.5.1"),
        Text("upstream/spark-operator/go.sum", f"{_OPERATOR} v2.5.2/go.mod", f"{_OPERATOR} v2.5.1/go.mod"),
        Text(
            "upstream/spark-operator/go.sum",
            f"{_OPERATOR} v2.5.2 h1:6nX2UhwSfnYi1mtwczgFfJTMeLSL/1ajTvkFe8R7Vdc=",
            f"{_OPERATOR} v2.5.1 h1:7E1iz79b5p8fEcn2zr/yJ/T3kuZtJJqj+DPvvGV3WjA=",
        ),
    ),
)
"""A pin and its hash, and nothing else: what Go's module proxy has under that version."""

UNSOUND: Final = {
    "kafka.brokers": Edit("two brokers", {"kafka": {"brokers": 2}}),
    "kafka.min_in_sync": Edit("one copy is enough", {"kafka": {"min_in_sync": 1}}),
    'kafka.settings["unclean.leader.election.enable"]': Edit("a replica leads that lacks messages", {"kafka": {"settings": {"unclean.leader.election.enable": "true"}}}),
    'kafka.settings["log.retention.bytes"]': Edit("brokers keep less", {"kafka": {"settings": {"log.retention.bytes": "1000"}}}),
    "mysql.settings.innodb_flush_log_at_trx_commit": Edit("commits are not written", {"mysql": {"settings": {"innodb_flush_log_at_trx_commit": "0"}}}),
    "departed.borealis": Edit("a tenant's data goes under its hands", {"departed": {"borealis": {"approved_by": "m.ortega", "reason": "a mistake"}}}),
    "object_store.disk": Edit("objects no longer fit", {"object_store": {"disk": "4Gi"}}),
    "hdfs.datanodes.disk": Edit("blocks no longer fit", {"hdfs": {"datanodes": {"disk": "1Gi"}}}),
    "tenants.atals": Edit("a tenant's name is misspelt", {"tenants": {"atlas": None, "atals": {}}}),
}  # fmt: skip
"""By the key at which the profile's own check refuses it: before there is a plan."""


WISHES: Final = (
    Edit("a tenant gets less to compute with", {"tenants": {"atlas": {"quota": {"cpu": "300m"}}}}, touches=("ResourceQuota tenant-atlas/quota",)),
    Edit("a tenant may store less from now on", {"tenants": {"borealis": {"quota": {"storage": "3Gi"}}}}, touches=("LimitRange tenant-borealis/limits",)),
    Edit("a tenant's home in HDFS is smaller", _data("atlas", "hdfs", space="512Mi"), touches=("Secret hdfs/access-desired",)),
    Edit("a tenant gets a topic", _topic("atlas", "more", partitions=3), touches=("Secret kafka/access-wanted",)),
    Edit("a topic keeps two weeks", _topic("borealis", "events", retention_hours=336), touches=("Secret kafka/access-wanted",)),
    Edit("a topic is no longer declared, and stays", {"tenants": {"atlas": {"data": {"kafka": {"topics": {"events": None}}}}}}, touches=("Secret kafka/access-wanted",)),
    Edit("a tenant loses a store, which keeps its data", {"tenants": {"borealis": {"data": {"cassandra": None}}}}, touches=("Secret tenant-borealis/cassandra",)),
    Edit("a tenant gets fewer objects", _data("atlas", "object_store", quota="256Mi"), touches=("Secret object-store/access-desired",)),
    Edit("a pool has more machines", {"node_pools": {"a100": {"nodes": 3}}}, touches=("Cohort longhouse",)),
    Edit(
        "a tenant comes",
        {"tenants": {"ember": {"quota": {"cpu": "300m", "memory": "512Mi", "storage": "1Gi", "pods": 5}, "data": None}}},
        touches=("Namespace tenant-ember", "ResourceQuota tenant-ember/quota"),
    ),
    Edit("brokers have more memory", {"kafka": {"memory": "800Mi"}}, touches=("StatefulSet kafka/kafka",)),
    Edit("a DataNode comes", {"hdfs": {"datanodes": {"count": 3}}}, touches=("StatefulSet hdfs/datanode",)),
    Edit("the database notes slow statements", {"mysql": {"settings": {"long_query_time": "5"}}}, touches=("ConfigMap mysql/mariadb-settings",)),
    Edit("other people may look", {"tenants": {"borealis": {"groups": {"viewer": ["everybody"]}}}}, touches=("RoleBinding tenant-borealis/viewer",)),
    Edit(
        "a tenant may call another address",
        {"tenants": {"borealis": {"network": {"egress": [{"name": "feed", "cidr": "203.0.113.0/28", "ports": [443]}]}}}},
        touches=("NetworkPolicy tenant-borealis/egress-feed",),
    ),
    Edit("work may be urgent", {"queueing": {"priorities": {"urgent": 2000}}}, touches=("WorkloadPriorityClass urgent",)),
    Edit("backups run later", {"kafka": {"backup": "45 3 * * *"}}, touches=("CronJob kafka/backup",)),
)  # fmt: skip

CHORES: Final = (
    Edit("a component has another name", program=(Text(_PLATFORM, 'Hdfs("hdfs", profile.hdfs', 'Hdfs("filesystem", profile.hdfs'),)),
    Edit(
        "the class of a store is renamed, with an alias of the old one",
        program=(
            Text("modules/data/kafka/component.py", "class Kafka(Component)", "class Messages(Component)"),
            Text(_PLATFORM, "component import Kafka", "component import Messages as Kafka"),
            Text(
                _PLATFORM,
                'Kafka("kafka", profile.kafka, context=context, tenants=tenants, opts=opts)',
                'Kafka("kafka", profile.kafka, context=context, tenants=tenants, opts=pulumi.ResourceOptions.merge(opts, '
                'pulumi.ResourceOptions(aliases=[pulumi.Alias(type_="longhouse:data:Kafka")])))',
            ),
        ),
    ),
    Edit(
        "settings are in ConfigMaps of another name",
        program=(Text("modules/kit/server.py", 'component.meta(f"{server.name}-settings"', 'component.meta(f"{server.name}-files"'),),
        touches=("ConfigMap mysql/mariadb-files",),
    ),
    Edit(
        "a network policy is renamed",
        program=(Text("modules/foundation/tenants/component.py", 'self._policy("default-deny"', 'self._policy("deny-all"'),),
        touches=("NetworkPolicy tenant-atlas/deny-all", "NetworkPolicy tenant-atlas/default-deny"),
    ),
    Edit(
        "the database has another version",
        program=(
            Text("modules/data/mysql/plain.py", "mariadb:10.11.19", "mariadb:10.11.20"),
            Text("images.lock", "mariadb:10.11.19", "mariadb:10.11.20"),
        ),
        touches=("StatefulSet mysql/mariadb",),
    ),
    Edit("the module of the roles is renamed", program=(
        Text("modules/foundation/tenants/component.py", "class TenantRoles(Component)", "class Roles(Component)"),
        Text(_PLATFORM, "component import Tenant, TenantRoles", "component import Tenant, Roles as TenantRoles"),
    ), touches=("ClusterRole longhouse:tenant-admin",)),
    Edit("a server without volumes is renamed", program=(Text("modules/data/hdfs/servers.py", '            "realm",\n', '            "kerberos",\n'),), touches=("StatefulSet hdfs/realm", "StatefulSet hdfs/kerberos")),
    Edit("the objects' servers have longer to stop", program=(Text("modules/data/object_store/component.py", "                    containers=(minio,),\n", "                    containers=(minio,),\n                    grace_seconds=60,\n"),), touches=("StatefulSet object-store/minio",)),
    Edit("somebody else answers for the platform", {"owner": "operations"}, touches=("StatefulSet cassandra/cassandra", "Namespace kafka")),
)  # fmt: skip

HARMLESS: Final = {"wishes": WISHES, "chores": CHORES}
"""By what is previewed together."""
