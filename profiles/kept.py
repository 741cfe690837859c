"""How much of their data the stores of a profile keep, and for how long. Less of it deletes what is there, with no more ado than a changed setting.

What cannot change at all is in `fixed.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from modules.data.kafka import sizing
from modules.data.mysql.config import MySqlEngine
from modules.kit import quantities
from profiles.fixed import values
from profiles.model import Profile
from profiles.problems import Key, dotted

Value = int | str | list[str]
"""A number that may only grow, a text that stays, or names to which none may come."""

Record = Mapping[str, Value]
"""Facts by name, as JSON has them. What one of two records lacks is not compared: what a store has that is gone is retained, or its volumes tell."""

OUTPUT: Final = "kept"
"""Under which a stack exports the record of what it deployed."""

KEYS: Final[tuple[Key, ...]] = (
    ("hdfs", "trash_hours"),
    ("mysql", "binlog_hours"),
    ("object_store", "backups", "keep_days"),
    ("tenants", "*", "data", "object_store", "keep_versions_days"),
    ("tenants", "*", "data", "kafka", "topics", "*", "retention_hours"),
)
"""Keys whose number says for how long; `*` stands for any name."""


def record(profile: Profile) -> dict[str, Value]:
    """The facts."""
    data = profile.model_dump(mode="json")
    return {
        **{dotted(key): value for pattern in KEYS for key, value in values(data, pattern)},
        **dict(_kafka(profile)),
        **dict(_mysql(profile)),
        "departed": sorted(profile.departed),
    }


def less(before: Value, now: Value) -> bool:
    """Whether the second keeps less than the first."""
    if isinstance(before, list) and isinstance(now, list):
        return not set(now) <= set(before)
    if isinstance(before, int) and isinstance(now, int):
        return now < before
    return now != before


def _kafka(profile: Profile) -> Iterator[tuple[str, Value]]:
    """What a partition keeps is its part of the disks, so that more partitions take from all that there are."""
    if profile.kafka is None:
        return
    part = sizing.sizes(profile.kafka).retention
    yield "kafka bytes of a partition", part
    for name, tenant in profile.tenants.items():
        for topic, each in tenant.data.kafka.topics.items() if tenant.data.kafka else ():
            key = ("tenants", name, "data", "kafka", "topics", topic)
            yield dotted((*key, "compact")), "the newest of each key" if each.compact else "all, by age"
            kept = quantities.bytes_of(each.retention_bytes) if each.retention_bytes else part
            yield dotted((*key, "retention_bytes")), kept


def _mysql(profile: Profile) -> Iterator[tuple[str, Value]]:
    if profile.mysql is not None and profile.mysql.engine is MySqlEngine.OPERATOR:
        yield dotted(("mysql", "backups")), profile.mysql.backups
