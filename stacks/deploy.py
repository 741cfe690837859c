"""Deploying one stack: what ``make up`` does once it knows the cluster, through Pulumi's Automation API.

``pulumi up -s NAME`` does the same by hand. Beyond it, this mends what a killed run left (a lock whose holder is gone,
operations that never finished), tells how far it is, and gives errors without the engine's noise.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pulumi import automation
from pulumi.automation.events import EngineEvent

from profiles import fixed

PROJECT = "longhouse"
CHECKOUT = Path(__file__).parent.parent
SECRET = f"{PROJECT}:masterSecret"
FIXED = "fixed"
"""Output of a stack: what cannot change of the profile that it deployed."""
KEPT = "kept"
"""Output of a stack: how much of their data its stores keep."""


class DeployError(Exception):
    """The deployment failed; the message is what the engine and the cluster said."""


@dataclass(frozen=True)
class Target:
    """A stack and what it takes to reach it: Pulumi's own settings and a kubeconfig, never ambient ones.

    ``path`` is where programs are looked for, ``backend`` a URL such as ``file:///...``. Without ``checkpoints`` the state is written once, at the end: for
    a cluster on which what a killed run left can be found and taken away.
    """

    stack: str
    kubeconfig: Path
    path: str
    home: Path
    backend: str
    passphrase_file: Path
    checkpoints: bool = True

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


@dataclass
class _Watch:
    """Follows the engine's events: what is done, what failed."""

    tell: Callable[[str], None]
    done: int = 0
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        if (outputs := event.res_outputs_event) is not None:
            self.done += 1
            self.tell(f"{self.done} resources, last {outputs.metadata.urn.rpartition('::')[2]}")
        if (diagnostic := event.diagnostic_event) is not None and diagnostic.severity == "error":
            where = (diagnostic.urn or "").rpartition("::")[2]
            self.errors.append(
                f"{where}: {diagnostic.message.strip()}" if where else diagnostic.message.strip()
            )


def configure(target: Target, profile: str) -> None:
    """Make the stack unless it is there, and set what it lacks: the profile's name, and a master secret made now.

    Raises DeployError with what Pulumi says when it refuses.
    """
    where = ("--stack", target.stack)
    _pulumi(target, "stack", "select", "--create", target.stack)
    _pulumi(target, "config", "set", *where, f"{PROJECT}:profile", profile)
    if SECRET not in config_file(target.stack).read_text():
        _pulumi(target, "config", "set", *where, "--secret", SECRET, stdin=secrets.token_urlsafe(48))


def config_file(stack: str) -> Path:
    """Where the checkout keeps a stack's configuration."""
    return CHECKOUT / "stacks" / f"Pulumi.{stack}.yaml"


def _pulumi(target: Target, *words: str, stdin: str | None = None) -> None:
    done = subprocess.run(
        ["pulumi", "--non-interactive", *words], cwd=CHECKOUT, env={**os.environ, **target.environment}, input=stdin,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DeployError(f"pulumi {' '.join(words[:2])}: {done.stderr.strip()}")


def up(target: Target, tell: Callable[[str], None]) -> Mapping[str, int]:
    """Converge the stack. Returns how many resources each operation touched, ``same`` among them.

    ``tell`` is given a few words whenever something happens. Raises DeployError with what went wrong.
    """
    stack = _ready(target)
    return _changes(_attempt(stack.up, tell))


def destroy(target: Target, tell: Callable[[str], None]) -> Mapping[str, int]:
    """Take away everything that the stack declared. Returns counts as ``up`` does."""
    stack = _ready(target)
    return _changes(_attempt(stack.destroy, tell))


def deployed(target: Target) -> fixed.Record:
    """What cannot change of what the stack deployed last; nothing where it never got to its end."""
    found = _ready(target).outputs().get(FIXED)
    return found.value if found else {}


def declared(target: Target) -> frozenset[tuple[str, str]]:
    """The cluster objects in the stack's state: kind with its API group, and name with its namespace."""
    deployment = _ready(target).export_stack().deployment or {}
    found = set()
    for resource in deployment.get("resources", []):
        provider, _, rest = resource["type"].partition(":")
        group_version, _, kind = rest.partition(":")
        if provider == "kubernetes" and kind and resource.get("id"):
            found.add((f"{kind}.{group_version.rpartition('/')[0] or group_version}", resource["id"]))
    return frozenset(found)


def _attempt(operation: Callable[..., Any], tell: Callable[[str], None], **options: Any) -> Any:
    watch = _Watch(tell)
    try:
        return operation(on_event=watch, color="never", **options)
    except automation.CommandError as failure:
        said = watch.errors or [str(failure).rpartition("stderr:")[2].strip()]
        raise DeployError("\n".join(said).strip() or "Pulumi was ended before it was done") from None


def _changes(result: Any) -> Mapping[str, int]:
    return {str(operation): count for operation, count in (result.summary.resource_changes or {}).items()}


def _ready(target: Target) -> automation.Stack:
    """The stack, with nothing of an earlier run in the way."""
    workspace = automation.LocalWorkspace(
        work_dir=str(CHECKOUT), pulumi_home=str(target.home), env_vars=target.environment,
        pulumi_command=_command(target), secrets_provider="passphrase",
    )  # fmt: skip
    stack = automation.Stack.select(target.stack, workspace)
    _break_stale_lock(stack, target)
    _forget_unfinished(stack)
    return stack


def _command(target: Target) -> automation.PulumiCommand:
    found = shutil.which("pulumi", path=target.path)
    if found is None:
        raise DeployError("the program `pulumi` is missing: `make` builds it, or install it")
    return automation.PulumiCommand(root=str(Path(found).parent.parent))


def _break_stale_lock(stack: automation.Stack, target: Target) -> None:
    """Release a file backend's lock that a process of this machine took and, killed, never gave back."""
    url = urlparse(target.backend)
    if url.scheme != "file":
        return
    locks = Path(url.path) / ".pulumi" / "locks"
    for path in locks.glob(f"organization/{PROJECT}/{target.stack}/*.json"):
        holder = json.loads(path.read_text())
        if holder["hostname"] != socket.gethostname():
            continue
        if Path(f"/proc/{holder['pid']}").exists():
            raise DeployError(
                f"another Pulumi (process {holder['pid']}) is at work on stack {target.stack}: let it end"
            )
        stack.cancel()


def _forget_unfinished(stack: automation.Stack) -> None:
    """Drop operations that a killed run never finished from the state.

    Creating again what is already there is harmless: with server-side apply it takes the object over.
    """
    state = stack.export_stack()
    if state.deployment and state.deployment.get("pending_operations"):
        settled = {**state.deployment, "pending_operations": []}
        stack.import_stack(automation.Deployment(state.version, settled))


def pulumi_home() -> Path:
    """The user's own Pulumi home: plugins, and the backend that is logged in to."""
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")


def search_path(*first: Path) -> str:
    """A PATH on which these folders come first."""
    return os.pathsep.join([*(str(folder) for folder in first), os.environ.get("PATH", os.defpath)])
