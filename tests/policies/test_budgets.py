"""What quotas cost, against sums done by hand, and budgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from policies import __main__ as command
from policies import prices as price_list
from policies.cost import OBJECTS, VOLUMES, Bill, Line, bills, over_budget
from policies.prices import Prices
from profiles.load import load
from profiles.model import Profile
from profiles.problems import ProfileError

_SOURCE = {"source": "made up for the test", "as_of": "2026-11-21"}


def _owned(purchase: float, watts: float = 0) -> dict[str, Any]:
    return {"purchase": purchase, "months": 10, "watts": watts, **_SOURCE}


def _rented(hour: float) -> dict[str, Any]:
    return {"hour": hour, **_SOURCE}


def _listed(**changes: Any) -> dict[str, Any]:
    region = {
        "cpu": _rented(0.1),
        "memory": _rented(0.01),
        "storage": _rented(0.001),
        "spot": {"factor": 0.5, **_SOURCE},
        "gpus": {"NVIDIA-A100-SXM4-80GB": _rented(4), "NVIDIA-L4": _rented(1)},
    }
    return {
        "currency": "EUR",
        "hours_per_month": 700,
        "home": {
            "kwh": {"price": 0.5, **_SOURCE},
            "cpu": _owned(100),
            "memory": _owned(10),
            "storage": _owned(1),
            "gpus": {
                "NVIDIA-A100-SXM4-80GB": _owned(10_000, watts=1000),
                "NVIDIA-H100-80GB-HBM3": _owned(20_000),
                "NVIDIA-L4": _owned(1_000),
            },
        },
        "cloud": {"eu-central-1": region, "eu-west-1": region},
        **changes,
    }


_PRICES = Prices.model_validate(_listed())


def _lines(profile: Profile, tenant: str, prices: Prices = _PRICES) -> dict[str, float | None]:
    return {line.place: line.cost for line in bills(profile, prices)[tenant].lines}


def test_own_machines_are_paid_off_and_fed() -> None:
    """Atlas: 300 cores and 1000 GiB, 48 GPUs, 84 sevenths of a GPU, 20 TiB of volumes and 16 TiB of objects."""
    gpu = 10_000 / 10 + 1000 / 1000 * 700 * 0.5
    assert _lines(load("onprem"), "atlas") == {
        "general": pytest.approx(300 * 10 + 1000 * 1),
        "a100": pytest.approx(48 * gpu),
        "a100-mig": pytest.approx(12 * gpu),
        VOLUMES: pytest.approx(20 * 1024 * 0.1),
        OBJECTS: pytest.approx(16 * 1024 * 0.1),
    }


def test_a_turn_on_a_gpu_costs_its_part_of_it() -> None:
    assert _lines(load("onprem"), "borealis")["l4"] == pytest.approx(32 / 4 * 100)


def test_rented_machines_cost_their_hours_and_spot_ones_less() -> None:
    found = _lines(load("cloud"), "atlas")
    assert found["general-eu-central"] == pytest.approx(100 * 0.1 * 700 + 400 * 0.01 * 700)
    assert found["a100-eu-central"] == pytest.approx(32 * 4 * 700)
    assert found["a100-spot-eu-west"] == pytest.approx(16 * 4 * 700 * 0.5)
    assert found[VOLUMES] == pytest.approx(20 * 1024 * 0.001 * 700)


def test_a_cloud_beside_a_home_is_promised_to_nobody_and_costs_nothing() -> None:
    assert _lines(load("burst"), "atlas").keys() == _lines(load("onprem"), "atlas").keys()


def test_what_has_no_price_is_no_bargain() -> None:
    listed = _listed()
    del listed["home"]["gpus"]["NVIDIA-L4"]
    found = bills(load("onprem"), Prices.model_validate(listed))
    (line,) = [each for each in found["borealis"].lines if each.place == "l4"]
    assert (line.cost, line.missing) == (None, "NVIDIA-L4 at home")
    missing = [each for each in over_budget(found, "EUR") if "without a price" in each.message]
    assert [(each.subject, each.message) for each in missing] == [
        ("Tenant borealis", "has a quota without a price: l4: no price of NVIDIA-L4 at home"),
        ("Tenant delphi", "has a quota without a price: l4: no price of NVIDIA-L4 at home"),
    ]
    listed = _listed(cloud={})
    assert _lines(load("cloud"), "atlas", Prices.model_validate(listed))["general-eu-central"] is None


def _bill(cost: float | None, budget: float | None) -> dict[str, Bill]:
    return {"atlas": Bill("atlas", (Line("a100", "1 x gpu", cost, "a GPU"),), budget)}


def test_a_quota_over_its_budget_is_refused_and_one_within_is_not() -> None:
    (finding,) = over_budget(_bill(1500, 1000), "EUR")
    assert (finding.rule, finding.subject) == ("LH-P-005", "Tenant atlas")
    assert finding.message == "asks for a quota of 1,500 EUR a month, 500 over its budget of 1,000"
    assert list(over_budget(_bill(1000, 1000), "EUR")) == []
    assert list(over_budget(_bill(1500, None), "EUR")) == [], "no budget is no bound"
    assert list(over_budget(_bill(None, None), "EUR")) == []
    assert len(list(over_budget(_bill(None, 1), "EUR"))) == 1


def test_the_shipped_budgets_bear_the_shipped_quotas() -> None:
    known = price_list.read()
    for name in ("onprem", "cloud", "burst", "local"):
        assert list(over_budget(bills(load(name), known), known.currency)) == []
    assert all(bill.budget for bill in bills(load("onprem"), known).values()), (
        "a budget that is not set bounds nothing"
    )


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("home", "cpu", "source"), None, "source"),
        (("home", "cpu", "as_of"), "lately", "write it like 2026-12-31"),
        (("home", "cpu", "purchase"), -1, "must be at least 0"),
        (("home", "cpu", "months"), 0, "must be at least 1"),
        (("cloud", "eu-west-1", "spot", "factor"), 1.5, "must be at most 1"),
        (("currency",), "XXX", "must be one of USD, EUR, GBP, CHF"),
        (("home", "gpu"), {}, "did you mean gpus?"),
    ],
    ids=[
        "no source",
        "no date",
        "a gift",
        "paid off at once",
        "dearer than full",
        "no currency",
        "a typing mistake",
    ],
)
def test_a_bad_price_is_refused_with_the_way_out(
    tmp_path: Path, path: tuple[str, ...], value: object, said: str
) -> None:
    listed = _listed()
    holder: Any = listed
    for key in path[:-1]:
        holder = holder[key]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    file = tmp_path / "prices.yaml"
    file.write_text(yaml.safe_dump(listed))
    with pytest.raises(ProfileError) as caught:
        price_list.read(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_the_committed_schema_says_what_the_model_says() -> None:
    assert price_list.SCHEMA.read_text() == price_list.schema_text(), (
        "run `python -m policies schema --write`"
    )


def test_the_command_shows_bills_and_fails_over_budget(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.main(["cost", "--profile", "onprem"]) == 0
    assert "84 x mig-1g.10gb (12 GPUs)" in capsys.readouterr().out
    monkeypatch.setattr(price_list, "read", lambda: _PRICES)
    assert command.main(["cost", "--profile", "onprem"]) == 1
    assert "Tenant atlas asks for a quota of" in capsys.readouterr().err
    assert command.main(["cost", "--profile", "nowhere"]) == 2
