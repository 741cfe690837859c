"""What a preview is run with, and how it is shown. The engine itself runs in test_real_preview.py."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from policies import __main__ as command
from policies import preview as previews
from policies import report
from policies.plan import Change, Finding, Plan
from policies.preview import CHECKOUT, Preview, PreviewError, backend_configured, stack_config, write_project
from policies.rule import Exemption, Op, Severity
from policies.table import PAGE, page

# Which state


@pytest.mark.parametrize(
    "environment",
    [{"PULUMI_BACKEND_URL": "file:///state"}, {"PULUMI_ACCESS_TOKEN": "pul-x"}],
    ids=["a URL", "an access token"],
)
def test_a_backend_is_configured_by_the_environment(tmp_path: Path, environment: dict[str, str]) -> None:
    assert backend_configured(tmp_path, {"HOME": str(tmp_path), **environment})


def test_a_backend_is_configured_by_the_project(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: longhouse\nbackend: {url: s3://state}\n")
    assert backend_configured(tmp_path, {"HOME": str(tmp_path)})


@pytest.mark.parametrize("variable", ["HOME", "PULUMI_HOME"])
def test_a_backend_is_configured_by_a_login(tmp_path: Path, variable: str) -> None:
    home = tmp_path / ".pulumi" if variable == "HOME" else tmp_path
    home.mkdir(exist_ok=True)
    (home / "credentials.json").write_text(json.dumps({"current": "file:///state"}))
    assert backend_configured(tmp_path, {variable: str(tmp_path)})


def test_no_backend_is_configured_where_nobody_says_so(tmp_path: Path) -> None:
    assert not backend_configured(tmp_path, {"HOME": str(tmp_path), "PULUMI_BACKEND_URL": ""})
    (tmp_path / "Pulumi.yaml").write_text("name: longhouse\n")
    (tmp_path / "credentials.json").write_text(json.dumps({"current": ""}))
    assert not backend_configured(tmp_path, {"PULUMI_HOME": str(tmp_path)})


def test_without_pulumi_the_error_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreviewError, match=r"pulumi is not on PATH: .python -m sandbox pulumi. builds it"):
        previews.run("onprem", lambda seen: None, tmp_path)


# A throw-away project

_PROJECT: dict[str, Any] = {
    "name": "longhouse",
    "runtime": {"name": "python", "options": {"virtualenv": ".venv"}},
    "main": "stacks",
    "stackConfigDir": "stacks",
    "backend": {"url": "s3://production"},
}
_SETTINGS: dict[str, Any] = {
    "encryptionsalt": "v1:salt",
    "config": {
        "longhouse:profile": "onprem",
        "longhouse:masterSecret": {"secure": "v1:ciphertext"},
        "longhouse:nested": {"a": [{"secure": "v1:other"}, "plain"]},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A throw-away project made from a project with a stack that has secrets."""
    source = tmp_path / "source"
    (source / "stacks").mkdir(parents=True)
    (source / "Pulumi.yaml").write_text(yaml.safe_dump(_PROJECT))
    (source / "stacks" / "Pulumi.onprem.yaml").write_text(yaml.safe_dump(_SETTINGS))
    made = tmp_path / "made"
    made.mkdir()
    assert write_project(source, made, "onprem") == source / "stacks"
    return made


def test_a_throw_away_project_runs_the_program_where_it_is(folder: Path) -> None:
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    source = folder.parent / "source"
    assert project == {
        "name": "longhouse",
        "runtime": {"name": "python", "options": {"virtualenv": str(source / ".venv")}},
        "main": str(CHECKOUT / "policies" / "throwaway"),
    }


def test_a_throw_away_project_leaves_the_source_alone(folder: Path) -> None:
    source = folder.parent / "source"
    assert sorted(path.name for path in source.rglob("*")) == ["Pulumi.onprem.yaml", "Pulumi.yaml", "stacks"]


