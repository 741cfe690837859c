"""The sandbox's own decisions, without a cluster."""

from __future__ import annotations

import io
import json
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from rich.console import Console

from profiles.load import load
from profiles.model import Profile
from profiles.problems import ProfileError
from sandbox import __main__ as command_line
from sandbox import cluster, golang, machine, process, progress, simulated, tools
from sandbox import platform as deployed_platform
from sandbox.golang import GoProgram
from sandbox.namespaces import Namespaces
from sandbox.process import Process
from sandbox.progress import Progress, clock
from sandbox.shell import SandboxError, run, wait_until
from sandbox.tools import Tool
from stacks import deploy
from tests.unit.examples import pool


class TestShell:
    def test_a_failed_command_is_told_with_what_it_said(self) -> None:
        with pytest.raises(SandboxError, match=r"(?s)exit code 3: sh -c .*too bad"):
            run("sh", "-c", "echo too bad >&2; exit 3")

    def test_a_missing_program_is_named(self) -> None:
        with pytest.raises(SandboxError, match="'no-such-program' is missing"):
            run("no-such-program")

    def test_what_never_comes_is_told_with_the_end_of_the_log(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_text("the reason\n")
        with pytest.raises(SandboxError, match=r"(?s)it is there: not so after 0 seconds.*the reason"):
            wait_until("it is there", lambda: False, 0, log)


class TestProcess:
    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "_RECORDS", tmp_path / "records")
        monkeypatch.setattr(process, "LOGS", tmp_path / "logs")

    def test_a_program_that_was_started_is_known_until_it_is_stopped(self) -> None:
        sleeper = Process("sleeper")
        assert sleeper.pid is None
        started = sleeper.start(["sleep", "60"])
        assert sleeper.pid == started.pid
        sleeper.stop()
        assert sleeper.pid is None
        assert started.wait(5) != 0

    def test_a_program_that_runs_is_not_started_again(self) -> None:
        sleeper = Process("sleeper")
        started = sleeper.start(["sleep", "60"])
        sleeper.ensure(["sleep", "60"])
        assert sleeper.pid == started.pid
        sleeper.stop()
        started.wait(5)

    def test_another_program_with_the_same_id_is_not_taken_for_ours(self, tmp_path: Path) -> None:
        with subprocess.Popen(["sleep", "60"]) as stranger:
            (tmp_path / "records").mkdir()
            (tmp_path / "records" / "ours.json").write_text(json.dumps({"pid": stranger.pid, "started": "1"}))
            ours = Process("ours")
            assert ours.pid is None
            ours.stop()
            assert stranger.poll() is None, "a stranger was stopped"
            stranger.kill()


class TestProgress:
    @pytest.mark.parametrize(
        ("seconds", "said"), [(0, "0s"), (59.4, "59s"), (60, "1m00s"), (185, "3m05s"), (3600, "60m00s")]
    )
    def test_a_duration_reads_as_a_person_says_it(self, seconds: float, said: str) -> None:
        assert clock(seconds) == said

    def test_what_is_left_is_shared_by_those_who_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "_HISTORY", tmp_path / "durations.json")
        assert Progress({"a": 60, "b": 30}, workers=2).remaining() == 45

    def test_this_machines_own_figure_is_better_than_the_expected_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "_HISTORY", tmp_path / "durations.json")
        with Progress({"a": 60}, console=Console(file=io.StringIO())).task("a"):
            pass
        assert Progress({"a": 60}).remaining() < 1

    def test_a_broken_history_is_no_reason_to_stop(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "durations.json").write_text("{")
        monkeypatch.setattr(progress, "_HISTORY", tmp_path / "durations.json")
        assert Progress({"a": 60}).remaining() == 60

    def test_a_failed_task_is_told_and_not_remembered(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "_HISTORY", tmp_path / "durations.json")
        told = Console(file=io.StringIO(), record=True)
        with pytest.raises(ValueError, match="no"), Progress({"a": 60}, console=told).task("a"):
            raise ValueError("no")
        assert "failed  a after" in told.export_text()
        assert not (tmp_path / "durations.json").exists()


