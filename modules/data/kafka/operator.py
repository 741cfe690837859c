"""The engine ``operator``: Strimzi, with controllers and brokers on pods of their own.

Everything that it is told is in ``shared_resources`` and ``tenant_resources``. The cluster is called ``longhouse``; its brokers are
``longhouse-brokers-<number>``. Users, their rules and quotas, and topics are resources of Strimzi's, which its entity operator makes so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final

from modules.data.kafka import settings, shares, sizing
from modules.data.kafka.config import CLIENT_PORT, NAMESPACE, Kafka, KafkaShare
from modules.data.kafka.inside.place import MECHANISM, prefix
from modules.data.kafka.inside.rules import Rule, departed_rules, helper_rules, tenant_rules
from modules.data.kafka.plain import HOST
from modules.kit import labels
from upstream import maven

API_VERSION: Final = "kafka.strimzi.io/v1"
CHART: Final = "oci://quay.io/strimzi-helm/strimzi-kafka-operator"
"""Upstream's published chart; its version is the operator's."""
RELEASE: Final = "strimzi"

CLUSTER: Final = "longhouse"
CLUSTER_LABEL: Final = "strimzi.io/cluster"
KIND_LABEL: Final = "strimzi.io/kind"
"""Label of every pod that Strimzi makes, and of its own."""

NAMES: Final = (
    HOST,
    f"{HOST}.cluster.local",
    f"*.{CLUSTER}-kafka-brokers.{NAMESPACE}.svc",
    f"*.{CLUSTER}-kafka-brokers.{NAMESPACE}.svc.cluster.local",
)
"""What the certificate of the listener for clients says. All else between servers has Strimzi's own certificates."""

TOPIC_KIND: Final = "KafkaTopic"
TLS: Final = "kafka-tls"
METRICS: Final = "kafka-metrics"
METRICS_KEY: Final = "metrics.json"
METRICS_PORT_NAME: Final = "tcp-prometheus"

BACKUP: Final = "longhouse.backup"
"""The user that backs topics up. No tenant's name has a dot."""
DEPARTED: Final = "longhouse.departed"
"""The user, and with ``DEPARTED_ACCOUNT`` the account, of the program that looks after what tenants left."""
DEPARTED_ACCOUNT: Final = "departed"

ZONE: Final = "topology.kubernetes.io/zone"
HOSTNAME: Final = "kubernetes.io/hostname"

FORBIDDEN: Final = (
    "listeners", "advertised.", "broker.", "listener.", "host.name", "port", "inter.broker.listener.name", "sasl.", "ssl.", "security.",
    "password.", "log.dir", "authorizer.", "super.user", "node.id", "process.roles", "controller.", "metadata.log.dir",
)  # fmt: skip
"""Settings that Strimzi keeps for itself (`KafkaClusterSpec.FORBIDDEN_PREFIXES` of its API 1.2.0)."""

Object = dict[str, Any]


