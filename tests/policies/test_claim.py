"""What claims are made of: values, conditions with three values, and clauses."""

from __future__ import annotations

import pytest

from policies.claim import Claim, each, each_entry, forbid, over, require
from policies.expression import Condition, Name, any_key, any_of, either, text, words
from policies.resource import UNKNOWN
from tests.policies.objects import Manifest, resource

_IT = Name("it")
_ITEM = Name("item")
_KEY = Name("key")
_TRUE, _FALSE, _OPEN = {"a": 1}, {"a": 2}, {"a": UNKNOWN}
_IS_ONE = _IT["a"].eq(1)


@pytest.mark.parametrize(
    ("condition", "it", "truth"),
    [
        (_IS_ONE, _TRUE, True),
        (_IS_ONE, _FALSE, False),
        (_IS_ONE, {}, False),
        (_IS_ONE, {"a": True}, False),
        (_IS_ONE, _OPEN, None),
        (_IS_ONE, UNKNOWN, None),
        (~_IS_ONE, _FALSE, True),
        (~_IS_ONE, _OPEN, None),
        (_IS_ONE & _IT["b"].eq(1), {"a": UNKNOWN, "b": 2}, False),
        (_IS_ONE & _IT["b"].eq(1), {"a": UNKNOWN, "b": 1}, None),
        (_IS_ONE | _IT["b"].eq(1), {"a": UNKNOWN, "b": 1}, True),
        (_IS_ONE | _IT["b"].eq(1), {"a": UNKNOWN, "b": 2}, None),
        (_IT["a", "b"].present, {"a": {"b": 0}}, True),
        (_IT["a", "b"].present, {"a": "b"}, False),
        (_IT["a"].absent, {"a": None}, True),
        (_IT["a"].absent, _OPEN, None),
        (_IT["a"].known, _OPEN, False),
        (_IT["a"].filled, {"a": []}, False),
        (_IT["a"].filled, {"a": [0]}, True),
        (_IT["a"].among(("x", "y")), {"a": "y"}, True),
        (_IT["a"].among(("x", "y")), {}, False),
        (_IT["a"].has("x"), {"a": ["x"]}, True),
        (_IT["a"].has("x"), {"a": []}, False),
        (_IT["a"].matches("^x"), {"a": "xy"}, True),
        (_IT["a"].matches("^x"), {"a": 1}, False),
        (_IT["a"].more_than(3), {"a": 3}, False),
        (_IT["a"].more_than(3), {"a": 3.5}, True),
        (_IT["a"].more_than(3), {"a": "4"}, False),
        (_IT["a"].more_than(0), {"a": True}, False),
        (_IT["a"].contains_ip("10.1.2.3"), {"a": "10.0.0.0/8"}, True),
        (_IT["a"].contains_ip("10.1.2.3"), {"a": "fd00::/8"}, False),
        (_IT["a"].contains_ip("10.1.2.3"), {"a": "ten"}, False),
        (any_of(_IT["a"], _ITEM, _ITEM.eq("x")), {"a": ["y", "x"]}, True),
        (any_of(_IT["a"], _ITEM, _ITEM.eq("x")), {}, False),
        (any_of(_IT["a"], _ITEM, _ITEM.eq("x")), _OPEN, None),
        (any_key(_IT["a"], _KEY, _KEY.eq("x")), {"a": {"x": 1}}, True),
        (any_key(_IT["a"], _KEY, _KEY.eq("x")), {"a": {"y": 1}}, False),
        (_IT["a"].eq(text("x-", _IT["b"])), {"a": "x-y", "b": "y"}, True),
        (_IT["a"].eq(text("x-", _IT["b"])), {"a": "x-y", "b": UNKNOWN}, None),
        (either(_IT["a"], "x").eq("x"), {}, True),
        (_IT["a"].within(words(_IT["b"])), {"a": "x", "b": "y x"}, True),
        (_IT["a"].within(words(_IT["b"])), {"a": "x", "b": "xy"}, False),
        (_IT["a"].within(words(_IT["b"])), {"a": "x"}, False),
        (_IT["a"].within(words(_IT["b"])), {"a": "x", "b": UNKNOWN}, None),
        (_IT["a"].within(words(_IT["b"])), {"a": UNKNOWN, "b": "x"}, None),
        (_IT["a"].ends_with(text("=", _IT["b"])), {"a": "x=y", "b": "y"}, True),
        (_IT["a"].ends_with(text("=", _IT["b"])), {"a": "xy", "b": "y"}, False),
        (_IT["a"].ends_with(text("=", _IT["b"])), {"b": "y"}, False),
        (_IT["a"].ends_with(text("=", _IT["b"])), {"a": UNKNOWN, "b": "y"}, None),
        (_IT["a", _IT["b"]].eq(1), {"a": {"x": 1}, "b": "x"}, True),
        (_IT["a", _IT["b"]].eq(1), {"a": {"x": 1}, "b": "y"}, False),
        (_IT["a", _IT["b"]].eq(1), {"a": UNKNOWN, "b": "y"}, None),
    ],
)
def test_a_condition_holds_or_does_not_or_cannot_be_known(
    condition: Condition, it: object, truth: bool | None
) -> None:
    assert condition.holds({"it": it}) is truth


def _said(claim: Claim, **body: object) -> list[str]:
    manifest: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "it"}, **body}
    return list(claim(resource(manifest)))


_DATA = Name("object")["data"]


def test_what_is_not_known_to_be_allowed_is_forbidden() -> None:
    assert _said(over("core/ConfigMap", forbid(_DATA["a"].eq("x"), "is x")), data={"a": UNKNOWN}) == ["is x"]
    assert _said(over("core/ConfigMap", require(_DATA["a"].eq("x"), "is not x")), data={"a": UNKNOWN}) == [
        "is not x"
    ]


def test_a_claim_speaks_of_its_kinds_only() -> None:
    assert _said(over("core/Secret", forbid(_DATA.present, "has data")), data={}) == []


def test_a_claim_speaks_of_what_its_condition_describes_or_may_describe() -> None:
    claim = over("core/ConfigMap", forbid(_DATA.present, "has data"), where=_DATA["a"].eq("x"))
    assert _said(claim, data={"a": "y"}) == []
    assert _said(claim, data={"a": "x"}) == _said(claim, data={"a": UNKNOWN}) == ["has data"]


def test_lists_are_gone_through_one_inside_the_other() -> None:
    rules = each(_IT, Name("object")["rules"])
    clause = forbid(
        _ITEM.eq("*"), "rules[", rules.key, "] holds ", _ITEM, over=[rules, each(_ITEM, _IT["verbs"])]
    )
    assert _said(over("core/ConfigMap", clause), rules=[{"verbs": ["get"]}, {"verbs": ["get", "*"]}]) == [
        "rules[1] holds *"
    ]


def test_a_record_is_gone_through_by_key_and_value() -> None:
    clause = forbid(_ITEM.eq(1), _KEY, " is ", _ITEM, over=[each_entry(_KEY, _ITEM, _DATA)])
    assert _said(over("core/ConfigMap", clause), data={"a": 1.0, "b": 2}) == ["a is 1"]
