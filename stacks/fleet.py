"""``python -m stacks.fleet``: all stacks of an environment at once: the platform's, then its groups of tenants side by side.

Each is deployed as ``pulumi up -s NAME`` would. Before them, tenants are moved to the stacks that the profile puts them in, from state to state;
after them, groups that the profile no longer has are taken away. Whatever was cut off is finished by the same command.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from pulumi import automation
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from modules.kit.parts import StackName
from profiles import fixed
from profiles.model import Profile
from profiles.problems import ProfileError
from stacks import deploy, interrupts, made, moving
from stacks.current import ask, reached
from stacks.deploy import DeployError, Settings, Target
from stacks.inputs import Inputs, profile_of

_NOTHING: Final = automation.Deployment(3, {})
"""What a stack holds that has just been made."""

_WAY_OUT: Final = "deploy it as a new stack on another cluster, and restore the backups there"
LOGS: Final = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "longhouse" / "fleet"

Operation = Callable[[Target, deploy.Tell, deploy.Log | None], Mapping[str, int]]


@dataclass(frozen=True)
class Plan:
    """Which stacks an environment has, and which it shall have."""

    platform: StackName
    groups: tuple[StackName, ...]
    """Those with tenants in the profile, in order."""

    leftover: tuple[StackName, ...] = ()
    """Those that are there and that the profile puts nobody in."""

    @classmethod
    def of(cls, profile: Profile, platform: str, there: Iterable[str]) -> Plan:
        """For the platform's stack of that name, among the stacks that are there."""
        count = profile.stacks.groups if profile.stacks else 0
        wanted = tuple(
            StackName(platform, group) for group in range(1, count + 1) if profile.part(group).tenants
        )
        found = (each for each in map(StackName.of, there) if each.platform == platform and each.group)
        left = sorted((each for each in found if each not in wanted), key=lambda each: each.group or 0)
        return cls(StackName(platform), wanted, tuple(left))

    @property
    def everything(self) -> tuple[StackName, ...]:
        """All of them, the platform first."""
        return (self.platform, *self.groups, *self.leftover)

    def chosen(self, only: Sequence[str]) -> frozenset[StackName]:
        """Those that were asked for, by default all. Raises DeployError for one that there is not."""
        names = {str(each): each for each in self.everything}
        if unknown := [each for each in only if each not in names]:
            raise DeployError(f"there is no stack {unknown[0]} here, but {', '.join(names)}")
        return frozenset(names[each] for each in only or names)


@dataclass(frozen=True)
class Outcome:
    """What came of one stack."""

    stack: str
    changes: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    left_alone: bool = False
    """Whether it was not even looked at, since it would be made from what it was made from last."""

    version: str = ""
    """Of the state that it came to, where it was deployed."""

    @property
    def said(self) -> str:
        """In a few words."""
        if self.error:
            return "failed"
        if self.left_alone:
            return "same (nothing that it is made from has changed)"
        touched = {name: count for name, count in self.changes.items() if name != "same"}
        if not touched:
            return f"same ({self.changes.get('same', 0)} resources)"
        return ", ".join(f"{count} {name}" for name, count in sorted(self.changes.items()))


