"""Runs `pulumi preview` with the pack: against the state that is configured, or, where there is none, against a throw-away one.

The throw-away preview needs no credentials and no cluster, so that anybody's pull request can have it. Its own folder holds the state, the
stack's config with every secret replaced by a random one, and a kubeconfig that names no cluster, so that the one lying about is never
used. The program runs inside `policies/throwaway`, where providers render instead of deploying; a preview writes nothing of that.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pulumi import automation
from pulumi.automation.events import EngineEvent

from modules.kit import image_lock
from modules.kit.parts import StackName
from policies import base_state, crds, images, stays, waivers
from policies.crds import Definition
from policies.plan import Events, Finding, Plan, in_order
from policies.resource import Resource
from policies.throwaway import charts
from policies.waivers import Waived

CHECKOUT: Final = Path(__file__).parent.parent
_PACK: Final = CHECKOUT / "policies" / "pack"
_PROJECT: Final = "longhouse"
_SHELL: Final = CHECKOUT / "policies" / "throwaway"

PROGRAM: Final = "LONGHOUSE_PREVIEW_PROGRAM"
"""Environment: the folder of the stack's own program, for the one that runs around it."""
RENDERED: Final = "LONGHOUSE_PREVIEW_RENDERED"
"""Environment: the folder into which providers would render."""
OUT_OF_REACH: Final = "LONGHOUSE_PREVIEW_OUT_OF_REACH"
"""Environment: charts whose registries do not answer, for which something else stands."""


@dataclass(frozen=True)
class Preview:
    """A plan, and what it was made against."""

    stack: str
    plan: Plan
    throw_away: str | None
    """Why it was made against no state, so that everything reads as new; None when the stack's own state was used."""
    waived: tuple[Waived, ...] = ()
    """Faults that a waiver let pass."""
    notices: tuple[str, ...] = ()
    """What there is to say of waivers that let nothing pass, and of what could not be judged."""
    compared: str | None = None
    """The commit that was rendered to compare with, where there is no state."""


class PreviewError(Exception):
    """No preview could be started; the message says why and what to do."""


class _Unselected(automation.LocalWorkspace):
    """A workspace in which the stack that the user works on stays selected: every command names its stack anyway."""

    def select_stack(self, stack_name: str) -> None:
        """Leave the selection alone."""


