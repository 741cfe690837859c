"""The shipped profiles as the platform declares them, each recorded once in a run of the tests, and what of it a cluster would get."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from modules.kit.credentials import Credentials
from profiles.load import load
from stacks.platform import platform
from tests.conftest import Declared, Recording, record
from tests.live import Object

MASTER = bytes(range(32))


@functools.cache
def declared(profile: str) -> Recording:
    """Everything that the profile declares. Shared: to be read only."""
    return record(lambda: platform(load(profile), Credentials(MASTER)))


def manifest(resource: Declared) -> Object:
    """The object as the provider would send it."""
    _, version, kind = resource.type.split(":")
    fields = _plain(resource.inputs)
    core = {"apiVersion": version.removeprefix("core/"), "kind": kind}
    return {**core, **{key: value for key, value in fields.items() if not key.startswith("__")}}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
