"""The rule for data: over the steps of a plan."""

from __future__ import annotations

import pytest

from policies.rule import Op, Step
from policies.rules.storage import STATEFUL
from tests.policies.objects import compliant, found, resource


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
    old = resource(_object(kind))
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
    "kind", ["apps/Deployment", "core/Secret", "kueue.x-k8s.io/ClusterQueue", "minio.min.io/Policy"]
)
def test_what_holds_no_data_may_be_deleted(kind: str) -> None:
    assert found(compliant(), [Step(Op.DELETE, resource(_object(kind)), None)]) == []
