"""What a deployment finds in its way: locks of the dead, the living and of others; and who may be asked."""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation
from rich.console import Console

from profiles import fixed
from profiles.load import load
from profiles.problems import ProfileError
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


def _unfinished(kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    urn = f"urn:pulumi:s::longhouse::kubernetes:{kind}::{name}"
    inputs = {"metadata": {"name": name, "namespace": namespace}}
    return {
        "type": "creating",
        "resource": {"urn": urn, "type": f"kubernetes:{kind}", "custom": True, "inputs": inputs},
    }


@dataclass
class _Cut:
    """A stack that a killed run has left with operations under way."""

    pending: list[dict[str, Any]]
    taken: automation.Deployment | None = None

    def export_stack(self) -> automation.Deployment:
        return automation.Deployment(3, {"pending_operations": self.pending, "resources": []})

    def import_stack(self, state: automation.Deployment) -> None:
        self.taken = state


def _kubectl(target: Target, tmp_path: Path, script: str) -> Target:
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return replace(target, path=f"{tmp_path}:{os.defpath}")


def test_what_a_killed_run_has_made_is_the_stacks_own_and_what_it_has_not_is_forgotten(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _kubectl(
        target, tmp_path, f'echo "$*" >> {tmp_path}/asked; [ "$3" = there ] && echo found; exit 0'
    )
    monkeypatch.setenv("PATH", target.path)
    queue = "kueue.x-k8s.io/v1beta2:ClusterQueue"
    update = {**_unfinished("core/v1:Namespace", "there"), "type": "updating"}
    cut = _Cut(
        [
            _unfinished("core/v1:Secret", "there", "home"),
            _unfinished(queue, "there"),
            _unfinished(queue, "gone"),
            update,
        ]
    )
    state = deploy._settle(cut, target)  # type: ignore[arg-type]
    assert cut.taken == state
    assert state.deployment
    assert state.deployment["pending_operations"] == []
    assert [each["id"] for each in state.deployment["resources"]] == ["home/there", "there"]
    assert (tmp_path / "asked").read_text().splitlines() == [
        "get Secret.v1. there --namespace=home --output=name --ignore-not-found",
        "get ClusterQueue.v1beta2.kueue.x-k8s.io there --output=name --ignore-not-found",
        "get ClusterQueue.v1beta2.kueue.x-k8s.io gone --output=name --ignore-not-found",
    ]


@pytest.mark.parametrize(
    ("said", "refused"), [("the server doesn't have a resource type", False), ("connection refused", True)]
)
def test_a_cluster_that_does_not_answer_is_not_taken_for_one_that_has_nothing(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, refused: bool
) -> None:
    target = _kubectl(target, tmp_path, f'echo "{said}" >&2; exit 1')
    monkeypatch.setenv("PATH", target.path)
    cut = _Cut([_unfinished("core/v1:Secret", "there", "home")])
    with pytest.raises(DeployError, match="refused") if refused else nullcontext():
        deploy._settle(cut, target)  # type: ignore[arg-type]
    assert (cut.taken is None) is refused


def test_a_bucket_that_does_not_answer_is_told_by_its_address(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    asked = replace(target, backend=f"s3://states?endpoint=http://127.0.0.1:{port}&region=here")
    with pytest.raises(DeployError, match=r"the backend s3://states.* does not answer"):
        deploy.holders(asked)


def test_checkpoints_are_skipped_unless_they_are_asked_for(target: Target) -> None:
    assert "PULUMI_SKIP_CHECKPOINTS" in target.environment
    assert "PULUMI_SKIP_CHECKPOINTS" not in replace(target, checkpoints=True).environment


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
    monkeypatch.setattr(fleet, "profile_of", lambda name: theirs)
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
    monkeypatch.setattr(deploy, "configure", lambda *given, new: deploy.Settings("dev", "s"))
    monkeypatch.setattr(deploy, "stacks", lambda target: {"s": ""})
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
    for name in ("claim", "sweep"):
        monkeypatch.setattr(deploy, name, lambda *given: ())
    with pytest.raises(ProfileError, match=r"kafka\.brokers"):
        fleet.run(_asked("up", "local-full"), Console(quiet=True))
    assert not done
    for command, profile in (("up", "local"), ("destroy", "local-full")):
        assert fleet.run(_asked(command, profile), Console(quiet=True)) == 0
    assert done == ["up", "destroy"]


def _asked(command: str, profile: str) -> argparse.Namespace:
    return argparse.Namespace(
        command=command, profile=profile, yes=True, only=[], jobs=1, every=True, checkpoints=False
    )
