"""What a deployment finds in its way: locks of the dead, the living and of others; and who may be asked."""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pulumi import automation
from rich.console import Console

from profiles import fixed
from profiles.load import load
from profiles.problems import ProfileError
from sandbox import platform
from stacks import current, deploy, fleet
from stacks.deploy import DeployError, Target


class _Stack:
    """Counts how often it is asked to give a lock back."""

    cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A stack in a file backend."""
    return Target(
        stack="s", kubeconfig=tmp_path / "kubeconfig", path=os.defpath, home=tmp_path,
        backend=f"file://{tmp_path}", passphrase_file=tmp_path / "passphrase",
    )  # fmt: skip


def _lock(folder: Path, pid: int, hostname: str) -> None:
    locks = folder / ".pulumi/locks/organization/longhouse/s"
    locks.mkdir(parents=True)
    (locks / "1.json").write_text(json.dumps({"pid": pid, "hostname": hostname, "username": "me"}))


def _dead() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
        return process.pid


def test_a_lock_whose_holder_is_gone_is_given_back(target: Target, tmp_path: Path) -> None:
    _lock(tmp_path, _dead(), socket.gethostname())
    stack = _Stack()
    deploy._break_stale_lock(stack, target)  # type: ignore[arg-type]
    assert stack.cancelled == 1


def test_a_lock_whose_holder_lives_is_respected(target: Target, tmp_path: Path) -> None:
    _lock(tmp_path, os.getpid(), socket.gethostname())
    stack = _Stack()
    with pytest.raises(DeployError, match=f"process {os.getpid()}"):
        deploy._break_stale_lock(stack, target)  # type: ignore[arg-type]
    assert stack.cancelled == 0


def test_a_lock_of_another_machine_is_not_ours_to_judge(target: Target, tmp_path: Path) -> None:
    _lock(tmp_path, _dead(), "elsewhere")
    stack = _Stack()
    deploy._break_stale_lock(stack, target)  # type: ignore[arg-type]
    assert stack.cancelled == 0


def test_checkpoints_are_skipped_on_the_embedded_cluster_and_nowhere_else(target: Target) -> None:
    assert "PULUMI_SKIP_CHECKPOINTS" not in target.environment
    assert "PULUMI_SKIP_CHECKPOINTS" in platform.target().environment


def test_where_nobody_can_answer_the_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(DeployError, match="nobody to ask"):
        current.ask("deploy?", yes=False)
    current.ask("deploy?", yes=True)


def test_a_profile_of_another_context_is_not_deployed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = load("local")
    theirs = profile.model_copy(
        update={"cluster": profile.cluster.model_copy(update={"context": "production"})}
    )
    monkeypatch.setattr(fleet, "load", lambda name: theirs)
    monkeypatch.setattr(current, "current_context", lambda path: current.Context("staging", "https://x", ""))
    with pytest.raises(DeployError, match=r"belongs to context production .* and the current one is staging"):
        fleet.run(_asked("up", "local"), Console(quiet=True))


def test_on_a_cluster_of_ones_own_too_what_volumes_cannot_follow_is_refused(
    monkeypatch: pytest.MonkeyPatch, target: Target, tmp_path: Path
) -> None:
    done: list[str] = []
    monkeypatch.setattr(current, "current_context", lambda path: current.Context("staging", "https://x", ""))
    monkeypatch.setattr(current, "_target", lambda *given: target)
    monkeypatch.setattr(fleet, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(deploy, "configure", lambda *given: deploy.Settings("s"))
    monkeypatch.setattr(deploy, "stacks", lambda target: frozenset({"s"}))
    root = {"type": "pulumi:pulumi:Stack", "outputs": {"fixed": fixed.record(load("local"))}}
    held = {"manifest": {}, "resources": [root]}
    monkeypatch.setattr(deploy, "state", lambda target: automation.Deployment(3, held))

    def action(name: str) -> Callable[..., dict[str, int]]:
        def run(*given: object) -> dict[str, int]:
            done.append(name)
            return {}

        return run

    for name in ("up", "destroy"):
        monkeypatch.setattr(deploy, name, action(name))
    with pytest.raises(ProfileError, match=r"kafka\.brokers"):
        fleet.run(_asked("up", "local-full"), Console(quiet=True))
    assert not done
    for command, profile in (("up", "local"), ("destroy", "local-full")):
        assert fleet.run(_asked(command, profile), Console(quiet=True)) == 0
    assert done == ["up", "destroy"]


def _asked(command: str, profile: str) -> argparse.Namespace:
    return argparse.Namespace(command=command, profile=profile, yes=True, only=[], jobs=1)