@dataclass
class Fleet:
    """The stacks of one environment on one cluster."""

    profile: Profile
    target: Target
    """The platform's stack; the others are reached as it is."""

    jobs: int
    logs: Path
    console: Console
    only: tuple[str, ...] = ()
    every: bool = False
    """Whether to look at stacks that would be made from what they were made from last, too."""

    outcomes: list[Outcome] = field(default_factory=list)
    there: dict[str, str] = field(default_factory=dict)
    """Stacks, with the versions of their states."""

    configured: set[str] = field(default_factory=set)
    """Groups' stacks that have what they share with the platform's."""

    shared: Settings | None = None

    def up(self) -> None:
        """Converge all of them."""
        plan, chosen = self._begin()
        chosen = self._to_do(chosen)
        states = self._states(chosen)
        if str(plan.platform) in states:
            fixed.refuse(deploy.deployed(states[str(plan.platform)]), self.profile, _WAY_OUT)
        self._move(plan, states)

        def up(target: Target, tell: deploy.Tell, log: deploy.Log | None) -> Mapping[str, int]:
            return deploy.up(target, tell, log, states.get(target.stack, _NOTHING))

        groups = [each for each in plan.groups if each in chosen]
        try:
            with self._making([str(each) for each in groups if str(each) not in self.there]):
                self._run(up, [plan.platform] if plan.platform in chosen else [])
            if self.failed:
                self._leave(groups, "the platform's stack failed")
                return
            self._run(up, groups)
        finally:
            self._remember()
        self._take_away([each for each in plan.leftover if each in chosen])
        self._sweep([each.stack for each in self.outcomes if not each.error and not each.left_alone])

    def preview(self) -> None:
        """Say what ``up`` would do. Raises DeployError where tenants would move first: what comes then cannot be told before."""
        plan, chosen = self._begin()
        chosen = self._to_do(chosen)
        if wanted := self._moves(plan, self._states(chosen)):
            self._list(wanted, "would move")
            raise DeployError(
                "tenants move to other stacks first, which `up` does: no more can be said before"
            )
        self._run(deploy.preview, [each for each in (plan.platform, *plan.groups) if each in chosen])

    def destroy(self) -> None:
        """Take everything away, groups before the platform. Raises DeployError where a group would be left without it."""
        plan, chosen = self._begin()
        groups = [each for each in (*plan.groups, *plan.leftover) if str(each) in self.there]
        if plan.platform in chosen and (left := [each for each in groups if each not in chosen]):
            raise DeployError(f"{left[0]} stands on {plan.platform}: destroy it first")
        self._take_away([each for each in groups if each in chosen])
        if self.failed and plan.platform in chosen:
            self._leave([plan.platform], "a group of tenants still stands on it")
        elif plan.platform in chosen:
            everything = [str(each) for each in plan.everything]
            deploy.claim(self._at(plan.platform))
            self._sweep(everything)  # while there still are operators, which let go of it
            self._run(deploy.destroy, [plan.platform])
            self._sweep([] if self.failed else everything)

    def status(self) -> None:
        """Print what each stack holds and what the profile puts in it."""
        self.there = dict(deploy.stacks(self.target))
        plan = Plan.of(self.profile, self.target.stack, self.there)
        states = self._states(plan.everything)
        table = Table(Column("stack", no_wrap=True), "in the profile", "deployed", "resources", "last change")
        for each in plan.everything:
            wanted = _listed(self.profile.part(each.group).tenants)
            held = states[str(each)].deployment or {} if str(each) in states else {}
            resources = held.get("resources") or ()
            when = str(held["manifest"]["time"])[:19] if resources else "never deployed"
            table.add_row(str(each), wanted, _listed(moving.tenants(held)), str(len(resources)), when)
        self.console.print(table)

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.profile, deploy.CHECKOUT)

    @property
    def failed(self) -> bool:
        """Whether anything did."""
        return any(each.error for each in self.outcomes)

    def _begin(self) -> tuple[Plan, frozenset[StackName]]:
        """Which stacks there are and shall be, and which of them were asked for."""
        self.there = dict(deploy.stacks(self.target))
        new = self.target.stack not in self.there
        self.shared = deploy.configure(self.target, self.profile.name, new=new)
        self.there = {self.target.stack: "", **self.there}
        plan = Plan.of(self.profile, self.target.stack, self.there)
        return plan, plan.chosen(self.only)

    def _to_do(self, chosen: frozenset[StackName]) -> frozenset[StackName]:
        """Those of them that may have anything to do."""
        if self.every:
            return chosen
        cut_off, lines = deploy.cut_off(self.target), deploy.made_from(self.target)
        left = {
            each
            for each in chosen
            if str(each) not in cut_off and (version := self.there.get(str(each)))
            if lines.get(str(each)) == made.line(self._inputs.of(each), version)
        }
        self.outcomes += [Outcome(str(each), left_alone=True) for each in sorted(left, key=str)]
        return chosen - left

    def _remember(self) -> None:
        """Tell the cluster what the stacks that were deployed came from."""
        deployed = [each for each in self.outcomes if each.version]
        lines = {
            each.stack: made.line(self._inputs.of(StackName.of(each.stack)), each.version)
            for each in deployed
        }
        deploy.remember(self.target, lines)

    def _at(self, stack: str | StackName) -> Target:
        return replace(self.target, stack=str(stack))

    def _states(self, stacks: Iterable[StackName]) -> dict[str, automation.Deployment]:
        """What those of them hold that are there."""
        asked = sorted(str(each) for each in stacks if str(each) in self.there)
        with ThreadPoolExecutor(self.jobs) as pool:
            return dict(zip(asked, pool.map(lambda stack: deploy.state(self._at(stack)), asked), strict=True))

    def _moves(self, plan: Plan, states: Mapping[str, automation.Deployment]) -> tuple[moving.Move, ...]:
        homes = {
            tenant: str(each)
            for each in (plan.platform, *plan.groups)
            for tenant in self.profile.part(each.group).tenants
        }
        return moving.moves({stack: each.deployment or {} for stack, each in states.items()}, homes)

    def _move(self, plan: Plan, states: dict[str, automation.Deployment]) -> None:
        """Bring every tenant's state to the stack that shall hold it. Raises DeployError where that reaches beyond what was asked for."""
        wanted = self._moves(plan, states)
        if not wanted:
            return
        if self.only:
            raise DeployError("tenants have to move to other stacks first: leave --only out")
        self._list(wanted, "moves")
        for stack in sorted({each.target for each in wanted} - states.keys()):
            self._configure(stack)
            states[stack] = deploy.state(self._at(stack))
        version = states[wanted[0].source].version
        held = {stack: each.deployment or {} for stack, each in states.items()}
        for stack, state in moving.moved(held, wanted):
            deploy.put_state(self._at(stack), automation.Deployment(version, dict(state)))

    def _configure(self, stack: str) -> None:
        """Give a group's stack what it shares with the platform's."""
        if stack not in self.configured:
            deploy.configure(self._at(stack), self.profile.name, self.shared, new=stack not in self.there)
            self.there.setdefault(stack, "")
            self.configured.add(stack)

    @contextmanager
    def _making(self, stacks: Sequence[str]) -> Iterator[None]:
        """Make these meanwhile, as far as it gets: deploying the platform's stack is waiting for the cluster, for the most part.

        One that Pulumi refuses to make is tried again when its turn comes, and told then.
        """
        with ThreadPoolExecutor(1) as pool:
            for each in stacks:
                pool.submit(self._configure, each)
            try:
                yield
            finally:
                pool.shutdown(cancel_futures=True)

    def _list(self, wanted: Iterable[moving.Move], what: str) -> None:
        for each in wanted:
            self.console.print(f"{each.tenant} {what} from {each.source} to {each.target}", markup=False)

    def _take_away(self, stacks: Sequence[StackName]) -> None:
        def gone(target: Target, tell: deploy.Tell, log: deploy.Log | None) -> Mapping[str, int]:
            changes = deploy.destroy(target, tell, log)
            deploy.forget(target)
            del self.there[target.stack]
            return changes

        self._run(gone, stacks)

    def _sweep(self, done: Collection[str]) -> None:
        """Delete what runs that were cut off left, where all their stacks are ``done`` again."""
        plan = Plan.of(self.profile, self.target.stack, self.there)
        stacks = [str(each) for each in plan.everything if str(each) in self.there]
        for each in deploy.sweep(self.target, stacks, done):
            self.console.print(f"{each} was left by a run that was cut off: deleted", markup=False)

    def _leave(self, stacks: Iterable[StackName], why: str) -> None:
        self.outcomes += [Outcome(str(each), error=f"not touched: {why}") for each in stacks]

    def _run(self, operation: Operation, stacks: Sequence[StackName]) -> None:
        """One operation on several stacks side by side."""
        if not stacks:
            return
        with self._progress() as progress, ThreadPoolExecutor(self.jobs) as pool:

            def one(stack: StackName) -> Outcome:
                task = progress.add_task(str(stack), said="starting")
                began = time.monotonic()
                try:
                    with (self.logs / f"{stack}.log").open("a") as log:
                        if stack.group is not None:
                            self._configure(str(stack))
                        changes = operation(
                            self._at(stack),
                            lambda said: progress.update(task, said=said),
                            lambda line: print(line, file=log, flush=True),
                        )
                    outcome = Outcome(
                        str(stack),
                        changes,
                        seconds=time.monotonic() - began,
                        version=deploy.stacks(self.target).get(str(stack), ""),
                    )
                except DeployError as problem:
                    outcome = Outcome(str(stack), error=str(problem), seconds=time.monotonic() - began)
                progress.update(task, said=outcome.said)
                progress.stop_task(task)
                return outcome

            running = [pool.submit(one, each) for each in stacks]
            try:
                self.outcomes += [each.result() for each in as_completed(running)]
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                raise

    @contextmanager
    def _progress(self) -> Iterator[Progress]:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as shown:
            yield shown


