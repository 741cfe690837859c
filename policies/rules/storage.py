"""Data: that no edit loses any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.resource import CUSTOM_RESOURCE_DEFINITION, NAMESPACE
from policies.rule import Family, Op, PlanRule, Severity, Step

STATEFUL: Final[dict[str, str]] = {
    "core/PersistentVolume": "the data on it",
    "core/PersistentVolumeClaim": "its volume",
    NAMESPACE: "everything in it, volume claims with it",
    "apps/StatefulSet": "its pods' identities, by which they find their volumes again",
    CUSTOM_RESOURCE_DEFINITION: "every object of that kind in the cluster",
    "snapshot.storage.k8s.io/VolumeSnapshot": "the backup",
    "snapshot.storage.k8s.io/VolumeSnapshotContent": "the backup",
    "kafka.strimzi.io/Kafka": "the cluster and its topics",
    "kafka.strimzi.io/KafkaNodePool": "its brokers' volumes",
    "kafka.strimzi.io/KafkaTopic": "the topic's records",
    "cassandra.datastax.com/CassandraDatacenter": "the datacenter's volumes",
    "k8ssandra.io/K8ssandraCluster": "the cluster's volumes",
    "pxc.percona.com/PerconaXtraDBCluster": "the cluster's volumes",
    "pxc.percona.com/PerconaXtraDBClusterBackup": "the backup",
    "psmdb.percona.com/PerconaServerMongoDB": "the cluster's volumes",
    "minio.min.io/Tenant": "the buckets' volumes",
}
"""Kinds that hold data, and what goes when one goes. Secrets are not among them: those declared here are derived, and come back the same."""


def _destroyed(step: Step) -> Iterator[str]:
    lost = STATEFUL.get(step.resource.kind)
    if lost and step.op in (Op.DELETE, Op.REPLACE) and not step.retained:
        yield f"would be {'deleted' if step.op is Op.DELETE else 'replaced'}, and with it {lost}"


RULES: Final = (
    PlanRule(
        id="LH-S-001",
        title="Nothing that holds data is deleted or replaced",
        reason="A renamed module, a moved tenant or a changed immutable field reads as an edit and is carried out as a deletion.",
        fix="Keep the old name, or give the new resource an alias of the old one; to let go of data, declare retain_on_delete first.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        check=_destroyed,
    ),
)
