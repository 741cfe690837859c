"""One truth: typed models, committed schema, reference page and the fixture that sets every key agree."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from modules.foundation.tenants.config import Tenant
from modules.ml.tuning.study import Study
from profiles import reference, schema
from profiles.__main__ import written
from profiles.load import DIRECTORY, load, names
from profiles.model import Profile
from profiles.structure import stand_in
from tests.profiles.harness import CASES, Case, place_shipped

EVERY_KNOB = CASES / "onprem.happy.every_knob.yaml"
OTHER_KNOBS = EVERY_KNOB.with_name("onprem.happy.hdfs_given_realm.yaml")
Keys = set[tuple[str, ...]]


def keys(data: Any, known: Keys, key: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Keys of the data, with `*` for what the schema takes as a name or an item."""
    if key:
        yield key
    if isinstance(data, dict):
        for name, value in data.items():
            yield from keys(value, known, (*key, name if (*key, name) in known else "*"))
    elif isinstance(data, list):
        for value in data:
            yield from keys(value, known, (*key, "*"))


@pytest.fixture(scope="module")
def known() -> Keys:
    """All keys that the schema has."""
    root = schema.whole(Profile)
    return {key for key, _ in schema.walk(root, root)}


@pytest.mark.parametrize("file", schema.files(), ids=lambda file: file.name)
def test_the_committed_schema_is_the_generated_one(file: Path) -> None:
    assert file.read_text() == schema.files()[file], "run `make generated`"


@pytest.mark.parametrize("file", reference.files(), ids=lambda file: file.name)
def test_the_committed_reference_is_the_generated_one(file: Path) -> None:
    assert file.read_text() == reference.files()[file], "run `make generated`"


def test_schema_model_and_every_knob_fixture_have_the_same_keys(known: Keys, tmp_path: Path) -> None:
    """A second fixture has the keys that exclude others of the first."""
    place_shipped(tmp_path)
    set_keys: Keys = set()
    model_keys: Keys = set()
    for fixture in (EVERY_KNOB, OTHER_KNOBS):
        Case(fixture).place(tmp_path)
        written_down = yaml.safe_load(fixture.read_text())
        del written_down["extends"]
        set_keys |= set(keys(written_down, known))
        model_keys |= set(keys(written(load("onprem-case", tmp_path)), known))
    assert set_keys == known, "the fixtures must set every key of the schema"
    assert model_keys == known, "the model must have every key of the schema"


@pytest.mark.parametrize("model", [Profile, Tenant, Study])
def test_every_key_is_described(model: type[BaseModel]) -> None:
    root = schema.whole(model)
    bare = [
        key
        for key, described in schema.walk(root, root)
        if "*" not in key[-1] and not described.get("description")
    ]
    assert not bare


@pytest.mark.parametrize("file", schema.files(), ids=lambda file: file.name)
def test_no_mapping_of_known_keys_takes_others(file: Path) -> None:
    def open_ones(node: Any, path: str = "") -> Iterator[str]:
        if isinstance(node, list):
            for number, item in enumerate(node):
                yield from open_ones(item, f"{path}/{number}")
        elif isinstance(node, dict):
            if node.get("type") == "object" and node.get("additionalProperties") is not False:
                names_checked = "propertyNames" in node and isinstance(node.get("additionalProperties"), dict)
                if not names_checked:
                    yield path
            for key, value in node.items():
                yield from open_ones(value, f"{path}/{key}")

    assert list(open_ones(json.loads(file.read_text()))) == []


@pytest.mark.parametrize("name", ["base", *names()])
def test_editors_find_no_fault_in_the_shipped_profiles(name: str) -> None:
    file = DIRECTORY / f"{name}.yaml"
    validator = Draft202012Validator(json.loads((schema.DIRECTORY / "profile.schema.json").read_text()))
    assert [error.message for error in validator.iter_errors(yaml.safe_load(file.read_text()))] == []


@pytest.mark.parametrize("file", sorted(DIRECTORY.glob("tenants/*.yaml")), ids=lambda file: file.stem)
def test_editors_find_no_fault_in_the_shipped_tenants(file: Path) -> None:
    validator = Draft202012Validator(json.loads((schema.DIRECTORY / "tenant.schema.json").read_text()))
    assert [error.message for error in validator.iter_errors(yaml.safe_load(file.read_text()))] == []


@pytest.mark.parametrize(
    "file", [*DIRECTORY.glob("*.yaml"), *DIRECTORY.glob("tenants/*.yaml")], ids=lambda file: file.stem
)
def test_each_file_names_the_schema_that_it_is_completed_from(file: Path) -> None:
    head = file.read_text().splitlines()[0]
    assert head.startswith("# yaml-language-server: $schema=")
    assert (file.parent / head.partition("=")[2]).is_file()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("profile.schema.json", {"node_pool": {}}),
        ("profile.schema.json", {"node_pools": {"a100": {"gpu": {"count": -1}}}}),
        ("profile.schema.json", {"tenants": {"atlas": {"quota": {"memory": "16GB"}}}}),
        ("profile.schema.json", {"tenants": {"atlas": {"network": {"egress": [{"name": "x"}]}}}}),
        ("tenant.schema.json", {"owner": "atlas-team"}),
    ],
)
def test_editors_mark_what_is_wrong(name: str, wrong: dict[str, Any]) -> None:
    validator = Draft202012Validator(json.loads((schema.DIRECTORY / name).read_text()))
    assert not validator.is_valid(wrong)


@pytest.mark.parametrize("file", schema.files(), ids=lambda file: file.name)
def test_the_committed_schema_is_valid_json_schema(file: Path) -> None:
    Draft202012Validator.check_schema(json.loads(file.read_text()))


def test_what_is_fixed_at_the_first_deployment_is_marked() -> None:
    assert schema.immutable_keys() == {
        ("cluster", "pod_cidr"),
        ("cluster", "service_cidr"),
        ("node_pools", "*", "site"),
        ("node_pools", "*", "region"),
        ("node_pools", "*", "topology"),
        ("cassandra", "disk"),
        ("cassandra", "engine"),
        ("hdfs", "datanodes", "disk"),
        ("hdfs", "high_availability"),
        ("hdfs", "journalnode", "disk"),
        ("hdfs", "namenode", "disk"),
        ("hdfs", "zookeeper", "disk"),
        ("kafka", "engine"),
        ("kafka", "replication"),
        ("mysql", "disk"),
        ("mysql", "engine"),
        ("object_store", "bucket_prefix"),
        ("object_store", "disk"),
        ("object_store", "engine"),
        ("object_store", "servers"),
    }
    for model in (Profile, Tenant):
        extra = model.model_fields["name"].json_schema_extra
        assert isinstance(extra, dict)
        assert extra["immutable"] is True


@pytest.mark.parametrize("model", [Profile, Study])
def test_every_key_has_a_stand_in_that_it_allows(model: type[BaseModel]) -> None:
    root = schema.whole(model)
    for key, described in schema.walk(root, root):
        standing = stand_in(described, root)
        if standing is None and described.get("default", "") is None:
            continue
        validator = Draft202012Validator({**copy.deepcopy(described), "$defs": root["$defs"]})
        assert validator.is_valid(standing), f"{key}: {standing!r}"