class TestTools:
    @pytest.fixture
    def program(self, tmp_path: Path) -> GoProgram:
        folder = tmp_path / "pin"
        folder.mkdir()
        (folder / "go.mod").write_text("module here\n\nrequire (\n\texample.com/tool v1.2.3\n)\n")
        (folder / "go.sum").write_text("example.com/tool v1.2.3 h1:aaa=\n")
        return GoProgram("tool", folder, "example.com/tool")

    def test_the_cache_is_keyed_by_every_hash(self, program: GoProgram) -> None:
        before = program.directory
        assert before == program.directory
        (program.folder / "go.sum").write_text("example.com/tool v1.2.3 h1:bbb=\n")
        assert program.directory != before

    def test_two_who_want_the_same_build_it_once(
        self, program: GoProgram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        made: list[Path] = []

        def go(*words: str | Path, **_: object) -> str:
            made.append(Path(words[words.index("-o") + 1]))
            time.sleep(0.2)
            made[-1].touch()
            return ""

        monkeypatch.setattr(golang, "CACHE", tmp_path)
        monkeypatch.setattr(golang, "go_version", lambda: "go1.26")
        monkeypatch.setattr(golang, "run", go)
        with ThreadPoolExecutor() as both:
            found = list(both.map(lambda _: program.build(), range(2)))
        assert found == [program.path] * 2
        assert (len(made), program.path.exists()) == (1, True)

    def test_the_version_is_the_pinned_one(self, program: GoProgram) -> None:
        assert program.version == "v1.2.3"
        with pytest.raises(LookupError, match=r"does not require example\.com/other"):
            golang.required_version(program.folder, "example.com/other")

    @pytest.mark.parametrize(
        ("said", "taken"),
        [("tool v1.2.3", True), ("1.2.3", True), ("1.2.30", False), ("11.2.3", False), ("1.2.3-rc1", False)],
    )
    def test_a_tool_on_path_is_taken_at_the_pinned_version_only(
        self, program: GoProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, taken: bool
    ) -> None:
        script = tmp_path / "bin" / "tool"
        script.parent.mkdir()
        script.write_text(f"#!/bin/sh\necho '{said}'\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent))
        assert (Tool(program, ("tool",), ("version",)).on_path() == script) is taken

    def test_kubernetes_is_one_program_under_the_names_of_its_components(self) -> None:
        source = (tools.KUBERNETES.program.folder / "main.go").read_text()
        assert all(f'"{name}":' in source for name in tools.KUBERNETES.names)


class TestMachine:
    def test_containers_need_linux(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(platform, "system", lambda: "Darwin")
        assert machine.why_no_container() == "containers need Linux, and this is Darwin"

    def test_the_machines_end_of_the_link_is_the_other_address(self) -> None:
        assert Namespaces(IPv4Address("172.30.255.1")).machine_address == IPv4Address("172.30.255.2")
        assert Namespaces(IPv4Address("172.30.255.6")).machine_address == IPv4Address("172.30.255.5")

    def test_two_runs_do_not_meet(self) -> None:
        with (
            cluster.exclusive(),
            pytest.raises(SandboxError, match="is at work on the embedded cluster"),
            cluster.exclusive(),
        ):
            pytest.fail("two runs at once")


class TestSimulatedNodes:
    def test_every_node_of_the_profile_is_there_but_the_real_one(self) -> None:
        pools = tuple(load("local").node_pools.values())
        names = [node["metadata"]["name"] for node in simulated.nodes(pools, real="general")]
        assert len(names) == sum(pool.nodes for pool in pools) - 1
        assert "general-0" not in names
        assert len(simulated.nodes(pools, real=None)) == len(names) + 1

    def test_a_node_has_its_pools_size_labels_and_taints(self) -> None:
        pools = tuple(load("local").node_pools.values())
        node = next(each for each in simulated.nodes(pools, None) if each["metadata"]["name"] == "cloud-l4-0")
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "1"
        assert node["metadata"]["labels"]["longhouse.dev/region"] == "eu-central-1"
        assert {taint["key"] for taint in node["spec"]["taints"]} == {"nvidia.com/gpu", "longhouse.dev/site"}

    def test_nodes_stand_in_racks_and_blocks_where_their_pool_has_them(self) -> None:
        levels = ["topology.example.com/block", "topology.example.com/rack", "kubernetes.io/hostname"]
        racks = pool("a100", nodes=5, topology=levels)
        places = [
            [each["metadata"]["labels"][level] for level in levels] for each in simulated.nodes([racks], None)
        ]
        assert [block for block, _, _ in places] == ["a100-block-0"] * 4 + ["a100-block-1"]
        assert [rack for _, rack, _ in places] == [f"a100-rack-{n}" for n in (0, 0, 1, 1, 2)]
        assert [host for _, _, host in places] == [f"a100-{n}" for n in range(5)]


def test_ports_of_a_simulated_cluster_are_not_fought_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from sandbox import control_plane

    monkeypatch.setattr(control_plane, "_CLUSTER", tmp_path / "none")
    monkeypatch.setattr(control_plane, "healthy", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        profile = load("local")
        plane = cluster.Cluster(
            profile.model_copy(
                update={
                    "cluster": profile.cluster.model_copy(
                        update={"api_server": profile.cluster.api_server.model_copy(update={"port": port})}
                    )
                }
            ),
            refusal="none here",
        ).plane
        with pytest.raises(SandboxError, match=f"port {port} of this machine is taken"):
            plane.start()


class TestWhatIsDeployed:
    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deployed_platform, "_FIXED", tmp_path / "fixed.json")
        monkeypatch.setattr(deployed_platform, "prepare", lambda name: deployed_platform.target())
        monkeypatch.setattr(deploy, "sweep", lambda target, stacks, done: ())

    def up(self, profile: Profile, monkeypatch: pytest.MonkeyPatch, fault: Exception | None = None) -> None:
        def deployment(target: object, tell: Callable[[str], None]) -> dict[str, int]:
            if fault is not None:
                raise fault
            return {}

        monkeypatch.setattr(deploy, "up", deployment)
        deployed_platform.up(profile, lambda words: None)

    def test_another_profile_that_volumes_cannot_follow_is_refused_before_anything_is_touched(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.up(load("local"), monkeypatch)
        touched: list[object] = []
        monkeypatch.setattr(command_line, "Cluster", lambda *given: touched.append(given))
        monkeypatch.setattr(cluster, "exclusive", nullcontext)
        monkeypatch.setattr(machine, "why_no_container", lambda: None)
        monkeypatch.setattr(sys, "argv", ["sandbox", "up", "--profile", "local-full"])
        assert command_line.main() == 1
        said = capsys.readouterr().out
        assert "profiles/local-full.yaml:4  kafka.brokers = 3" in said
        assert "make down" in said
        assert not touched

    def test_the_profile_that_is_deployed_and_harmless_edits_of_it_pass(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        local = load("local")
        self.up(local, monkeypatch)
        for profile in (local, local.model_copy(update={"tenants": {}})):
            deployed_platform.refuse_what_cannot_follow(profile)

    def test_on_an_empty_cluster_every_profile_may_come(self) -> None:
        deployed_platform.refuse_what_cannot_follow(load("local-full"))

    def test_what_a_deployment_began_with_stays_when_it_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(RuntimeError):
            self.up(load("local"), monkeypatch, RuntimeError("killed"))
        with pytest.raises(ProfileError):
            deployed_platform.refuse_what_cannot_follow(load("local-full"))

    def test_a_store_counts_until_it_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        three = load("local-full")
        without = load("local").model_copy(update={"kafka": None, "hdfs": None})
        self.up(load("local"), monkeypatch)
        with pytest.raises(RuntimeError):
            self.up(without, monkeypatch, RuntimeError("killed"))
        with pytest.raises(ProfileError):
            deployed_platform.refuse_what_cannot_follow(three)
        self.up(without, monkeypatch)
        deployed_platform.refuse_what_cannot_follow(three)
