"""An environment as one stack, as a fleet and as one stack again, before a real API server: nothing is lost on the way, and nothing is left at the end."""

from __future__ import annotations

import json
import re
import subprocess
import time

from modules.kit.names import namespace
from modules.kit.parts import group_of
from stacks.deploy import CHECKOUT, config_file
from tests.lifecycle.fleet import ONE, PLATFORM, TWO, Environment, kill_session

_TENANTS = ("cobalt", "dune", "fjord", "garnet")
_NEWCOMER = "heron"
_LEFT_ALONE = r"same \(nothing that it is made from has changed\)"


def _changed(said: str) -> str:
    return said.strip().rpartition("\n")[2].partition("changed ")[2]


def test_an_environment_begins_as_one_stack(environment: Environment) -> None:
    environment.write(None, *_TENANTS)
    environment.fleet("up")
    assert environment.namespaces() == {namespace(each) for each in _TENANTS}
    environment.keep(*_TENANTS)


def test_a_plain_pulumi_up_does_not_delete_what_another_stack_is_to_declare(environment: Environment) -> None:
    before = environment.uids()
    environment.write(2, *_TENANTS)
    done = environment.pulumi("up", "--stack", PLATFORM, "--yes", "--skip-preview")
    assert done.returncode != 0
    assert f"this stack holds {', '.join(_TENANTS)}, which the profile puts in another" in done.stdout
    assert environment.uids() == before


def test_it_becomes_a_fleet_and_every_object_stays_the_same(environment: Environment) -> None:
    """Also where the move was cut off before the platform's stack had let go."""
    before = environment.uids()
    whole = environment.pulumi("stack", "export", "--show-secrets", "--stack", PLATFORM).stdout
    assert len([each for each in before if each.startswith("PersistentVolumeClaim")]) == len(_TENANTS)
    assert {group_of(each, 2) for each in _TENANTS} == {1, 2}, "else there would be one group only"
    moves = {f"{each} moves from {PLATFORM} to {PLATFORM}-tenants-{group_of(each, 2)}" for each in _TENANTS}
    for again in (False, True):
        if again:
            taken = environment.pulumi("stack", "import", "--stack", PLATFORM, stdin=whole)
            assert taken.returncode == 0, taken.stderr
        said = environment.fleet("up")
        assert moves <= set(said.splitlines())
        assert _changed(said) == "none"
        assert environment.uids() == before


def test_a_tenants_change_touches_its_own_stack_and_the_command_says_which(environment: Environment) -> None:
    before = environment.uids()
    environment.write(2, *_TENANTS, viewers="others")
    group = f"{PLATFORM}-tenants-{group_of('cobalt', 2)}"
    assert environment.fleet("preview", f"--only={group}").strip().endswith("same, 1 update")
    said = environment.fleet("up")
    assert _changed(said) == group
    assert re.search(rf"{PLATFORM} .*{_LEFT_ALONE}", said), "a tenant's people are not its business"
    assert environment.uids() == before
    binding = environment.server.kubectl(
        "get", "rolebinding", "viewer", f"--namespace={namespace('cobalt')}", "--output=json"
    )
    assert json.loads(binding.stdout)["subjects"][0]["name"] == "oidc:others"


def test_a_stack_is_looked_at_where_anything_has_happened_to_it_since(environment: Environment) -> None:
    """A plain `pulumi up` may have deployed anything."""
    said = environment.fleet("up")
    assert len(re.findall(_LEFT_ALONE, said)) == 3
    assert _changed(said) == "none"
    assert environment.pulumi("up", "--stack", TWO, "--yes", "--skip-preview").returncode == 0
    said = environment.fleet("up")
    assert re.search(rf"{TWO} .*same \(\d+ resources\)", said)
    assert len(re.findall(_LEFT_ALONE, said)) == 2
    assert len(re.findall(r"same \(\d+ resources\)", environment.fleet("up", "--every"))) == 3


def test_killed_half_way_and_changed_since_it_converges_and_leaves_nothing(environment: Environment) -> None:
    """With a tenant that comes, and is gone from the profile by the time of the next run."""
    group = f"{PLATFORM}-tenants-{group_of(_NEWCOMER, 2)}"
    before = environment.uids()
    environment.write(2, *_TENANTS, _NEWCOMER, viewers="others")
    for wanted, how in ((1, "--checkpoints"), (8, "--every")):
        began = subprocess.Popen(
            environment.command("up", "--yes", f"--only={group}", how), cwd=CHECKOUT, env=environment.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while len(environment.uids().keys() - before.keys()) < wanted:
            assert time.monotonic() < deadline, "it made nothing"
            assert began.poll() is None, "it was done before it was killed"
        kill_session(began.pid)
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
    assert f"dune moves from {PLATFORM}-tenants-2 to {PLATFORM}" in said
    assert environment.uids() == before
    assert not config_file(ONE).exists()
    assert ONE not in environment.fleet("status")


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
