"""A tenant: who its people are, what they may use, where their data may go, whom they may talk to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modules.compute.flink.config import FlinkSession
from modules.compute.spark.config import SparkShare
from modules.data.cassandra.config import CassandraShare
from modules.data.hdfs.config import HdfsShare
from modules.data.kafka.config import KafkaShare
from modules.data.mysql.config import MySqlShare
from modules.data.object_store.config import ObjectStoreShare
from modules.kit.model import FILLED, FrozenMap, Model
from modules.kit.names import DnsLabel, LabelValue, PoolName, TenantName
from modules.kit.network import Cidr, Port
from modules.kit.quantities import Cpu, Memory
from modules.ml.training.config import TrainingShare

OidcGroup = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^\S+$")]
"""A group as the identity provider names it, without the prefix that the API server adds."""


class DataClass(StrEnum):
    """How far a tenant's data may go. Not who may read it: that is `groups`."""

    PUBLIC = "public"
    INTERNAL = "internal"
    RESTRICTED = "restricted"


class Protocol(StrEnum):
    """Transport of a network exception."""

    TCP = "TCP"
    UDP = "UDP"


class Burst(Model):
    """Whether and where the tenant's work may run in a cloud when home is full."""

    allowed: bool = False
    """Whether the tenant's work may run in a cloud at all."""

    regions: tuple[LabelValue, ...] = ()
    """Cloud regions that the tenant's work, and with it its data, may go to."""


class Groups(Model):
    """OIDC groups by what their members may do in the tenant's namespace."""

    viewer: tuple[OidcGroup, ...] = ()
    """Groups that may look: workloads, logs, events; no secrets."""

    editor: tuple[OidcGroup, ...] = ()
    """Groups that may run and change work."""

    admin: tuple[OidcGroup, ...] = ()
    """Groups that may do what editors may, and see the tenant's secrets and grants."""


class Use(StrEnum):
    """What a pod with a GPU is for (names.USES)."""

    NOTEBOOK = "notebook"
    TRAINING = "training"


class GpuUse(Model):
    """What the tenant's GPUs are for. A pod says by the label `longhouse.dev/use` what it is for, and is for training where it says nothing."""

    whole: tuple[Use, ...] = (Use.TRAINING,)
    """Who gets whole GPUs."""

    fractional: tuple[Use, ...] = (Use.NOTEBOOK,)
    """Who gets shares of GPUs: slices cut in hardware, and turns on one GPU."""


class Budget(Model):
    """The part of a tenant's quota that work of one priority may use at one time. The rest is for other work, which borrows what is idle of it."""

    cpu: Cpu
    """Cores on pools without GPUs."""

    memory: Memory
    """Memory on pools without GPUs."""

    gpus: FrozenMap[PoolName, Annotated[int, Field(ge=1, le=80_000)]] = Field(default_factory=dict)
    """GPUs by pool, or shares of them, each with its part of the node."""


class BorrowLimit(Model):
    """The most that a tenant may borrow at one time, beside its quota; what is not named has no limit."""

    cpu: Cpu | None = None
    """Cores on pools without GPUs."""

    memory: Memory | None = None
    """Memory on pools without GPUs."""

    gpus: FrozenMap[PoolName, Annotated[int, Field(ge=0, le=80_000)]] = Field(default_factory=dict)
    """GPUs by pool, or shares of them, each with its part of the node; 0 for none."""


class Quota(Model):
    """What the tenant may use at one time. Borrowed room comes on top, and can be taken back."""

    cpu: Cpu
    """Cores on pools without GPUs, over all pods together."""

    memory: Memory
    """Memory on pools without GPUs, over all pods together."""

    storage: Memory
    """Size of all volumes together."""

    pods: Annotated[int, Field(ge=1, le=100_000)]
    """Pods, running or waiting to start."""

    gpus: FrozenMap[PoolName, Annotated[int, Field(ge=1, le=80_000)]] = Field(default_factory=dict)
    """GPUs by pool: whole ones, or shares of them where the pool's GPUs are shared. Each brings its part of the node's cores and memory."""

    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Weight of the tenant when idle room is shared out: twice the weight, twice the share."""

    borrow: bool = True
    """Whether the tenant may use room that others leave idle."""

    borrow_at_most: BorrowLimit | None = None
    """How much of it; null is no limit."""

    budgets: FrozenMap[DnsLabel, Budget] = Field(default_factory=dict)
    """Part of the quota that work of a priority may use, by priority. Only for those that the profile names in `queueing.budgeted`."""


class ContainerDefaults(Model):
    """What a container gets that states nothing itself, as request and as limit alike: what was queued for is what is used."""

    cpu: Cpu = "250m"
    """Cores of a container that states none."""

    memory: Memory = "256Mi"
    """Memory of a container that states none."""


class Egress(Model):
    """An address range outside the cluster that the tenant's pods may open connections to."""

    name: DnsLabel
    """What is reached, as the name of the rule."""

    cidr: Cidr
    """Addresses that may be reached."""

    ports: tuple[Port, ...] = ()
    """Ports that may be reached; none named means all."""

    protocol: Protocol = Protocol.TCP
    """Transport of those ports."""


