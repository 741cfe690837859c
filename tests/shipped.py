"""The shipped profiles as the platform declares them, each recorded once in a run of the tests."""

from __future__ import annotations

import functools

from modules.kit.credentials import Credentials
from profiles.load import load
from stacks.platform import platform
from tests.conftest import Recording, record

MASTER = bytes(range(32))


@functools.cache
def declared(profile: str) -> Recording:
    """Everything that the profile declares. Shared: to be read only."""
    return record(lambda: platform(load(profile), Credentials(MASTER)))
