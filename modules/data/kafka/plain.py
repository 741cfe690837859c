"""The engine ``plain``: servers that are brokers and controllers at once, with their logs on volumes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Final

from modules.data.kafka import metrics, settings
from modules.data.kafka.config import CLIENT_PORT, NAMESPACE, Kafka
from modules.data.kafka.settings import ADMIN, BACKUP, BROKER, PORTS, TLS_PATH
from modules.data.kafka.sizing import controllers
from modules.foundation.certificates.authority import KeyPair
from modules.kit import clients, server
from modules.kit.credentials import FIRST_EPOCH, Credentials
from modules.kit.pods import Container, Pod, Probe, SecretFiles
from modules.kit.server import Disk, Server
from upstream import maven

IMAGE: Final = f"docker.io/apache/kafka:{maven.version('kafka')}"
"""Upstream's own image (https://hub.docker.com/r/apache/kafka): jars in /opt/kafka/libs, bash, user `appuser`."""

LIBRARIES: Final = "/opt/kafka/libs"
SERVER: Final = "kafka"
DOMAIN: Final = f"{SERVER}.{NAMESPACE}.svc"
"""Domain of the servers' own names."""

SERVICE: Final = "longhouse-kafka-bootstrap"
HOST: Final = f"{SERVICE}.{NAMESPACE}.svc"
"""Where clients begin, with either engine: Strimzi names it so for a cluster ``longhouse``."""

NAMES: Final = (HOST, f"{HOST}.cluster.local", f"*.{DOMAIN}", f"*.{DOMAIN}.cluster.local")
"""What the servers' certificate says. Clients check it at each of them."""

METRICS_PORT: Final = 9404
USER: Final = 1000
MOST_BEHIND: Final = 2000
"""Messages by which a broker may be behind in a partition and still be ready. Whoever keeps up with a steady stream is behind by what comes
within a fetch (half a second); who does not is out of the set of copies in sync after 30 s."""

_SETTINGS: Final = "/etc/longhouse-kafka"
_RUN: Final = "/run/longhouse-kafka"
_FILES: Final = Path(__file__).parent / "files"
_JAVA: Final = ("-cp", f"{LIBRARIES}/*")
_GRACE_SECONDS: Final = 120
"""Time to hand leadership over and close all logs (`controlled.shutdown`); a log that was not closed is read through at the next start."""


def identifier(credentials: Credentials, of: str) -> str:
    """An identifier as Kafka writes them: 16 bytes, URL-safe base64, no dash at its beginning. The same in every epoch, since the
    volumes carry it."""
    raw = bytearray(Credentials(credentials.master, FIRST_EPOCH).key(f"kafka/{of}", 16))
    raw[0] &= 0x7F
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def files(config: Kafka) -> dict[str, str]:
    """Every settings file of a server."""
    return {
        "controller.properties": settings.properties(settings.plain(config, DOMAIN, controller=True)),
        "broker.properties": settings.properties(settings.plain(config, DOMAIN, controller=False)),
        "metrics.json": json.dumps(metrics.configuration(), indent=1),
        **{name: (_FILES / name).read_text() for name in ("log4j2.properties", "prepare.sh", "ready.sh")},
    }


def brokers(
    config: Kafka,
    *,
    credentials: Credentials,
    pair: KeyPair,
    authority: str,
    image: str,
    storage_class: str | None,
) -> Server:
    """The servers. ``image`` is the platform's own, from which the metrics agent is taken.

    There is no liveness probe: a broker that cannot go on ends itself, and one that reads its logs after a crash must not be killed for
    taking long.
    """
    number = controllers(config)
    voters = ",".join(
        f"{each}@{SERVER}-{each}.{DOMAIN}:{PORTS[settings.CONTROLLER]}:{identifier(credentials, f'directory-{each}')}"
        for each in range(number)
    )
    environment = {
        "SETTINGS": _SETTINGS,
        "RUN": _RUN,
        "CLUSTER": identifier(credentials, "cluster"),
        "CONTROLLERS": str(number),
        "VOTERS": voters,
        "ADVERTISED": f"{settings.INTERNAL}://@.{DOMAIN}:{PORTS[settings.INTERNAL]},{settings.CLIENTS}://@.{DOMAIN}:{CLIENT_PORT}",
    }
    ready = ("bash", f"{_SETTINGS}/ready.sh", str(MOST_BEHIND))
    agent = f"{clients.JMX_AGENT}/jmx_prometheus_javaagent-{maven.version('clients')}.jar"
    return Server(
        name=SERVER,
        namespace=NAMESPACE,
        pod=Pod(
            prepare=(
                Container("agent", image, ("cp", agent, f"{_RUN}/agent.jar"), cpu="10m", memory="32Mi"),
                Container(
                    "format",
                    IMAGE,
                    ("sh", f"{_SETTINGS}/prepare.sh"),
                    cpu=config.cpu,
                    memory=config.memory,
                    environment=environment,
                ),
            ),
            containers=(
                Container(
                    SERVER,
                    IMAGE,
                    (
                        "java",
                        *settings.java_options(config),
                        f"-Dlog4j2.configurationFile={_SETTINGS}/log4j2.properties",
                        f"-javaagent:{_RUN}/agent.jar={METRICS_PORT}:{_SETTINGS}/metrics.json",
                        *_JAVA,
                        "kafka.Kafka",
                        f"{_RUN}/server.properties",
                    ),
                    cpu=config.cpu,
                    memory=config.memory,
                    ports={
                        **{name.lower(): port for name, port in PORTS.items()},
                        server.METRICS: METRICS_PORT,
                    },
                    startup=Probe(command=ready, period_seconds=2, failures=300),
                    readiness=Probe(command=ready, period_seconds=10, failures=2),
                ),
            ),
            files=files(config),
            files_path=_SETTINGS,
            secrets=(
                SecretFiles(
                    "tls", TLS_PATH, {"server.pem": pair.private_key + pair.certificate, "ca.crt": authority}
                ),
                SecretFiles(
                    "passwords",
                    settings.PASSWORDS_PATH,
                    {user: password(credentials, user) for user in (BROKER, ADMIN, BACKUP)},
                ),
            ),
            scratch={_RUN: "64Mi"},
            user=USER,
            grace_seconds=_GRACE_SECONDS,
        ),
        replicas=config.brokers,
        disk=Disk(config.disk, settings.DISK_PATH, storage_class),
        service=SERVICE,
        service_ports={settings.CLIENTS.lower(): CLIENT_PORT},
        names_before_ready=True,
        together=True,
    )


def password(credentials: Credentials, user: str) -> str:
    """The password of one of the platform's own users."""
    return credentials.password(f"kafka/{user.replace('_', '-').replace('.', '-')}")
