"""The brokers' settings, rendered once for every engine, and what only the engine ``plain`` sets itself.

Names, meanings and defaults are those of https://kafka.apache.org/43/configuration/broker-configs/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modules.data.kafka.config import CLIENT_PORT, Kafka
from modules.data.kafka.sizing import controllers, sizes

CONTROLLER: Final = "CONTROLLER"
INTERNAL: Final = "INTERNAL"
CLIENTS: Final = "CLIENTS"
PORTS: Final = {CONTROLLER: 9090, INTERNAL: 9091, CLIENTS: CLIENT_PORT}
"""Listeners and their ports, numbered as Strimzi numbers them, so that both engines look alike from outside."""

BROKER: Final = "longhouse_broker"
ADMIN: Final = "longhouse_admin"
BACKUP: Final = "longhouse_backup"
"""The platform's own users. No tenant's name has an underscore, so none can ever pass for one of them."""

SUPER_USERS: Final = (BROKER, ADMIN)
"""Who may do everything: the brokers among themselves, and the program that reconciles access."""

REAUTHENTICATION_SECONDS: Final = 300
"""How long a session lives before it has to prove its password again: the bound on what is left to a client whose user is deleted.
What it may do ends at once, with its access rules."""

DISK_PATH: Final = "/var/lib/kafka/data"
LOG_PATH: Final = f"{DISK_PATH}/log"
"""Not the volume's own root: file systems keep a folder of theirs there, which is no partition."""

TLS_PATH: Final = "/etc/longhouse-kafka-tls"
PASSWORDS_PATH: Final = "/etc/longhouse-kafka-passwords"

_ALL_REASONS: Final = {
    "unclean.leader.election.enable": "would let a broker lead that lacks acknowledged messages, and they would be lost",
    "auto.create.topics.enable": "would make a topic of every mistyped name, beside all quotas",
    "allow.everyone.if.no.acl.found": "would open every topic without access rules to everybody",
    "delete.topic.enable": "would keep topics that a tenant may delete",
    "log.flush.interval.messages": "is left to replication: what is acknowledged is on several brokers",
}
_PLATFORMS: Final = (
    "advertised.", "authorizer.", "broker.", "config.providers", "connections.max.reauth", "controller.", "early.start.", "host.name", "port",
    "inter.broker.", "listener", "log.dir", "log.retention.bytes", "log.segment.bytes", "metadata.", "min.insync", "node.",
    "default.replication", "offsets.topic.", "password.", "process.", "principal.", "sasl.", "security.", "share.coordinator.state.",
    "socket.request.max.bytes", "ssl.", "super.", "transaction.state.", "queued.max.request.bytes", "zookeeper.",
)  # fmt: skip


def refusal(name: str) -> str | None:
    """Why a profile may not set that setting; None where it may."""
    if reason := _ALL_REASONS.get(name):
        return reason
    if name.startswith(_PLATFORMS):
        return "is decided by the platform, from the sizes and numbers of the profile"
    return None


def shared(config: Kafka) -> dict[str, str]:
    """Settings of every broker, whoever runs it. A message that was acknowledged is on ``min_in_sync`` brokers and stays."""
    found = sizes(config)
    copies, in_sync = str(config.replication), str(config.min_in_sync)
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "offsets.topic.num.partitions": str(found.internal_partitions),
        "transaction.state.log.num.partitions": str(found.internal_partitions),
        "share.coordinator.state.topic.num.partitions": str(found.internal_partitions),
        "unclean.leader.election.enable": "false",
        "auto.create.topics.enable": "false",
        "allow.everyone.if.no.acl.found": "false",
        "connections.max.reauth.ms": str(REAUTHENTICATION_SECONDS * 1000),
        "log.retention.bytes": str(found.retention),
        "log.segment.bytes": str(found.segment),
        "log.retention.check.interval.ms": "60000",
        "log.cleaner.dedupe.buffer.size": str(found.cleaner_buffer),
        "socket.request.max.bytes": str(found.request),
        "queued.max.request.bytes": str(found.queued_requests),
        **config.settings,
    }


def plain(config: Kafka, host: str, *, controller: bool) -> dict[str, str]:
    """Every setting of a server of our own but those that name it (``node.id``, ``advertised.listeners``).

    ``host`` is the domain of the servers' names. Three listeners, all with TLS: clients prove themselves by SCRAM, which the cluster
    itself keeps; servers and the platform's programs by passwords from a file, since SCRAM's users are kept in what the
    controllers need each other to read. Each broker holds the log in one folder.
    """
    number = controllers(config)
    listeners = [name for name in PORTS if controller or name != CONTROLLER]
    return {
        **shared(config),
        "process.roles": "broker,controller" if controller else "broker",
        "controller.quorum.bootstrap.servers": ",".join(
            f"kafka-{each}.{host}:{PORTS[CONTROLLER]}" for each in range(number)
        ),
        "controller.listener.names": CONTROLLER,
        "inter.broker.listener.name": INTERNAL,
        "listeners": ",".join(f"{name}://:{PORTS[name]}" for name in listeners),
        "listener.security.protocol.map": ",".join(f"{name}:SASL_SSL" for name in PORTS),
        "sasl.mechanism.controller.protocol": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        f"listener.name.{CLIENTS.lower()}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        f"listener.name.{CLIENTS.lower()}.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        **{
            key: value
            for name in (CONTROLLER, INTERNAL)
            for key, value in {
                f"listener.name.{name.lower()}.sasl.enabled.mechanisms": "PLAIN",
                f"listener.name.{name.lower()}.plain.sasl.jaas.config": _jaas(),
            }.items()
        },
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": f"{TLS_PATH}/server.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": f"{TLS_PATH}/ca.crt",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(f"User:{each}" for each in SUPER_USERS),
        "config.providers": "file",
        "config.providers.file.class": "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
        "config.providers.file.param.allowed.paths": PASSWORDS_PATH,
        "log.dirs": LOG_PATH,
    }


def _jaas() -> str:
    """Who may log in at a listener of the platform's own, and as whom the server itself does. Passwords stay in their files."""
    known = {f"user_{each}": _password(each) for each in (BROKER, ADMIN, BACKUP)}
    options = {"username": BROKER, "password": _password(BROKER), **known}
    words = [f'{name}="{value}"' for name, value in options.items()]
    return f"org.apache.kafka.common.security.plain.PlainLoginModule required {' '.join(words)};"


def _password(user: str) -> str:
    return f"${{file:{PASSWORDS_PATH}:{user}}}"


def properties(settings: Mapping[str, str]) -> str:
    """A properties file (java.util.Properties, "load"). Raises ValueError for a line break, which no setting has."""
    for name, value in settings.items():
        if "\n" in name + value or "\r" in name + value:
            raise ValueError(f"setting {name} holds a line break")
    return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in settings.items())


def java_options(config: Kafka) -> tuple[str, ...]:
    """Options of the server's JVM: those of upstream's kafka-run-class.sh, with a heap that follows from the memory."""
    heap = sizes(config).heap // 2**20
    collector = (
        ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35")
        if heap >= 1024
        else ("-XX:+UseSerialGC",)  # G1's own tables cost more than its short pauses bring
    )
    return (
        f"-Xms{heap}m", f"-Xmx{heap}m", *collector, "-XX:+ExplicitGCInvokesConcurrent", "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData", "-Djava.awt.headless=true",
    )  # fmt: skip
