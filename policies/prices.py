"""Prices as data: typed, sourced, dated. `profiles/prices/prices.yaml` holds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from modules.kit.model import FrozenMap, Model
from modules.kit.names import LabelValue
from policies.day import Day
from profiles import schema, source
from profiles.problems import Problem, ProfileError
from profiles.structure import build, check

FILE: Final = Path(__file__).parent.parent / "profiles" / "prices" / "prices.yaml"
SCHEMA: Final = schema.DIRECTORY / "prices.schema.json"


Amount = Annotated[float, Field(ge=0, le=10_000_000)]
Product = Annotated[str, Field(min_length=1, max_length=63)]


class Sourced(Model):
    """A figure that says where it is from."""

    source: Annotated[str, Field(min_length=5, max_length=400)]
    """Who says so: a list, a contract, an estimate."""

    as_of: Day
    """Day of which it is."""


class Power(Sourced):
    """Electricity."""

    price: Amount
    """Price of a kilowatt-hour, cooling included."""


class Owned(Sourced):
    """One unit of a machine of one's own."""

    purchase: Amount
    """Price of it when bought."""

    months: Annotated[int, Field(ge=1, le=240)]
    """Months over which it is paid off."""

    watts: Amount
    """Power that it draws, day and night."""


class Rented(Sourced):
    """One unit of a rented machine."""

    hour: Amount
    """Price of an hour."""


class Spot(Sourced):
    """What spot machines cost."""

    factor: Annotated[float, Field(gt=0, le=1)]
    """Their price as a part of the full one."""


class Home(Model):
    """The company's own machines."""

    kwh: Power
    """Electricity."""

    cpu: Owned
    """A core of a machine without GPUs."""

    memory: Owned
    """A GiB of memory of a machine without GPUs."""

    storage: Owned
    """A GiB of storage, copies included."""

    gpus: FrozenMap[Product, Owned] = Field(default_factory=dict)
    """A GPU with its part of its machine, by product."""


class Region(Model):
    """A region of a cloud."""

    cpu: Rented
    """A core of a machine without GPUs."""

    memory: Rented
    """A GiB of memory of a machine without GPUs."""

    storage: Rented
    """A GiB of storage."""

    spot: Spot
    """What spot machines cost of the full price."""

    gpus: FrozenMap[Product, Rented] = Field(default_factory=dict)
    """A GPU with its part of its machine, by product."""


class Prices(Model):
    """What one unit of everything costs."""

    currency: Literal["USD", "EUR", "GBP", "CHF"]
    """Currency of every figure, budgets too."""

    hours_per_month: Annotated[float, Field(ge=672, le=744)] = 730
    """Hours that a month is counted as."""

    home: Home
    """The company's own machines."""

    cloud: FrozenMap[LabelValue, Region] = Field(default_factory=dict)
    """Regions of clouds."""

    def monthly(self, unit: Owned | Rented) -> float:
        """What a unit costs in a month."""
        if isinstance(unit, Rented):
            return unit.hour * self.hours_per_month
        return unit.purchase / unit.months + unit.watts / 1000 * self.hours_per_month * self.home.kwh.price


def read(file: Path = FILE) -> Prices:
    """The prices. Raises ProfileError, which holds everything that is wrong with them."""
    tree, found = source.read(file)
    problems: list[Problem] = list(found)
    if tree is not None:
        checked = check(source.plain(tree), Prices, tree)
        prices = build(checked, Prices, tree, lambda data: data)
        problems += checked.problems
        if prices is not None and not problems:
            return prices
    raise ProfileError(file.stem, problems)


def schema_text() -> str:
    """The JSON Schema that editors complete prices from."""
    return json.dumps(schema.for_files(Prices), indent=2, ensure_ascii=False) + "\n"