def workspace(project: Path, environment: Mapping[str, str] | None = None) -> automation.LocalWorkspace:
    """The project as the engine sees it: its program runs in the Python that runs this, whichever is first on PATH."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return _Unselected(work_dir=str(project), env_vars={"PATH": path, **(environment or {})})


def run(
    stack: str,
    tell: Callable[[int], None],
    project: Path = CHECKOUT,
    *,
    base: str | None = None,
    cluster: Mapping[str, Definition] | None = None,
    gates: Callable[[Plan], Iterable[Finding]] = lambda plan: (),
) -> Preview:
    """Preview a stack of the project, which is this checkout's. `tell` hears how many resources the engine has come to.

    Where there is no state, what the commit `base` declares takes its place: it is rendered once, and kept. `cluster` is what a
    cluster has of kinds, `gates` are what more the plan has to pass.

    Raises `PreviewError` when there is no Pulumi, a waiver or the image lock is wrong, or a configured backend does not answer: a
    preview against nothing would then miss every deletion.
    """
    today = datetime.now(UTC).date()
    try:
        filed = waivers.read(today, project / "profiles" / "waivers")
        lock = image_lock.read(project / image_lock.FILE.name)
    except (waivers.WaiverError, image_lock.LockError) as error:
        raise PreviewError(str(error)) from error
    _require_pulumi()
    why = _no_state(stack, project)
    if why is None:
        plan = _plan(workspace(project), stack, tell)
    elif base is not None:
        with _from_base(stack, project, base) as made:
            plan = _plan(made, stack, tell)
    else:
        with _throw_away(stack, project) as made:
            made.create_stack(stack)
            plan = _plan(made, stack, tell)
    found = (
        *plan.findings,
        *images.outside(plan.steps, lock, digests=not stack.startswith("local")),
        *crds.dangers(plan.steps, cluster),
        *stays.broken(plan.exported_before, plan.exported),
        *(() if plan.errors else gates(plan)),
    )
    plan = replace(plan, findings=in_order(dict.fromkeys(found)))
    judged = waivers.apply(plan, filed, stack, today, against_state=why is None or base is not None)
    return Preview(stack, judged.plan, why, judged.waived, (*plan.unjudged, *judged.notices), base)


def rendered(stack: str, project: Path = CHECKOUT) -> tuple[Resource, ...]:
    """Every Kubernetes object that the stack declares, against no state and without the rules. Raises `PreviewError` when it cannot be had."""
    _require_pulumi()
    events = Events()
    with _throw_away(stack, project) as made:
        made.create_stack(stack)
        try:
            automation.Stack.select(stack, made).preview(on_event=events, color="never")
        except (automation.CommandError, RuntimeError) as error:
            raise PreviewError("\n".join(events.errors) or _short(str(error))) from error
    return tuple(step.new for step in events.steps if step.new is not None)


def _require_pulumi() -> None:
    if shutil.which("pulumi") is None:
        raise PreviewError(
            "pulumi is not on PATH: `python -m sandbox pulumi` builds it, "
            'and `eval "$(python -m sandbox env)"` puts it there'
        )


def _plan(where: automation.LocalWorkspace, stack: str, tell: Callable[[int], None]) -> Plan:
    events = Events()

    def hear(event: EngineEvent) -> None:
        events(event)
        tell(events.seen)

    failure: str | None = None
    try:
        automation.Stack.select(stack, where).preview(policy_packs=[str(_PACK)], on_event=hear, color="never")
    except automation.CommandError as error:
        failure = _short(str(error))
    except RuntimeError as error:  # The SDK's own, when the engine ends without a summary.
        failure = str(error)
    return events.plan(failure)


def _short(said: str) -> str:
    """What a failed command gives as its errors, or else all that it said."""
    return "\n".join(dict.fromkeys(re.findall(r"error: (.+)", said))) or said.strip()


def _no_state(stack: str, project: Path) -> str | None:
    """Why there is no state to preview against; None when there is."""
    if not backend_configured(project, os.environ):
        return "no backend is configured"
    try:
        known = workspace(project).list_stacks()
    except automation.CommandError as error:
        raise PreviewError(f"the configured backend gives no list of stacks\n{_short(str(error))}") from error
    if stack in {each.name.rpartition("/")[2] for each in known}:
        return None
    return f"the configured backend has no stack {stack}"


def backend_configured(project: Path, environment: Mapping[str, str]) -> bool:
    """Whether Pulumi knows where state is kept: by the environment, the project or a login."""
    if environment.get("PULUMI_BACKEND_URL") or environment.get("PULUMI_ACCESS_TOKEN"):
        return True
    if (_read(project / "Pulumi.yaml").get("backend") or {}).get("url"):
        return True
    home = Path(environment.get("PULUMI_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".pulumi")
    credentials = home / "credentials.json"
    return credentials.is_file() and bool(json.loads(credentials.read_text()).get("current"))


@cache
def _out_of_reach() -> str:
    """Asked once: a plan and what it is compared with are of the same charts."""
    return " ".join(each.chart for each in charts.out_of_reach())


@contextmanager
def _throw_away(stack: str, project: Path) -> Iterator[automation.LocalWorkspace]:
    with tempfile.TemporaryDirectory(prefix="longhouse-preview-") as name:
        folder = Path(name)
        environment = {
            PROGRAM: str(write_project(project, folder, stack)),
            RENDERED: str(folder / "rendered"),
            OUT_OF_REACH: _out_of_reach(),
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(),
            "KUBECONFIG": str(folder / "kubeconfig"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        yield workspace(folder, environment)


@contextmanager
def _from_base(stack: str, project: Path, commit: str) -> Iterator[automation.LocalWorkspace]:
    """A throw-away project whose state is what another commit declares.

    Both are given the same secrets, which are nobody's, so that what is derived from them differs only where the program does.
    """
    kept = base_state.folder(commit, stack, whole=not _out_of_reach())
    if not (kept / base_state.DONE).is_file():
        _render_base(stack, project, commit, kept)
    with tempfile.TemporaryDirectory(prefix="longhouse-preview-") as name:
        folder = Path(name)
        environment = _known(
            write_project(project, folder, stack, kept / "rendered", _nobodys), folder, kept, project
        )
        shutil.copytree(kept / "state", folder / "state", dirs_exist_ok=True)
        yield workspace(folder, environment)


def _render_base(stack: str, project: Path, commit: str, kept: Path) -> None:
    """Deploy the commit into files, with its own program, and keep the state."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="longhouse-base-") as name:
        source = Path(name) / "source"
        try:
            base_state.checkout(commit, source, project)
        except base_state.BaseError as error:
            raise PreviewError(str(error)) from error
        program = write_project(source, kept, stack, kept / "rendered", _nobodys)
        made = workspace(kept, _known(program, kept, kept, source))
        made.create_stack(stack)
        try:
            automation.Stack.select(stack, made).up(color="never")
        except (automation.CommandError, RuntimeError) as error:
            raise PreviewError(
                f"{commit[:12]} cannot be rendered to compare with: {_short(str(error))}"
            ) from error
    base_state.complete(kept)


