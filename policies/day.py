"""Days of the calendar as files write them."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError


def _day(value: object) -> object:
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise PydanticCustomError(
            "day", "is no day of the calendar", {"remedy": "write it like 2026-12-31"}
        ) from error


Day = Annotated[
    date,
    BeforeValidator(_day),
    Field(
        json_schema_extra={
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            "remedy": "write it like 2026-12-31",
            "examples": ["2026-12-31"],
        }
    ),
]
"""A day, as `2026-12-31`."""
