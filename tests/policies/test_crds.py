"""The gate on versions of kinds."""

from __future__ import annotations

from typing import Any

import pytest

from policies.crds import changes, dangers, of_cluster
from policies.rule import Op, Severity, Step
from tests.policies.objects import resource


def _crd(
    *versions: str, stored: str, scope: str = "Namespaced", kept: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.org"},
        "spec": {
            "group": "example.org",
            "scope": scope,
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [
                {"name": each, "served": True, "storage": each == stored}
                for each in dict.fromkeys((*versions, stored))
            ],
        },
        **({"status": {"storedVersions": list(kept)}} if kept else {}),
    }


def _step(old: dict[str, Any] | None, new: dict[str, Any] | None) -> Step:
    op = Op.UPDATE if old and new else Op.CREATE if new else Op.DELETE
    return Step(op, resource(old) if old else None, resource(new) if new else None)


_THING = resource({"apiVersion": "example.org/v1beta1", "kind": "Thing", "metadata": {"name": "it"}})


def _said(*steps: Step, **options: Any) -> list[tuple[Severity, str]]:
    return [(each.severity, each.message) for each in dangers(steps, **options)]


def test_another_stored_version_is_refused_with_the_migration_to_do_first() -> None:
    ((severity, message),) = _said(_step(_crd("v1", stored="v1beta1"), _crd("v1beta1", stored="v1")))
    assert severity is Severity.ERROR
    assert message.startswith(
        "would store v1beta1 as v1. First serve v1 beside v1beta1; rewrite every object (`kubectl get things.example.org"
    )
    assert '"storedVersions":["v1"]' in message


def test_a_version_that_goes_while_objects_are_declared_in_it_is_refused() -> None:
    gone = _step(_crd("v1beta1", stored="v1"), _crd(stored="v1"))
    kept = Step(Op.SAME, _THING, _THING)
    assert _said(gone, kept) == [
        (
            Severity.ERROR,
            "would no longer serve v1beta1, in which Things are declared here: declare them as v1 first",
        )
    ]
    assert _said(gone, Step(Op.DELETE, _THING, None))[0][0] is Severity.WARNING


def test_a_version_that_nothing_here_uses_is_warned_of() -> None:
    ((severity, message),) = _said(_step(_crd("v1beta1", stored="v1"), _crd(stored="v1")))
    assert severity is Severity.WARNING
    assert "which nothing here uses" in message


def test_a_version_that_is_still_stored_in_the_cluster_is_not_let_go() -> None:
    cluster = of_cluster({"items": [_crd("v1beta1", stored="v1", kept=("v1beta1", "v1"))]})
    ((severity, message),) = _said(_step(None, _crd(stored="v1")), cluster=cluster)
    assert severity is Severity.ERROR
    assert "would no longer serve v1beta1, in which objects are stored" in message
    migrated = of_cluster({"items": [_crd("v1beta1", stored="v1", kept=("v1",))]})
    assert [each for each, _ in _said(_step(None, _crd(stored="v1")), cluster=migrated)] == [Severity.WARNING]


def test_another_scope_is_refused() -> None:
    ((_, message),) = _said(_step(_crd(stored="v1"), _crd(stored="v1", scope="Cluster")))
    assert message.startswith("would become Cluster, and was Namespaced")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, _crd(stored="v1")),
        (_crd(stored="v1"), None),
        (_crd(stored="v1"), _crd(stored="v1")),
        (_crd(stored="v1"), _crd("v2alpha1", stored="v1")),
    ],
    ids=["a new kind", "a kind that goes, which another rule refuses", "no change", "one more version"],
)
def test_what_strands_nothing_passes(old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
    assert _said(_step(old, new)) == []


def test_changes_are_told_and_what_stays_is_not() -> None:
    assert changes([_step(_crd(stored="v1"), _crd(stored="v1"))]) == []
    (change,) = changes([_step(_crd(stored="v1"), _crd("v2", stored="v1"))])
    assert change.new is not None
    assert change.new.served == ("v2", "v1")
    assert changes([Step(Op.SAME, _THING, _THING)]) == []