def test_a_throw_away_stack_has_random_secrets_and_no_key(folder: Path) -> None:
    text = (folder / "Pulumi.onprem.yaml").read_text()
    assert "secure" not in text
    assert "ciphertext" not in text
    settings = yaml.safe_load(text)
    assert set(settings) == {"config"}
    secret = settings["config"]["longhouse:masterSecret"]
    assert len(bytes.fromhex(secret)) == 32
    other, plain = settings["config"]["longhouse:nested"]["a"]
    assert plain == "plain"
    assert other != secret


def test_a_throw_away_stack_reaches_no_cluster(folder: Path) -> None:
    assert json.loads((folder / "kubeconfig").read_text()) == {"apiVersion": "v1", "kind": "Config"}
    config = yaml.safe_load((folder / "Pulumi.onprem.yaml").read_text())["config"]
    assert config["kubernetes:renderYamlToDirectory"] == str(folder / "rendered")


def test_a_stack_without_a_file_has_the_profile_of_its_name() -> None:
    config = stack_config({}, "local")
    assert config["longhouse:profile"] == "local"
    assert len(config["longhouse:masterSecret"]) == 64
    assert stack_config({}, "local")["longhouse:masterSecret"] != config["longhouse:masterSecret"]


def test_a_group_of_tenants_has_the_profile_of_its_platform() -> None:
    assert stack_config({}, "onprem-tenants-3")["longhouse:profile"] == "onprem"
    assert (
        stack_config({"config": {"longhouse:profile": "own"}}, "onprem-tenants-3")["longhouse:profile"]
        == "own"
    )


# How it is shown

_FINDING = Finding(
    "LH-W-002",
    Severity.ERROR,
    "Pod tenant-atlas/web",
    "pod sets hostNetwork",
    "No pod reaches",
    "Take it away.",
)
_WARNING = Finding("LH-X-001", Severity.WARNING, "Pod b", "is odd", "Pods are even", "")
_CHANGES = (
    Change(Op.CREATE, "urn:a", "Pod a", "foundation:Tenant", "atlas"),
    Change(Op.DELETE, "urn:b", "Pod b", "foundation:Tenant", "atlas"),
    Change(Op.SAME, "urn:c", "Pod c", "", ""),
)


def _preview(
    findings: tuple[Finding, ...] = (),
    errors: tuple[str, ...] = (),
    throw_away: str | None = None,
    unused: tuple[Exemption, ...] = (),
) -> Preview:
    return Preview("onprem", Plan(_CHANGES, findings, errors, unused), throw_away)


def _shown(preview: Preview, terminal: bool = False) -> str:
    out = io.StringIO()
    report.show(preview, Console(file=out, width=120, highlight=False, force_terminal=terminal))
    return out.getvalue()


@pytest.mark.parametrize(
    ("preview", "line", "code"),
    [
        (_preview(), "onprem: allowed, no violation (2 changes, 1 unchanged)", 0),
        (_preview((_WARNING,)), "onprem: allowed, no violation, 1 warning (2 changes, 1 unchanged)", 0),
        (_preview((_FINDING,)), "onprem: refused, 1 violation of 1 rule (2 changes, 1 unchanged)", 1),
        (
            _preview((_FINDING, _FINDING, _WARNING)),
            "onprem: refused, 2 violations of 1 rule, 1 warning (2 changes, 1 unchanged)",
            1,
        ),
        (_preview((_FINDING,), ("no chart",)), "onprem: the preview failed, so nothing is decided", 2),
    ],
    ids=["allowed", "warned", "refused", "refused and warned", "failed"],
)
def test_the_last_line_is_the_verdict(preview: Preview, line: str, code: int) -> None:
    assert _shown(preview).splitlines()[-1] == line
    assert preview.plan.exit_code == code


