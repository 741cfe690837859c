"""Every component's children have it as their parent and carry its owner."""

from __future__ import annotations

import pulumi_kubernetes as kubernetes
import pytest

from modules.kit import labels
from modules.kit.component import Component, owned, secret
from tests.conftest import record


class Shelf(Component):
    """A component for these tests."""

    AREA = "test"
    COMPONENT = "shelf"

    def __init__(self, name: str, *, tenant: str | None = None) -> None:
        super().__init__(name, owner="library", tenant=tenant)
        kubernetes.core.v1.Secret(
            f"{name}-key",
            metadata=self.meta(
                "key", namespace="hall", extra_labels={"colour": "red"}, annotations={"note": "dusty"}
            ),
            string_data={"key": secret("hush")},
            opts=self.child(),
        )
        self.register_outputs({})


def test_a_component_is_named_for_its_area_and_noun() -> None:
    assert record(lambda: Shelf("top")).resources[0].type == "longhouse:test:Shelf"


def test_a_child_hangs_below_its_component() -> None:
    recorded = record(lambda: Shelf("top"))
    assert recorded.one("core/v1:Secret").parent == recorded.resources[0].urn


def test_an_object_carries_its_owner_and_its_own_labels() -> None:
    assert dict(record(lambda: Shelf("top")).one("core/v1:Secret").metadata.labels) == {
        "colour": "red",
        **labels.platform("shelf", "library"),
    }


def test_an_object_of_a_tenant_says_whose_it_is() -> None:
    metadata = record(lambda: Shelf("top", tenant="atlas")).one("core/v1:Secret").metadata
    assert metadata.labels[labels.TENANT] == "atlas"


def test_fields_are_always_owned_under_the_same_name() -> None:
    annotations = record(lambda: Shelf("top")).one("core/v1:Secret").metadata.annotations
    assert dict(annotations) == {"note": "dusty", "pulumi.com/patchFieldManager": "longhouse"}


def test_a_credential_is_declared_secret() -> None:
    declared = record(lambda: Shelf("top")).one("core/v1:Secret")
    assert declared.secrets == {"stringData"}
    assert declared.inputs.stringData["key"] == "hush"


def test_an_object_cannot_claim_another_owner() -> None:
    with pytest.raises(ValueError, match="say who owns the object"):
        owned({labels.OWNER: "someone-else"}, labels.platform("shelf", "library"))


def test_saying_the_same_owner_twice_is_no_contradiction() -> None:
    assert owned({labels.OWNER: "library"}, {labels.OWNER: "library"}) == {labels.OWNER: "library"}
