"""What must hold of Kafka: an acknowledged message stays, and the disks hold what tenants may write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.data.kafka import settings, sizing
from modules.data.kafka.config import Kafka, KafkaEngine
from modules.foundation.gpu_pools import placement
from modules.kit import quantities
from profiles.model import Profile
from profiles.rules.finding import POOLS, TENANTS, Finding, Rule

KAFKA: Final = "kafka"


def kafka_brokers_can_form_a_majority(profile: Profile) -> Iterator[Finding]:
    """Of two controllers neither may fail: three or more, an odd number (https://kafka.apache.org/43/operations/kraft/, "Deploying
    Considerations"); and two copies on two brokers let no broker restart while others write."""
    if profile.kafka is not None and profile.kafka.brokers == 2:
        yield Finding((KAFKA, "brokers"), "is 2, of which none may be away", "write 1 or 3")


def kafka_replication_fits_the_brokers(profile: Profile) -> Iterator[Finding]:
    """A topic with more copies than there are brokers cannot be made (INVALID_REPLICATION_FACTOR), the brokers' own topics neither."""
    kafka = profile.kafka
    if kafka is not None and kafka.replication > kafka.brokers:
        yield Finding(
            (KAFKA, "replication"),
            f"is more than there are brokers, {kafka.brokers}",
            f"write {kafka.brokers}, or add brokers",
            ((KAFKA, "brokers"),),
        )


def kafka_has_copies_outside_local(profile: Profile) -> Iterator[Finding]:
    """One copy is gone with its broker's disk. Nor does engine plain place brokers apart: two copies may be on one machine."""
    kafka = profile.kafka
    if kafka is None or profile.is_local:
        return
    if kafka.replication < 3:
        yield Finding(
            (KAFKA, "replication"),
            f"keeps {kafka.replication} of each message: with one broker away, no second failure is survived",
            "write 3",
        )
    if kafka.engine is KafkaEngine.PLAIN:
        yield Finding(
            (KAFKA, "engine"),
            "places brokers without regard to machines, which is for local profiles",
            "write operator",
        )


def kafka_acknowledges_what_is_safe(profile: Profile) -> Iterator[Finding]:
    """With as many copies needed as there are, nobody can write while a broker restarts
    (https://kafka.apache.org/43/configuration/topic-configs/#topicconfigs_min.insync.replicas); with one of three enough, a message is
    acknowledged that one broker alone has, and is lost with it."""
    kafka = profile.kafka
    if kafka is None:
        return
    wanted = _in_sync(kafka)
    if kafka.min_in_sync not in wanted:
        fault = (
            "needs more copies than can be counted on while a broker restarts"
            if kafka.min_in_sync > max(wanted)
            else "lets a message be acknowledged that one broker alone has"
        )
        yield Finding((KAFKA, "min_in_sync"), fault, f"write {max(wanted)}", ((KAFKA, "replication"),))
    for name, tenant in profile.tenants.items():
        for topic, each in tenant.data.kafka.topics.items() if tenant.data.kafka else ():
            if each.min_in_sync is not None and (
                each.min_in_sync not in wanted or each.min_in_sync < kafka.min_in_sync
            ):
                yield Finding(
                    (TENANTS, name, "data", KAFKA, "topics", topic, "min_in_sync"),
                    f"must be from {kafka.min_in_sync} to {max(wanted)}, with {kafka.replication} copies",
                    f"write {max(wanted)}, or leave it out",
                    ((KAFKA, "replication"), (KAFKA, "min_in_sync")),
                )


def kafka_settings_are_safe(profile: Profile) -> Iterator[Finding]:
    """Some settings lose acknowledged messages or open what is closed; others are the platform's own, which would no longer hold."""
    for setting in profile.kafka.settings if profile.kafka else ():
        if reason := settings.refusal(setting):
            yield Finding((KAFKA, "settings", setting), reason, "remove it")


def kafka_zones_need_the_operator(profile: Profile) -> Iterator[Finding]:
    """A broker has to be told its zone when it starts, by whoever may look at nodes: Strimzi."""
    kafka = profile.kafka
    if kafka is not None and kafka.zones and kafka.engine is KafkaEngine.PLAIN:
        yield Finding(
            (KAFKA, "zones"),
            "has no effect with engine plain",
            "leave it out, or write engine: operator",
            ((KAFKA, "engine"),),
        )


def kafka_partitions_fit_the_disks(profile: Profile) -> Iterator[Finding]:
    """A broker whose disk is full stops. Each partition has an equal part of the disks, and Kafka takes no segment below 1 MiB (KIP-1030)."""
    if profile.kafka is not None and not sizing.fits(profile.kafka):
        yield Finding(
            (KAFKA, "partitions"),
            "leaves less than two segments of 1 MiB to each partition",
            "write fewer, or a larger disk",
            ((KAFKA, "disk"), (KAFKA, "brokers"), (KAFKA, "replication")),
        )


def kafka_topics_fit_the_disks(profile: Profile) -> Iterator[Finding]:
    """What declared topics may keep, all of them full, fits the disks. Compacted topics count as the others do."""
    kafka = profile.kafka
    if kafka is None:
        return
    found = sizing.sizes(kafka)
    room = (found.retention + found.segment) * kafka.partitions
    total = 0
    for name, tenant in profile.tenants.items():
        for topic, each in tenant.data.kafka.topics.items() if tenant.data.kafka else ():
            kept = quantities.bytes_of(each.retention_bytes) if each.retention_bytes else found.retention
            total += (kept + found.segment) * each.partitions
            if total > room:
                yield Finding(
                    (TENANTS, name, "data", KAFKA, "topics", topic),
                    f"is the topic with which the declared ones may keep more than the disks hold: {quantities.memory(total // sizing.MIB * sizing.MIB)} "
                    f"of {quantities.memory(room // sizing.MIB * sizing.MIB)}, each byte counted once",
                    "give it fewer partitions or retention_bytes, or Kafka a larger disk",
                    ((KAFKA,),),
                )
                return


def kafka_disks_hold_what_comes_before_old_messages_go(profile: Profile) -> Iterator[Finding]:
    """Messages beyond a partition's part are deleted within two minutes; what all tenants may write meanwhile has to fit beside, or the
    disk runs full and the broker stops."""
    kafka = profile.kafka
    if kafka is None:
        return
    rates = {
        name: quantities.bytes_of(tenant.data.kafka.produce)
        for name, tenant in profile.tenants.items()
        if tenant.data.kafka is not None
    }
    total, reserve = 0, sizing.sizes(kafka).reserve
    for name, rate in rates.items():
        total += rate
        if total * kafka.replication * sizing.DELETION_SECONDS > reserve:
            most = reserve // (kafka.replication * sizing.DELETION_SECONDS) // 1024
            yield Finding(
                (TENANTS, name, "data", KAFKA, "produce"),
                f"is the rate with which tenants together may fill the disks faster than old messages go: at most {most}Ki a second for all",
                "write less, or give Kafka a larger disk",
                ((KAFKA,),),
            )
            return


def kafka_backups_are_whole_before_they_expire(profile: Profile) -> Iterator[Finding]:
    """A backup is made of parts as old as the last whole one; when the object store has expired one of them, nothing can be restored."""
    kafka, store = profile.kafka, profile.object_store
    if kafka is not None and store is not None and kafka.whole_backup_days >= store.backups.keep_days:
        yield Finding(
            (KAFKA, "whole_backup_days"),
            f"is as long as backups are kept, {store.backups.keep_days} days: parts of the newest would be gone",
            f"write less than {store.backups.keep_days}, or keep backups longer",
            (("object_store", "backups"),),
        )


def kafka_brokers_stand_apart(profile: Profile) -> Iterator[Finding]:
    """Two brokers on one machine are lost together, and with them two copies of some message."""
    kafka = profile.kafka
    if kafka is None or kafka.engine is KafkaEngine.PLAIN:
        return
    machines = sum(pool.nodes for pool in placement.general(profile.node_pools.values()))
    if machines < kafka.brokers:
        yield Finding(
            (KAFKA, "brokers"),
            f"needs as many machines without GPUs, and there are {machines}",
            "add nodes to a pool without gpu",
            ((POOLS,),),
        )


def _in_sync(kafka: Kafka) -> range:
    """How many copies may be asked for before a message is acknowledged."""
    if kafka.replication <= 2:
        return range(1, 2)
    return range(2, kafka.replication)


RULES: Final[tuple[Rule, ...]] = (
    kafka_brokers_can_form_a_majority,
    kafka_replication_fits_the_brokers,
    kafka_has_copies_outside_local,
    kafka_acknowledges_what_is_safe,
    kafka_settings_are_safe,
    kafka_zones_need_the_operator,
    kafka_partitions_fit_the_disks,
    kafka_topics_fit_the_disks,
    kafka_disks_hold_what_comes_before_old_messages_go,
    kafka_backups_are_whole_before_they_expire,
    kafka_brokers_stand_apart,
)
