"""An environment as one stack, as a fleet and as one stack again, before a real API server: nothing is lost on the way, and nothing is left at the end.

The platform is the real one with simulated nodes, and so without stores. No pod runs, and every object is Kubernetes' own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from modules.kit.labels import TENANT
from modules.kit.names import namespace
from modules.kit.parts import group_of
from profiles.load import DIRECTORY
from sandbox.platform import install_provider
from stacks.deploy import CHECKOUT, config_file
from tests.api_server import ApiServer, api_server, controllers

_PROFILE = "local-fleet"
_PLATFORM = f"{_PROFILE}-current"
_ONE, _TWO = f"{_PLATFORM}-tenants-1", f"{_PLATFORM}-tenants-2"
_TENANTS = ("cobalt", "dune", "fjord", "garnet")
_NEWCOMER = "heron"
_QUICK = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}


@dataclass
class Environment:
    """A profile, a cluster, and the command."""

    server: ApiServer
    folder: Path
    env: dict[str, str]

    def write(self, groups: int | None, *tenants: str, viewers: str = "readers") -> None:
        """The profile with so many groups and those tenants."""
        record = {
            "owner": "a-team",
            "data_class": "internal",
            "burst": {"allowed": False},
            "quota": {"cpu": "300m", "memory": "1Gi", "storage": "5Gi", "pods": 20},
        }
        people = {"editor": ["writers"], "admin": ["leads"]}
        profile = {
            "extends": "local-simulated",
            "description": "A fleet.",
            "stacks": {"groups": groups} if groups else None,
            "node_pools": {"general": {"nodes": 8}},
            "tenants": {"atlas": None, "borealis": None}
            | {
                name: {**record, "groups": {"viewer": [viewers if name == "cobalt" else "readers"], **people}}
                for name in tenants
            },
        }
        (self.folder / "profiles" / f"{_PROFILE}.yaml").write_text(yaml.safe_dump(profile))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "stacks.fleet", *words, f"--profile={_PROFILE}"]

    def fleet(self, *words: str, code: int = 0) -> str:
        """What the command says."""
        done = subprocess.run(
            self.command(*words, *(("--yes",) if words[0] in ("up", "destroy") else ())),
            check=False, capture_output=True, text=True, cwd=CHECKOUT, env={**self.env, **_QUICK}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def pulumi(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Pulumi by hand, with the state that the command uses."""
        data = self.folder / "data" / "longhouse"
        state = {
            "PULUMI_BACKEND_URL": f"file://{data}/state",
            "PULUMI_CONFIG_PASSPHRASE_FILE": f"{data}/passphrase",
        }
        return subprocess.run(
            ["pulumi", *words, "--non-interactive"], check=False, capture_output=True, text=True, cwd=CHECKOUT,
            env={**self.env, **state}, input=stdin,
        )  # fmt: skip

    def uids(self) -> dict[str, str]:
        """Every object that carries a tenant's label, and what tenants keep."""
        found: dict[str, str] = {}
        kinds = "namespaces,resourcequotas,networkpolicies,rolebindings,serviceaccounts,clusterqueues.kueue.x-k8s.io,localqueues.kueue.x-k8s.io"
        for selector, which in (
            (f"--selector={TENANT}", kinds),
            ("--selector=keeps", "persistentvolumeclaims,secrets"),
        ):
            done = self.server.kubectl("get", which, "--all-namespaces", selector, "--output=json")
            assert done.returncode == 0, done.stderr
            for each in json.loads(done.stdout)["items"]:
                meta = each["metadata"]
                found[f"{each['kind']} {meta.get('namespace', '')}/{meta['name']}"] = meta["uid"]
        return found

    def namespaces(self) -> set[str]:
        done = self.server.kubectl(
            "get", "namespaces", f"--selector={TENANT}", "--output=jsonpath={.items[*].metadata.name}"
        )
        return set(done.stdout.split())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An API server, a Pulumi home and profiles of the tests' own."""
    folder = tmp_path_factory.mktemp("fleet")
    shutil.copytree(DIRECTORY, folder / "profiles", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    install_provider(folder / "pulumi")
    (folder / "api").mkdir()
    with api_server(folder / "api") as server, controllers(server):
        programs = os.pathsep.join((str(server.kubectl_program.parent), os.environ["PATH"]))
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")},
            "KUBECONFIG": str(server.kubeconfig),
            "LONGHOUSE_PROFILES": str(folder / "profiles"),
            "PULUMI_HOME": str(folder / "pulumi"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "PATH": programs,
            "COLUMNS": "200",
        }  # fmt: skip
        yield Environment(server, folder, env)
    for stack in (_PLATFORM, _ONE, _TWO):
        config_file(stack).unlink(missing_ok=True)


def _changed(said: str) -> str:
    return said.strip().rpartition("\n")[2].partition("changed ")[2]


def _keeps(name: str) -> list[Mapping[str, Any]]:
    """What a tenant's people make in its namespace."""
    meta = {"name": "mine", "namespace": namespace(name), "labels": {"keeps": "data"}}
    resources = {"requests": {"storage": "1Gi"}}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"a": "b"}},
    ]  # fmt: skip


