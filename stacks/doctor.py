"""``python -m stacks.doctor``: what is wrong between the states of an environment's stacks and its cluster, and with ``--mend`` no longer is.

It looks for locks of the dead, runs and operations that were cut off, objects that no state knows of, and objects that a state knows of and the cluster has not.
Those before the last two every ``up`` mends by itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from rich.console import Console

from profiles.load import load
from profiles.problems import ProfileError
from stacks import deploy, leases
from stacks.backend import Lock
from stacks.current import ask, reached
from stacks.deploy import DeployError, Target
from stacks.fleet import Plan
from stacks.leases import Kubectl
from stacks.orphans import Key, Labelled, labelled, orphans

_KEEPS: Final = frozenset(
    {"CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "StatefulSet"}
)
"""Kinds with which data may go. They are told and never deleted here."""


@dataclass(frozen=True)
class Fault:
    """What is wrong, the way out, and what mends it: None where a person has to look first."""

    what: str
    remedy: str
    mend: Callable[[], object] | None = None


@dataclass(frozen=True)
class Held:
    """What the backend has of one stack."""

    target: Target
    locks: tuple[Lock, ...]
    state: Mapping[str, Any]

    @property
    def faults(self) -> Iterator[Fault]:
        """Those of the state alone."""
        stack = self.target.stack
        for each in self.locks:
            if each.stale:
                yield Fault(
                    f"{stack}: locked by {each}, which is gone", "the lock is given back", self._settle
                )
            else:
                yield Fault(
                    f"{stack}: locked by {each}",
                    f"let it end; where it surely has, `pulumi cancel --stack {stack}`",
                )
        for each in self.state.get("pending_operations") or ():
            yield Fault(
                f"{stack}: {each['type']} {each['resource']['urn'].rpartition('::')[2]} was cut off",
                "it is taken into the state where the cluster has it, else forgotten",
                self._settle,
            )

    def _settle(self) -> None:
        deploy.state(self.target)


def between(
    states: Iterable[Mapping[str, Any]], found: Iterable[Labelled]
) -> tuple[list[Labelled], list[Key]]:
    """Objects that no state knows of, and those that some state knows of and the cluster has not."""
    declared = {key for state in states for key in deploy.objects(state)}
    there = tuple(found)
    return orphans(there, declared), sorted(declared - {each.key for each in there})


def faults(
    held: Iterable[Held], begun: Mapping[str, Lock], found: Iterable[Labelled], kubectl: Kubectl
) -> Iterator[Fault]:
    """All that is wrong. Without any state nothing is an orphan: `up` takes over what the profile names. Nor is anything while somebody may be at work, since a state is
    written when a run ends: ``begun`` are the runs that the cluster knows of."""
    stacks = tuple(held)
    for each in stacks:
        yield from each.faults
    for stack, lock in begun.items():
        yield Fault(
            f"{stack}: a run by {lock} has not ended",
            "let it end; where it was cut off, `python -m stacks.fleet up` reads what it did, and takes away what it left",
        )
    if not all(lock.stale for lock in begun.values()):
        return
    states = [each.state for each in stacks if each.state.get("resources")]
    if not states:
        yield Fault(
            "no stack has a state",
            "`python -m stacks.fleet up` takes over what the profile names and the cluster has",
        )
        return
    left, missing = between(states, found)
    for one in left:
        if one.kind in _KEEPS:
            yield Fault(f"{one}: no state knows of it", "data may go with it: look, then delete it by hand")
        else:
            yield Fault(f"{one}: no state knows of it", "it is deleted", partial(_delete, one, kubectl))
    for kind, name in missing:
        yield Fault(
            f"{kind} {name}: is in a state and not in the cluster",
            "`pulumi refresh`, then `python -m stacks.fleet up` makes it again",
        )


def _delete(one: Labelled, kubectl: Kubectl) -> None:
    kubectl("delete", *one.reference, "--ignore-not-found", "--wait=false")


def main() -> int:
    """Look, say, and mend where that was asked for; 0 when nothing is wrong any more, 1 when something is."""
    parser = argparse.ArgumentParser(prog="python -m stacks.doctor", description=__doc__)
    parser.add_argument(
        "--profile", required=True, help="the profile that is deployed on the kubeconfig's current context"
    )
    parser.add_argument("--mend", action="store_true", help="mend what can be mended without losing data")
    parser.add_argument("--yes", action="store_true", help="do not ask before")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        return run(arguments, console)
    except (DeployError, ProfileError) as problem:
        console.print(f"[red]error[/]   {problem}")
        return 1


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Do it for the environment on the current context's cluster."""
    profile = load(arguments.profile)
    with reached(profile, console) as target:
        there = deploy.stacks(target)
        plan = Plan.of(profile, target.stack, there)
        stacks = [replace(target, stack=str(each)) for each in plan.everything if str(each) in there]
        kubectl = partial(deploy.kubectl, target)
        # In this order: whose objects are listed is still at work, or has written them down.
        objects, begun = labelled(kubectl), leases.found(kubectl)
        held = [Held(each, deploy.holders(each), deploy.held(each)) for each in stacks]
        found = list(faults(held, begun, objects, kubectl))
        for each in found:
            console.print(f"{each.what}\n        {each.remedy}", markup=False)
        mended = [each for each in found if each.mend is not None]
        if arguments.mend and mended:
            ask(f"mend {len(mended)} of {len(found)}?", arguments.yes)
            for each in mended:
                assert each.mend is not None
                each.mend()
        left = len(found) - (len(mended) if arguments.mend else 0)
        console.print(
            f"{len(stacks)} stacks: {left or 'nothing'} wrong"
            + (f", {len(found) - left} mended" if found else "")
        )
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
