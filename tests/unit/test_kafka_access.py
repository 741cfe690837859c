"""Kafka's tenants: users, access rules, quotas and topics, the program that makes them so, and backups, on a cluster of a few lines."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from modules.data.kafka import operator, shares, sizing
from modules.data.kafka.config import Kafka, KafkaShare, Topic
from modules.data.kafka.inside import backup
from modules.data.kafka.inside.access import Access, AccessError, Wanted
from modules.data.kafka.inside.backup import BackupError, Known, Message, Packed, unpacked
from modules.data.kafka.inside.rules import Rule, tenant_rules
from modules.data.kafka.inside.rules import Topic as Found
from modules.kit.inside.bucket import Stored
from tests.unit.examples import CREDENTIALS, KAFKA, KAFKA_SHARE


def test_quotas_have_kafkas_names_and_units() -> None:
    assert shares.quotas(KafkaShare(produce="1Mi", consume="2Mi", request_percent=50, mutations=3)) == {
        "producer_byte_rate": 1048576.0,
        "consumer_byte_rate": 2097152.0,
        "request_percentage": 50.0,
        "controller_mutation_rate": 3.0,
    }


def test_a_topic_sets_only_what_its_record_says() -> None:
    assert shares.topic_settings(Topic()) == {"cleanup.policy": "delete", "retention.ms": "604800000"}
    assert shares.topic_settings(Topic(compact=True, min_in_sync=2, retention_bytes="1Gi")) == {
        "cleanup.policy": "compact",
        "retention.ms": "604800000",
        "retention.bytes": str(sizing.GIB),
        "min.insync.replicas": "2",
    }


@dataclass
class Fake:
    """A cluster in memory."""

    passwords: dict[str, str] = field(default_factory=dict)
    acls: set[Rule] = field(default_factory=set)
    limits: dict[str, dict[str, float]] = field(default_factory=dict)
    held: dict[str, Found] = field(default_factory=dict)
    consumers: set[str] = field(default_factory=set)
    settings: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def users(self) -> set[str]:
        return set(self.passwords)

    def lets_in(self, user: str, password: str) -> bool:
        return self.passwords.get(user) == password

    def set_user(self, user: str, password: str) -> None:
        self.passwords[user] = password

    def delete_user(self, user: str) -> None:
        self.order.append(f"user {user}")
        del self.passwords[user]

    def rules(self) -> set[Rule]:
        return set(self.acls)

    def add_rules(self, rules: Iterable[Rule]) -> None:
        self.acls |= set(rules)

    def remove_rules(self, rules: Iterable[Rule]) -> None:
        gone = set(rules)
        self.order += [f"rules {each}" for each in sorted({each.user for each in gone})]
        self.acls -= gone

    def quotas(self) -> dict[str, dict[str, float]]:
        return {user: dict(found) for user, found in self.limits.items()}

    def set_quotas(self, user: str, quotas: Mapping[str, float | None]) -> None:
        found = {**self.limits.get(user, {}), **quotas}
        self.limits[user] = {key: value for key, value in found.items() if value is not None}

    def topics(self) -> dict[str, Found]:
        return dict(self.held)

    def create_topic(self, name: str, topic: Found) -> None:
        self.held[name] = topic

    def grow_topic(self, name: str, partitions: int) -> None:
        self.held[name] = replace(self.held[name], partitions=partitions)

    def configure_topic(self, name: str, settings: Mapping[str, str | None]) -> None:
        found = {**self.held[name].settings, **settings}
        kept = {key: value for key, value in found.items() if value is not None}
        self.held[name] = replace(self.held[name], settings=kept)

    def delete_topics(self, names: Iterable[str]) -> None:
        for name in names:
            del self.held[name]

    def groups(self) -> set[str]:
        return set(self.consumers)

    def delete_groups(self, names: Iterable[str]) -> None:
        self.consumers -= set(names)

    def defaults(self) -> dict[str, str]:
        return dict(self.settings)

    def set_defaults(self, settings: Mapping[str, str]) -> None:
        self.settings |= settings


def wanted(*names: str, delete_data: Iterable[str] = (), **change: Any) -> Wanted:
    share = KafkaShare(**{**KAFKA_SHARE.model_dump(), **change})
    found = shares.wanted(KAFKA, dict.fromkeys(names, share), CREDENTIALS, delete_data)
    return Wanted.of(json.loads(json.dumps(found)))


def reconcile(server: Fake, want: Wanted) -> tuple[list[str], dict[str, str]]:
    said: list[str] = []
    kept = Access(server, want, said.append).reconcile()
    return said, kept


def test_the_second_run_changes_nothing() -> None:
    server = Fake()
    first, _ = reconcile(server, wanted("atlas", "borealis"))
    assert "atlas: made the user" in first
    assert "atlas.events: made, 3 partitions" in "\n".join(first)
    assert reconcile(server, wanted("atlas", "borealis")) == (["no change"], {})


def test_a_tenant_owns_the_names_below_its_own_and_no_others() -> None:
    found = tenant_rules("atlas", (), create_topics=False)
    assert {(each.user, each.name, each.prefix) for each in found} == {("atlas", "atlas.", True)}
    assert not {each.operation for each in found} & {"CREATE", "DELETE", "ALTER", "ALTER_CONFIGS", "ALL"} - {
        "DELETE"
    }
    assert not [each for each in found if each.kind == "TOPIC" and each.operation == "DELETE"]


def test_who_may_delete_topics_may_not_delete_those_that_are_declared() -> None:
    found = tenant_rules("atlas", ["atlas.events"], create_topics=True)
    assert Rule("atlas", "TOPIC", "atlas.events", "DELETE", prefix=False, allow=False) in found


def test_who_backs_topics_up_can_neither_change_nor_delete_any() -> None:
    server = Fake()
    reconcile(server, wanted("atlas"))
    mine = {
        each.operation for each in server.acls if each.user == "longhouse_backup" and each.kind == "TOPIC"
    }
    assert mine == {"READ", "DESCRIBE", "DESCRIBE_CONFIGS", "CREATE", "WRITE"}


def test_a_tenant_that_is_gone_may_do_nothing_from_the_first_moment_and_its_topics_stay() -> None:
    server = Fake()
    reconcile(server, wanted("atlas", "borealis"))
    others = {each for each in server.acls if each.user == "borealis"}
    said, kept = reconcile(server, wanted("borealis"))
    assert server.order[:2] == ["rules atlas", "user atlas"], "open connections end with the rules"
    assert server.passwords.keys() == {"borealis"}
    assert not server.limits.get("atlas")
    assert {each for each in server.acls if each.user == "borealis"} == others
    assert kept == {"atlas.events": "topic of atlas, 3 partitions"}
    assert reconcile(server, wanted("borealis")) == (["no change"], kept)
    assert "atlas: deleted the user" in said


def test_data_is_deleted_only_when_that_was_approved() -> None:
    server = Fake(consumers={"atlas.app", "borealis.app"})
    reconcile(server, wanted("atlas", "borealis"))
    reconcile(server, wanted("borealis", delete_data=["atlas"]))
    assert server.held.keys() == {"borealis.events"}
    assert server.consumers == {"borealis.app"}
    assert reconcile(server, wanted("borealis", delete_data=["atlas"])) == (["no change"], {})


def test_a_tenant_that_comes_back_finds_its_topics() -> None:
    server = Fake()
    for want in (wanted("atlas"), wanted(), wanted("atlas")):
        reconcile(server, want)
    assert server.lets_in("atlas", shares.password(CREDENTIALS, "atlas"))
    assert reconcile(server, wanted("atlas")) == (["no change"], {})


def test_what_the_platform_did_not_make_is_left_alone() -> None:
    server = Fake(passwords={"guest": "x"}, held={"guest.topic": Found(1), "plain": Found(1)})
    server.acls.add(Rule("guest", "TOPIC", "guest.", "READ"))
    reconcile(server, wanted("atlas"))
    _, kept = reconcile(server, wanted(delete_data=["guest"]))
    assert "guest" in server.passwords
    assert {"guest.topic", "plain"} <= server.held.keys()
    assert not any(each.startswith("guest") for each in kept)
    with pytest.raises(AccessError, match="user guest is there and the platform did not make it"):
        reconcile(server, wanted("guest"))


def test_partitions_grow_and_never_shrink() -> None:
    server = Fake()
    reconcile(server, wanted("atlas"))
    said, _ = reconcile(
        server, wanted("atlas", topics={"events": Topic(partitions=5, retention_bytes="8Mi")})
    )
    assert said == ["atlas.events: grown from 3 to 5 partitions"]
    with pytest.raises(
        AccessError, match="has 5 partitions, and fewer would lose messages: write partitions: 5"
    ):
        reconcile(server, wanted("atlas"))


def test_a_setting_that_is_no_longer_declared_goes_back_to_the_brokers_own() -> None:
    server = Fake()
    reconcile(server, wanted("atlas"))
    server.held["atlas.events"] = replace(
        server.held["atlas.events"],
        settings={**server.held["atlas.events"].settings, "max.message.bytes": "9"},
    )
    said, _ = reconcile(server, wanted("atlas", topics={"events": Topic(partitions=3)}))
    assert said == ["atlas.events: retention.bytes as all"]
    assert server.held["atlas.events"].settings["max.message.bytes"] == "9", "it is not the record's"


def test_a_new_password_is_set_and_an_old_one_left() -> None:
    server = Fake()
    reconcile(server, wanted("atlas"))
    server.passwords["atlas"] = "stale"
    assert reconcile(server, wanted("atlas"))[0] == ["atlas: set its password"]


def test_a_topic_that_is_no_longer_declared_is_kept() -> None:
    server = Fake()
    reconcile(server, wanted("atlas"))
    reconcile(server, wanted("atlas", topics={}))
    assert "atlas.events" in server.held


@dataclass
class Shelf:
    """A bucket in memory."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def put(self, key: str, stream: Any) -> Stored:
        content = b""
        while block := stream.read(7):
            content += block
        self.kept[key] = content
        return Stored(key, len(content), hashlib.sha256(content).hexdigest())

    @contextmanager
    def get(self, stored: Stored) -> Iterator[io.BytesIO]:
        yield io.BytesIO(self.kept[stored.key])

    def put_json(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value).encode()

    def get_json(self, key: str) -> Any:
        return json.loads(self.kept[key])

    def snapshots(self) -> list[str]:
        return sorted(
            key.removesuffix("/manifest.json") for key in self.kept if key.endswith("/manifest.json")
        )


