"""``make up CLUSTER=current``: a profile on the cluster that the kubeconfig's current context names, after asking.

State, backend and passphrase are the user's own where Pulumi is set up on this machine; else a file backend and a
passphrase are made in the user's data folder, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

from profiles import fixed
from profiles.load import load
from profiles.problems import ProfileError
from stacks.deploy import (
    DeployError,
    Target,
    configure,
    deployed,
    destroy,
    pulumi_home,
    search_path,
    up,
)

_WAY_OUT = "deploy it as a new stack on another cluster, and restore the backups there"
_DATA = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "longhouse"


@dataclass(frozen=True)
class Context:
    """The kubeconfig's current context, cut out of its file so that no other can be met by a switch in between."""

    name: str
    server: str
    kubeconfig: str


def current_context(path: str) -> Context:
    """Read the current context with the ``kubectl`` found on ``path``.

    Raises DeployError when the kubeconfig has none.
    """
    command = ["kubectl", "config", "view", "--minify", "--flatten", "--raw"]
    try:
        text = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PATH": path}
        ).stdout
    except FileNotFoundError:
        raise DeployError("kubectl is missing: install it, it reads the kubeconfig") from None
    except subprocess.CalledProcessError as failure:
        raise DeployError(f"the kubeconfig has no usable current context: {failure.stderr.strip()}") from None
    config = yaml.safe_load(text)
    return Context(config["current-context"], config["clusters"][0]["cluster"]["server"], text)


def main() -> int:
    """Ask, then deploy or destroy; 0 when done, 1 with a message when not."""
    parser = argparse.ArgumentParser(prog="python -m stacks.current", description=__doc__)
    parser.add_argument("command", choices=("up", "destroy"))
    parser.add_argument("--profile", required=True, help="the profile to deploy, and the stack's name")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    try:
        _run(arguments, console)
    except (DeployError, ProfileError) as problem:
        console.print("[red]error[/]  ", end=" ")
        console.print(str(problem), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again and it goes on from here")
        return 130
    return 0


def _run(arguments: argparse.Namespace, console: Console) -> None:
    profile = load(arguments.profile)
    path = search_path(Path(sys.executable).parent)
    context = current_context(path)
    if profile.cluster.context not in (None, context.name):
        raise DeployError(
            f"profile {profile.name} belongs to context {profile.cluster.context} (its cluster.context), "
            f"and the current one is {context.name}"
        )
    console.print(
        f"context  {context.name}\nserver   {context.server}\nprofile  {profile.name}", markup=False
    )
    _ask(f"{arguments.command} profile {profile.name} on context {context.name}?", arguments.yes)
    with tempfile.TemporaryDirectory(prefix="longhouse-") as scratch:
        kubeconfig = Path(scratch) / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(context.kubeconfig)
        target = _target(profile.name, path, kubeconfig, console)
        if arguments.command == "up":
            fixed.refuse(deployed(target), profile, _WAY_OUT)
        action = up if arguments.command == "up" else destroy
        with console.status("starting Pulumi") as status:
            changes = action(target, status.update)
    console.print(", ".join(f"{count} {name}" for name, count in sorted(changes.items())))


def _ask(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise DeployError(f"{question} There is nobody to ask: say YES=1 if you mean it")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise DeployError("nothing was touched")


def _target(profile: str, path: str, kubeconfig: Path, console: Console) -> Target:
    backend = os.environ.get("PULUMI_BACKEND_URL") or _logged_in()
    if backend is None:
        (_DATA / "state").mkdir(parents=True, exist_ok=True)
        backend = f"file://{_DATA}/state"
        console.print(f"state    {backend} (log in to another backend with `pulumi login`)", markup=False)
    passphrase = _passphrase_file(kubeconfig.parent)
    target = Target(
        # The embedded cluster's own stacks begin with `local`.
        stack=f"{profile}-current" if profile.startswith("local") else profile,
        kubeconfig=kubeconfig, path=path, home=pulumi_home(), backend=backend,
        passphrase_file=passphrase,
    )  # fmt: skip
    configure(target, profile)
    return target


def _logged_in() -> str | None:
    try:
        url = json.loads((pulumi_home() / "credentials.json").read_text()).get("current")
    except (OSError, ValueError):
        return None
    return str(url) if url else None


def _passphrase_file(scratch: Path) -> Path:
    """The user's own passphrase, from Pulumi's variables; else one made once and kept in the data folder."""
    if (given := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")) is not None:
        return Path(given)
    own = _DATA / "passphrase"
    if (phrase := os.environ.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        own = scratch / "passphrase"
    elif own.exists():
        return own
    else:
        phrase = secrets.token_urlsafe(32)
    own.parent.mkdir(parents=True, exist_ok=True)
    own.touch(mode=0o600)
    own.write_text(phrase)
    return own


if __name__ == "__main__":
    sys.exit(main())
