"""What a stack is made from: whatever changes what it declares changes the hash, and what concerns other stacks only does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from modules.compute.flink.config import FlinkSession
from modules.compute.spark.config import History, SparkShare
from modules.foundation.tenants import config
from modules.kit.credentials import Credentials
from modules.kit.parts import StackName, Stacks, group_of
from modules.ml.training.config import CheckpointStore, TrainingShare
from profiles.load import load
from profiles.model import Profile
from stacks import made
from stacks.deploy import CHECKOUT
from stacks.inputs import TENANTS_OWN, Inputs
from stacks.platform import platform
from tests.conftest import record
from tests.shipped import MASTER

_GROUPS = 2
_CHANGES: Mapping[str, Callable[[config.Tenant], Any]] = {
    "budget": lambda tenant: 7.0,
    "burst": lambda tenant: config.Burst(),
    "data": lambda tenant: config.Data(),
    "data_class": lambda tenant: config.DataClass.PUBLIC,
    "defaults": lambda tenant: config.ContainerDefaults(cpu="125m", memory="100Mi"),
    "flink": lambda tenant: FlinkSession(),
    "gpu_use": lambda tenant: config.GpuUse(whole=(config.Use.NOTEBOOK,)),
    "groups": lambda tenant: config.Groups(viewer=("strangers",)),
    "network": lambda tenant: config.Network(egress=(config.Egress(name="far", cidr="198.51.100.0/24"),)),
    "owner": lambda tenant: "somebody-else",
    "spark": lambda tenant: SparkShare(history=History()),
    "training": lambda tenant: TrainingShare(checkpoints=CheckpointStore.HDFS),
    "quota": lambda tenant: tenant.quota.model_copy(update={"cpu": "1", "weight": tenant.quota.weight + 1}),
}  # fmt: skip


@cache
def _cut(name: str = "onprem") -> Profile:
    return load(name).model_copy(update={"stacks": Stacks(groups=_GROUPS)})


def _with(profile: Profile, name: str, **changed: Any) -> Profile:
    tenants = {**profile.tenants, name: profile.tenants[name].model_copy(update=changed)}
    return profile.model_copy(update={"tenants": tenants})


def _objects(profile: Profile, group: int | None) -> Mapping[str, Any]:
    declared = record(lambda: platform(profile, Credentials(MASTER), profile.part(group)))
    return {each.urn: each.inputs for each in declared.resources}


@cache
def _usual(name: str, group: int | None) -> Mapping[str, Any]:
    return _objects(_cut(name), group)


def _of(profile: Profile, group: int | None = None) -> str:
    return Inputs(profile, CHECKOUT).of(StackName("onprem", group))


def test_every_key_of_a_tenants_record_is_looked_at() -> None:
    assert _CHANGES.keys() == config.Tenant.model_fields.keys() - {"name"}


@pytest.mark.parametrize("key", sorted(_CHANGES))
@pytest.mark.parametrize("name", ["onprem", "local"])
def test_a_change_of_a_tenant_leaves_alone_only_stacks_that_it_does_not_concern(name: str, key: str) -> None:
    profile = _cut(name)
    tenant = sorted(profile.tenants)[0]
    changed = _with(profile, tenant, **{key: _CHANGES[key](profile.tenants[tenant])})
    assert changed != profile
    own = group_of(tenant, _GROUPS)
    for group in (None, *range(1, _GROUPS + 1)):
        if _of(changed, group) == _of(profile, group):
            assert group != own
            assert _objects(changed, group) == _usual(name, group), (group, key)
        else:
            assert group == own or (group is None and key not in TENANTS_OWN)


def test_a_tenant_that_comes_concerns_its_group_and_the_platform() -> None:
    profile = _cut()
    name = sorted(profile.tenants)[0]
    newcomer = profile.tenants[name].model_copy(update={"name": "newcomer"})
    more = profile.model_copy(update={"tenants": {**profile.tenants, "newcomer": newcomer}})
    own = group_of("newcomer", _GROUPS)
    other = 3 - own
    assert _of(more) != _of(profile)
    assert _of(more, own) != _of(profile, own)
    assert _of(more, other) == _of(profile, other)
    assert _objects(more, other) == _usual("onprem", other)


def test_anything_else_of_a_profile_concerns_every_stack() -> None:
    profile = _cut()
    other = profile.model_copy(update={"owner": "somebody-else"})
    for group in (None, 1, 2):
        assert _of(other, group) != _of(profile, group)


def test_no_two_stacks_are_made_from_the_same() -> None:
    assert len({_of(_cut(), group) for group in (None, 1, 2)}) == 3


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for each in ("modules/kit", "policies", "profiles", "stacks", "upstream"):
        shutil.copytree(CHECKOUT / each, tmp_path / each, ignore=shutil.ignore_patterns("Pulumi.*", "go.sum"))
    for each in ("Pulumi.yaml", "images.lock", "requirements.lock"):
        shutil.copy(CHECKOUT / each, tmp_path / each)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "concerns"),
    [
        ("modules/kit/names.py", True),
        ("upstream/kueue/go.mod", True),
        ("images.lock", True),
        ("requirements.lock", True),
        ("stacks/Pulumi.onprem.yaml", True),
        ("stacks/Pulumi.onprem-tenants-1.yaml", False),
        ("stacks/Pulumi.cloud.yaml", False),
        ("profiles/cloud.yaml", False),
        ("modules/kit/__pycache__/names.cpython-311.pyc", False),
        ("README.md", False),
    ],
)
def test_code_pins_and_configuration_concern_every_stack(checkout: Path, path: str, concerns: bool) -> None:
    profile = _cut()

    def found() -> list[str]:
        return [Inputs(profile, checkout).of(StackName("onprem", group)) for group in (None, 1)]

    before = found()
    (checkout / path).parent.mkdir(exist_ok=True)
    with (checkout / path).open("a") as file:
        file.write("# more\n")
    assert all(new != old for new, old in zip(found(), before, strict=True)) is concerns
    assert concerns or found() == before


def test_the_last_stack_that_goes_takes_the_clusters_record_along_and_no_other_does() -> None:
    asked: list[tuple[str, ...]] = []
    held = {"data": {"one": "a 1", "two": "b 2"}}

    def kubectl(*words: str, stdin: str | None = None) -> str:
        asked.append(words)
        return json.dumps(held) if words[0] == "get" else ""

    made.forget({"one"}, kubectl)
    assert [words[0] for words in asked] == ["get", "patch"]
    assert json.loads(asked[-1][-1]) == {"data": {"one": None}}
    asked.clear()
    made.forget({"one", "two"}, kubectl)
    assert [words[0] for words in asked] == ["get", "patch", "delete"]


def test_a_cluster_that_was_told_nothing_knows_of_no_stack() -> None:
    assert made.found(lambda *words, **more: "") == {}
