"""``make up CLUSTER=current``: another cluster is touched when it is named, and never because a variable points to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.places import BIN, CHECKOUT, KUBECONFIG
from sandbox.platform import install_provider
from stacks.deploy import config_file
from tests.lifecycle.journey import Journey

Current = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def current(journey: Journey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Current]:
    """Runs the command for the current context, as a user with that kubeconfig and a Pulumi home of their own."""
    code, said = journey.sandbox_confined("up", "--cluster-only")
    assert code == 0, said
    home = tmp_path_factory.mktemp("user")
    install_provider(home / "pulumi")
    env = {
        **journey.env,
        "KUBECONFIG": str(KUBECONFIG),
        "PULUMI_HOME": str(home / "pulumi"),
        "XDG_DATA_HOME": str(home),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }

    def run(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "stacks.fleet", *words, "--profile=local-simulated"]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=env,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout + done.stderr

    yield run
    config_file("local-simulated-current").unlink(missing_ok=True)


def test_it_names_the_context_and_touches_nothing_when_nobody_says_yes(
    journey: Journey, current: Current
) -> None:
    code, said = current("up")
    assert code == 1
    assert "context  longhouse-test" in said
    assert "nobody to ask" in said
    assert not journey.has("namespaces", "--selector=longhouse.dev/tenant")


def test_it_deploys_when_it_is_told_yes_and_changes_nothing_the_second_time(
    journey: Journey, current: Current
) -> None:
    code, said = current("up", "--yes")
    assert code == 0, said
    assert journey.has("namespaces", "--selector=longhouse.dev/tenant")
    code, said = current("up", "--yes", "--every")
    assert code == 0, said
    assert said.strip().endswith("same"), said
    assert "create" not in said.rpartition("\n")[2]
    code, said = current("up", "--yes")
    assert code == 0, said
    assert said.strip().endswith("same (nothing that it is made from has changed)"), said


def test_it_takes_its_own_away_again(journey: Journey, current: Current) -> None:
    code, said = current("destroy", "--yes")
    assert code == 0, said
    assert not journey.has("namespaces", "--selector=longhouse.dev/tenant")
    assert not journey.has("crd")


def test_an_inherited_kubeconfig_is_never_used(journey: Journey, tmp_path: Path) -> None:
    """A server that a KUBECONFIG in the environment names hears nothing of a whole deployment."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0.1)
        address = f"https://127.0.0.1:{stranger.getsockname()[1]}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "production",
            "clusters": [{"name": "production", "cluster": {"server": address}}],
            "contexts": [{"name": "production", "context": {"cluster": "production", "user": "me"}}],
            "users": [{"name": "me", "user": {"token": "secret"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        inherited = Journey({**journey.env, "KUBECONFIG": str(path)}, journey.machine_before)
        code, said = inherited.sandbox_confined("up")
        assert code == 0, said
        with pytest.raises(TimeoutError):
            stranger.accept()
