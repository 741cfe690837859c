"""A directory with the shipped profiles, for tests that add to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.profiles.harness import place_shipped


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The shipped profiles and tenants, to write others beside them."""
    place_shipped(tmp_path)
    return tmp_path