@dataclass
class Logs:
    """Partitions in memory; ``first`` is where they begin."""

    kept: dict[tuple[str, int], list[Message]] = field(default_factory=dict)
    first: int = 0

    def ends(self, topic: str, partition: int) -> tuple[int, int]:
        return self.first, len(self.kept.get((topic, partition), []))

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Message]:
        yield from self.kept[topic, partition][begin:end]

    def write(self, topic: str, partition: int, messages: Iterator[Message]) -> int:
        found = list(messages)
        self.kept.setdefault((topic, partition), []).extend(found)
        return len(found)


MESSAGES = [
    Message(1, b"key", b"\x00\xff\n", (("trace", b"\x01"), ("empty", None))),
    Message(2, None, None),
    Message(3, b"", "\u00fc".encode()),
]

DAY = datetime.datetime(2026, 11, 21, 1, 45, tzinfo=datetime.UTC)

KNOWN = {"atlas.events": Known("one", Found(2, {"cleanup.policy": "delete"}))}


def _quiet(line: str) -> None:
    pass


def backed_up(log: Logs, shelf: Shelf, days: int = 0, known: Mapping[str, Known] = KNOWN) -> list[str]:
    said: list[str] = []
    backup.backup(known, log, cast(Any, shelf), DAY + datetime.timedelta(days=days), 3, said.append)
    return said


