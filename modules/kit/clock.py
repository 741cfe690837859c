"""When something runs by the clock, as config writes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Cron = Annotated[
    str, Field(pattern=r"^[-0-9*/,]+( [-0-9*/,]+){4}$", json_schema_extra={"examples": ["30 1 * * *"]})
]
"""Five fields of cron, UTC. Numbers only: names of days and months are read differently from place to place."""
