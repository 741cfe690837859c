"""Edits previewed for real: the real engine, against the state of the running platform and its API server.

Every one that would lose data is stopped, at its own resource, by its own rule; and what loses none is let be. They run with the live tests of `make test`,
beside the platform that those deploy.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from policies import preview
from policies.preview import CHECKOUT, Preview
from policies.rule import Op, Severity
from sandbox.places import INSTANCE, KUBECONFIG, PULUMI_HOME
from sandbox.platform import STACK, target
from tests.live import TEST_INSTANCE
from tests.policies.checkout import Edit, apply, copied, waive
from tests.policies.edits import DESTRUCTIVE, FROZEN, HARMLESS, PROFILE, RELEASE, RENDERED, UNSOUND

pytestmark = pytest.mark.policies

Waivers = Mapping[str, Mapping[str, str]]
Previews = Callable[..., Preview]

_DESTRUCTIVE = [
    pytest.param(group, edit, id=f"{group}: {edit}") for group, edits in DESTRUCTIVE.items() for edit in edits
]
_RENDERED = [
    pytest.param(group, edit, id=f"{group}: {edit}") for group, edits in RENDERED.items() for edit in edits
]
_HARMLESS = [
    pytest.param(group, edit, id=f"{group}: {edit}") for group, edits in HARMLESS.items() for edit in edits
]


@pytest.fixture(scope="module")
def previewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Previews]:
    """What a preview of edits against the running platform finds. No preview changes what is known of the platform."""
    if (profile := _deployed()) != PROFILE:
        assert INSTANCE != TEST_INSTANCE, f"{profile} is deployed"
        pytest.skip(f"what is edited here is deployed by `make up PROFILE={PROFILE}`")
    here = Edit("this machine's own address", {"cluster": {"api_server": {"cidrs": [f"{_address()}/32"]}}})
    state = PULUMI_HOME / "state" / ".pulumi" / "stacks" / "longhouse" / f"{STACK}.json"
    before = state.read_bytes()

    def run(edits: Sequence[Edit], waivers: Waivers) -> Preview:
        made = copied(tmp_path_factory.mktemp("checkout"))
        apply(made, PROFILE, (here, *edits))
        waive(made, waivers)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("LONGHOUSE_PROFILES", raising=False)
            for name, value in {**target().environment, "PYTHONPATH": str(made)}.items():
                patch.setenv(name, value)
            return preview.run(STACK, lambda seen: None, made)

    yield run
    assert state.read_bytes() == before


@pytest.fixture(scope="module")
def group(previewed: Previews) -> Callable[[str], Preview]:
    """The preview of all edits of a group, made once."""
    return cache(lambda name: previewed({**DESTRUCTIVE, **HARMLESS}[name], {}))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Preview]:
    """The preview of all edits of a group, against what this checkout declares, made once."""
    made = copied(tmp_path_factory.mktemp("checkout"))
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message=before")):
        _git(made, *words)

    @cache
    def run(name: str) -> Preview:
        _git(made, "checkout", "--quiet", ".")
        apply(made, PROFILE, {**RENDERED, "release": (RELEASE,)}[name])
        with pytest.MonkeyPatch.context() as patch:
            for variable in ("LONGHOUSE_PROFILES", "PULUMI_ACCESS_TOKEN", "PULUMI_BACKEND_URL"):
                patch.delenv(variable, raising=False)
            patch.setenv("PATH", target().environment["PATH"])
            patch.setenv("PULUMI_HOME", target().environment["PULUMI_HOME"])
            patch.setenv("PYTHONPATH", str(made))
            patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
            return preview.run(PROFILE, lambda seen: None, made, base="HEAD")

    return run


def _git(where: Path, *words: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", str(where), *who, *words], check=True, capture_output=True)


def _deployed() -> str | None:
    """The profile that runs on the embedded cluster; None where there is none."""
    file = CHECKOUT / "stacks" / f"Pulumi.{STACK}.yaml"
    settings = yaml.safe_load(file.read_text())["config"] if file.is_file() and KUBECONFIG.is_file() else {}
    return settings.get("longhouse:profile")


def _address() -> str:
    """Where the API server is, as pods see it."""
    (cluster,) = yaml.safe_load(KUBECONFIG.read_text())["clusters"]
    return str(urlsplit(cluster["cluster"]["server"]).hostname)


def _refused(found: Preview) -> dict[tuple[str, str], str]:
    """What stops the change, rule by rule and object by object."""
    return {
        (each.rule, each.subject): each.message
        for each in found.plan.findings
        if each.severity is Severity.ERROR
    }


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(_DESTRUCTIVE) >= 40
    assert len(_HARMLESS) >= 20


@pytest.mark.parametrize(("name", "edit"), _DESTRUCTIVE)
def test_an_edit_that_would_lose_data_is_stopped(
    name: str, edit: Edit, group: Callable[[str], Preview]
) -> None:
    _stopped(group(name), edit)


@pytest.mark.parametrize(("name", "edit"), _RENDERED)
def test_an_edit_that_would_make_volumes_anew_is_stopped(
    name: str, edit: Edit, rendered: Callable[[str], Preview]
) -> None:
    _stopped(rendered(name), edit)


def _stopped(found: Preview, edit: Edit) -> None:
    assert found.plan.errors == ()
    assert found.plan.exit_code == 1
    refused = _refused(found)
    assert edit.refused
    for each in edit.refused:
        assert each.message in refused.get((each.rule, each.subject), "nothing")


@pytest.mark.parametrize("name", DESTRUCTIVE)
def test_nothing_else_is_refused(name: str, group: Callable[[str], Preview]) -> None:
    expected = {(each.rule, each.subject) for edit in DESTRUCTIVE[name] for each in edit.refused}
    found = group(name)
    assert found.throw_away is None, "it was compared with the platform's own state"
    assert set(_refused(found)) == expected


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_else_is_refused_there(name: str, rendered: Callable[[str], Preview]) -> None:
    expected = {(each.rule, each.subject) for edit in RENDERED[name] for each in edit.refused}
    assert set(_refused(rendered(name))) == expected


def test_before_the_running_platform_such_a_preview_ends_where_the_api_server_refuses(
    previewed: Previews,
) -> None:
    found = previewed(FROZEN, {})
    assert found.plan.exit_code == 2
    assert "updates to statefulset spec for fields other than" in "\n".join(found.plan.errors)
    expected = {(each.rule, each.subject) for edit in FROZEN for each in edit.refused}
    assert set(_refused(found)) <= expected


def test_another_release_of_an_operator_touches_that_operator_and_nothing_of_a_tenants(
    rendered: Callable[[str], Preview],
) -> None:
    plan = rendered("release").plan
    assert plan.errors == ()
    changed = [each for each in plan.changes if each.op is not Op.SAME]
    assert "Deployment spark-operator/spark-operator-controller" in {each.subject for each in changed}
    assert {(each.component, each.tenant) for each in changed} == {("compute:Spark", "")}


def test_what_the_profiles_own_check_refuses_never_becomes_a_plan(previewed: Previews) -> None:
    found = previewed(tuple(UNSOUND.values()), {})
    assert found.plan.exit_code == 2
    said = "\n".join(found.plan.errors)
    assert [key for key in UNSOUND if f"  {key}" not in said] == []


@pytest.mark.parametrize(("name", "edit"), _HARMLESS)
def test_an_edit_that_loses_nothing_is_let_be(name: str, edit: Edit, group: Callable[[str], Preview]) -> None:
    found = group(name)
    assert found.plan.errors == ()
    assert _refused(found) == {}
    assert found.plan.exit_code == 0
    touched = {each.subject for each in found.plan.changes if each.op is not Op.SAME}
    assert touched >= set(edit.touches)


def _waiver(resource: str, rule: str = "LH-S-001", stack: str = STACK, days: int = 1) -> dict[str, str]:
    return {
        "stack": stack,
        "rule": rule,
        "resource": resource,
        "reason": "its data was moved elsewhere",
        "approved_by": "m.ortega",
        "expires": str(datetime.now(UTC).date() + timedelta(days=days)),
    }


def test_a_waiver_lets_what_it_names_go_while_it_lasts_and_nothing_else(previewed: Previews) -> None:
    prefix, servers, trash = (
        f"Profile {PROFILE} {key}"
        for key in ("object_store.bucket_prefix", "hdfs.datanodes", "hdfs.trash_hours")
    )
    edits = (
        Edit("stores and a tenant go", {"kafka": None, "cassandra": None, "mysql": None, "tuning": None, "tracking": None, "tenants": {"borealis": None}}),
        Edit("and some settings", {"hdfs": {"trash_hours": 1, "datanodes": {"count": 1}, "replication": 1}, "object_store": {"bucket_prefix": "tribe-"}}),
    )  # fmt: skip
    found = previewed(
        edits,
        {
            "valid-1": _waiver("Namespace kafka"),
            "valid-2": _waiver("StatefulSet kafka/kafka"),
            "valid-3": _waiver("StatefulSet hdfs/datanode", "LH-S-015"),
            "valid-4": _waiver(prefix, "LH-P-002"),
            "valid-5": _waiver(trash, "LH-P-007"),
            "expired-1": _waiver("Namespace cassandra", days=-1),
            "expired-2": _waiver("StatefulSet cassandra/cassandra", days=-1),
            "wrong-resource-1": _waiver("Namespace mysql-old"),
            "wrong-resource-2": _waiver("StatefulSet mysql/mysql"),
            "wrong-rule": _waiver(servers, "LH-P-007"),
            "wrong-stack": _waiver("Namespace tenant-borealis", stack="onprem"),
        },
    )
    assert found.plan.errors == ()
    assert {(each.finding.rule, each.finding.subject) for each in found.waived} == {
        ("LH-S-001", "Namespace kafka"),
        ("LH-S-001", "StatefulSet kafka/kafka"),
        ("LH-S-015", "StatefulSet hdfs/datanode"),
        ("LH-P-002", prefix),
        ("LH-P-007", trash),
    }
    assert set(_refused(found)) == {
        ("LH-S-001", "Namespace cassandra"),
        ("LH-S-001", "StatefulSet cassandra/cassandra"),
        ("LH-S-001", "Namespace mysql"),
        ("LH-S-001", "StatefulSet mysql/mariadb"),
        ("LH-S-001", "Namespace tracking"),
        ("LH-S-001", "Namespace tenant-borealis"),
        ("LH-P-002", servers),
    }
    assert found.plan.exit_code == 1
    said = "\n".join(found.notices)
    assert said.count("expired on") == 2
    assert said.count("nothing needs it") == 3