def _listed(tenants: Iterable[str]) -> str:
    """Their names, or how many they are."""
    found = sorted(tenants)
    return ", ".join(found) or "-" if len(found) <= 5 else f"{len(found)} tenants"


def report(outcomes: Sequence[Outcome], console: Console) -> None:
    """The table of what came of each stack, and last what came of all together."""
    for each in outcomes:
        if each.error:
            console.print(f"\n{each.stack}: {each.error}", markup=False)
    if len(outcomes) > 1:
        table = Table(Column("stack", no_wrap=True), "seconds", "")
        for each in outcomes:
            table.add_row(each.stack, f"{each.seconds:.1f}", each.said)
        console.print(table)
    failed = [each for each in outcomes if each.error]
    touched = [each.stack for each in outcomes if not each.error and not each.said.startswith("same")]
    if len(outcomes) == 1 and outcomes[0].left_alone:
        console.print(outcomes[0].said)
    elif len(outcomes) == 1 and not failed:
        console.print(", ".join(f"{count} {name}" for name, count in sorted(outcomes[0].changes.items())))
    elif outcomes:
        console.print(
            f"{len(outcomes)} stacks: changed {', '.join(touched) or 'none'}"
            + (f"; failed {', '.join(each.stack for each in failed)}" if failed else "")
        )


