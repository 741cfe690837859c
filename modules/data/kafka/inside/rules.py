"""Who may do what: access rules as plain values, for every engine.

Kafka's own words for operations and kinds of resources (https://kafka.apache.org/43/security/authorization-and-acls/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modules.data.kafka.inside.place import prefix


@dataclass(frozen=True)
class Rule:
    """One access rule. ``kind`` is what it is about (TOPIC, GROUP, TRANSACTIONAL_ID), ``prefix`` whether the name begins names or is
    one."""

    user: str
    kind: str
    name: str
    operation: str
    prefix: bool = True
    allow: bool = True


@dataclass(frozen=True)
class Topic:
    """A topic: its number of partitions and what is set for it in particular."""

    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)


def marker(owner: str, tenant: str) -> Rule:
    """The rule that says that the prefix is the platform's own."""
    return Rule(owner, "TOPIC", prefix(tenant), "DESCRIBE")


def tenant_rules(name: str, declared: Iterable[str], *, create_topics: bool) -> set[Rule]:
    """What a tenant may do. ``declared`` are topics that the platform makes for it, by their whole names. Where it may delete topics, those that the platform declares are excepted: a rule that denies goes before
    all that allow."""
    own = prefix(name)
    topics = [
        "READ",
        "WRITE",
        "DESCRIBE",
        "DESCRIBE_CONFIGS",
        *(["CREATE", "DELETE"] if create_topics else []),
    ]
    found = {Rule(name, "TOPIC", own, each) for each in topics}
    found |= {Rule(name, "GROUP", own, each) for each in ("READ", "DESCRIBE", "DELETE")}
    found |= {Rule(name, "TRANSACTIONAL_ID", own, each) for each in ("WRITE", "DESCRIBE")}
    if create_topics:
        found |= {Rule(name, "TOPIC", each, "DELETE", prefix=False, allow=False) for each in declared}
    return found


def helper_rules(name: str) -> set[Rule]:
    """What the program that backs up may do: read every topic, and make one and fill it. It can neither change nor delete any."""
    operations = ("READ", "DESCRIBE", "DESCRIBE_CONFIGS", "CREATE", "WRITE")
    found = {Rule(name, "TOPIC", "*", each, prefix=False) for each in operations}
    return found | {
        Rule(name, "GROUP", name, "READ", prefix=False)
    }  # librdkafka asks for a group, and asks after it


def departed_rules(name: str, delete_data: Iterable[str]) -> set[Rule]:
    """What the program that lists and deletes what is left of tenants may do: see what there is, and delete what is theirs."""
    found = {Rule(name, "TOPIC", "*", each, prefix=False) for each in ("DESCRIBE", "DESCRIBE_CONFIGS")}
    found |= {Rule(name, "GROUP", "*", "DESCRIBE", prefix=False)}
    return found | {
        Rule(name, kind, prefix(each), "DELETE") for each in delete_data for kind in ("TOPIC", "GROUP")
    }