def test_what_is_restored_is_what_was_written_in_every_part_of_a_message() -> None:
    log, shelf, server = Logs({("atlas.events", 1): list(MESSAGES)}), Shelf(), Fake()
    backed_up(log, shelf)
    assert backup.restore(server, log, cast(Any, shelf), "latest", "atlas.events", "atlas.again", _quiet) == 3
    assert log.kept["atlas.again", 1] == MESSAGES
    assert server.held["atlas.again"] == Found(2, {"cleanup.policy": "delete"})


def test_the_next_backup_stores_only_what_is_new_and_is_whole_by_itself() -> None:
    log, shelf = Logs({("atlas.events", 0): list(MESSAGES)}), Shelf()
    backed_up(log, shelf)
    log.kept["atlas.events", 0] += MESSAGES[:1]
    assert "[1/1] atlas.events: 1 new messages" in backed_up(log, shelf, 1)
    assert len([key for key in shelf.kept if key.endswith(".gz")]) == 2
    assert backup.restore(Fake(), log, cast(Any, shelf), "latest", "atlas.events", "x", _quiet) == 4


def test_after_some_days_everything_is_stored_anew() -> None:
    log, shelf = Logs({("atlas.events", 0): list(MESSAGES)}), Shelf()
    for day in range(4):
        said = backed_up(log, shelf, day)
    assert said[0] == "backing up everything"
    newest = shelf.get_json(f"{shelf.snapshots()[-1]}/manifest.json")
    (part,) = newest["topics"]["atlas.events"]["parts"]["0"]
    assert part["key"].startswith("2026-11-24")


