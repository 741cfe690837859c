"""The rules for data: over the steps of a plan, and over what is declared."""

from __future__ import annotations

from typing import Any

import pytest

from policies.resource import Resource
from policies.rule import Op, Step
from policies.rules.storage import STATEFUL
from tests.policies.objects import (
    DROP,
    Case,
    Edit,
    allowed,
    compliant,
    edited,
    expected,
    found,
    refused,
    resource,
)

_DB = "StatefulSet stores/db: "
_WEB = "Deployment tenant-atlas/web: "
_BROKERS = "KafkaNodePool stores/brokers: "
_MYSQL = "PerconaXtraDBCluster stores/mysql: "
_KEEPS = "deletes its volumes when it is deleted"
_DISK = {"type": "persistent-claim", "size": "1Gi"}


def _db(path: str, value: Any = DROP) -> Edit:
    return Edit("db", f"spec/{path}", value)


def _volume(**body: Any) -> Edit:
    return Edit("web", "spec/template/spec/volumes/1", {"name": "data", **body})


def _storage(**body: Any) -> Edit:
    return Edit("brokers", "spec/storage", body)


def _flag(name: str, value: bool) -> Edit:
    return Edit("mysql", "spec/unsafeFlags", {name: value})


CASES = (
    refused("LH-S-002", "volumes deleted with the server", _DB + _KEEPS, _db("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Delete"})),
    refused(
        "LH-S-002", "volumes deleted with a replica", _DB + "deletes its volumes when it is scaled down",
        _db("persistentVolumeClaimRetentionPolicy", {"whenScaled": "Delete"}),
    ),
    allowed("volumes kept, spelled out", _db("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})),
    refused("LH-S-003", "volumes deleted with their claims", "StorageClass kept: deletes a volume with its claim", Edit("class", "reclaimPolicy", "Delete")),
    refused("LH-S-003", "reclaim policy left to Kubernetes, which deletes", "StorageClass kept: deletes a volume with its claim", Edit("class", "reclaimPolicy")),
    refused(
        "LH-S-004", "one volume for all replicas", _DB + "shares the volume data between nodes (ReadWriteMany)",
        _db("volumeClaimTemplates/0/spec/accessModes", ["ReadWriteMany"]),
    ),
    allowed("a volume for one pod", _db("volumeClaimTemplates/0/spec/accessModes", ["ReadWriteOncePod"])),
    refused(
        "LH-S-005", "two pods on one claim", _WEB + "pod starts the next on the claim home before this one has let go",
        _volume(persistentVolumeClaim={"claimName": "home"}),
    ),
    allowed("one pod at a time on one claim", _volume(persistentVolumeClaim={"claimName": "home"}), Edit("web", "spec/strategy", {"type": "Recreate"})),
    refused("LH-S-006", "killed at once", _DB + "pod has 0 seconds to stop", _db("template/spec/terminationGracePeriodSeconds", 0)),
    refused("LH-S-006", "killed after nine seconds", _DB + "pod has 9 seconds to stop", _db("template/spec/terminationGracePeriodSeconds", 9)),
    allowed("time to stop", _db("template/spec/terminationGracePeriodSeconds", 10)),
    allowed("a server without volumes that stops at once", _db("template/spec/terminationGracePeriodSeconds", 1), _db("volumeClaimTemplates")),
    refused("LH-S-007", "no budget", _DB + "has 3 replicas and no PodDisruptionBudget", Edit("budget", "")),
    refused("LH-S-007", "a budget of other pods", _DB + "has 3 replicas and no PodDisruptionBudget", Edit("budget", "spec/selector/matchLabels/app", "web")),
    refused("LH-S-007", "a budget elsewhere", _DB + "has 3 replicas and no PodDisruptionBudget", Edit("budget", "metadata/namespace", "agents")),
    allowed("one replica without budget", Edit("budget", ""), _db("replicas", 1)),
    refused("LH-S-008", "a broker's volume goes with it", _BROKERS + "deletes its volume with the cluster", _storage(**_DISK, deleteClaim=True)),
    refused(
        "LH-S-008", "one of a broker's volumes goes with it", _BROKERS + "deletes its volumes with the cluster",
        _storage(type="jbod", volumes=[{"id": 0, **_DISK}, {"id": 1, **_DISK, "deleteClaim": True}]),
    ),
    allowed("a broker's volume that stays", _storage(**_DISK, deleteClaim=False)),
    refused("LH-S-009", "records in pods", _BROKERS + "keeps records in its pods", _storage(type="ephemeral")),
    refused("LH-S-009", "records in pods, among others", _BROKERS + "keeps records in its pods", _storage(type="jbod", volumes=[{"id": 0, "type": "ephemeral"}])),
    refused(
        "LH-S-010", "unclean election of a topic", "KafkaTopic stores/events: lets a replica lead that lacks records",
        Edit("topic", "spec/config/unclean.leader.election.enable", True),
    ),
    refused(
        "LH-S-010", "unclean election of a cluster", "Kafka stores/kafka: lets a replica lead that lacks records",
        Edit("kafka", "spec/kafka/config/unclean.leader.election.enable", "true"),
    ),
    allowed("clean election, spelled out", Edit("topic", "spec/config/unclean.leader.election.enable", False)),
    refused(
        "LH-S-011", "a finalizer that deletes", _MYSQL + _KEEPS + " (percona.com/delete-pxc-pvc)",
        Edit("mysql", "metadata/finalizers", ["percona.com/delete-pxc-pods-in-order", "percona.com/delete-pxc-pvc"]),
    ),
    allowed("a finalizer that only orders", Edit("mysql", "metadata/finalizers", ["percona.com/delete-pxc-pods-in-order"])),
    refused("LH-S-012", "too few members", _MYSQL + "sets unsafeFlags.pxcSize", _flag("pxcSize", True)),
    refused("LH-S-012", "no TLS between members", _MYSQL + "sets unsafeFlags.tls", _flag("tls", True)),
    allowed("a flag that is not set", _flag("pxcSize", False)),
    refused(
        "LH-S-013", "two servers on one node", "CassandraDatacenter stores/cassandra: may have two servers on one node",
        Edit("cassandra", "spec/allowMultipleNodesPerWorker", True),
    ),
    refused("LH-S-014", "claims left to the operator, which deletes them", f"CassandraDatacenter stores/cassandra: {_KEEPS}", Edit("cassandra", "metadata/annotations")),
    refused(
        "LH-S-014", "claims to be deleted", f"CassandraDatacenter stores/cassandra: {_KEEPS}",
        Edit("cassandra", "metadata/annotations/cassandra.datastax.com~delete-pvc", "true"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_declaration_prepares_the_loss_of_data(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)


def _object(kind: str) -> dict[str, object]:
    group, _, name = kind.partition("/")
    api = "v1" if group == "core" else f"{group}/v1"
    labels = {"longhouse.dev/tenant": "atlas", "longhouse.dev/owner": "atlas-team"}
    return {
        "apiVersion": api,
        "kind": name,
        "metadata": {"name": "it", "namespace": "tenant-atlas", "labels": labels},
    }


@pytest.mark.parametrize("kind", sorted(STATEFUL))
@pytest.mark.parametrize(("op", "word"), [(Op.DELETE, "deleted"), (Op.REPLACE, "replaced")])
def test_what_holds_data_is_neither_deleted_nor_replaced(kind: str, op: Op, word: str) -> None:
    claims = {"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}}
    old = resource({**_object(kind), **claims} if kind == "apps/StatefulSet" else _object(kind))
    step = Step(op, old, old if op is Op.REPLACE else None)

    text = f"{kind.rpartition('/')[2]} tenant-atlas/it: would be {word}, and with it {STATEFUL[kind]}"
    assert found(compliant(), [step]) == [("LH-S-001", text)]


@pytest.mark.parametrize("op", [Op.SAME, Op.CREATE, Op.UPDATE])
def test_what_holds_data_may_be_made_and_changed(op: Op) -> None:
    new = resource(_object("core/PersistentVolumeClaim"))
    assert found(compliant(), [Step(op, None, new)]) == []


def test_what_pulumi_only_forgets_is_not_lost() -> None:
    old = resource(_object("core/PersistentVolumeClaim"))
    assert found(compliant(), [Step(Op.DELETE, old, None, retained=True)]) == []


@pytest.mark.parametrize(
    "kind",
    [
        "apps/Deployment",
        "apps/StatefulSet",
        "core/Secret",
        "kueue.x-k8s.io/ClusterQueue",
        "minio.min.io/Policy",
    ],
)
def test_what_holds_no_data_may_be_deleted(kind: str) -> None:
    assert found(compliant(), [Step(Op.DELETE, resource(_object(kind)), None)]) == []


def _server(
    replicas: int | None = 3, path: str = "/data", mounted: bool = True, claims: bool = True
) -> Resource:
    mounts = [{"name": "data", "mountPath": path}] if mounted else []
    template = {"spec": {"containers": [{"name": "db", "volumeMounts": mounts}]}}
    volumes = [{"metadata": {"name": "data"}}] if claims else []
    number = {} if replicas is None else {"replicas": replicas}
    spec = {"template": template, "volumeClaimTemplates": volumes, **number}
    return resource({**_object("apps/StatefulSet"), "spec": spec})


_IT = "StatefulSet tenant-atlas/it: "
_REST = "and nobody moves what is on the others' volumes"
_LOST = "and what it writes there goes with its pods"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (_server(3), _server(1), ("LH-S-015", f"{_IT}would have 1 replicas instead of 3, {_REST}")),
        (_server(3), _server(None), ("LH-S-015", f"{_IT}would have 1 replicas instead of 3, {_REST}")),
        (_server(3), _server(3, "/srv"), ("LH-S-016", f"{_IT}would no longer see its volume data at /data, {_LOST}")),
        (_server(3), _server(3, mounted=False), ("LH-S-016", f"{_IT}would no longer see its volume data at /data, {_LOST}")),
    ],
)  # fmt: skip
def test_no_server_leaves_its_volumes_behind(old: Resource, new: Resource, said: tuple[str, str]) -> None:
    assert found(compliant(), [Step(Op.UPDATE, old, new)]) == [said]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (_server(3), _server(5)),
        (_server(1), _server(None)),
        (_server(3, claims=False), _server(1, claims=False)),
        (_server(3, claims=False), _server(3, "/srv", claims=False)),
    ],
)
def test_a_server_may_grow_and_one_without_volumes_may_change(old: Resource, new: Resource) -> None:
    assert found(compliant(), [Step(Op.UPDATE, old, new)]) == []
