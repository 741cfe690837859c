"""The cluster that the kubeconfig's current context names, and where the state of what is deployed there is kept.

State, backend and passphrase are the user's own where Pulumi is set up on this machine; else a file backend and a
passphrase are made in the user's data folder, and said so.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

from profiles.model import Profile
from stacks.deploy import DeployError, Target, pulumi_home, search_path

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


@contextmanager
def reached(profile: Profile, console: Console) -> Iterator[Target]:
    """The profile's stack on the current context's cluster, which is named first. Raises DeployError where the profile belongs to another."""
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
    with tempfile.TemporaryDirectory(prefix="longhouse-") as scratch:
        kubeconfig = Path(scratch) / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(context.kubeconfig)
        yield _target(profile.name, path, kubeconfig, console)


def ask(question: str, yes: bool) -> None:
    """Raise DeployError unless somebody says yes, or has said so."""
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
    return Target(
        # The embedded cluster's own stacks begin with `local`.
        stack=f"{profile}-current" if profile.startswith("local") else profile,
        kubeconfig=kubeconfig, path=path, home=pulumi_home(), backend=backend,
        passphrase_file=_passphrase_file(kubeconfig.parent),
    )  # fmt: skip


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