def values() -> Object:
    """Values of the chart. Operator and cluster share a namespace, which is all that it watches. Every pod that it makes is restricted;
    network policies are the platform's, since Strimzi's own would let every namespace in at the clients' port."""
    restricted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "generateNetworkPolicy": False,
        "podSecurityContext": restricted,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "extraEnvs": [{"name": "STRIMZI_POD_SECURITY_PROVIDER_CLASS", "value": "restricted"}],
        "resources": {
            "requests": {"cpu": "200m", "memory": "512Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
    }


def password_secret(user: str) -> str:
    """Name of the Secret with a user's password."""
    return f"{user}-password"


def shared_resources(
    config: Kafka,
    storage_class: str | None = None,
    delete_data: Iterable[str] = (),
) -> tuple[Object, ...]:
    """What serves all tenants of Strimzi's kinds: the cluster, its pools, and the platform's own users."""
    return (
        _pool(
            "controllers",
            "controller",
            sizing.controllers(config),
            "1",
            sizing.CONTROLLER_MEMORY,
            sizing.CONTROLLER_DISK,
            config,
            storage_class,
        ),
        _pool(
            "brokers", "broker", config.brokers, config.cpu, config.memory, config.disk, config, storage_class
        ),
        _cluster(config),
        _user(BACKUP, helper_rules(BACKUP), None, None),
        _user(DEPARTED, departed_rules(DEPARTED, delete_data), None, None),
    )


def _cluster(config: Kafka) -> Object:
    listener = {
        "name": "clients",
        "port": CLIENT_PORT,
        "type": "internal",
        "tls": True,
        "authentication": {"type": MECHANISM.lower()},
        "configuration": {
            "brokerCertChainAndKey": {"secretName": TLS, "certificate": "tls.crt", "key": "tls.key"}
        },
    }
    entity = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
    kafka: Object = {
        "version": maven.version("kafka"),
        "listeners": [listener],
        "authorization": {"type": "simple"},
        "config": settings.shared(config),
        "metricsConfig": {
            "type": "jmxPrometheusExporter",
            "valueFrom": {"configMapKeyRef": {"name": METRICS, "key": METRICS_KEY}},
        },
    }
    if config.zones:
        kafka["rack"] = {"topologyKey": ZONE}
    return _object(
        "Kafka",
        CLUSTER,
        {
            "kafka": kafka,
            "entityOperator": {"topicOperator": {"resources": entity}, "userOperator": {"resources": entity}},
        },
    )


def _pool(
    name: str,
    role: str,
    replicas: int,
    cpu: str,
    memory: str,
    disk: str,
    config: Kafka,
    storage_class: str | None,
) -> Object:
    heap = sizing.sizes(config.model_copy(update={"memory": memory})).heap // sizing.MIB
    volume = {
        "id": 0,
        "type": "persistent-claim",
        "size": disk,
        "deleteClaim": False,
        "kraftMetadata": "shared",
    }
    pods = {"matchLabels": {CLUSTER_LABEL: CLUSTER, "strimzi.io/pool-name": name}}
    apart = [(HOSTNAME, "DoNotSchedule"), *([(ZONE, "DoNotSchedule")] if config.zones else [])]
    return _object(
        "KafkaNodePool",
        name,
        {
            "replicas": replicas,
            "roles": [role],
            "storage": {
                "type": "jbod",
                "volumes": [{**volume, **({"class": storage_class} if storage_class else {})}],
            },
            "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}},
            "jvmOptions": {"-Xms": f"{heap}m", "-Xmx": f"{heap}m"},
            "template": {
                "pod": {
                    "topologySpreadConstraints": [
                        {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": unless, "labelSelector": pods}
                        for key, unless in apart
                    ]
                }
            },
        },
        {CLUSTER_LABEL: CLUSTER},
    )


def tenant_resources(config: Kafka, name: str, share: KafkaShare) -> Iterable[Object]:
    """A tenant's user and topics."""
    topics = {f"{prefix(name)}{topic}": each for topic, each in share.topics.items()}
    limits = shares.quotas(share)
    quotas = {
        "producerByteRate": int(limits["producer_byte_rate"]),
        "consumerByteRate": int(limits["consumer_byte_rate"]),
        "requestPercentage": int(limits["request_percentage"]),
        "controllerMutationRate": limits["controller_mutation_rate"],
    }
    yield _user(name, tenant_rules(name, topics, create_topics=share.create_topics), quotas, name)
    for topic, each in topics.items():
        yield _object(
            TOPIC_KIND,
            topic,
            {
                "partitions": each.partitions,
                "replicas": config.replication,
                "config": shares.topic_settings(each),
            },
            {CLUSTER_LABEL: CLUSTER, labels.TENANT: name},
        )


def _user(name: str, rules: Iterable[Rule], quotas: Object | None, tenant: str | None) -> Object:
    reference = {"name": password_secret(name), "key": "password"}
    spec: Object = {
        "authentication": {
            "type": MECHANISM.lower(),
            "password": {"valueFrom": {"secretKeyRef": reference}},
        },
        "authorization": {"type": "simple", "acls": _acls(rules)},
    }
    return _object(
        "KafkaUser",
        name,
        {**spec, **({"quotas": quotas} if quotas else {})},
        {CLUSTER_LABEL: CLUSTER, **({labels.TENANT: tenant} if tenant else {})},
    )


_KINDS: Final = {"TOPIC": "topic", "GROUP": "group", "TRANSACTIONAL_ID": "transactionalId"}


def _acls(rules: Iterable[Rule]) -> list[Object]:
    """Rules in Strimzi's words, those on the same things together."""

    def thing(rule: Rule) -> tuple[str, str, bool, bool]:
        return rule.kind, rule.name, rule.prefix, rule.allow

    return [
        {
            "type": "allow" if allow else "deny",
            "resource": {
                "type": _KINDS[kind],
                "name": name,
                "patternType": "prefix" if begins else "literal",
            },
            "operations": sorted(each.operation.title().replace("_", "") for each in found),
        }
        for (kind, name, begins, allow), found in groupby(sorted(rules, key=thing), key=thing)
    ]


def _object(kind: str, name: str, spec: Object, more: Mapping[str, str] | None = None) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(more or {})},
        "spec": spec,
    }
