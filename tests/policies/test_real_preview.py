"""The gate with the real engine, the real provider and the real pack, on a small project. It takes no cluster: the provider renders.

It needs what the sandbox builds, and so runs with the live tests of `make test`.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation
from rich.console import Console

from policies import base_state, preview, pull_request, report
from policies.preview import CHECKOUT, Preview, PreviewError
from policies.pull_request import Review, markdown
from policies.resource import Record, at
from policies.rule import Op
from sandbox.platform import install_provider
from tests.policies.objects import Edit, Stack, edited

pytestmark = pytest.mark.policies

_STACK = "gate"
_DECLARED = (
    "namespace", "quota", "limits", "deny", "dns", "web", "service", "role", "binding", "config", "kube", "claim"
)  # fmt: skip
"""What the project declares of the compliant stack: of kinds that Kubernetes itself has."""
_PROGRAM = """
import pathlib
import pulumi, pulumi_kubernetes as kubernetes, yaml

settings = yaml.safe_load(pathlib.Path(__file__).with_name("objects.yaml").read_text())
assert pulumi.Config("longhouse").require_secret("masterSecret")
if "error" in settings:
    raise ValueError(settings["error"])

cluster = kubernetes.Provider("cluster", context=settings["context"], enable_server_side_apply=True) if settings["context"] else None


class Part(pulumi.ComponentResource):
    def __init__(self, name: str) -> None:
        super().__init__("longhouse:test:" + name, name)
        for short, manifest in settings["objects"].items():
            options = pulumi.ResourceOptions(parent=self, provider=cluster)
            kubernetes.yaml.v2.ConfigGroup(short, objs=[manifest], opts=options)
        self.register_outputs({})


Part(settings["part"])

if "canary" in settings:
    import pulumi_kubernetes.core.v1 as core

    plain = pulumi.Config("longhouse").require("masterSecret")
    secret = pulumi.Output.secret(plain)
    labels = {"longhouse.dev/tenant": "atlas", "longhouse.dev/owner": "atlas-team"}
    meta = {"namespace": "tenant-atlas", "labels": labels}
    core.Secret("key", metadata={**meta, "name": "key"}, string_data={"key": secret})
    core.ConfigMap("text", metadata={**meta, "name": "text"}, data={"key": secret})
    spec = {"containers": [{"name": "app", "image": secret, "env": [{"name": "KEY", "value": secret}], "args": [secret]}]}
    core.Pod("pod", metadata={**meta, "name": "pod"}, spec=spec)
    pulumi.log.warn("derived " + plain)
    if settings["canary"] == "raised":
        raise ValueError("cannot use " + plain)
"""
_CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {
        "name": "home",
        "namespace": "tenant-atlas",
        "labels": {"longhouse.dev/tenant": "atlas", "longhouse.dev/owner": "atlas-team"},
    },
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def _write(
    project: Path,
    stack: Stack,
    part: str = "Part",
    error: str | None = None,
    context: str | None = None,
    canary: str | None = None,
) -> None:
    settings: dict[str, Any] = {
        "part": part,
        "objects": {name: body for name, body in stack.items() if name in _DECLARED},
        "context": context,
    }
    if error:
        settings["error"] = error
    if canary:
        settings["canary"] = canary
    (project / "objects.yaml").write_text(yaml.safe_dump(settings))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that declares the compliant stack, with a claim."""
    made = tmp_path / "project"
    made.mkdir()
    options = {"virtualenv": str(CHECKOUT / ".venv")}
    (made / "Pulumi.yaml").write_text(
        yaml.safe_dump({"name": "longhouse", "runtime": {"name": "python", "options": options}})
    )
    (made / "__main__.py").write_text(_PROGRAM)
    (made / "images.lock").write_text("registry.example/team/app:1.4.2\n")
    _write(made, edited([Edit("claim", "", _CLAIM)]))
    return made


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pulumi home of the test's own, with the provider that the sandbox built."""
    assert shutil.which("pulumi"), (
        "Pulumi is not on PATH: `python -m sandbox pulumi` builds it and says where"
    )
    home = tmp_path / "pulumi"
    install_provider(home)
    monkeypatch.setenv("PULUMI_HOME", str(home))