def test_a_report_is_aligned_and_plain_in_a_log() -> None:
    shown = _shown(_preview((_FINDING, _WARNING), throw_away="no backend is configured"))
    assert [line.rstrip() for line in shown.splitlines()] == [
        "no backend is configured: previewed against an empty state, so everything reads as new",
        "",
        "component          tenant  create  update  replace  delete  unchanged",
        "-                  -            -       -        -       -          1",
        "foundation:Tenant  atlas        1       -        -       1          -",
        "",
        "error LH-W-002  No pod reaches",
        "     Pod tenant-atlas/web  pod sets hostNetwork",
        "     fix  Take it away.",
        "",
        "warning LH-X-001  Pods are even",
        "     Pod b  is odd",
        "",
        "onprem: refused, 1 violation of 1 rule, 1 warning (2 changes, 1 unchanged)",
    ]


def test_colour_is_for_terminals() -> None:
    assert "\x1b[" not in _shown(_preview((_FINDING,)))
    assert "\x1b[" in _shown(_preview((_FINDING,)), terminal=True)


def test_a_failed_preview_shows_the_error_and_no_half_of_the_changes() -> None:
    shown = _shown(_preview(errors=("profiles/onprem.yaml: tenants: [unknown]",)))
    assert "profiles/onprem.yaml: tenants: [unknown]" in shown
    assert "component" not in shown


def test_an_exemption_that_is_not_needed_any_more_is_told() -> None:
    exemption = Exemption("LH-W-002", "kubernetes:apps/v1:DaemonSet", "agents", "agent", "")
    assert "exemption no longer needed: LH-W-002 for agent (kubernetes:apps/v1:DaemonSet)" in _shown(
        _preview(unused=(exemption,))
    )


def test_the_document_for_programs_says_the_same() -> None:
    document = json.loads(report.as_json(_preview((_FINDING,), throw_away="no backend is configured")))
    assert document["result"] == "refused"
    assert document["throwAway"] == "no backend is configured"
    assert [change["op"] for change in document["changes"]] == ["create", "delete", "same"]
    assert document["violations"] == [
        {
            "rule": "LH-W-002",
            "severity": "error",
            "subject": "Pod tenant-atlas/web",
            "message": "pod sets hostNetwork",
            "fix": "Take it away.",
        }
    ]
    assert document["errors"] == []


# The command


def test_the_commands_exit_code_is_the_plans(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(previews, "run", lambda stack, tell: _preview((_FINDING,)))
    assert command.main(["preview", "--stack", "onprem"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("onprem: refused")
    assert command.main(["preview", "--stack", "onprem", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["result"] == "refused"


def test_a_preview_that_cannot_start_exits_with_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(stack: str, tell: object) -> Preview:
        raise PreviewError("pulumi is not on PATH")

    monkeypatch.setattr(previews, "run", refuse)
    assert command.main(["preview", "--stack", "onprem"]) == 2
    assert capsys.readouterr().err == "onprem: pulumi is not on PATH\n"


def test_every_rule_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from policies.catalogue import RULES

    assert command.main(["rules"]) == 0
    out = capsys.readouterr().out
    assert all(f"{rule.id} " in out for rule in RULES)


# The page


def test_the_page_says_what_the_rules_say() -> None:
    assert PAGE.read_text() == page(), "run `python -m policies table --write`"


def test_a_stale_page_is_refused_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "docs" / "policies.md"
    monkeypatch.setattr(command, "PAGE", stale)
    assert command.main(["table", "--check"]) == 1
    assert "run `python -m policies table --write`" in capsys.readouterr().err
    assert command.main(["table", "--write"]) == 0
    assert command.main(["table", "--check"]) == 0
    stale.write_text(stale.read_text() + "by hand\n")
    assert command.main(["table", "--check"]) == 1


def test_the_page_lists_exemptions_with_their_reasons() -> None:
    exemption = Exemption(
        "LH-W-002", "kubernetes:apps/v1:DaemonSet", "agents", "agent", "reads <all> logs | metrics"
    )
    text = page(exemptions=[exemption])
    assert (
        "| LH-W-002 | agents/agent | `kubernetes:apps/v1:DaemonSet` | reads &lt;all> logs \\| metrics |"
        in text
    )
    assert "There are none." not in text
    assert "There are none." in page(exemptions=[])