def test_a_topic_made_anew_under_the_same_name_is_not_taken_for_the_old_one() -> None:
    log, shelf = Logs({("atlas.events", 0): list(MESSAGES)}), Shelf()
    backed_up(log, shelf)
    log.kept["atlas.events", 0] = MESSAGES[:2]
    said = backed_up(log, shelf, 1, {"atlas.events": replace(KNOWN["atlas.events"], identity="two")})
    assert "[1/1] atlas.events: 2 new messages" in said


def test_messages_that_went_before_they_were_backed_up_are_passed_over() -> None:
    log, shelf = Logs({("atlas.events", 0): list(MESSAGES)}, first=2), Shelf()
    assert "[1/1] atlas.events: 1 new messages" in backed_up(log, shelf)


def test_a_restore_says_what_to_do_when_it_cannot_be_done() -> None:
    log, shelf, server = Logs(), Shelf(), Fake(held={"atlas.events": Found(1)})
    for snapshot, topic, into, reason in (
        ("latest", "atlas.events", "x", "there is no backup yet"),
        (
            "yesterday",
            "atlas.events",
            "x",
            "no snapshot yesterday: choose one of 2026-11-21T01-45-00Z, or latest",
        ),
        ("latest", "other", "x", "has no topic other: it has atlas.events"),
        ("latest", "atlas.events", "atlas.events", "nothing may be mixed into it"),
    ):
        with pytest.raises(BackupError, match=reason):
            backup.restore(server, log, cast(Any, shelf), snapshot, topic, into, _quiet)
        if not shelf.kept:
            backed_up(log, shelf)


def test_a_part_that_ends_early_is_noticed() -> None:
    packed = Packed(iter(MESSAGES))
    whole = packed.read(10_000)
    assert list(unpacked(io.BytesIO(whole))) == MESSAGES
    with pytest.raises(BackupError, match="ends early"):
        list(unpacked(io.BytesIO(whole[:-9])))


def test_a_users_rules_are_the_same_with_either_engine() -> None:
    users = [
        each
        for each in operator.tenant_resources(Kafka(), "atlas", KAFKA_SHARE)
        if each["kind"] == "KafkaUser"
    ]
    (found,) = [
        each["spec"]["authorization"]["acls"] for each in users if each["metadata"]["name"] == "atlas"
    ]
    said = {
        (
            acl["resource"]["name"],
            acl["resource"]["patternType"] == "prefix",
            operation,
            acl["type"] == "allow",
        )
        for acl in found
        for operation in acl["operations"]
    }
    ours = tenant_rules("atlas", ["atlas.events"], create_topics=True)
    assert said == {
        (each.name, each.prefix, each.operation.title().replace("_", ""), each.allow) for each in ours
    }


def test_strimzis_passwords_are_in_secrets_only() -> None:
    for each in (
        *operator.shared_resources(Kafka()),
        *operator.tenant_resources(Kafka(), "atlas", KAFKA_SHARE),
    ):
        assert shares.password(CREDENTIALS, "atlas") not in json.dumps(each)