def _kill_session(leader: int) -> None:
    """Everything that a command has started, at once: the engine gives its plugins process groups of their own."""
    found = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process) == leader:
                os.kill(process, signal.SIGKILL)


def test_an_environment_begins_as_one_stack(environment: Environment) -> None:
    environment.write(None, *_TENANTS)
    environment.fleet("up")
    assert environment.namespaces() == {namespace(each) for each in _TENANTS}
    environment.server.create([each for name in _TENANTS for each in _keeps(name)])


def test_a_plain_pulumi_up_does_not_delete_what_another_stack_is_to_declare(environment: Environment) -> None:
    before = environment.uids()
    environment.write(2, *_TENANTS)
    done = environment.pulumi("up", "--stack", _PLATFORM, "--yes", "--skip-preview")
    assert done.returncode != 0
    assert f"this stack holds {', '.join(_TENANTS)}, which the profile puts in another" in done.stdout
    assert environment.uids() == before


def test_it_becomes_a_fleet_and_every_object_stays_the_same(environment: Environment) -> None:
    """Also where the move was cut off before the platform's stack had let go."""
    before = environment.uids()
    whole = environment.pulumi("stack", "export", "--show-secrets", "--stack", _PLATFORM).stdout
    assert len([each for each in before if each.startswith("PersistentVolumeClaim")]) == len(_TENANTS)
    assert {group_of(each, 2) for each in _TENANTS} == {1, 2}, "else there would be one group only"
    moves = {f"{each} moves from {_PLATFORM} to {_PLATFORM}-tenants-{group_of(each, 2)}" for each in _TENANTS}
    for again in (False, True):
        if again:
            taken = environment.pulumi("stack", "import", "--stack", _PLATFORM, stdin=whole)
            assert taken.returncode == 0, taken.stderr
        said = environment.fleet("up")
        assert moves <= set(said.splitlines())
        assert _changed(said) == "none"
        assert environment.uids() == before


def test_a_tenants_change_touches_its_own_stack_and_the_command_says_which(environment: Environment) -> None:
    before = environment.uids()
    environment.write(2, *_TENANTS, viewers="others")
    group = f"{_PLATFORM}-tenants-{group_of('cobalt', 2)}"
    assert environment.fleet("preview", f"--only={group}").strip().endswith("same, 1 update")
    said = environment.fleet("up")
    assert _changed(said) == group
    assert re.search(rf"{_PLATFORM} .*same \(\d+ resources\)", said)
    assert environment.uids() == before
    binding = environment.server.kubectl(
        "get", "rolebinding", "viewer", f"--namespace={namespace('cobalt')}", "--output=json"
    )
    assert json.loads(binding.stdout)["subjects"][0]["name"] == "oidc:others"


def test_killed_half_way_and_changed_since_it_converges_and_leaves_nothing(environment: Environment) -> None:
    """With a tenant that comes, and is gone from the profile by the time of the next run."""
    group = f"{_PLATFORM}-tenants-{group_of(_NEWCOMER, 2)}"
    before = environment.uids()
    environment.write(2, *_TENANTS, _NEWCOMER, viewers="others")
    for wanted in (1, 8):
        began = subprocess.Popen(
            environment.command("up", "--yes", f"--only={group}"), cwd=CHECKOUT, env=environment.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while len(environment.uids().keys() - before.keys()) < wanted:
            assert time.monotonic() < deadline, "it made nothing"
            assert began.poll() is None, "it was done before it was killed"
        _kill_session(began.pid)
        began.wait()
    assert environment.uids() != before
    environment.write(2, *_TENANTS, viewers="others")
    said = environment.fleet("up", f"--only={group}")
    assert _changed(said) in ("", group)
    assert environment.uids() == before


def test_it_becomes_one_stack_again_and_every_object_stays_the_same(environment: Environment) -> None:
    before = environment.uids()
    environment.write(None, *_TENANTS, viewers="others")
    said = environment.fleet("up")
    assert f"dune moves from {_PLATFORM}-tenants-2 to {_PLATFORM}" in said
    assert environment.uids() == before
    assert not config_file(_ONE).exists()
    assert _ONE not in environment.fleet("status")


def test_destroy_leaves_nothing(environment: Environment) -> None:
    environment.write(2, *_TENANTS, viewers="others")
    said = environment.fleet("preview", code=1)
    assert "tenants move to other stacks first" in said
    environment.fleet("destroy")
    labelled = environment.server.kubectl(
        "get",
        "namespaces,clusterroles,customresourcedefinitions",
        "--selector=app.kubernetes.io/managed-by=longhouse",
        "--output=name",
    )
    assert (labelled.returncode, labelled.stdout) == (0, "")
