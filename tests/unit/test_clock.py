"""What a schedule may look like."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from modules.kit.clock import Cron

SCHEDULE = TypeAdapter(Cron)


@pytest.mark.parametrize("text", ["30 1 * * *", "*/15 0-6 1,15 * 1-5"])
def test_five_fields_of_numbers_are_a_schedule(text: str) -> None:
    assert SCHEDULE.validate_python(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "30 1 * *", "30 1 * * * *", "@daily", "30 1 * * MON", "30  1 * * *", "CRON_TZ=UTC 30 1 * * *"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        SCHEDULE.validate_python(text)
