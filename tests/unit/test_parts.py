"""An environment cut into stacks: which part is whose, and that the parts are the whole."""

from __future__ import annotations

from collections import Counter

import pulumi
import pytest
from pydantic import ValidationError

from modules.kit.credentials import Credentials
from modules.kit.labels import TENANT
from modules.kit.parts import Part, StackName, Stacks, group_of
from profiles.load import load
from profiles.model import Profile
from stacks.keeping import LetGoError, held, keep_tenants
from stacks.platform import platform
from tests.conftest import Declared, Recording, record
from tests.shipped import MASTER

_MANY = [f"tenant{number}" for number in range(1000)]
_GROUPS = 3


def test_a_stacks_name_says_which_part_it_is() -> None:
    assert StackName.of("onprem") == StackName("onprem")
    assert StackName.of("onprem-tenants-12") == StackName("onprem", 12)
    for name in ("onprem-tenants", "onprem-tenants-0", "onprem-tenants-x", "-tenants-1"):
        assert StackName.of(name) == StackName(name)
    assert str(StackName("onprem", 12)) == "onprem-tenants-12"


def test_no_tenant_that_comes_or_goes_moves_another() -> None:
    stacks = Stacks(groups=8)
    before = {name: group for group in range(1, 9) for name in Part.of(stacks, _MANY, group).tenants}
    after = {name: group for group in range(1, 9) for name in Part.of(stacks, _MANY[::2], group).tenants}
    assert before.keys() == set(_MANY)
    assert all(before[name] == group for name, group in after.items())


def test_groups_are_alike_in_size() -> None:
    sizes = Counter(group_of(name, 40) for name in _MANY)
    assert len(sizes) == 40
    assert max(sizes.values()) < 2 * 25


def test_one_group_more_takes_its_part_and_moves_nobody_between_the_others() -> None:
    moved = {name: group_of(name, 41) for name in _MANY if group_of(name, 41) != group_of(name, 40)}
    assert set(moved.values()) == {41}
    assert 10 < len(moved) < 50


def test_a_group_that_the_environment_does_not_have_is_empty() -> None:
    assert Part.of(Stacks(groups=2), _MANY, 3) == Part(False, frozenset())
    assert Part.of(None, _MANY, 1) == Part(False, frozenset())
    assert Part.of(None, _MANY) == Part(True, frozenset(_MANY))
    assert Part.of(Stacks(groups=2), _MANY) == Part(True, frozenset())


@pytest.mark.parametrize("groups", [0, -1, 201])
def test_there_is_no_such_number_of_groups(groups: int) -> None:
    with pytest.raises(ValidationError):
        Stacks(groups=groups)


def _cut(profile: str) -> Profile:
    return load(profile).model_copy(update={"stacks": Stacks(groups=_GROUPS)})


def _part(profile: Profile, group: int | None) -> Recording:
    return record(lambda: platform(profile, Credentials(MASTER), profile.part(group)))


def _is_object(each: Declared) -> bool:
    return each.type.startswith("kubernetes:")


@pytest.mark.parametrize("profile", ["local", "onprem"])
def test_the_parts_are_the_whole_and_nothing_is_in_two(profile: str) -> None:
    """Whose an object is its label says, by which moving knows it."""
    cut = _cut(profile)
    uncut = _part(cut.model_copy(update={"stacks": None}), None)
    whole = {each.urn: each for each in uncut.resources if _is_object(each)}
    parts = {
        group: {each.urn: each for each in _part(cut, group).resources if _is_object(each)}
        for group in (None, *range(1, _GROUPS + 1))
    }
    assert Counter(urn for found in parts.values() for urn in found) == Counter(whole.keys())
    for group, found in parts.items():
        for urn, each in found.items():
            assert each.inputs == whole[urn].inputs, "another stack declares something else"
            meta = each.inputs.get("metadata") or {}
            whose = (meta.get("labels") or {}).get(TENANT)
            assert whose in cut.part(group).tenants if group else whose is None, urn


def test_what_serves_all_does_not_grow_with_tenants() -> None:
    cut = _cut("onprem")
    few = cut.model_copy(update={"tenants": {"atlas": cut.tenants["atlas"]}})
    assert len(_part(few, None).objects) == len(_part(cut, None).objects)


def test_the_cluster_is_the_same_to_all_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for stack, group in (("onprem", None), ("onprem-tenants-2", 2)):
        monkeypatch.setattr(pulumi, "get_stack", lambda stack=stack: stack)
        (cluster,) = _part(_cut("onprem"), group).of("pulumi:providers:kubernetes")
        found.add(cluster.inputs.clusterIdentifier)
    assert found == {"onprem"}, "another identity would replace what a stack takes over"


_STATE = {
    "urn:pulumi:s::p::kubernetes:core/v1:Namespace::tenant-atlas": {
        "type": "kubernetes:core/v1:Namespace",
        "outputs": {"metadata": {"name": "tenant-atlas"}},
    },
    "urn:pulumi:s::p::kubernetes:core/v1:Namespace::kafka": {
        "type": "kubernetes:core/v1:Namespace",
        "outputs": {"metadata": {"name": "kafka"}},
    },
    "urn:pulumi:s::p::kubernetes:core/v1:Secret::key": {"type": "kubernetes:core/v1:Secret", "outputs": {}},
}


def test_a_stack_holds_the_tenants_whose_namespaces_it_has() -> None:
    assert held(_STATE) == {"atlas"}


def _asked(part: Part, tenants: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer:
        value = {"outputs": _STATE}  # noqa: RUF012 - read only

    monkeypatch.setattr(pulumi.runtime, "invoke", lambda token, args: Answer())
    monkeypatch.setattr(pulumi, "get_organization", lambda: "organization")
    monkeypatch.setattr(pulumi, "get_project", lambda: "longhouse")
    monkeypatch.setattr(pulumi, "get_stack", lambda: "onprem")
    keep_tenants(part, tenants)


def test_a_tenant_that_another_stack_is_to_declare_is_not_deleted_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(LetGoError, match=r"holds atlas, .* `python -m stacks.fleet up` moves"):
        _asked(Part(True, frozenset()), ["atlas", "borealis"], monkeypatch)


def test_a_tenant_that_the_profile_no_longer_names_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    _asked(Part(True, frozenset()), ["borealis"], monkeypatch)
    _asked(Part(True, frozenset({"atlas"})), ["atlas", "borealis"], monkeypatch)
