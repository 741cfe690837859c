"""What of a profile cannot change once it is deployed: volumes were made with it, and what is on them cannot follow.

Most of it is keys that the models mark as immutable. What hangs on more than one key stands here, with its reason. Who deploys keeps the record of what
was deployed, and asks before the next deployment touches anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modules.data.cassandra.config import Engine as CassandraEngine
from modules.data.hdfs import places
from modules.data.kafka import sizing
from modules.data.kafka.config import KafkaEngine
from modules.data.mysql.config import MySqlEngine
from profiles.load import DIRECTORY, origins
from profiles.model import Profile
from profiles.problems import MISSING, Key, Problem, ProfileError, dotted, shown
from profiles.rules.finding import Finding
from profiles.schema import immutable_keys

Value = str | int | bool | list[str] | None
"""What a fact is compared by. A list may gain names and lose none; everything else stays equal."""

Record = Mapping[str, Value]
"""Facts by name, as JSON has them. A name that one of two records lacks is not compared: a store that comes new, or that is taken away, has nothing to
follow, and a fact that only a later version knows is unknown of what an earlier one deployed."""

OUTPUT: Final = "fixed"
"""Under which a stack exports the record of what it deployed."""

_MARKED: Final = "what was made with it cannot follow"


@dataclass(frozen=True)
class Fact:
    """One thing that stays."""

    name: str
    """What it is called in a record."""

    key: Key
    """Where the profile decides it."""

    value: Value
    why: str = _MARKED


def facts(profile: Profile) -> tuple[Fact, ...]:
    """Everything that stays once the profile is deployed."""
    unused = tuple(_unused(profile))
    data = profile.model_dump(mode="json")
    marked = (found for key in sorted(immutable_keys()) for found in values(data, key))
    return (
        *(Fact(dotted(key), key, value) for key, value in marked if key not in unused),
        *_kafka(profile),
        *_hdfs(profile),
        *_cassandra(profile),
        *_mysql(profile),
    )


def record(profile: Profile) -> dict[str, Value]:
    """The facts, to be kept with what is deployed."""
    return {each.name: each.value for each in facts(profile)}


def findings(deployed: Record, wanted: Profile, remedy: str) -> tuple[Finding, ...]:
    """What of the wanted profile cannot follow what is deployed. ``remedy`` is the way out of where it is deployed."""
    return tuple(
        Finding(each.key, message, remedy)
        for each in facts(wanted)
        if each.name in deployed and (message := _difference(each, deployed[each.name]))
    )


def refuse(deployed: Record, wanted: Profile, remedy: str, directory: Path = DIRECTORY) -> None:
    """Raise ProfileError where the wanted profile cannot follow what is deployed: file, key, both values, and the way out."""
    found = findings(deployed, wanted, remedy)
    if not found:
        return
    where = origins(wanted.name, directory)
    data = wanted.model_dump(mode="json")
    problems = []
    for each in found:
        nearest = next(
            each.key[:depth] for depth in range(len(each.key), -1, -1) if each.key[:depth] in where
        )
        value = next((value for _, value in values(data, each.key)), MISSING)
        file, line = where[nearest]
        problems.append(Problem(file, line, dotted(each.key), value, each.message, each.remedy))
    raise ProfileError(wanted.name, problems)


def differs(deployed: Value, wanted: Value) -> bool:
    """Whether a fact does not stay."""
    if isinstance(wanted, list) and isinstance(deployed, list):
        return not set(deployed) <= set(wanted)
    return wanted != deployed


def _difference(wanted: Fact, deployed: Value) -> str:
    if not differs(deployed, wanted.value):
        return ""
    if isinstance(wanted.value, list) and isinstance(deployed, list):
        lost = [name for name in deployed if name not in wanted.value]
        return f"leaves out what is deployed, {', '.join(lost)}: {wanted.why}"
    return f"is fixed, and {_said(wanted, deployed)}: {wanted.why}"


def _said(wanted: Fact, deployed: Value) -> str:
    """The deployed value; of what only follows from the key, both values."""
    if wanted.name == dotted(wanted.key):
        return f"was deployed as {shown(deployed)}"
    return f"with it the {wanted.name}, {shown(wanted.value)} instead of {shown(deployed)}"


def values(data: Any, pattern: Key, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """The keys that a pattern means, with their values; `*` stands for every name."""
    if not pattern:
        yield key, data
    elif isinstance(data, dict):
        for name in data if pattern[0] == "*" else {pattern[0]} & data.keys():
            yield from values(data[name], pattern[1:], (*key, name))


def _unused(profile: Profile) -> Iterator[Key]:
    """Sizes of servers of which the profile has none."""
    if profile.hdfs and not profile.hdfs.high_availability:
        yield from (("hdfs", "journalnode", "disk"), ("hdfs", "zookeeper", "disk"))
    if profile.object_store and profile.object_store.given:
        yield from (("object_store", "servers"), ("object_store", "disk"))
    if profile.mysql and profile.mysql.engine is MySqlEngine.EXTERNAL:
        yield ("mysql", "disk")


def _kafka(profile: Profile) -> Iterator[Fact]:
    if (kafka := profile.kafka) is None:
        return
    yield Fact(
        "controllers of kafka",
        ("kafka", "brokers"),
        sizing.controllers(kafka),
        "who votes is written on their volumes when those are formatted",
    )
    # Strimzi lets volumes grow, and refuses by itself that a broker goes which has messages.
    if kafka.engine is KafkaEngine.PLAIN:
        yield Fact(
            "kafka.brokers",
            ("kafka", "brokers"),
            [f"kafka-{number}" for number in range(kafka.brokers)],
            "nobody moves the messages of a broker that goes",
        )
        yield Fact(
            "kafka.disk",
            ("kafka", "disk"),
            kafka.disk,
            "a StatefulSet's volumes keep their size",
        )


def _hdfs(profile: Profile) -> Iterator[Fact]:
    if profile.hdfs is not None:
        yield Fact(
            "hdfs.datanodes",
            ("hdfs", "datanodes", "racks" if profile.hdfs.datanodes.racks else "count"),
            [name.partition(".")[0] for name in places.datanodes(profile.hdfs)],
            "nobody moves the blocks of a DataNode that goes",
        )


def _cassandra(profile: Profile) -> Iterator[Fact]:
    cassandra = profile.cassandra
    if cassandra is not None and cassandra.engine is CassandraEngine.OPERATOR:
        yield Fact(
            "cassandra.racks",
            ("cassandra", "racks"),
            list(cassandra.racks) or ["default"],
            "cass-operator neither renames nor removes racks (its webhook's ValidateDatacenterFieldChanges)",
        )


_MYSQL_AT_FIRST: Final = ("innodb_page_size", "lower_case_table_names")
"""Variables that a data directory is made with
(https://dev.mysql.com/doc/refman/8.4/en/innodb-parameters.html#sysvar_innodb_page_size,
https://dev.mysql.com/doc/refman/8.4/en/identifier-case-sensitivity.html)."""


def _mysql(profile: Profile) -> Iterator[Fact]:
    mysql = profile.mysql
    if mysql is not None and mysql.engine is not MySqlEngine.EXTERNAL:
        for name in _MYSQL_AT_FIRST:
            yield Fact(
                f"mysql.settings.{name}",
                ("mysql", "settings", name),
                mysql.settings.get(name),
                f"a data directory is made with {name}",
            )
