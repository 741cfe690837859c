"""What each tenant has of Kafka: from its record to what the access program makes so, and what the tenant is told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from modules.data.kafka import settings
from modules.data.kafka.config import CLIENT_PORT, NAMESPACE, Kafka, KafkaShare, Topic
from modules.data.kafka.inside.place import MECHANISM, prefix
from modules.data.kafka.plain import HOST
from modules.data.store import BINDING_PATH
from modules.kit import quantities
from modules.kit.credentials import Credentials

_HOUR_MS = 3_600_000


def topic_settings(topic: Topic) -> dict[str, str]:
    """What is set for a topic in particular; all else is the brokers' own."""
    found = {
        "cleanup.policy": "compact" if topic.compact else "delete",
        "retention.ms": str(topic.retention_hours * _HOUR_MS),
    }
    if topic.retention_bytes is not None:
        found["retention.bytes"] = str(quantities.bytes_of(topic.retention_bytes))
    if topic.min_in_sync is not None:
        found["min.insync.replicas"] = str(topic.min_in_sync)
    return found


def quotas(share: KafkaShare) -> dict[str, float]:
    """A tenant's quotas, by Kafka's names for them. All but the last hold for each broker by itself
    (https://kafka.apache.org/43/design/design/#design_quotas)."""
    return {
        "producer_byte_rate": float(quantities.bytes_of(share.produce)),
        "consumer_byte_rate": float(quantities.bytes_of(share.consume)),
        "request_percentage": float(share.request_percent),
        "controller_mutation_rate": float(share.mutations),
    }


def wanted(
    config: Kafka, shares: Mapping[str, KafkaShare], credentials: Credentials, delete_data: Iterable[str] = ()
) -> dict[str, object]:
    """What the access program makes so.

    Brokers keep `min.insync.replicas` in the cluster's metadata since KIP-966 (eligible leader replicas): what their settings file says
    counts at the first start only, so it is set there too.
    """
    return {
        "owner": settings.ADMIN,
        "helpers": [settings.BACKUP],
        "defaults": {"min.insync.replicas": str(config.min_in_sync)},
        "delete_data": sorted(delete_data),
        "tenants": {
            name: {
                "password": password(credentials, name),
                "create_topics": share.create_topics,
                "quotas": quotas(share),
                "topics": {
                    f"{prefix(name)}{topic}": {
                        "partitions": each.partitions,
                        "settings": topic_settings(each),
                    }
                    for topic, each in share.topics.items()
                },
            }
            for name, share in shares.items()
        },
    }


def password(credentials: Credentials, tenant: str) -> str:
    """The tenant's password."""
    return credentials.password(f"kafka/tenants/{tenant}")


def binding(tenant: str, credentials: Credentials, authorities: str) -> dict[str, str]:
    """What a tenant's client needs, and ready-made settings for the two families of clients."""
    servers, secret = f"{HOST}:{CLIENT_PORT}", password(credentials, tenant)
    ca = f"{BINDING_PATH}/{NAMESPACE}/ca.crt"
    login = f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{tenant}" password="{secret}";'
    java = {
        "bootstrap.servers": servers,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": MECHANISM,
        "sasl.jaas.config": login,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": ca,
    }
    librdkafka = {
        "bootstrap.servers": servers,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": MECHANISM,
        "sasl.username": tenant,
        "sasl.password": secret,
        "ssl.ca.location": ca,
    }
    return {
        "provider": "apache",
        "host": HOST,
        "port": str(CLIENT_PORT),
        "bootstrap-servers": servers,
        "security-protocol": "SASL_SSL",
        "sasl-mechanism": MECHANISM,
        "username": tenant,
        "password": secret,
        "prefix": prefix(tenant),
        "ca.crt": authorities,
        "client.properties": settings.properties(java),
        "librdkafka.json": json.dumps(librdkafka, indent=1),
    }