def _nobodys() -> str:
    """The same on every machine, and no secret: no deployment ever has it."""
    return hashlib.sha256(b"compared, never deployed").hexdigest()


def _known(program: Path, folder: Path, kept: Path, source: Path) -> dict[str, str]:
    return {
        PROGRAM: str(program),
        RENDERED: str(kept / "rendered"),
        OUT_OF_REACH: _out_of_reach(),
        "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": _nobodys(),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PYTHONPATH": str(source),
        # The state is written once, at the end: a write for each of its objects takes longer than all else.
        "PULUMI_EXPERIMENTAL": "true",
        "PULUMI_SKIP_CHECKPOINTS": "true",
    }


def write_project(
    source: Path,
    folder: Path,
    stack: str,
    rendered: Path | None = None,
    draw: Callable[[], str] = lambda: secrets.token_hex(32),
) -> Path:
    """Fill the folder with a project that stands for the source, and return the folder of the source's program.

    Nothing is written beside the source's own files. `draw` gives what stands for each secret.
    """
    (folder / "state").mkdir()
    (folder / "kubeconfig").write_text(json.dumps({"apiVersion": "v1", "kind": "Config"}))
    project = _read(source / "Pulumi.yaml")
    settings = source / str(project.pop("stackConfigDir", "."))
    project.pop("backend", None)
    program = source / str(project.get("main", "."))
    project["main"] = str(_SHELL)
    runtime = project.get("runtime")
    if isinstance(runtime, dict) and "virtualenv" in runtime.get("options", {}):
        runtime["options"]["virtualenv"] = str(source / runtime["options"]["virtualenv"])
    config = stack_config(_read(settings / f"Pulumi.{stack}.yaml"), stack, draw)
    config["kubernetes:renderYamlToDirectory"] = str(rendered or folder / "rendered")
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))
    return program


def stack_config(
    settings: Mapping[str, Any], stack: str, draw: Callable[[], str] = lambda: secrets.token_hex(32)
) -> dict[str, Any]:
    """The stack's config, readable without its key: every secret is another, by default a random one.

    A stack without a file of its own is one that is made on each machine: its profile has its name, or, of a group of tenants, that of
    the platform's stack.
    """
    found = dict(settings.get("config") or {})
    config: dict[str, Any] = {key: _without_secrets(value, draw) for key, value in found.items()}
    config.setdefault(f"{_PROJECT}:profile", StackName.of(stack).platform)
    config.setdefault(f"{_PROJECT}:masterSecret", draw())
    return config


def _without_secrets(value: Any, draw: Callable[[], str]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return draw()
        return {key: _without_secrets(inner, draw) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner, draw) for inner in value]
    return value


def _read(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text()) or {}) if path.is_file() else {}
