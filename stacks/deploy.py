"""Deploying one stack: what ``make up`` does once it knows the cluster, through Pulumi's Automation API.

``pulumi up -s NAME`` does the same by hand. Beyond it, this mends what a killed run left (a lock whose holder is gone,
operations that never finished), tells how far it is, and gives errors without the engine's noise.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from pulumi import automation
from pulumi.automation._stack import StackInitMode
from pulumi.automation.events import EngineEvent

from profiles import fixed
from stacks import leases, made, orphans
from stacks.backend import Lock, locks, states
from stacks.orphans import Key

PROJECT = "longhouse"
CHECKOUT = Path(__file__).parent.parent
PROFILE = f"{PROJECT}:profile"
SECRET = f"{PROJECT}:masterSecret"
EPOCH = f"{PROJECT}:credentialEpoch"


class DeployError(Exception):
    """The deployment failed; the message is what the engine and the cluster said."""


@dataclass(frozen=True)
class Target:
    """A stack and what it takes to reach it: Pulumi's own settings and a kubeconfig, never ambient ones.

    ``path`` is where programs are looked for, ``backend`` a URL such as ``file:///...``. With ``checkpoints`` the state is written after every step, as
    Pulumi does by itself, and not once, at the end (docs/decisions/no-checkpoints.md).
    """

    stack: str
    kubeconfig: Path
    path: str
    home: Path
    backend: str
    passphrase_file: Path
    checkpoints: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """What the engine, the program and the provider get to see of it."""
        return {
            "PATH": self.path,
            "KUBECONFIG": str(self.kubeconfig),
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": self.backend,
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase_file),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **(
                {} if self.checkpoints else {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
            ),
        }


Tell = Callable[[str], None]
Log = Callable[[str], object]

_ROOT: Final = "pulumi:pulumi:Stack"


class _Unselected(automation.LocalWorkspace):
    """A workspace in which the stack that the user works on stays selected: every command names its stack anyway."""

    def select_stack(self, stack_name: str) -> None:
        """Leave the selection alone, which stacks that are deployed side by side would fight over."""


class _Stack(automation.Stack):
    """Asks for nothing after an operation: its events have told, and each question starts Pulumi again, for half a second."""

    def outputs(self) -> automation.OutputMap:
        """Nothing."""
        return {}

    def info(self, show_secrets: bool = False) -> automation.UpdateSummary:
        """Nothing."""
        return automation.UpdateSummary(
            version=0, kind="", start_time=datetime.min, message="", environment={}, config={}, result=""
        )


@dataclass
class _Watch:
    """Follows the engine's events: what is done, what failed, how many of which operation there were."""

    tell: Callable[[str], None]
    done: int = 0
    changes: Mapping[Any, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        if (outputs := event.res_outputs_event) is not None:
            self.done += 1
            self.tell(f"{self.done} resources, last {outputs.metadata.urn.rpartition('::')[2]}")
        if (summary := event.summary_event) is not None:
            self.changes = summary.resource_changes or {}
        if (diagnostic := event.diagnostic_event) is not None and diagnostic.severity == "error":
            where = (diagnostic.urn or "").rpartition("::")[2]
            self.errors.append(
                f"{where}: {diagnostic.message.strip()}" if where else diagnostic.message.strip()
            )


@dataclass(frozen=True)
class Settings:
    """What of a stack's configuration the stacks of one environment share, and the stack that they have it from."""

    stack: str
    master_secret: str = field(repr=False)
    epoch: str | None = None


def configure(target: Target, profile: str, shared: Settings | None = None, *, new: bool = True) -> Settings:
    """Make the stack where it may be ``new``, and set what it lacks: the profile's name, and a master secret made now. One that is given the settings ``shared``
    with another has those, is made with that one's configuration, and is not selected.

    Returns what others may share. Raises DeployError with what Pulumi says when it refuses.
    """
    if new and shared is None:
        _pulumi(target, "stack", "select", "--create", target.stack)
    elif new and shared:
        _pulumi(target, "stack", "init", target.stack, "--no-select", "--copy-config-from", shared.stack)
        return shared
    path = config_file(target.stack)
    found = ((yaml.safe_load(path.read_text()) or {}) if path.exists() else {}).get("config") or {}

    def put(name: str, value: str, *how: str) -> None:
        _pulumi(target, "config", "set", "--stack", target.stack, *how, name, stdin=value)

    if found.get(PROFILE) != profile:
        put(PROFILE, profile)
    has = (
        _pulumi(target, "config", "get", "--stack", target.stack, SECRET).rstrip("\n")
        if SECRET in found
        else None
    )
    epoch = str(found[EPOCH]) if EPOCH in found else None
    settings = shared or Settings(target.stack, has or secrets.token_urlsafe(48), epoch)
    if settings.master_secret != has:
        put(SECRET, settings.master_secret, "--secret")
    if settings.epoch is not None and settings.epoch != epoch:
        put(EPOCH, settings.epoch)
    if settings.epoch is None and epoch is not None:
        _pulumi(target, "config", "rm", "--stack", target.stack, EPOCH)
    return settings


def config_file(stack: str) -> Path:
    """Where the checkout keeps a stack's configuration."""
    return CHECKOUT / "stacks" / f"Pulumi.{stack}.yaml"


def _pulumi(target: Target, *words: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["pulumi", "--non-interactive", *words], cwd=CHECKOUT, env={**os.environ, **target.environment}, input=stdin,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DeployError(f"pulumi {' '.join(words[:2])}: {done.stderr.strip()}")
    return done.stdout


def stacks(target: Target) -> Mapping[str, str]:
    """Every stack that the target's backend has of the project, with its state's version: another one once it has been written again. Raises DeployError when the
    backend does not answer.
    """
    with _answering(target):
        if (found := states(target.backend, PROJECT)) is not None:
            return found
    listed = json.loads(_pulumi(target, "stack", "ls", "--json"))
    return {str(each["name"]).rpartition("/")[2]: str(each.get("lastUpdate") or "") for each in listed}


def made_from(target: Target) -> Mapping[str, str]:
    """By stack, the line that the cluster was told of what it was made from (``made.line``)."""
    return made.found(partial(kubectl, target))


def remember(target: Target, lines: Mapping[str, str]) -> None:
    """Tell the cluster what stacks were made from."""
    made.tell(lines, partial(kubectl, target))


def up(
    target: Target, tell: Tell, log: Log | None = None, held: automation.Deployment | None = None
) -> Mapping[str, int]:
    """Converge the stack, which ``held`` that where the caller has just asked. Returns how many resources each operation touched, ``same`` among them.

    ``tell`` is given a few words whenever something happens, ``log`` all that the engine says. Raises DeployError with what went wrong.
    """
    return _change(target, partial(automation.Stack.up, program=_program), tell, log, held)


def preview(target: Target, tell: Tell, log: Log | None = None) -> Mapping[str, int]:
    """What ``up`` would do. Returns counts as it does."""
    cut_off_before = target.stack in cut_off(target)
    return _attempt(partial(_settled(target).preview, program=_program, refresh=cut_off_before), tell, log)


def _program() -> Awaitable[None]:
    """What a plain `pulumi up` runs, here in this process: Pulumi would start two language hosts, a pip and a Python that imports it all, for each stack."""
    # Half of a command's time, and most commands deploy nothing.
    from stacks.program import program

    return program()


def destroy(target: Target, tell: Tell, log: Log | None = None) -> Mapping[str, int]:
    """Take away everything that the stack declared. Returns counts as ``up`` does."""
    changes = _change(target, automation.Stack.destroy, tell, log)
    made.forget({target.stack}, partial(kubectl, target))
    return changes


def cut_off(target: Target) -> frozenset[str]:
    """Stacks that a run has begun to change and not ended."""
    return frozenset(leases.found(partial(kubectl, target)))


def claim(target: Target) -> None:
    """Begin where a run was cut off, and nothing but that."""
    if target.stack in cut_off(target):
        leases.begin(target.stack, partial(kubectl, target))


def sweep(target: Target, stacks: Iterable[str], done: Collection[str]) -> tuple[str, ...]:
    """Delete what runs that were cut off made and none of the environment's ``stacks`` knows of. Returns what that was.

    Nothing is deleted before every stack that was cut off is among those that are ``done`` again: what another is about to write down would be taken for left behind.
    """
    ask = partial(kubectl, target)
    if not leases.found(ask):
        return ()
    there = orphans.labelled(ask)
    # Read after the objects and before the states: whose objects are among them is still at work, or has written them down.
    begun = leases.found(ask)
    if not begun or not all(stack in done and lock.own for stack, lock in begun.items()):
        return ()
    known = {key for each in stacks for key in declared(replace(target, stack=each))}
    since = min(each.since for each in begun.values())
    left = orphans.left(there, known, since)
    orphans.delete(left, ask)
    for each in begun:
        leases.end(each, ask)
    return tuple(map(str, left))


def forget(target: Target) -> None:
    """Take the stack itself away, with its configuration. Raises DeployError where it still holds something."""
    _pulumi(target, "stack", "rm", target.stack, "--yes")


def state(target: Target) -> automation.Deployment:
    """What the stack holds, secrets in the clear, with nothing of an earlier run in the way."""
    return _settle(_free(target), target)


def put_state(target: Target, wanted: automation.Deployment) -> None:
    """Let the stack hold that. No object of the cluster is touched."""
    with _told():
        _free(target).import_stack(wanted)


def deployed(held: automation.Deployment) -> fixed.Record:
    """What cannot change of what a stack deployed last; nothing where it never got to its end."""
    resources = (held.deployment or {}).get("resources") or ()
    outputs = [each.get("outputs") or {} for each in resources if each["type"] == _ROOT]
    found: fixed.Record = outputs[0].get(fixed.OUTPUT) or {} if outputs else {}
    return found


def holders(target: Target) -> tuple[Lock, ...]:
    """Who is at work on the stack, as far as its backend says. Raises DeployError when that does not answer."""
    with _answering(target):
        return locks(target.backend, PROJECT, target.stack)


@contextmanager
def _answering(target: Target) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as problem:
        raise DeployError(f"the backend {target.backend} does not answer: {problem}") from None


def held(target: Target) -> Mapping[str, Any]:
    """What the backend has of the stack, as it stands and with secrets sealed."""
    found: Mapping[str, Any] = json.loads(_pulumi(target, "stack", "export", "--stack", target.stack))
    return found["deployment"] or {}


def declared(target: Target) -> frozenset[Key]:
    """The cluster objects in the stack's state."""
    return objects(state(target).deployment or {})


def objects(deployment: Mapping[str, Any]) -> frozenset[Key]:
    """The cluster objects in a state."""
    found = set()
    for resource in deployment.get("resources") or ():
        provider, _, rest = resource["type"].partition(":")
        group_version, _, kind = rest.partition(":")
        if provider == "kubernetes" and kind and resource.get("id"):
            found.add((f"{kind}.{group_version.rpartition('/')[0] or group_version}", resource["id"]))
    return frozenset(found)


def kubectl(target: Target, *words: str, stdin: str | None = None) -> str:
    """Run kubectl on the target's cluster as its user does. Returns what it printed; raises DeployError with what it complained of."""
    done = subprocess.run(
        ["kubectl", *words], env={**os.environ, **target.environment}, input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DeployError(f"kubectl {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _change(
    target: Target,
    operation: Callable[..., Any],
    tell: Tell,
    log: Log | None,
    held: automation.Deployment | None = None,
) -> Mapping[str, int]:
    """Let the cluster know that it is being changed, for as long as it is. Where an earlier run never got to its end, what it did is read from the
    cluster first, and stays known to it until ``sweep``.
    """
    stack = _settled(target, held)
    ask = partial(kubectl, target)
    again = target.stack in cut_off(target)
    if again:
        tell("an earlier run was cut off: reading what there is")
    leases.begin(target.stack, ask)
    changes = _attempt(partial(operation, stack, refresh=again), tell, log)
    if not again:
        leases.end(target.stack, ask)
    return changes


def _attempt(operation: Callable[..., Any], tell: Tell, log: Log | None) -> Mapping[str, int]:
    watch = _Watch(tell)
    try:
        operation(on_event=watch, on_output=log, color="never")
    except automation.CommandError as failure:
        said = watch.errors or [str(failure).rpartition("stderr:")[2].strip()]
        raise DeployError("\n".join(said).strip() or "Pulumi was ended before it was done") from None

    return {getattr(each, "value", str(each)): count for each, count in watch.changes.items()}


def _settled(target: Target, held: automation.Deployment | None = None) -> automation.Stack:
    """The stack, with nothing of an earlier run in the way."""
    stack = _free(target)
    _settle(stack, target, held)
    return stack


def _free(target: Target) -> automation.Stack:
    """The stack, which nobody is at work on."""
    workspace = _Unselected(
        work_dir=str(CHECKOUT), pulumi_home=str(target.home), env_vars=target.environment,
        pulumi_command=_command(target.path), secrets_provider="passphrase",
    )  # fmt: skip
    stack = _Stack(target.stack, workspace, StackInitMode.SELECT)
    _break_stale_lock(stack, target)
    return stack


@contextmanager
def _told() -> Iterator[None]:
    """A question to Pulumi that fails is told in its own words."""
    try:
        yield
    except automation.CommandError as failure:
        raise DeployError(str(failure).rpartition("stderr:")[2].strip()) from None


@cache
def _command(path: str) -> automation.PulumiCommand:
    found = shutil.which("pulumi", path=path)
    if found is None:
        raise DeployError("the program `pulumi` is missing: `make` builds it, or install it")
    return automation.PulumiCommand(root=str(Path(found).parent.parent))


def _break_stale_lock(stack: automation.Stack, target: Target) -> None:
    """Release a lock that a process of this machine took and, killed, never gave back."""
    for each in holders(target):
        if each.stale:
            stack.cancel()
        elif each.ours:
            raise DeployError(f"another Pulumi ({each}) is at work on stack {target.stack}: let it end")


def _settle(
    stack: automation.Stack, target: Target, held: automation.Deployment | None = None
) -> automation.Deployment:
    """Settle what a killed run never finished, and return what the stack holds: an object that it was about to make is its own where it is there.

    So the next run changes it or takes it away, whatever the profile has come to want. Anything else is dropped: to update or delete once
    more is harmless.
    """
    with _told():
        state = held or stack.export_stack()
    if not state.deployment or not (pending := state.deployment.get("pending_operations")):
        return state
    resources = state.deployment.get("resources") or []
    known = {each["urn"] for each in resources}
    made = [
        found
        for each in pending
        if each["type"] == "creating"
        and each["resource"]["urn"] not in known
        and (found := _found(each["resource"], target))
    ]
    settled = {**state.deployment, "pending_operations": [], "resources": [*resources, *made]}
    state = automation.Deployment(state.version, settled)
    with _told():
        stack.import_stack(state)
    return state


def _found(resource: Mapping[str, Any], target: Target) -> Mapping[str, Any] | None:
    """The resource with its id, where the cluster has the object; None where it has not, or it is none of a cluster's."""
    provider, _, rest = resource["type"].partition(":")
    group_version, _, kind = rest.partition(":")
    meta = (resource.get("inputs") or {}).get("metadata") or {}
    if provider != "kubernetes" or not kind or not meta.get("name"):
        return None
    group, _, version = group_version.rpartition("/")
    where = [f"--namespace={meta['namespace']}"] if meta.get("namespace") else []
    words = ["get", f"{kind}.{version}.{group if group != 'core' else ''}", meta["name"], *where]
    try:
        there = kubectl(target, *words, "--output=name", "--ignore-not-found").strip()
    except DeployError as problem:
        if "doesn't have a resource type" in str(problem):
            return None
        raise DeployError(f"what a killed run left cannot be looked for: {problem}") from None
    if not there:
        return None
    name = "/".join(part for part in (meta.get("namespace"), meta["name"]) if part)
    return {**resource, "id": name, "outputs": resource["inputs"]}


def pulumi_home() -> Path:
    """The user's own Pulumi home: plugins, and the backend that is logged in to."""
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")


def search_path(*first: Path) -> str:
    """A PATH on which these folders come first."""
    return os.pathsep.join([*(str(folder) for folder in first), os.environ.get("PATH", os.defpath)])
