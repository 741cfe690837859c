"""Kafka: sizes, settings, what a tenant has, and the program that makes it so, on a cluster of a few lines."""

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

from modules.data.kafka import operator, plain, settings, shares, sizing
from modules.data.kafka.component import Kafka as Component
from modules.data.kafka.config import Kafka, KafkaEngine, KafkaShare, Topic
from modules.data.kafka.inside import backup
from modules.data.kafka.inside.access import Access, AccessError, Wanted
from modules.data.kafka.inside.backup import BackupError, Known, Message, Packed, unpacked
from modules.data.kafka.inside.rules import Rule, tenant_rules
from modules.data.kafka.inside.rules import Topic as Found
from modules.kit import quantities
from modules.kit.credentials import Credentials
from modules.kit.inside.bucket import Stored
from tests.conftest import Recording, record
from tests.unit.examples import AUTHORITY, CREDENTIALS, store_context, tenant

LOCAL = Kafka(
    engine=KafkaEngine.PLAIN,
    brokers=1,
    replication=1,
    min_in_sync=1,
    partitions=60,
    cpu="100m",
    memory="768Mi",
    disk="4Gi",
)
THREE = LOCAL.model_copy(update={"brokers": 3, "replication": 3, "min_in_sync": 2})
SHARE = KafkaShare(topics={"events": Topic(partitions=3, retention_bytes="8Mi")}, create_topics=True)


def test_all_partitions_full_fit_the_disks() -> None:
    for config in (LOCAL, THREE, Kafka()):
        found = sizing.sizes(config)
        kept = (found.retention + found.segment) * config.partitions * config.replication
        disks = quantities.bytes_of(config.disk) * config.brokers
        assert 0.79 * disks < kept <= disks - found.reserve * config.brokers


def test_a_heap_follows_from_the_memory_and_ends_at_what_upstream_uses() -> None:
    assert sizing.sizes(LOCAL).heap == 307 * sizing.MIB
    assert sizing.sizes(Kafka(memory="64Gi")).heap == 6 * sizing.GIB


def test_what_a_broker_takes_at_once_fits_its_heap() -> None:
    for memory in ("512Mi", "768Mi", "4Gi", "64Gi"):
        found = sizing.sizes(Kafka(memory=memory))
        assert found.cleaner_buffer + found.queued_requests < found.heap / 2
        assert found.request <= found.queued_requests


def test_disks_too_small_for_the_partitions_are_noticed() -> None:
    assert sizing.fits(LOCAL)
    assert not sizing.fits(LOCAL.model_copy(update={"partitions": 2000}))


def test_three_servers_vote_however_many_brokers_there_are() -> None:
    assert [sizing.controllers(Kafka(brokers=number)) for number in (1, 3, 9)] == [1, 3, 3]


def test_no_setting_leaves_a_way_to_lose_what_was_acknowledged() -> None:
    found = settings.shared(THREE)
    assert found["unclean.leader.election.enable"] == "false"
    copies = [value for key, value in found.items() if key.endswith("replication.factor")]
    in_sync = [value for key, value in found.items() if key.endswith(("min.isr", "min.insync.replicas"))]
    assert set(copies) == {"3"}
    assert len(copies) == 4
    assert set(in_sync) == {"2"}
    assert len(in_sync) == 3


def test_everything_that_the_platform_sets_is_refused_in_a_profile() -> None:
    decided = {**settings.shared(THREE), **settings.plain(THREE, "x", controller=True)}
    mine = {"log.retention.check.interval.ms", "log.cleaner.dedupe.buffer.size"}
    assert {name for name in decided if settings.refusal(name) is None} == mine
    assert settings.refusal("num.io.threads") is None


def test_every_listener_has_tls_and_wants_a_password() -> None:
    found = settings.plain(THREE, "kafka.kafka.svc", controller=True)
    assert found["listener.security.protocol.map"] == "CONTROLLER:SASL_SSL,INTERNAL:SASL_SSL,CLIENTS:SASL_SSL"
    for name in ("controller", "internal", "clients"):
        assert f"listener.name.{name}.sasl.enabled.mechanisms" in found


def test_only_the_servers_and_the_access_program_may_do_everything() -> None:
    assert (
        settings.plain(LOCAL, "x", controller=True)["super.users"]
        == "User:longhouse_broker;User:longhouse_admin"
    )
    for user in settings.SUPER_USERS:
        with pytest.raises(ValueError, match="name"):
            tenant(user)


