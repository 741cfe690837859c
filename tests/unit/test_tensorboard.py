"""TensorBoard: what is declared of it, when it ends itself, and who has one."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from pulumi_kubernetes.core.v1 import ConfigMap

from modules.foundation.tenants import access
from modules.ml.tensorboard import board
from modules.ml.tensorboard.component import ROLE, TensorBoard
from modules.ml.tensorboard.config import NAME, PORT
from modules.ml.tensorboard.config import TensorBoard as Config
from modules.ml.tensorboard.inside import watched
from modules.ml.tensorboard.inside.watched import ALIVE, Watched, close_when_idle
from modules.ml.training import defaults, image
from modules.ml.training.config import TrainingShare
from profiles.load import load
from profiles.model import Profile
from stacks import tensorboard as command
from tests.conftest import Recording, record
from tests.unit.examples import store_context

BUCKETS = {"atlas": "longhouse-atlas"}


@functools.cache
def declared(*, shared: bool = True) -> Recording:
    def program() -> None:
        monitors = ConfigMap("monitors", metadata={"name": "monitors"}) if shared else None
        context = store_context("atlas", "borealis", monitors=monitors)
        TensorBoard("tensorboard", Config(idle_minutes=7), context=context, tenants=BUCKETS)

    return record(program)


class TestDeclared:
    def test_none_runs_and_how_many_do_is_no_matter_of_the_platforms(self) -> None:
        (found,) = declared().of("kubernetes:apps/v1:Deployment")
        assert found.object_name == NAME
        assert found.metadata.namespace == "tenant-atlas"
        assert found.spec.replicas == 0

    def test_who_has_no_bucket_has_none(self) -> None:
        namespaces = {each.metadata.namespace for each in declared().of("kubernetes:apps/v1:Deployment")}
        assert namespaces == {"tenant-atlas"}

    def test_it_may_end_itself_and_nothing_else(self) -> None:
        (role,) = declared().of("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
        (rule,) = role.inputs.rules
        assert role.object_name == ROLE
        assert (list(rule["resources"]), list(rule["resourceNames"]), list(rule["verbs"])) == (
            ["deployments/scale"],
            [NAME],
            ["patch"],
        )
        (binding,) = declared().of("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding")
        assert binding.metadata.namespace == "tenant-atlas"
        assert binding.inputs.subjects[0]["name"] == NAME

    def test_editors_may_open_it_and_viewers_may_not(self) -> None:
        def may(role: access.Role, resource: str, verb: str) -> bool:
            return any(resource in each.resources and verb in each.verbs for each in access.GRANTS[role])

        for resource, verb in (("deployments/scale", "patch"), ("pods/portforward", "create")):
            assert may(access.Role.EDITOR, resource, verb)
            assert not may(access.Role.VIEWER, resource, verb)

    def test_a_groups_stack_declares_no_role(self) -> None:
        assert not declared(shared=False).of("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
        assert declared(shared=False).of("kubernetes:apps/v1:Deployment")


class TestPod:
    POD = board.pod(Config(idle_minutes=7), "longhouse-atlas", "registry.example.com/own")

    def test_it_looks_where_the_tenants_jobs_log(self) -> None:
        logged = defaults.environment(defaults.Stores("longhouse-atlas"), TrainingShare())[defaults.LOG_DIR]
        (container,) = self.POD.containers
        assert logged in container.command
        assert "--idle-minutes=7" in container.command
        assert container.image == image.image("registry.example.com/own")

    def test_its_program_is_all_there(self) -> None:
        assert {"modules/ml/tensorboard/inside/watched.py", "modules/kit/inside/api_server.py"} <= set(
            board.PROGRAM.files
        )

    def test_asking_whether_it_lives_is_not_looking(self) -> None:
        (container,) = self.POD.containers
        for probe in (container.startup, container.readiness, container.liveness):
            assert probe is not None
            assert (probe.path, probe.port) == (ALIVE, PORT)


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def application(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"scalars"]


def asks(of: Watched, path: str) -> bytes:
    return b"".join(of({"PATH_INFO": path}, lambda status, headers: None))


class TestWatched:
    def test_who_looks_keeps_it(self) -> None:
        clock = Clock()
        found = Watched(application, clock)
        clock.now += 50
        assert found.idle == 50
        assert asks(found, "/data/runs") == b"scalars"
        assert found.idle == 0

    def test_the_kubelet_does_not(self) -> None:
        clock = Clock()
        found = Watched(application, clock)
        clock.now += 50
        assert asks(found, ALIVE) == b"alive\n"
        assert found.idle == 50

    def test_it_ends_when_nobody_has_looked_for_so_long_and_not_before(self) -> None:
        clock, ended = Clock(), []
        found = Watched(application, clock)
        close_when_idle(found, 60, lambda: ended.append(found.idle), clock.pause)
        assert ended == [60]

    def test_a_look_puts_the_end_off(self) -> None:
        clock, ended = Clock(), []
        found = Watched(application, clock)

        def pause(seconds: float) -> None:
            clock.pause(seconds)
            if clock.now == 150:
                asks(found, "/")

        close_when_idle(found, 60, lambda: ended.append(clock.now), pause)
        assert ended == [210]

    def test_an_end_that_is_refused_is_tried_again(self, capsys: pytest.CaptureFixture[str]) -> None:
        clock, tries = Clock(), []

        def end() -> None:
            tries.append(clock.now)
            if len(tries) < 3:
                raise OSError("forbidden")

        close_when_idle(Watched(application, clock), 60, end, clock.pause)
        assert len(tries) == 3
        assert "cannot end: forbidden" in capsys.readouterr().out

    def test_the_name_that_it_ends_is_its_own(self) -> None:
        assert watched.NAME == NAME


def profile(**changes: Any) -> Profile:
    return load("local-full").model_copy(update=changes)


class TestCommand:
    @pytest.fixture
    def said(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """What kubectl is told, which does it."""
        found: list[list[str]] = []

        def run(words: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
            assert not check
            found.append(words)
            return subprocess.CompletedProcess(words, 0)

        monkeypatch.setattr(subprocess, "run", run)
        return found

    def test_open_starts_it_waits_and_leads_to_it(
        self, said: list[list[str]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command.main(["open", "atlas", "--profile=local-full", "--port=7007"]) == 0
        where = "--namespace=tenant-atlas"
        assert said == [
            ["kubectl", "scale", "deployment/tensorboard", "--replicas=1", where],
            ["kubectl", "rollout", "status", "deployment/tensorboard", "--timeout=10m", where],
            ["kubectl", "port-forward", "deployment/tensorboard", "7007:6006", where],
        ]
        assert "http://localhost:7007" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("fails", "way_out"),
        [("scale", "check that you are an editor of tenant atlas"), ("rollout", "kubectl get workloads")],
    )
    def test_where_it_does_not_come_it_says_what_to_look_at(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: str, way_out: str
    ) -> None:
        def run(words: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
            assert "port-forward" not in words
            return subprocess.CompletedProcess(words, int(fails in words))

        monkeypatch.setattr(subprocess, "run", run)
        assert command.main(["open", "atlas", "--profile=local-full"]) == 1
        assert way_out in capsys.readouterr().err

    def test_close_ends_it(self, said: list[list[str]]) -> None:
        assert command.main(["close", "atlas", "--profile=local-full"]) == 0
        assert said == [
            ["kubectl", "scale", "deployment/tensorboard", "--replicas=0", "--namespace=tenant-atlas"]
        ]

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["open", "zeta", "--profile=local-full"], "has no tenant zeta; there are: atlas, borealis"),
            (["open", "atlas", "--profile=local"], "write tensorboard: {} into it"),
            (["open", "atlas", "--profile=nowhere"], "there is no profile nowhere"),
        ],
    )
    def test_what_is_not_there_is_told_with_a_way_out(
        self, said: list[list[str]], capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
    ) -> None:
        assert command.main(arguments) == 1
        assert told in capsys.readouterr().err
        assert not said

    def test_a_tenant_without_a_bucket_is_told_so(self) -> None:
        whole = load("local-full")
        atlas = whole.tenants["atlas"]
        without = atlas.model_copy(update={"data": atlas.data.model_copy(update={"object_store": None})})
        found = command.fault(profile(tenants={**whole.tenants, "atlas": without}), "atlas")
        assert found == "tenant atlas has no bucket, where jobs log: write data.object_store into its record"


class TestProfile:
    def test_tenants_with_a_bucket_have_one(self) -> None:
        assert profile().logged == {"atlas": "longhouse-atlas", "borealis": "longhouse-borealis"}

    @pytest.mark.parametrize("key", ["tensorboard", "training", "object_store"])
    def test_nobody_has_one_without(self, key: str) -> None:
        assert not profile(**{key: None}).logged
