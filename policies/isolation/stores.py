"""What each tenant may touch in the stores, by the grants that the access programs make, and whether it is anybody else's.

The grants themselves are secrets' neighbours and stand in no readable object, so they are computed as the programs compute them: policies of
buckets, rules of topics, patterns of schemas, keyspaces. Each store's own way of matching names is what is evaluated: a prefix of Kafka, `LIKE` of
MySQL, wildcards of S3.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from modules.data.cassandra.inside.session import keyspace
from modules.data.kafka.inside.place import prefix
from modules.data.kafka.inside.rules import Rule, tenant_rules
from modules.data.mysql.inside.access import Owner
from modules.data.object_store.inside import policies as bucket_policies
from profiles.model import Profile

_ARN = "arn:aws:s3:::"


class Grant(NamedTuple):
    """What a tenant may touch in one store."""

    store: str
    tenant: str
    says: str
    """The grant as its store has it."""
    covers: Callable[[str], bool]


class Thing(NamedTuple):
    """Something in a store that belongs to one tenant."""

    store: str
    tenant: str
    name: str


class Touch(NamedTuple):
    """A grant of one tenant that covers what is another's."""

    grant: Grant
    thing: Thing


def crossings(grants: Iterable[Grant], things: Iterable[Thing]) -> list[Touch]:
    """Every grant that covers another tenant's thing."""
    owned: dict[str, list[Thing]] = {}
    for thing in things:
        owned.setdefault(thing.store, []).append(thing)
    return [
        Touch(grant, thing)
        for grant in grants
        for thing in owned.get(grant.store, ())
        if thing.tenant != grant.tenant and grant.covers(thing.name)
    ]


def bucket_grants(tenant: str, policy: Mapping[str, object]) -> Iterator[Grant]:
    """By the policy document of its key: S3's `*` and `?` stand for anything, slashes too."""
    statements = policy.get("Statement")
    for statement in statements if isinstance(statements, list) else []:
        for resource in statement.get("Resource", []):
            pattern = re.compile(fnmatch.translate(str(resource).replace("[", "[[]")))
            yield Grant("object_store", tenant, str(resource), _full(pattern))


def topic_grants(tenant: str, rules: Iterable[Rule]) -> Iterator[Grant]:
    """By the rules of its user, topics and groups alike."""
    for rule in sorted(rules, key=repr):
        if rule.allow:
            yield Grant(
                "kafka",
                tenant,
                f"{rule.operation} {rule.name}{'*' if rule.prefix else ''}",
                _named(rule.name, rule.prefix),
            )


def schema_grants(tenant: str, patterns: tuple[str, ...]) -> Iterator[Grant]:
    """By the patterns of its account: `%` and `_` are wildcards unless escaped."""
    for pattern in patterns:
        yield Grant("mysql", tenant, pattern, _full(_like(pattern)))


def _full(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda name: pattern.fullmatch(name) is not None


def _named(text: str, is_prefix: bool) -> Callable[[str], bool]:
    return lambda name: name.startswith(text) if is_prefix else name == text


def _like(pattern: str) -> re.Pattern[str]:
    wild = {"%": ".*", "_": "."}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    return re.compile(
        "".join(
            re.escape(part[1:]) if part.startswith("\\") else wild.get(part, re.escape(part))
            for part in parts
        )
    )


def of(profile: Profile) -> tuple[list[Grant], list[Thing]]:
    """All grants and all things of a profile's tenants."""
    grants: list[Grant] = []
    things: list[Thing] = []
    for name, tenant in profile.tenants.items():
        data = tenant.data
        if profile.object_store is not None and data.object_store is not None:
            bucket = profile.object_store.bucket(name)
            grants += bucket_grants(name, bucket_policies.tenant(bucket))
            things += [Thing("object_store", name, _ARN + each) for each in (bucket, f"{bucket}/object")]
        if profile.kafka is not None and data.kafka is not None:
            topics = [f"{prefix(name)}{topic}" for topic in data.kafka.topics]
            grants += topic_grants(name, tenant_rules(name, topics, create_topics=data.kafka.create_topics))
            things += [Thing("kafka", name, each) for each in (prefix(name), f"{prefix(name)}topic", *topics)]
        if profile.mysql is not None and data.mysql is not None:
            grants += schema_grants(name, Owner(name, "", 1).patterns)
            things += [Thing("mysql", name, each) for each in (name, f"{name}_more")]
        if profile.cassandra is not None and data.cassandra is not None:
            own = keyspace(name)
            grants.append(Grant("cassandra", name, own, _named(own, False)))
            things.append(Thing("cassandra", name, own))
    return grants, things
