"""Kafka: sizes, settings, its servers, and what is declared of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modules.data.kafka import operator, plain, settings, sizing
from modules.data.kafka.component import Kafka as Component
from modules.data.kafka.config import Kafka
from modules.kit import quantities
from modules.kit.credentials import Credentials
from tests.conftest import Recording, record
from tests.unit.examples import AUTHORITY, CREDENTIALS, KAFKA, KAFKA_SHARE, store_context, tenant

THREE = KAFKA.model_copy(update={"brokers": 3, "replication": 3, "min_in_sync": 2})


def test_all_partitions_full_fit_the_disks() -> None:
    for config in (KAFKA, THREE, Kafka()):
        found = sizing.sizes(config)
        kept = (found.retention + found.segment) * config.partitions * config.replication
        disks = quantities.bytes_of(config.disk) * config.brokers
        assert 0.79 * disks < kept <= disks - found.reserve * config.brokers


def test_a_heap_follows_from_the_memory_and_ends_at_what_upstream_uses() -> None:
    assert sizing.sizes(KAFKA).heap == 307 * sizing.MIB
    assert sizing.sizes(Kafka(memory="64Gi")).heap == 6 * sizing.GIB


def test_what_a_broker_takes_at_once_fits_its_heap() -> None:
    for memory in ("512Mi", "768Mi", "4Gi", "64Gi"):
        found = sizing.sizes(Kafka(memory=memory))
        assert found.cleaner_buffer + found.queued_requests < found.heap / 2
        assert found.request <= found.queued_requests


def test_disks_too_small_for_the_partitions_are_noticed() -> None:
    assert sizing.fits(KAFKA)
    assert not sizing.fits(KAFKA.model_copy(update={"partitions": 2000}))


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
        settings.plain(KAFKA, "x", controller=True)["super.users"]
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
    found = _brokers(KAFKA)
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
    same, other = _brokers(KAFKA), _brokers(KAFKA.model_copy(update={"settings": {"num.io.threads": "4"}}))
    assert same.pod.settings_hash == _brokers(KAFKA).pod.settings_hash != other.pod.settings_hash


def _brokers(config: Kafka) -> Any:
    return plain.brokers(
        config,
        credentials=CREDENTIALS,
        pair=AUTHORITY.server("kafka/server", plain.NAMES),
        authority=AUTHORITY.bundle,
        image="longhouse/clients:x",
        storage_class=None,
    )


def declared(config: Kafka = KAFKA) -> Recording:
    ours = tenant("atlas", data={"kafka": KAFKA_SHARE.model_dump()})

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


def test_strimzi_is_told_no_setting_that_it_keeps_for_itself() -> None:
    assert not [name for name in settings.shared(Kafka()) if name.startswith(operator.FORBIDDEN)]
    for prefix in operator.FORBIDDEN:
        assert settings.refusal(f"{prefix}x") or settings.refusal(prefix)


def test_deleting_a_tenants_topic_resource_is_left_to_people() -> None:
    recorded = declared(Kafka())
    topic = recorded.one("kafka.strimzi.io/v1:KafkaTopic", "atlas.events")
    assert topic.metadata.labels["longhouse.dev/tenant"] == "atlas"
    assert topic.inputs.spec.replicas == 3
