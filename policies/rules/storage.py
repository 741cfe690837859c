"""Data: that no edit loses any, and no declaration prepares its loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from policies.claim import each, each_entry, forbid, over, over_pods
from policies.expression import META, OBJECT, POD_SPEC, SPEC, Name
from policies.resource import (
    CUSTOM_RESOURCE_DEFINITION,
    NAMESPACE,
    UNKNOWN,
    Record,
    Resource,
    at,
    record,
    records,
)
from policies.rule import SEVERAL, Family, Fault, Op, PlanRule, ResourceRule, Severity, StackRule, Step

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


_CHANGE: Final = (
    "It is about what would be done, which the API server learns one object at a time and too late."
)


def _destroyed(step: Step) -> Iterator[str]:
    lost = STATEFUL.get(step.resource.kind)
    if step.old and step.old.kind == _STATEFUL_SET and not _volumes(step.old.props):
        return
    if lost and step.op in (Op.DELETE, Op.REPLACE) and not step.retained:
        yield f"would be {'deleted' if step.op is Op.DELETE else 'replaced'}, and with it {lost}"


def _scaled_down(step: Step) -> Iterator[str]:
    for before, now in _changed_in_place(step):
        had, has = _replicas(before), _replicas(now)
        if _volumes(before) and (UNKNOWN in (had, has) or has < had):
            yield f"would have {has} replicas instead of {had}, and nobody moves what is on the others' volumes"


def _unmounted(step: Step) -> Iterator[str]:
    for before, now in _changed_in_place(step):
        for claim, path in sorted(_mounts(before) - _mounts(now)):
            if claim in _volumes(before):
                yield f"would no longer see its volume {claim} at {path}, and what it writes there goes with its pods"


def _changed_in_place(step: Step) -> Iterator[tuple[Record, Record]]:
    """A server before and after. Of what is replaced instead, LH-S-001 tells."""
    if step.op is Op.UPDATE and step.old and step.new and step.new.kind == _STATEFUL_SET:
        yield step.old.props, step.new.props


def _replicas(server: Record) -> Any:
    value = at(server, "spec", "replicas")
    return 1 if value is None else int(value) if isinstance(value, (int, float)) else UNKNOWN


def _volumes(server: Record) -> set[str]:
    """Names of the volumes that each of its pods has for itself. Without any, nothing is lost with a server."""
    claims = records(at(server, "spec", "volumeClaimTemplates"))
    return {str(at(each, "metadata", "name")) for each in claims}


def _mounts(server: Record) -> set[tuple[str, str]]:
    """Each volume, and where a container sees which part of it."""
    containers = records(at(server, "spec", "template", "spec", "containers"))
    mounts = (mount for container in containers for mount in records(container.get("volumeMounts")))
    return {
        (str(each.get("name")), f"{each.get('mountPath')} {each.get('subPath', '')}".strip())
        for each in mounts
    }


_CLAIM: Final = Name("claim")
_CLAIMS: Final = SPEC["volumeClaimTemplates"]
_MODE: Final = Name("mode")
_VOLUME: Final = Name("volume")
_KEY: Final = Name("key")
_VALUE: Final = Name("value")
_FINALIZER: Final = Name("finalizer")
_BUDGET: Final = "policy/PodDisruptionBudget"
_STATEFUL_SET: Final = "apps/StatefulSet"

_RETENTION: Final = SPEC["persistentVolumeClaimRetentionPolicy"]
_KEPT: Final = over(
    _STATEFUL_SET,
    *(
        forbid(_RETENTION[when].present & ~_RETENTION[when].eq("Retain"), f"deletes its volumes {word}")
        for when, word in (("whenDeleted", "when it is deleted"), ("whenScaled", "when it is scaled down"))
    ),
)

_RECLAIM: Final = over(
    "storage.k8s.io/StorageClass",
    forbid(~OBJECT["reclaimPolicy"].eq("Retain"), "deletes a volume with its claim"),
)

_OWN_VOLUME: Final = over(
    _STATEFUL_SET,
    forbid(
        _MODE.among(("ReadWriteMany", "ReadOnlyMany")),
        "shares the volume ", _CLAIM["metadata", "name"], " between nodes (", _MODE, ")",
        over=[each(_CLAIM, _CLAIMS), each(_MODE, _CLAIM["spec", "accessModes"])],
    ),
)  # fmt: skip

_TWO_AT_ONCE: Final = over_pods(
    forbid(
        _VOLUME["persistentVolumeClaim"].present,
        "pod starts the next on the claim ", _VOLUME["persistentVolumeClaim", "claimName"], " before this one has let go",
        over=[each(_VOLUME, POD_SPEC["volumes"])],
    ),
    where=~SPEC["strategy", "type"].eq("Recreate"),
    kinds=("apps/Deployment",),
)  # fmt: skip

_GRACE: Final = over_pods(
    forbid(
        POD_SPEC["terminationGracePeriodSeconds"].present & ~POD_SPEC["terminationGracePeriodSeconds"].more_than(9),
        "pod has ", POD_SPEC["terminationGracePeriodSeconds"], " seconds to stop",
    ),
    where=_CLAIMS.filled,
    kinds=(_STATEFUL_SET,),
)  # fmt: skip

_DISK: Final = Name("disk")
_KAFKA: Final = "kafka.strimzi.io/KafkaNodePool"
_STORAGE: Final = SPEC["storage"]
_DELETED_CLAIMS: Final = over(
    _KAFKA,
    forbid(_STORAGE["deleteClaim"].eq(True), "deletes its volume with the cluster"),
    forbid(
        _DISK["deleteClaim"].eq(True),
        "deletes its volumes with the cluster",
        over=[each(_DISK, _STORAGE["volumes"])],
    ),
)
_EPHEMERAL: Final = over(
    _KAFKA,
    forbid(_STORAGE["type"].eq("ephemeral"), "keeps records in its pods"),
    forbid(
        _DISK["type"].eq("ephemeral"), "keeps records in its pods", over=[each(_DISK, _STORAGE["volumes"])]
    ),
)
_UNCLEAN: Final = over(
    ("kafka.strimzi.io/Kafka", "kafka.strimzi.io/KafkaTopic"),
    *(
        forbid(
            config["unclean.leader.election.enable"].eq(True)
            | config["unclean.leader.election.enable"].eq("true"),
            "lets a replica lead that lacks records",
        )
        for config in (SPEC["config"], SPEC["kafka", "config"])
    ),
)

_FINALIZERS: Final = over(
    "pxc.percona.com/PerconaXtraDBCluster",
    forbid(
        _FINALIZER.matches("delete-(pxc|proxysql)-pvc$"),
        "deletes its volumes when it is deleted (", _FINALIZER, ")",
        over=[each(_FINALIZER, META["finalizers"])],
    ),
)  # fmt: skip
_UNSAFE: Final = over(
    "pxc.percona.com/PerconaXtraDBCluster",
    forbid(_VALUE.eq(True), "sets unsafeFlags.", _KEY, over=[each_entry(_KEY, _VALUE, SPEC["unsafeFlags"])]),
)
_NODE_TWICE: Final = over(
    "cassandra.datastax.com/CassandraDatacenter",
    forbid(SPEC["allowMultipleNodesPerWorker"].eq(True), "may have two servers on one node"),
)
_DATACENTER_GONE: Final = over(
    "cassandra.datastax.com/CassandraDatacenter",
    forbid(
        ~META["annotations", "cassandra.datastax.com/delete-pvc"].eq("false"),
        "deletes its volumes when it is deleted",
    ),
)


def _budgets(resources: Sequence[Resource]) -> Iterator[Fault]:
    budgets = [each for each in resources if each.kind == _BUDGET]
    for server in resources:
        replicas = at(server.props, "spec", "replicas")
        if server.kind != _STATEFUL_SET or not isinstance(replicas, (int, float)) or replicas < 2:
            continue
        pods = record(at(server.props, "spec", "template", "metadata", "labels"))
        if not any(budget.namespace == server.namespace and _selects(budget, pods) for budget in budgets):
            yield Fault(server, f"has {replicas:g} replicas and no PodDisruptionBudget")


def _selects(budget: Resource, pods: Record) -> bool:
    wanted = record(at(budget.props, "spec", "selector", "matchLabels"))
    return bool(wanted) and all(pods.get(key) == value for key, value in wanted.items())


RULES: Final = (
    PlanRule(
        id="LH-S-001",
        title="Nothing that holds data is deleted or replaced",
        reason="A renamed module, a moved tenant or a changed immutable field reads as an edit and is carried out as a deletion.",
        fix="Keep the old name, or give the new resource an alias of the old one; to let go of data, declare retain_on_delete first.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        pull_request_only=_CHANGE,
        check=_destroyed,
    ),
    ResourceRule(
        id="LH-S-002",
        title="The volumes of a server outlive it",
        reason="A StatefulSet that is deleted by mistake comes back in a minute; what was on its volumes does not.",
        fix="Take persistentVolumeClaimRetentionPolicy away, or write Retain.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("Kubernetes, StatefulSets: PersistentVolumeClaim retention",),
        check=_KEPT,
    ),
    ResourceRule(
        id="LH-S-003",
        title="A StorageClass keeps the volumes of deleted claims",
        reason="With Delete, a claim that goes with its namespace takes the disk along.",
        fix="Set reclaimPolicy to Retain, and delete released volumes by hand.",
        severity=Severity.WARNING,
        family=Family.STORAGE,
        references=("Kubernetes, Storage Classes: reclaim policy",),
        check=_RECLAIM,
    ),
    ResourceRule(
        id="LH-S-004",
        title="Each replica has a volume of its own",
        reason="Two servers that write to one directory destroy it.",
        fix="Write ReadWriteOnce or ReadWriteOncePod among accessModes of the claim template.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        check=_OWN_VOLUME,
    ),
    ResourceRule(
        id="LH-S-005",
        title="No update starts a second writer on a volume",
        reason="A rolling update starts the next pod before the last one has let go: it waits for ever, or both write.",
        fix="Set strategy.type to Recreate, or use a StatefulSet.",
        severity=Severity.WARNING,
        family=Family.STORAGE,
        check=_TWO_AT_ONCE,
    ),
    ResourceRule(
        id="LH-S-006",
        title="A server with volumes has time to stop",
        reason="One that is killed while it writes has to recover, and loses what was not on the disk yet.",
        fix="Leave terminationGracePeriodSeconds away (30), or set at least 10.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        check=_GRACE,
    ),
    StackRule(
        id="LH-S-007",
        title="Every replicated server has a disruption budget",
        reason="Without one, draining two nodes takes two replicas at once, and with them the quorum.",
        fix="Declare a PodDisruptionBudget with maxUnavailable 1 that selects its pods.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("Kubernetes, Specifying a Disruption Budget",),
        pull_request_only=SEVERAL,
        check=_budgets,
    ),
    ResourceRule(
        id="LH-S-008",
        title="The volumes of a Kafka cluster outlive it",
        reason="With deleteClaim, taking the resource away takes every topic of every tenant along.",
        fix="Take deleteClaim away.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("Strimzi, Configuring: deleteClaim",),
        check=_DELETED_CLAIMS,
    ),
    ResourceRule(
        id="LH-S-009",
        title="Kafka keeps its records on volumes",
        reason="A broker on ephemeral storage comes back empty, and an upgrade restarts all of them.",
        fix="Set the storage type to persistent-claim, or jbod of such.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("Strimzi, Configuring: ephemeral storage",),
        check=_EPHEMERAL,
    ),
    ResourceRule(
        id="LH-S-010",
        title="Kafka loses no record that it confirmed",
        reason="An unclean election makes a replica the leader that lacks what others have; the others then forget it too.",
        fix="Take unclean.leader.election.enable away.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("Apache Kafka, documentation: unclean leader election",),
        check=_UNCLEAN,
    ),
    ResourceRule(
        id="LH-S-011",
        title="The volumes of a MySQL cluster outlive it",
        reason="These finalizers delete the claims of every member when the resource goes.",
        fix="Take the finalizer away; delete the claims by hand once nobody misses them.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("Percona Operator for MySQL, Custom Resource options: finalizers",),
        check=_FINALIZERS,
    ),
    ResourceRule(
        id="LH-S-012",
        title="No MySQL cluster is declared unsafe",
        reason="The flags switch off what keeps a cluster from running with too few members, without TLS, or from being backed up while it is broken.",
        fix="Take unsafeFlags away; have three members.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("Percona Operator for MySQL, Custom Resource options: unsafeFlags",),
        check=_UNSAFE,
    ),
    ResourceRule(
        id="LH-S-013",
        title="No two servers of a Cassandra datacenter share a node",
        reason="Replicas of one row may then go with one machine.",
        fix="Take allowMultipleNodesPerWorker away, and have a node for each server.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        check=_NODE_TWICE,
    ),
    ResourceRule(
        id="LH-S-014",
        title="The volumes of a Cassandra datacenter outlive it",
        reason="cass-operator deletes every claim of the datacenter when the resource goes, unless it is told not to.",
        fix='Annotate it cassandra.datastax.com/delete-pvc: "false".',
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("cass-operator v1.30.0, api v1beta1: DeletePVCAnnotation",),
        check=_DATACENTER_GONE,
    ),
    PlanRule(
        id="LH-S-015",
        title="No server with volumes gets fewer replicas",
        reason="Kubernetes takes the last pods away, whatever only they hold; a store that moves data first is asked to by its own commands, or by an operator.",
        fix="Keep the number, or move the data off the last replicas first, and then waive it.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        references=("Kubernetes, StatefulSets: Deployment and Scaling Guarantees",),
        pull_request_only=_CHANGE,
        check=_scaled_down,
    ),
    PlanRule(
        id="LH-S-016",
        title="A server's volumes stay where they are mounted",
        reason="A server that no longer finds its volume starts empty, and what it then writes is gone with the pod.",
        fix="Mount it where it was; to move it, show that the server looks there too, and waive it.",
        severity=Severity.ERROR,
        family=Family.STORAGE,
        pull_request_only=_CHANGE,
        check=_unmounted,
    ),
)
