"""Every shipped profile keeps every rule, but for the exemptions. What Helm charts render is not among what a recording sees: previews see it."""

from __future__ import annotations

import pytest

from policies.catalogue import RULES
from policies.crossguard import plain
from policies.exemptions import EXEMPTIONS
from policies.preview import CHECKOUT
from policies.resource import NAMESPACE, Resource, kubernetes_resources
from policies.rule import violations
from profiles.load import load
from tests.shipped import declared

SHIPPED = sorted({path.stem for path in (CHECKOUT / "profiles").glob("*.yaml")} - {"base"})


def _declared(profile: str) -> list[Resource]:
    return [
        resource
        for each in declared(profile).resources
        for resource in kubernetes_resources(each.urn, each.type, each.name, plain(each.inputs))
    ]


@pytest.mark.parametrize("profile", SHIPPED)
def test_what_a_shipped_profile_declares_keeps_every_rule(profile: str) -> None:
    resources = _declared(profile)
    assert [each.text for each in violations(RULES, resources, exemptions=EXEMPTIONS)] == []


@pytest.mark.parametrize("profile", SHIPPED)
def test_the_rules_find_the_tenants_of_a_shipped_profile(profile: str) -> None:
    homes = {each.tenant for each in _declared(profile) if each.kind == NAMESPACE and each.tenant}
    assert homes == set(load(profile).tenants)
    assert homes, "rules over no tenant prove nothing"
