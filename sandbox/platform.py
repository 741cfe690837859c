"""The platform on the embedded cluster: Pulumi's own settings for it, kept apart from the user's."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox import tools
from sandbox.places import BIN, CHECKOUT, KUBECONFIG, PULUMI_HOME
from sandbox.shell import run
from stacks.deploy import SECRET, Target, search_path
from stacks.deploy import up as deploy

STACK = "local"
"""The embedded cluster's only stack; its profile says what is in it."""
_BACKEND = PULUMI_HOME / "state"
_PASSPHRASE = PULUMI_HOME / "passphrase"
_CONFIG = CHECKOUT / "stacks" / f"Pulumi.{STACK}.yaml"


def target(profile: str) -> Target:
    """The embedded cluster's stack."""
    return Target(
        stack=STACK,
        profile=profile,
        kubeconfig=KUBECONFIG,
        path=search_path(BIN, Path(sys.executable).parent),
        home=PULUMI_HOME,
        backend=f"file://{_BACKEND}",
        passphrase_file=_PASSPHRASE,
    )


def up(profile: str, tell: Callable[[str], None]) -> Mapping[str, int]:
    """Log Pulumi in to the embedded cluster's file backend and deploy ``profile``; counts as ``stacks.deploy.up``."""
    prepare(profile)
    return deploy(target(profile), tell)


def prepare(profile: str) -> None:
    """Everything that ``pulumi up -s local`` needs: provider, backend, passphrase, the stack and its configuration."""
    _BACKEND.mkdir(parents=True, exist_ok=True)
    install_provider(PULUMI_HOME)
    if not _PASSPHRASE.exists():
        _PASSPHRASE.touch(mode=0o600)
        _PASSPHRASE.write_text(secrets.token_urlsafe(32))
        # Secrets sealed with an earlier passphrase can't be read with this one.
        _CONFIG.unlink(missing_ok=True)
    env = {**os.environ, **target(profile).environment}
    pulumi = [BIN / "pulumi", "--non-interactive"]
    run(*pulumi, "login", f"file://{_BACKEND}", env=env, cwd=CHECKOUT)
    run(*pulumi, "stack", "select", "--create", STACK, env=env, cwd=CHECKOUT)
    run(*pulumi, "config", "set", "--stack", STACK, "longhouse:profile", profile, env=env, cwd=CHECKOUT)
    if SECRET not in _CONFIG.read_text():
        words = ("config", "set", "--stack", STACK, "--secret", SECRET)
        run(*pulumi, *words, env=env, cwd=CHECKOUT, stdin=secrets.token_urlsafe(48))


def forget() -> None:
    """Take the stack's configuration away: its state goes with the cluster's."""
    _CONFIG.unlink(missing_ok=True)


def install_provider(home: Path) -> None:
    """Give a Pulumi home the Kubernetes provider that the sandbox built."""
    plugin = home / "plugins" / f"resource-kubernetes-v{tools.PROVIDER_VERSION}"
    plugin.mkdir(parents=True, exist_ok=True)
    for source in tools.PROVIDER.program.directory.iterdir():
        tools.place(source, plugin / source.name)