def _preview(project: Path) -> Preview:
    return preview.run(_STACK, lambda seen: None, project)


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of somebody who is logged in nowhere."""
    for name in (
        "PULUMI_BACKEND_URL",
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "never-read"))


def test_a_stranger_gets_a_verdict(project: Path) -> None:
    files = sorted(project.rglob("*"))
    found = _preview(project)

    assert found.plan.errors == ()
    assert found.plan.findings == ()
    assert found.plan.exit_code == 0
    assert found.throw_away == "no backend is configured"
    assert found.plan.count(Op.CREATE) == len(found.plan.changes) == len(_DECLARED)
    assert ("test:Part", "atlas") in {(change.component, change.tenant) for change in found.plan.changes}
    assert [path for path in sorted(project.rglob("*")) if "__pycache__" not in path.parts] == files


def test_the_cluster_that_a_program_names_is_not_looked_for(project: Path) -> None:
    _write(project, edited([]), context="production")
    found = _preview(project)
    assert found.plan.errors == ()
    assert found.plan.count(Op.CREATE) == len(found.plan.changes) == len(_DECLARED) - 1


def test_a_violation_is_found_in_what_the_provider_renders(project: Path) -> None:
    _write(project, edited([Edit("web", "spec/template/spec/hostNetwork", True), Edit("quota", "")]))
    found = _preview(project)

    assert found.plan.exit_code == 1
    assert [(each.rule, each.subject, each.message) for each in found.plan.findings] == [
        ("LH-T-003", "Namespace tenant-atlas", "has no ResourceQuota"),
        ("LH-W-002", "Deployment tenant-atlas/web", "pod sets hostNetwork"),
    ]


def test_an_error_of_the_program_is_shown_and_decides_nothing(project: Path) -> None:
    _write(project, edited([]), error="profiles/local.yaml: tenants: unknown key")
    found = _preview(project)

    assert found.plan.exit_code == 2
    assert "profiles/local.yaml: tenants: unknown key" in "\n".join(found.plan.errors)


@pytest.fixture
def deployed(nobody: None, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of somebody whose backend holds the deployed stack."""
    state, rendered = tmp_path / "state", tmp_path / "rendered"
    state.mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", state.as_uri())
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "passphrase")
    where = preview.workspace(project)
    where.create_stack(_STACK)
    stack = automation.Stack.select(_STACK, where)
    stack.set_config("kubernetes:renderYamlToDirectory", automation.ConfigValue(str(rendered)))
    stack.set_config("longhouse:masterSecret", automation.ConfigValue("0f" * 32, secret=True))
    stack.up(color="never")
    assert any(_claims(rendered)), "the claim was deployed"


def _claims(rendered: Path) -> list[Record]:
    manifests = (yaml.safe_load(path.read_text()) for path in rendered.rglob("*.yaml"))
    return [manifest for manifest in manifests if at(manifest, "kind") == "PersistentVolumeClaim"]


@pytest.mark.usefixtures("deployed")
def test_the_state_is_previewed_against_where_there_is_one(project: Path) -> None:
    found = _preview(project)
    assert found.throw_away is None
    assert found.plan.exit_code == 0
    assert found.plan.count(Op.SAME) == len(found.plan.changes) == len(_DECLARED)


@pytest.mark.usefixtures("deployed")
def test_renaming_a_module_must_not_lose_a_home_directory(project: Path) -> None:
    _write(project, edited([Edit("claim", "", _CLAIM)]), part="Renamed")
    found = _preview(project)

    assert found.plan.errors == ()
    assert found.plan.exit_code == 1
    assert [(each.rule, each.subject) for each in found.plan.findings] == [
        ("LH-S-001", "Namespace tenant-atlas"),
        ("LH-S-001", "PersistentVolumeClaim tenant-atlas/home"),
    ]


