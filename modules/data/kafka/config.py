"""Kafka: who runs it, how large it is, how safe a message is in it, and what a tenant may have of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modules.kit.clock import Cron
from modules.kit.model import IMMUTABLE, FrozenMap, Model
from modules.kit.network import Reach
from modules.kit.quantities import Cpu, Memory

NAMESPACE: Final = "kafka"
CLIENT_PORT: Final = 9093
CLIENT_PORTS: Final = (CLIENT_PORT,)


class KafkaEngine(StrEnum):
    """Who runs the servers."""

    PLAIN = "plain"
    OPERATOR = "operator"


SettingName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.]{2,99}$")]
"""A broker's setting, as Kafka's documentation names it."""

SettingValue = Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.,:/]+$", max_length=200)]
"""A setting's value as the properties file has it."""


class Kafka(Model):
    """One Kafka for all tenants."""

    engine: Annotated[KafkaEngine, Field(json_schema_extra=IMMUTABLE)] = KafkaEngine.OPERATOR
    """Who runs the servers: `operator` is Strimzi, with controllers on pods of their own; `plain` is servers that are brokers and controllers at once, without an operator."""

    brokers: Annotated[int, Field(ge=1, le=500)] = 3
    """Servers that hold messages: one for trying things, else three or more. With `plain` the first three are the controllers too; that number can grow later, but not from one."""

    replication: Annotated[int, Field(ge=1, le=5, json_schema_extra=IMMUTABLE)] = 3
    """Copies of each message, on as many brokers."""

    min_in_sync: Annotated[int, Field(ge=1, le=4)] = 2
    """Copies that must have a message before its writer is told that it is safe. Fewer than `replication`, so that one broker may restart while others write."""

    partitions: Annotated[int, Field(ge=20, le=200_000)] = 600
    """Partitions that the disks are cut for, over all tenants together: each may keep an equal part of them."""

    zones: bool = False
    """Whether copies stand in different zones (node label `topology.kubernetes.io/zone`). KafkaEngine `operator` only."""

    cpu: Cpu = "2"
    """Cores of a broker."""

    memory: Memory = "16Gi"
    """Memory of a broker. Its heap is cut from it; the rest caches what was just written, for those who read it soon after."""

    disk: Memory = "1Ti"
    """Volume of a broker. What a partition may keep follows from it."""

    settings: FrozenMap[SettingName, SettingValue] = Field(default_factory=dict)
    """Further settings of the brokers. What the platform decides itself, or what would lose acknowledged messages, is refused."""

    backup: Cron = "45 1 * * *"
    """When new messages of all tenants' topics are backed up to the object store: five fields of cron, UTC."""

    whole_backup_days: Annotated[int, Field(ge=1, le=365)] = 3
    """Days after which all messages are stored anew instead of the new ones only. Fewer than the object store keeps backups for: a backup is made of parts as old as that."""

    @property
    def reach(self) -> Reach:
        """Where tenants call it."""
        return Reach("kafka", CLIENT_PORTS, namespace=NAMESPACE)


TopicName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        min_length=1,
        max_length=200,
        json_schema_extra={
            "examples": ["events"],
            "remedy": "use lower-case letters, digits, hyphens and dots",
        },
    ),
]
"""A topic's name without the tenant's prefix. No underscore: in the names of metrics Kafka cannot tell it from a dot."""


class Topic(Model):
    """A topic of the tenant's, named `<tenant>.<name>`."""

    partitions: Annotated[int, Field(ge=1, le=1000)] = 3
    """Parts of the topic, each in order by itself; as many consumers of a group can share the work. It only grows: fewer would lose messages."""

    retention_hours: Annotated[int, Field(ge=1, le=87_600)] = 168
    """Hours that messages are kept; fewer where a partition would outgrow its part of the disks."""

    retention_bytes: Memory | None = None
    """Bytes that each partition keeps; null takes the equal part of the disks."""

    compact: bool = False
    """Whether the newest message of each key is kept for ever and older ones go, instead of all going by age. Its size is then bounded by the number of keys alone."""

    min_in_sync: Annotated[int, Field(ge=1, le=4)] | None = None
    """Copies that must have a message before its writer is told that it is safe; null takes the environment's. It may be more than that, never less."""


class KafkaShare(Model):
    """A user of the tenant's name, and all topics, groups and transactions that begin with `<tenant>.`."""

    topics: Annotated[FrozenMap[TopicName, Topic], Field(max_length=500)] = Field(default_factory=dict)
    """Topics that the platform makes for the tenant, by their names without the prefix. One that is taken out of here is kept."""

    create_topics: bool = False
    """Whether the tenant may make and delete topics of its own too. Kafka bounds neither their number nor their disk, only how fast they come (`mutations`)."""

    produce: Memory = "10Mi"
    """Bytes a second that the tenant may write, per broker; who writes more is slowed down."""

    consume: Memory = "20Mi"
    """Bytes a second that the tenant may read, per broker; who reads more is slowed down."""

    request_percent: Annotated[int, Field(ge=1, le=2000)] = 100
    """Share of the brokers' threads that the tenant's requests may take, in percent of one thread, per broker."""

    mutations: Annotated[int, Field(ge=1, le=1000)] = 5
    """Partitions a second that the tenant may create or delete; beyond that it is refused with THROTTLING_QUOTA_EXCEEDED."""
