"""A deployment that is killed, at any moment and whatever was asked for since: the next one converges, nothing is lost and nothing is left.

`--kills 50` kills so many, at moments drawn from `--seed`.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from modules.kit.names import namespace
from stacks.deploy import CHECKOUT
from tests.lifecycle.fleet import ONE, PLATFORM, Environment, kill_session

_TENANTS = ("cobalt", "dune", "fjord", "garnet", "heron")


@dataclass(frozen=True)
class Wanted:
    """A profile: its tenants, and who may look at what the first has."""

    tenants: frozenset[str]
    viewers: str

    @classmethod
    def drawn(cls, chance: random.Random) -> Wanted:
        """Any of them."""
        some = chance.sample(_TENANTS, chance.randint(1, len(_TENANTS)))
        return cls(frozenset(some), chance.choice(("readers", "others")))

    def write(self, environment: Environment) -> None:
        environment.write(1, *sorted(self.tenants), viewers=self.viewers)


@pytest.fixture(scope="module")
def seconds(environment: Environment) -> float:
    """How long a run takes that has everything to do. Its tenants then keep something."""
    Wanted(frozenset(_TENANTS), "readers").write(environment)
    began = time.monotonic()
    environment.fleet("up")
    took = time.monotonic() - began
    environment.keep(*_TENANTS)
    return took


def _cut_off(environment: Environment, after: float, chance: random.Random) -> tuple[int, str]:
    """Begin a run and kill it, or its engine alone; its session, and which of them, or that it was done before."""
    running = subprocess.Popen(
        environment.command("up", "--yes"), cwd=CHECKOUT, env=environment.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        running.wait(timeout=after)
    except subprocess.TimeoutExpired:
        engines = _engines(running.pid)
        if engines and chance.random() < 0.5:
            for engine in engines:
                os.kill(engine, signal.SIGKILL)
            running.wait(timeout=120)
            return running.pid, "the engine"
        kill_session(running.pid)
        running.wait()
        return running.pid, "everything"
    return running.pid, "nothing (it was done)"


def _engines(session: int) -> list[int]:
    """Processes of Pulumi's own in a session."""
    return [
        int(each.name)
        for each in Path("/proc").iterdir()
        if each.name.isdigit()
        and (each / "comm").exists()
        and (each / "comm").read_text() == "pulumi\n"
        and os.getsid(int(each.name)) == session
    ]


def test_whenever_it_is_killed_the_next_run_converges(
    environment: Environment, seconds: float, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(request.config.getoption("--seed"))
    last = Wanted(frozenset(_TENANTS), "readers")
    for number in range(request.config.getoption("--kills")):
        wanted, then = Wanted.drawn(chance), Wanted.drawn(chance)
        now = chance.choice((last, wanted, then))
        stays = last.tenants & wanted.tenants & now.tenants
        before = environment.uids(*stays)
        wanted.write(environment)
        after = chance.uniform(0.5, seconds)
        session, killed = _cut_off(environment, after, chance)
        print(f"\n{number + 1}. after {after:.1f} s: {killed} was killed", end=" ", flush=True)
        now.write(environment)
        environment.fleet("up")
        assert environment.namespaces() == {namespace(each) for each in now.tenants}
        assert environment.doctor().splitlines()[-1] == "2 stacks: nothing wrong"
        for stack in (PLATFORM, ONE):
            same = environment.pulumi("preview", "--stack", stack, "--refresh", "--expect-no-changes")
            assert same.returncode == 0, same.stdout + same.stderr
        there = environment.uids()
        assert not stays or environment.uids(*stays) == before, "something was lost, or made anew"
        environment.keep(*(each for each in now.tenants if f"Secret {namespace(each)}/mine" not in there))
        kill_session(session)  # a provider outlives its engine
        last = now