def main() -> int:
    """Ask, then do it on all stacks; 0 when done, 1 with a message when not."""
    parser = argparse.ArgumentParser(prog="python -m stacks.fleet", description=__doc__)
    parser.add_argument("command", choices=("up", "preview", "destroy", "status"))
    parser.add_argument(
        "--profile", required=True, help="the profile to deploy; the platform's stack has its name"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="STACK", help="these stacks and no other")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="how many stacks at a time (default: one for each core)",
    )
    parser.add_argument(
        "--every",
        action="store_true",
        help="look at every stack, also where nothing that it is made from has changed",
    )
    parser.add_argument(
        "--checkpoints",
        action="store_true",
        help="write the state after every step, as Pulumi does by itself: slower by the square of what the stack holds",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    interrupts.let_children_hear()
    try:
        return run(arguments, console)
    except (DeployError, ProfileError) as problem:
        console.print("[red]error[/]  ", end=" ")
        console.print(str(problem), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again and it goes on from here")
        return 130


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Do what was asked for on the current context's cluster."""
    profile = profile_of(arguments.profile)
    if StackName.of(profile.name).group is not None:
        raise DeployError(f"profile {profile.name} is named like a group of tenants: give it another name")
    with reached(profile, console) as target:
        if arguments.command in ("up", "destroy"):
            ask(f"{arguments.command} profile {profile.name} on this context?", arguments.yes)
        logs = LOGS / target.stack / f"{datetime.now():%Y%m%d-%H%M%S}-{arguments.command}"
        target = replace(target, checkpoints=arguments.checkpoints)
        only = tuple(arguments.only)
        fleet = Fleet(profile, target, max(1, arguments.jobs), logs, console, only, arguments.every)
        if arguments.command == "status":
            fleet.status()
            return 0
        logs.mkdir(parents=True, exist_ok=True)
        console.print(f"logs     {logs}", markup=False, soft_wrap=True)
        {"up": fleet.up, "preview": fleet.preview, "destroy": fleet.destroy}[arguments.command]()
    report(fleet.outcomes, console)
    return 1 if fleet.failed else 0


if __name__ == "__main__":
    sys.exit(main())