class Ingress(Model):
    """A namespace of the platform whose pods may open connections to the tenant's."""

    name: DnsLabel
    """Who calls, as the name of the rule."""

    namespace: DnsLabel
    """Namespace that the calls come from."""

    ports: Annotated[tuple[Port, ...], Field(min_length=1)]
    """Ports of the tenant's pods that may be called."""

    protocol: Protocol = Protocol.TCP
    """Transport of those ports."""


class Network(Model):
    """Exceptions to the rule that nothing goes in or out of a tenant's namespace (DNS and the API server are always reachable)."""

    egress: tuple[Egress, ...] = ()
    """Address ranges that the tenant's pods may reach."""

    ingress: tuple[Ingress, ...] = ()
    """Namespaces that may reach the tenant's pods."""


class Data(Model):
    """What the tenant has in the platform's stores. A store that is not named it does not have; one that an environment lacks is left out there."""

    hdfs: HdfsShare | None = None
    """A home directory in HDFS."""

    kafka: KafkaShare | None = None
    """A user of Kafka, and topics under its own prefix."""

    cassandra: CassandraShare | None = None
    """A keyspace of Cassandra and the role that owns it."""

    object_store: ObjectStoreShare | None = None
    """A bucket and the key that opens it."""

    mysql: MySqlShare | None = None
    """A schema of MySQL and the account that owns it."""


class Tenant(Model):
    """One tenant."""

    name: Annotated[TenantName, Field(json_schema_extra=FILLED)]
    """Name of the tenant: the name of its file. It is the stem of every name that derives from it and cannot change."""

    owner: LabelValue
    """Team or person that answers for the tenant; also a label, so it holds no `@`."""

    data_class: DataClass = DataClass.INTERNAL
    """How far the tenant's data may go: `public`, `internal`, or `restricted`, which never leaves home."""

    burst: Burst = Burst()
    """Whether and where the tenant's work may run in a cloud when home is full."""

    groups: Groups = Groups()
    """OIDC groups by what their members may do."""

    quota: Quota
    """What the tenant may use at one time."""

    gpu_use: GpuUse = GpuUse()
    """What the tenant's GPUs are for: by default shares are for notebooks and whole GPUs for training."""

    defaults: ContainerDefaults = ContainerDefaults()
    """What a container gets that states nothing itself."""

    network: Network = Network()
    """Exceptions to the rule that nothing goes in or out of the tenant's namespace."""

    data: Data = Data()
    """What the tenant has in the platform's stores."""

    flink: FlinkSession | None = None
    """A session cluster of Flink, for the tenant's people to share; applications need none. An environment without Flink leaves it out."""

    spark: SparkShare = SparkShare()
    """What the tenant has of Spark beside its applications. An environment without Spark leaves it out."""

    training: TrainingShare = TrainingShare()
    """How the tenant's training jobs are set up. An environment without training leaves it out."""

    budget: Annotated[float, Field(ge=0, le=1_000_000_000)] | None = None
    """Most that the quota may cost in a month, in the currency of `profiles/prices/prices.yaml`; null is no bound."""


class Departed(Model):
    """A tenant that is gone, and whose retained data may be deleted. Until it is named so, all stores keep it."""

    approved_by: Annotated[str, Field(min_length=1, max_length=200)]
    """Who agreed that the data is deleted for good."""

    reason: Annotated[str, Field(min_length=1, max_length=400)]
    """Why it may be deleted."""
