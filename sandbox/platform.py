"""The platform on the embedded cluster: Pulumi's own settings for it, kept apart from the user's."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from profiles import fixed
from profiles.model import Profile
from sandbox import tools
from sandbox.places import BIN, INSTANCE, KUBECONFIG, PULUMI_HOME, STATE
from stacks import deploy
from stacks.deploy import PROJECT, Target, config_file, configure, search_path

STACK = "local" if INSTANCE == PROJECT else f"local-{INSTANCE}"
"""The embedded cluster's only stack; its profile says what is in it."""
_BACKEND = PULUMI_HOME / "state"
_PASSPHRASE = PULUMI_HOME / "passphrase"
_FIXED = STATE / "fixed.json"
"""What cannot change of what is deployed, or was being deployed when a run was killed."""
_WAY_OUT = "run `make down` first: it takes away what is deployed, with its data"


def target() -> Target:
    """The embedded cluster's stack."""
    return Target(
        stack=STACK,
        kubeconfig=KUBECONFIG,
        path=search_path(BIN, Path(sys.executable).parent),
        home=PULUMI_HOME,
        backend=f"file://{_BACKEND}",
        passphrase_file=_PASSPHRASE,
    )


def refuse_what_cannot_follow(profile: Profile) -> None:
    """Raise ProfileError where the volumes of what is deployed cannot follow the profile, DeployError where it is cut into stacks. Touches nothing."""
    if profile.stacks:
        raise deploy.DeployError(
            f"profile {profile.name} is cut into stacks, and the embedded cluster has one: write stacks: null"
        )
    fixed.refuse(_deployed(), profile, _WAY_OUT)


def up(profile: Profile, tell: Callable[[str], None]) -> Mapping[str, int]:
    """Deploy a profile; counts as ``stacks.deploy.up``."""
    wanted = prepare(profile.name)
    stays = fixed.record(profile)
    _keep({**_deployed(), **stays})  # a store that this takes away is there until it has
    changes = deploy.up(wanted, tell)
    if swept := deploy.sweep(wanted, [STACK], [STACK]):
        changes = {**changes, "orphan taken away": len(swept)}
    _keep(stays)
    return changes


def _deployed() -> fixed.Record:
    found: fixed.Record = json.loads(_FIXED.read_text()) if _FIXED.exists() else {}
    return found


def _keep(record: fixed.Record) -> None:
    whole = _FIXED.with_suffix(".new")
    whole.write_text(json.dumps(record, indent=1))
    whole.replace(_FIXED)


def prepare(profile: str) -> Target:
    """Everything that ``pulumi up`` needs: provider, backend, passphrase, the stack and its configuration."""
    wanted = target()
    _BACKEND.mkdir(parents=True, exist_ok=True)
    install_provider(PULUMI_HOME)
    if not _PASSPHRASE.exists():
        _PASSPHRASE.touch(mode=0o600)
        _PASSPHRASE.write_text(secrets.token_urlsafe(32))
        forget()  # secrets sealed with an earlier passphrase can't be read with this one
    configure(wanted, profile)
    return wanted


def forget() -> None:
    """Take the stack's configuration away: its state goes with the cluster's."""
    config_file(STACK).unlink(missing_ok=True)


def install_provider(home: Path) -> None:
    """Give a Pulumi home the Kubernetes provider that the sandbox built."""
    plugin = home / "plugins" / f"resource-kubernetes-v{tools.PROVIDER_VERSION}"
    plugin.mkdir(parents=True, exist_ok=True)
    for source in tools.PROVIDER.program.directory.iterdir():
        tools.place(source, plugin / source.name)
