"""The gates on what of a profile stays: facts that volumes were made with, and how much of their data stores keep."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.stays import broken, exports
from profiles.load import load
from profiles.model import Profile


def _changed(profile: Profile, key: str, value: object) -> Profile:
    data = profile.model_dump(mode="json")
    *way, last = key.split(".")
    at: Any = data
    for part in way:
        at = at[part]
    at[last] = value
    return Profile.model_validate(data)


def _found(old: Profile, new: Profile) -> list[tuple[str, str, str]]:
    """What is found between what was exported, written and read, and what would be."""
    before = json.loads(json.dumps(exports(old)))
    return [(each.rule, each.subject, each.message) for each in broken(before, exports(new))]


EVENTS = "tenants.borealis.data.kafka.topics.events"
GONE = "which deletes what is there"

BROKEN = [
    ("LH-P-002", "cluster.pod_cidr", "10.200.0.0/14", 'was "10.128.0.0/14" and would be "10.200.0.0/14"'),
    ("LH-P-002", "node_pools.l4.region", "eu-west-1", 'was null and would be "eu-west-1"'),
    ("LH-P-002", "kafka.engine", "plain", 'was "operator" and would be "plain"'),
    ("LH-P-007", "hdfs.trash_hours", 1, f"was 24 and would be 1, {GONE}"),
    ("LH-P-007", "mysql.binlog_hours", 24, f"was 72 and would be 24, {GONE}"),
    ("LH-P-007", "mysql.backups", 2, f"was 14 and would be 2, {GONE}"),
    ("LH-P-007", "object_store.backups.keep_days", 7, f"was 30 and would be 7, {GONE}"),
    ("LH-P-007", "tenants.atlas.data.object_store.keep_versions_days", 1, f"was 30 and would be 1, {GONE}"),
    ("LH-P-007", f"{EVENTS}.retention_hours", 24, f"was 72 and would be 24, {GONE}"),
    ("LH-P-007", f"{EVENTS}.compact", True, f'was "all, by age" and would be "the newest of each key", {GONE}'),
    ("LH-P-007", "tenants.atlas.data.kafka.topics.features.compact", False, f'was "the newest of each key" and would be "all, by age", {GONE}'),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "key", "value", "message"), BROKEN)
def test_what_stays_is_refused_by_its_key_when_it_changes(
    rule: str, key: str, value: object, message: str
) -> None:
    old = load("onprem")
    found = _found(old, _changed(old, key, value))
    assert (rule, f"Profile onprem {key}", message) in found
    others = [each for each in found if each[1] != f"Profile onprem {key}"]
    assert not others or key == "kafka.engine", "an engine decides what else is fixed"


def test_more_partitions_leave_less_to_each_topic_that_names_no_size() -> None:
    old = load("onprem")
    sized = _changed(old, f"{EVENTS}.retention_bytes", "100Mi")
    subjects = {subject for _, subject, _ in _found(sized, _changed(sized, "kafka.partitions", 12000))}
    assert "Profile onprem kafka bytes of a partition" in subjects
    assert "Profile onprem tenants.atlas.data.kafka.topics.events.retention_bytes" in subjects
    assert f"Profile onprem {EVENTS}.retention_bytes" not in subjects


def test_a_size_that_is_less_than_a_topics_part_of_the_disks_is_refused() -> None:
    old = load("onprem")
    (found,) = _found(old, _changed(old, f"{EVENTS}.retention_bytes", "100Mi"))
    assert found[:2] == ("LH-P-007", f"Profile onprem {EVENTS}.retention_bytes")


def test_that_what_a_tenant_left_may_be_deleted_is_refused() -> None:
    old = load("onprem")
    approval = {"approved_by": "m.ortega", "reason": "the project has ended"}
    assert _found(old, _changed(old, "departed", {"zephyr": approval})) == [
        ("LH-P-007", "Profile onprem departed", f'was [] and would be ["zephyr"], {GONE}')
    ]
    named = _changed(old, "departed", {"zephyr": approval})
    assert _found(named, named) == []
    assert _found(named, old) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("owner", "somebody-else"),
        ("kafka.brokers", 7),
        ("kafka.disk", "8Ti"),
        ("mysql.backups", 30),
        (f"{EVENTS}.retention_hours", 96),
        ("tenants.atlas.data.kafka", None),
        ("tenants.atlas.data.object_store.quota", "1Ti"),
        ("hdfs", None),
        ("kafka", None),
    ],
)
def test_what_may_change_is_let_be(key: str, value: object) -> None:
    old = load("onprem")
    assert _found(old, _changed(old, key, value)) == []


def test_records_that_come_and_go_are_not_compared() -> None:
    old = load("onprem")
    fewer = old.model_copy(update={"node_pools": {n: p for n, p in old.node_pools.items() if n != "l4"}})
    assert _found(old, fewer) == []
    assert _found(fewer, old) == []


def test_what_an_earlier_version_did_not_export_is_not_compared() -> None:
    assert list(broken({"profile": "onprem"}, exports(load("onprem")))) == []
