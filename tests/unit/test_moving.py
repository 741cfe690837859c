"""Moving tenants between the states of stacks: nothing is lost, nothing is in no state, and references stay whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from modules.kit.parts import StackName, Stacks, group_of
from profiles.load import load
from stacks.deploy import DeployError
from stacks.fleet import Outcome, Plan
from stacks.moving import Move, State, moved, moves, tenants

_P = "onprem"
_G = "onprem-tenants-1"


def _urn(rest: str, stack: str = _P) -> str:
    return f"urn:pulumi:{stack}::longhouse::{rest}"


_ROOT = _urn("pulumi:pulumi:Stack::longhouse-onprem")
_CLUSTER = _urn("pulumi:providers:kubernetes::cluster")
_TENANT = _urn("longhouse:foundation:Tenant::atlas")
_KAFKA = _urn("longhouse:data:Kafka::kafka")
_HOME = _urn("longhouse:foundation:Tenant$kubernetes:core/v1:Namespace::tenant-atlas")
_QUOTA = _urn("longhouse:foundation:Tenant$kubernetes:core/v1:ResourceQuota::atlas-quota")
_KEY = _urn("longhouse:data:Kafka$kubernetes:core/v1:Secret::atlas-kafka-binding")
_ACCESS = _urn("longhouse:data:Kafka$kubernetes:batch/v1:Job::kafka-access")
_QUEUES = _urn("longhouse:foundation:Queueing$kubernetes:core/v1:Namespace::kueue-system")


def _resource(urn: str, **fields: Any) -> dict[str, Any]:
    kind = urn.split("::")[2].rpartition("$")[2]
    given = {"urn": urn, "type": kind, "custom": kind.startswith("kubernetes"), **fields}
    if kind.startswith("kubernetes"):
        given = {"id": urn[-5:], "provider": f"{_CLUSTER}::c1", **given}
    return given


def _of(tenant: str) -> Mapping[str, Any]:
    return {"metadata": {"labels": {"longhouse.dev/tenant": tenant}}}


_WHOLE: State = {
    "manifest": {"magic": "m"},
    "resources": [
        _resource(_ROOT, outputs={"fixed": {"a": 1}}),
        {"urn": _CLUSTER, "type": "pulumi:providers:kubernetes", "custom": True, "id": "c1", "parent": _ROOT},
        _resource(_QUEUES, inputs={"metadata": {"labels": {}}}),
        _resource(_TENANT, parent=_ROOT),
        _resource(_HOME, parent=_TENANT, inputs=_of("atlas"), dependencies=[_QUEUES]),
        _resource(
            _QUOTA,
            parent=_TENANT,
            inputs=_of("atlas"),
            deletedWith=_HOME,
            dependencies=[_HOME],
            propertyDependencies={"spec": [_HOME, _QUEUES], "metadata": None},
        ),
        _resource(_KAFKA, parent=_ROOT),
        _resource(_KEY, parent=_KAFKA, inputs=_of("atlas"), dependencies=[_HOME]),
        _resource(_ACCESS, parent=_KAFKA, inputs={"metadata": {"labels": {}}}, dependencies=[_KEY, _QUEUES]),
    ],
}
_EMPTY: State = {"manifest": {}}


def _moved(states: dict[str, State], homes: Mapping[str, str]) -> dict[str, State]:
    return dict(moved(states, moves(states, homes)))


def _urns(state: State) -> set[str]:
    return {each["urn"] for each in state["resources"]}


def _one(state: State, urn: str) -> Mapping[str, Any]:
    (found,) = [each for each in state["resources"] if each["urn"] == urn]
    return dict(found)


def test_a_tenant_takes_all_that_is_its_own_and_nothing_else() -> None:
    after = _moved({_P: _WHOLE, _G: _EMPTY}, {"atlas": _G})
    own = {_TENANT, _HOME, _QUOTA, _KEY}
    assert _urns(after[_P]) == _urns(_WHOLE) - own
    there = {urn.replace(":onprem:", f":{_G}:") for urn in own | {_CLUSTER, _KAFKA}}
    assert _urns(after[_G]) == there | {_urn(f"pulumi:pulumi:Stack::longhouse-{_G}", _G)}
    assert tenants(after[_P]) == set()
    assert tenants(after[_G]) == {"atlas"}


def test_what_it_referred_to_is_renamed_or_left_out() -> None:
    after = _moved({_P: _WHOLE, _G: _EMPTY}, {"atlas": _G})
    home = _HOME.replace(":onprem:", f":{_G}:")
    quota = _one(after[_G], _QUOTA.replace(":onprem:", f":{_G}:"))
    assert quota["parent"] == _TENANT.replace(":onprem:", f":{_G}:")
    assert quota["deletedWith"] == home
    assert quota["dependencies"] == [home]
    assert quota["propertyDependencies"] == {"spec": [home], "metadata": []}
    assert quota["provider"] == f"{_CLUSTER.replace(':onprem:', f':{_G}:')}::c1"
    assert quota["id"] == _one(_WHOLE, _QUOTA)["id"], "it is the same object"
    assert _one(after[_G], home)["dependencies"] == []
    assert _one(after[_P], _ACCESS)["dependencies"] == [_QUEUES]


def test_outputs_stay_with_their_stack() -> None:
    after = _moved({_P: _WHOLE, _G: _EMPTY}, {"atlas": _G})
    assert _one(after[_P], _ROOT)["outputs"] == {"fixed": {"a": 1}}
    assert _one(after[_G], _urn(f"pulumi:pulumi:Stack::longhouse-{_G}", _G))["outputs"] == {}


def test_parents_come_before_children() -> None:
    after = _moved({_P: _WHOLE, _G: _EMPTY}, {"atlas": _G})
    seen: set[str] = set()
    for each in after[_G]["resources"]:
        assert {*each.get("dependencies", []), each.get("parent")} - {None} <= seen
        seen.add(each["urn"])


def test_there_and_back_is_where_it_began() -> None:
    there = _moved({_P: _WHOLE, _G: _EMPTY}, {"atlas": _G})
    back = _moved(there, {"atlas": _P})
    assert _urns(back[_P]) == _urns(_WHOLE)
    assert tenants(back[_G]) == set()


def test_who_gains_is_written_before_who_loses() -> None:
    order = moved({_P: _WHOLE, _G: _EMPTY}, [Move("atlas", _P, _G)])
    assert [stack for stack, _ in order] == [_G, _P]


def test_a_tenant_is_in_some_state_whenever_a_swap_is_cut_off() -> None:
    other = _moved({_P: _WHOLE, _G: _EMPTY}, {"atlas": _G})[_G]
    swapped: dict[str, State] = {_P: _WHOLE, _G: json.loads(json.dumps(other).replace("atlas", "borealis"))}
    states = dict(swapped)
    for stack, state in moved(states, moves(states, {"atlas": _G, "borealis": _P})):
        swapped[stack] = state
        assert {"atlas", "borealis"} <= tenants(swapped[_P]) | tenants(swapped[_G])
    assert tenants(swapped[_P]) == {"borealis"}
    assert tenants(swapped[_G]) == {"atlas"}


def test_a_move_that_was_cut_off_is_finished() -> None:
    """It is in both: whoever shall have it keeps what it has."""
    half = {_P: _WHOLE, _G: _moved({_P: _WHOLE, _G: _EMPTY}, {"atlas": _G})[_G]}
    after = _moved(half, {"atlas": _G})
    assert after[_G]["resources"] == half[_G]["resources"]
    assert tenants(after[_P]) == set()


def test_what_is_to_be_deleted_stays_where_that_is_known() -> None:
    old = {**_resource(_KEY, parent=_KAFKA, inputs=_of("atlas")), "delete": True}
    both = {**_WHOLE, "resources": [*_WHOLE["resources"], old]}
    after = _moved({_P: both, _G: _EMPTY}, {"atlas": _G})
    assert _one(after[_P], _KEY)["delete"] is True


def test_of_a_tenant_that_nobody_wants_nothing_moves() -> None:
    assert moves({_P: _WHOLE, _G: _EMPTY}, {"borealis": _G}) == ()
    assert moves({_P: _WHOLE, _G: _EMPTY}, {"atlas": _P}) == ()


def test_a_urn_of_another_stack_is_not_taken_for_ones_own() -> None:
    with pytest.raises(AssertionError, match="is not of stack other"):
        moved({"other": _WHOLE, _G: _EMPTY}, [Move("atlas", "other", _G)])


def test_only_groups_with_tenants_have_a_stack() -> None:
    profile = load("onprem").model_copy(update={"stacks": Stacks(groups=40)})
    plan = Plan.of(profile, "onprem", ["onprem", "onprem-tenants-41", "other-tenants-1", "burst"])
    assert {each.group for each in plan.groups} == {group_of(name, 40) for name in profile.tenants}
    assert plan.leftover == (StackName("onprem", 41),)
    assert plan.everything[0] == StackName("onprem")


def test_an_environment_of_one_stack_has_no_groups() -> None:
    plan = Plan.of(load("onprem"), "onprem", ["onprem", "onprem-tenants-2"])
    assert (plan.groups, plan.leftover) == ((), (StackName("onprem", 2),))


def test_a_stack_that_there_is_not_is_named() -> None:
    plan = Plan.of(load("onprem"), "onprem", [])
    assert plan.chosen([]) == {StackName("onprem")}
    with pytest.raises(DeployError, match="there is no stack onprem-tenants-9 here, but onprem"):
        plan.chosen(["onprem-tenants-9"])


def test_what_came_of_a_stack_is_said_in_a_few_words() -> None:
    assert Outcome("s", {"same": 3}).said == "same (3 resources)"
    assert Outcome("s", {"same": 3, "update": 1}).said == "3 same, 1 update"
    assert Outcome("s", error="boom").said == "failed"