_CANARY = "0f" * 32


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("canary", ["used", "raised"])
def test_a_secret_is_in_no_plan_report_or_log(
    project: Path, canary: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The stack's own secret, as a Secret, as configuration, as an image that rules complain of, in a warning and in an error."""
    _write(project, edited([Edit("claim", "", _CLAIM)]), canary=canary)
    found = _preview(project)
    assert found.plan.exit_code == (1 if canary == "used" else 2), "rules complain, or the program ends"
    assert _CANARY not in repr(found)
    assert _CANARY not in report.as_json(found)
    console = Console(file=io.StringIO(), width=400)
    report.show(found, console)
    assert isinstance(console.file, io.StringIO)
    assert _CANARY not in console.file.getvalue()
    review = Review(
        found,
        "its state",
        "USD",
        {},
        None,
        None,
        None,
        frozenset(),
        pull_request.image_names(found.plan),
        (),
        0,
        0,
    )
    assert _CANARY not in markdown(review)
    said = capfd.readouterr()
    assert _CANARY not in said.out + said.err
    if canary == "used":
        assert ("LH-W-001", "Pod tenant-atlas/pod") in {
            (each.rule, each.subject) for each in found.plan.findings
        }


def _git(project: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(project), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.usefixtures("nobody")
def test_who_has_no_state_compares_with_what_another_commit_declares(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _git(project, "init", "--quiet")
    _git(project, "add", "--all")
    _git(project, "commit", "--quiet", "--message=before")
    before = _git(project, "rev-parse", "HEAD")

    same = preview.run(_STACK, lambda seen: None, project, base=before)
    assert same.plan.errors == ()
    assert same.plan.count(Op.SAME) == len(same.plan.changes) == len(_DECLARED)
    assert same.compared == before

    _write(project, edited([Edit("claim", "", _CLAIM)]), part="Renamed")
    found = preview.run(_STACK, lambda seen: None, project, base=before)
    assert {(each.rule, each.subject) for each in found.plan.findings} == {
        ("LH-S-001", "Namespace tenant-atlas"),
        ("LH-S-001", "PersistentVolumeClaim tenant-atlas/home"),
    }


def _waive(project: Path, name: str, resource: str, expires: date) -> None:
    record = {
        "stack": _STACK,
        "rule": "LH-S-001",
        "resource": resource,
        "reason": "the old ones hold nothing yet",
        "approved_by": "m.ortega",
        "expires": str(expires),
    }
    (project / "profiles" / "waivers").mkdir(parents=True, exist_ok=True)
    (project / "profiles" / "waivers" / f"{name}.yaml").write_text(yaml.safe_dump(record))


@pytest.mark.usefixtures("deployed")
def test_a_waiver_lets_the_named_resource_go_and_no_other(project: Path) -> None:
    _write(project, edited([Edit("claim", "", _CLAIM)]), part="Renamed")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    _waive(project, "home", "PersistentVolumeClaim tenant-atlas/home", tomorrow)
    _waive(project, "idle", "PersistentVolumeClaim tenant-atlas/work", tomorrow)
    found = _preview(project)
    assert [(each.rule, each.subject) for each in found.plan.findings] == [
        ("LH-S-001", "Namespace tenant-atlas")
    ]
    assert [each.finding.subject for each in found.waived] == ["PersistentVolumeClaim tenant-atlas/home"]
    assert [notice.partition(":")[2].partition(" (")[0] for notice in found.notices] == [" nothing needs it"]

    _waive(project, "tenant", "Namespace tenant-atlas", tomorrow)
    assert _preview(project).plan.exit_code == 0


def test_an_image_outside_the_lock_is_refused_though_only_an_argument_names_it(project: Path) -> None:
    arguments = ["--solver-image=registry.example/team/solver:2"]
    _write(project, edited([Edit("web", "spec/template/spec/containers/0/args", arguments)]))
    found = _preview(project)
    assert [(each.rule, each.subject) for each in found.plan.findings] == [
        ("LH-P-001", "Deployment tenant-atlas/web")
    ]
    assert "registry.example/team/solver:2, which is not in the lock" in found.plan.findings[0].message


def test_a_wrong_waiver_stops_the_preview_before_anything_is_asked(project: Path) -> None:
    _waive(project, "late", "Namespace tenant-atlas", date(2199, 1, 1))
    with pytest.raises(PreviewError, match="is more than 90 days ahead"):
        _preview(project)


def test_a_backend_that_does_not_answer_is_not_taken_for_an_empty_one(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", (tmp_path / "gone").as_uri())
    with pytest.raises(PreviewError, match="the configured backend gives no list of stacks"):
        _preview(project)


def test_a_stack_that_the_backend_does_not_have_is_previewed_as_new(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", (tmp_path / "empty").as_uri())
    found = _preview(project)
    assert found.throw_away == f"the configured backend has no stack {_STACK}"
    assert found.plan.exit_code == 0


def test_the_local_stack_of_this_checkout_is_allowed() -> None:
    found = preview.run("local", lambda seen: None)
    assert found.plan.errors == ()
    assert found.plan.findings == ()
    components = {change.component for change in found.plan.changes}
    assert {"foundation:Tenant", "foundation:Queueing"} <= components
    rendered = {change.subject for change in found.plan.changes}
    assert "Deployment kueue-system/kueue-controller-manager" in rendered, "charts are looked into"


_SOURCES = ("Pulumi.yaml", "images.lock", "modules", "policies", "profiles", "stacks", "upstream")
_NOBODYS = (
    "PULUMI_BACKEND_URL",
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
)
_PROFILE = "local-simulated"


def test_the_report_says_what_a_change_of_one_tenant_does_and_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform itself, compared with the commit before: nobody has its state here."""
    for name in _NOBODYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(base_state, "_room", lambda: tmp_path / "states")
    source = tmp_path / "checkout"
    source.mkdir()
    for name in _SOURCES:
        copy: Any = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, source / name)
    _git(source, "init", "--quiet")
    _git(source, "add", "--all")
    _git(source, "commit", "--quiet", "--message=before")
    profile = source / "profiles" / "local.yaml"
    before = "  atlas:\n    quota: {cpu: 400m"
    assert before in profile.read_text()
    profile.write_text(profile.read_text().replace(before, before.replace("400m", "600m")))

    found = pull_request.review(_PROFILE, lambda seen: None, "HEAD", project=source)
    text = markdown(found)

    assert found.preview.plan.findings == ()
    changed = {change.subject for change in found.preview.plan.changes if change.op is not Op.SAME}
    assert "ClusterQueue atlas-cpu" in changed
    assert not any("borealis" in each for each in changed), "the other tenant's are as they were"
    assert f"Compared with `what commit {_git(source, 'rev-parse', 'HEAD')[:12]} declares`." in text
    assert "**Risk: medium**" in text
    assert found.before is not None
    assert found.bills["atlas"].total > found.before["atlas"].total
    assert found.bills["borealis"].total == found.before["borealis"].total
    assert found.asked is not None
    assert (found.asked.findings, found.asked.open) == ((), 0)
    assert found.peak_mib > 100
