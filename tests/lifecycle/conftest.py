"""An embedded cluster of the tests' own, beside one that may be in use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
import yaml

from profiles.load import DIRECTORY
from sandbox import machine
from sandbox.places import INSTANCE
from tests.lifecycle import fleet
from tests.lifecycle.journey import CORE, STORES, Journey, machine_state
from tests.live import TEST_INSTANCE

_ADDRESSES = {"172.30.255.1/32": "172.30.255.5/32"}
"""The node of the tests beside the one of a cluster in use: the next /30."""


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """End the run where the platform does not come up: nothing else could be seen."""
    if item.path.name == "test_up.py" and call.excinfo is not None:
        item.session.shouldfail = "the platform does not come up"


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The tests' own cluster, not yet started; it is taken away at the end."""
    if INSTANCE != TEST_INSTANCE:
        pytest.fail(f"run these with LONGHOUSE_INSTANCE={TEST_INSTANCE}, as `make test` does", pytrace=False)
    if (reason := machine.why_no_container()) is not None:
        pytest.fail(f"no container can run here: {reason}", pytrace=False)
    if missing := machine.missing_packages():
        machine.install(missing)
    profiles = tmp_path_factory.mktemp("profiles") / "profiles"
    shutil.copytree(DIRECTORY, profiles, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for path in profiles.glob("local*.yaml"):
        text = path.read_text()
        for usual, ours in _ADDRESSES.items():
            text = text.replace(usual, ours)
        path.write_text(text)
    core = {"extends": "local", "description": "The local profile without its stores."}
    (profiles / f"{CORE}.yaml").write_text(yaml.safe_dump({**core, **dict.fromkeys(STORES)}))
    env = {**os.environ, "LONGHOUSE_PROFILES": str(profiles)}
    under_way = Journey(env, {})
    under_way.sandbox("down")
    under_way.machine_before = machine_state()
    yield under_way
    under_way.sandbox("down")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fleet.Environment]:
    """An environment before an API server of its own, nothing of it deployed."""
    with fleet.started(tmp_path_factory.mktemp("fleet")) as found:
        yield found