def test_a_server_that_does_not_vote_has_no_listener_for_it() -> None:
    found = settings.plain(Kafka(brokers=5), "x", controller=False)
    assert found["process.roles"] == "broker"
    assert "CONTROLLER" not in found["listeners"]
    assert len(found["controller.quorum.bootstrap.servers"].split(",")) == 3


def test_passwords_stay_in_files_of_their_own() -> None:
    found = _brokers(LOCAL)
    secrets = [content for each in found.pod.secrets for content in each.files.values()]
    plain_text = json.dumps(dict(found.pod.files)) + repr(
        [(each.command, each.environment) for each in (*found.pod.prepare, *found.pod.containers)]
    )
    assert len(secrets) == 5
    assert not [each for each in secrets if each in plain_text]


def test_a_properties_file_keeps_backslashes_and_refuses_lines() -> None:
    assert settings.properties({"a": "b\\c"}) == "a=b\\\\c\n"
    with pytest.raises(ValueError, match="line break"):
        settings.properties({"a": "b\nc=d"})


def test_identifiers_outlive_a_rotation_and_are_what_kafka_takes() -> None:
    later = Credentials(CREDENTIALS.master, CREDENTIALS.epoch + 1)
    first = plain.identifier(CREDENTIALS, "cluster")
    assert first == plain.identifier(later, "cluster") != plain.identifier(CREDENTIALS, "directory-0")
    assert len(first) == 22
    assert not first.startswith("-")


def test_a_restart_is_of_whoever_has_other_settings() -> None:
    same, other = _brokers(LOCAL), _brokers(LOCAL.model_copy(update={"settings": {"num.io.threads": "4"}}))
    assert same.pod.settings_hash == _brokers(LOCAL).pod.settings_hash != other.pod.settings_hash


def _brokers(config: Kafka) -> Any:
    return plain.brokers(
        config,
        credentials=CREDENTIALS,
        pair=AUTHORITY.server("kafka/server", plain.NAMES),
        authority=AUTHORITY.bundle,
        image="longhouse/clients:x",
        storage_class=None,
    )


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
    share = KafkaShare(**{**SHARE.model_dump(), **change})
    found = shares.wanted(LOCAL, dict.fromkeys(names, share), CREDENTIALS, delete_data)
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


def declared(config: Kafka = LOCAL) -> Recording:
    ours = tenant("atlas", data={"kafka": SHARE.model_dump()})

    def program() -> None:
        Component(
            "kafka", config, context=store_context("atlas", "borealis"), tenants=(ours, tenant("borealis"))
        )

    return record(program)


def test_a_tenant_that_has_it_is_told_how_to_connect_and_nobody_else_is() -> None:
    found = [
        each for each in declared().of("core/v1:Secret") if each.metadata.namespace.startswith("tenant-")
    ]
    (binding,) = found
    facts = binding.inputs.stringData
    assert binding.metadata.namespace == "tenant-atlas"
    assert json.loads(facts["librdkafka.json"])["sasl.username"] == "atlas"
    assert facts["bootstrap-servers"] == "longhouse-kafka-bootstrap.kafka.svc:9093"


def test_clients_reach_one_port_only() -> None:
    (rule,) = declared().one("networking.k8s.io/v1:NetworkPolicy", "allow-clients").spec.ingress
    assert [each.port for each in rule.ports] == [9093]


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


def test_strimzi_is_told_no_setting_that_it_keeps_for_itself() -> None:
    assert not [name for name in settings.shared(Kafka()) if name.startswith(operator.FORBIDDEN)]
    for prefix in operator.FORBIDDEN:
        assert settings.refusal(f"{prefix}x") or settings.refusal(prefix)


def test_a_users_rules_are_the_same_with_either_engine() -> None:
    users = [
        each for each in operator.custom_resources(Kafka(), {"atlas": SHARE}) if each["kind"] == "KafkaUser"
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


def test_deleting_a_tenants_topic_resource_is_left_to_people() -> None:
    recorded = declared(Kafka())
    topic = recorded.one("kafka.strimzi.io/v1:KafkaTopic", "atlas.events")
    assert topic.metadata.labels["longhouse.dev/tenant"] == "atlas"
    assert topic.inputs.spec.replicas == 3


def test_strimzis_passwords_are_in_secrets_only() -> None:
    for each in operator.custom_resources(Kafka(), {"atlas": SHARE}):
        assert shares.password(CREDENTIALS, "atlas") not in json.dumps(each)
