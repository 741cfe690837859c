"""What of a profile stays once volumes were made with it, and what may change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from profiles import fixed
from profiles.load import load
from profiles.model import Profile
from profiles.problems import ProfileError, dotted
from profiles.schema import immutable_keys

WAY_OUT = "start anew"


def changed(profile: Profile, key: str, value: object) -> Profile:
    """The profile with another value."""
    data = profile.model_dump(mode="json")
    *way, last = key.split(".")
    at: Any = data
    for part in way:
        at = at[part]
    at[last] = value
    return Profile.model_validate(data)


def refused(deployed: Profile, wanted: Profile) -> set[str]:
    """Keys of the wanted profile that cannot follow, after a record that was written and read."""
    record = json.loads(json.dumps(fixed.record(deployed)))
    return {dotted(each.key) for each in fixed.findings(record, wanted, WAY_OUT)}


REFUSED = [
    ("local", "cluster.pod_cidr", "10.89.0.0/16"),
    ("local", "cluster.service_cidr", "10.97.0.0/16"),
    ("local", "node_pools.a100.site", "cloud"),
    ("local", "node_pools.cloud-l4.region", "eu-west-1"),
    ("onprem", "node_pools.a100.topology", ["kubernetes.io/hostname"]),
    ("local", "object_store.engine", "external"),
    ("local", "object_store.servers", 4),
    ("local", "object_store.disk", "16Gi"),
    ("local", "object_store.bucket_prefix", "other-"),
    ("local", "cassandra.engine", "operator"),
    ("local", "cassandra.disk", "4Gi"),
    ("onprem", "cassandra.racks", ["rack-a", "rack-b", "rack-d"]),
    ("onprem", "cassandra.racks", []),
    ("local", "kafka.engine", "operator"),
    ("local", "kafka.replication", 2),
    ("local", "kafka.brokers", 3),
    ("local-full", "kafka.brokers", 1),
    ("local-full", "kafka.brokers", 2),
    ("local", "kafka.disk", "8Gi"),
    ("local", "hdfs.high_availability", True),
    ("local-full", "hdfs.high_availability", False),
    ("local", "hdfs.namenode.disk", "4Gi"),
    ("local", "hdfs.datanodes.disk", "8Gi"),
    ("local-full", "hdfs.journalnode.disk", "2Gi"),
    ("local-full", "hdfs.zookeeper.disk", "2Gi"),
    ("local-full", "hdfs.datanodes.count", 1),
    ("onprem", "hdfs.datanodes.racks", []),
    ("onprem", "mysql.engine", "plain"),
    ("local", "mysql.disk", "4Gi"),
    ("local", "mysql.settings.innodb_page_size", "64k"),
    ("onprem", "mysql.settings.lower_case_table_names", "1"),
]


@pytest.mark.parametrize(("profile", "key", "value"), REFUSED)
def test_what_volumes_were_made_with_stays(profile: str, key: str, value: object) -> None:
    found = refused(load(profile), changed(load(profile), key, value))
    # Without racks the number of DataNodes is what is left to say.
    assert found == {"hdfs.datanodes.count" if key == "hdfs.datanodes.racks" else key}


def test_every_key_that_is_marked_is_refused_above() -> None:
    tried = [key.split(".") for _, key, _ in REFUSED]
    for marked in immutable_keys():
        assert [
            key
            for key in tried
            if len(key) == len(marked)
            and all(want in ("*", part) for want, part in zip(marked, key, strict=True))
        ], marked


@pytest.mark.parametrize(
    ("profile", "key", "value"),
    [
        ("local", "tenants", {}),
        ("local", "tenants.atlas.data.kafka.produce", "1Mi"),
        ("local", "node_pools.a100.nodes", 3),
        ("local", "object_store.memory", "512Mi"),
        ("local", "object_store.backups.quota", "2Gi"),
        ("onprem", "cassandra.nodes", 9),
        ("onprem", "cassandra.racks", ["rack-a", "rack-b", "rack-c", "rack-d"]),
        ("local", "cassandra.memory", "2Gi"),
        ("local-full", "kafka.brokers", 5),
        ("local-full", "kafka.memory", "1Gi"),
        ("onprem", "kafka.disk", "2Ti"),
        ("local", "hdfs.datanodes.count", 4),
        ("local", "hdfs.namenode.memory", "1Gi"),
        ("local", "hdfs.journalnode.disk", "2Gi"),
        ("local", "hdfs.zookeeper.disk", "2Gi"),
        ("onprem", "mysql.nodes", 5),
        ("local", "mysql.settings.sort_buffer_size", "1048576"),
        ("local", "kafka", None),
    ],
)
def test_what_volumes_can_follow_may_change(profile: str, key: str, value: object) -> None:
    assert not refused(load(profile), changed(load(profile), key, value))


def test_a_store_that_comes_new_has_nothing_to_follow() -> None:
    assert not refused(changed(load("local"), "kafka", None), load("local-full")) & {"kafka.brokers"}


def test_an_external_store_has_no_volumes_here() -> None:
    external = load("cloud")
    assert external.object_store is not None
    assert external.object_store.given
    assert not refused(external, changed(external, "object_store.servers", 8))


def test_a_fact_that_another_version_knows_is_not_compared() -> None:
    assert not fixed.findings({"kafka.colour": "blue"}, load("local"), WAY_OUT)


def test_from_local_to_local_full_file_key_both_values_and_the_way_out_are_told() -> None:
    with pytest.raises(ProfileError) as refusal:
        fixed.refuse(fixed.record(load("local")), load("local-full"), WAY_OUT)
    told = {(problem.key, problem.value): problem for problem in refusal.value.problems}
    assert told.keys() == {("hdfs.high_availability", True), ("kafka.replication", 3), ("kafka.brokers", 3)}
    for problem in told.values():
        assert problem.file.name == "local-full.yaml"
        assert problem.key.rpartition(".")[2] in problem.file.read_text().splitlines()[problem.line - 1]
        assert problem.remedy == WAY_OUT
    assert "was deployed as false" in told["hdfs.high_availability", True].message
    assert "3 instead of 1" in told["kafka.brokers", 3].message


def test_a_key_that_stands_in_no_file_is_told_where_its_mapping_stands() -> None:
    with pytest.raises(ProfileError) as refusal:
        fixed.refuse({"object_store.bucket_prefix": "other-"}, load("local"), WAY_OUT)
    (problem,) = refusal.value.problems
    line = Path(problem.file).read_text().splitlines()[problem.line - 1]
    assert (line, problem.value) == ("object_store:", "longhouse-")
