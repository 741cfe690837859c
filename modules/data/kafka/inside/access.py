"""Brings users, access rules, quotas and topics to what is wanted: one user a tenant, who owns all names that begin with ``<tenant>.``.

It reads what is there and changes the difference. Which prefixes are the platform's own is kept in the cluster itself, as access rules
of its own administrator (who needs none): whatever has no such rule is never touched. A tenant that is no longer wanted loses its rules
first, which ends what open connections may do, then its user; its topics stay until it is among those whose data may be deleted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from kafka.errors import KafkaError

from modules.data.kafka.inside.cluster import Cluster, ClusterError
from modules.data.kafka.inside.place import mounted, prefix
from modules.data.kafka.inside.rules import Rule, Topic, helper_rules, marker, tenant_rules
from modules.kit.inside import retained

MANAGED: Final = frozenset({"cleanup.policy", "min.insync.replicas", "retention.bytes", "retention.ms"})
"""Settings of declared topics that are the record's; others are whose who set them."""


class AccessError(Exception):
    """What is wanted cannot be had; the text says what to do."""


@dataclass(frozen=True)
class Tenant:
    """What a tenant shall have. ``topics`` go by their whole names."""

    password: str = field(repr=False)
    create_topics: bool
    quotas: Mapping[str, float]
    topics: Mapping[str, Topic]


@dataclass(frozen=True)
class Wanted:
    """What shall be. ``owner`` marks what is the platform's own, ``helpers`` back every topic up, ``defaults`` hold for all brokers."""

    owner: str
    helpers: tuple[str, ...]
    defaults: Mapping[str, str]
    tenants: Mapping[str, Tenant]
    delete_data: frozenset[str] = frozenset()

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Wanted:
        """From the mounted document."""
        tenants = {
            name: Tenant(
                **{**facts, "topics": {topic: Topic(**each) for topic, each in facts["topics"].items()}}
            )
            for name, facts in found["tenants"].items()
        }
        return cls(
            found["owner"],
            tuple(found["helpers"]),
            found["defaults"],
            tenants,
            frozenset(found["delete_data"]),
        )


class Server(Protocol):
    """What is reconciled: a cluster, or what stands for one in a test."""

    def users(self) -> set[str]: ...
    def lets_in(self, user: str, password: str) -> bool: ...
    def set_user(self, user: str, password: str) -> None: ...
    def delete_user(self, user: str) -> None: ...
    def rules(self) -> set[Rule]: ...
    def add_rules(self, rules: Iterable[Rule]) -> None: ...
    def remove_rules(self, rules: Iterable[Rule]) -> None: ...
    def quotas(self) -> dict[str, dict[str, float]]: ...
    def set_quotas(self, user: str, quotas: Mapping[str, float | None]) -> None: ...
    def topics(self) -> dict[str, Topic]: ...
    def create_topic(self, name: str, topic: Topic) -> None: ...
    def grow_topic(self, name: str, partitions: int) -> None: ...
    def configure_topic(self, name: str, settings: Mapping[str, str | None]) -> None: ...
    def delete_topics(self, names: Iterable[str]) -> None: ...
    def groups(self) -> set[str]: ...
    def delete_groups(self, names: Iterable[str]) -> None: ...
    def defaults(self) -> dict[str, str]: ...
    def set_defaults(self, settings: Mapping[str, str]) -> None: ...


class Access:
    """One reconciliation."""

    def __init__(self, server: Server, wanted: Wanted, say: Callable[[str], None] = print) -> None:
        self._server, self._wanted, self._say = server, wanted, say
        self._changes = 0

    def reconcile(self) -> dict[str, str]:
        """Change what differs, and give what is kept of tenants that are gone. Raises AccessError or ClusterError."""
        server, wanted = self._server, self._wanted
        self._there = server.rules()
        self._quotas, self._users, self._topics = server.quotas(), server.users(), server.topics()
        known = {each.name[:-1] for each in self._there if each == marker(wanted.owner, each.name[:-1])}
        self._refuse_strangers(known)
        if different := {
            key: value for key, value in wanted.defaults.items() if server.defaults().get(key) != value
        }:
            server.set_defaults(different)
            self._told(f"all brokers: {_spelled(different)}")
        for helper in wanted.helpers:
            self._rules(helper, helper_rules(helper))
        for name in sorted(known - wanted.tenants.keys()):
            self._take_away(name)
        for name, tenant in wanted.tenants.items():
            self._rules(wanted.owner, {marker(wanted.owner, name)}, keep=True)
            self._user(name, tenant)
            self._quota(name, dict(tenant.quotas))
            for topic, each in tenant.topics.items():
                self._topic(topic, each)
            self._rules(name, tenant_rules(name, tenant.topics, create_topics=tenant.create_topics))
        gone = known - wanted.tenants.keys() - wanted.delete_data
        if not self._changes:
            self._say("no change")
        return {
            topic: f"topic of {name}, {facts.partitions} partitions"
            for name in sorted(gone)
            for topic, facts in sorted(self._topics.items())
            if topic.startswith(prefix(name))
        }

    def _refuse_strangers(self, known: set[str]) -> None:
        for name in self._wanted.tenants:
            if name in self._users and name not in known:
                raise AccessError(
                    f"user {name} is there and the platform did not make it: delete it, or give the tenant another name"
                )

    def _take_away(self, name: str) -> None:
        self._rules(name, set())
        if name in self._users:
            self._server.delete_user(name)
            self._told(f"{name}: deleted the user")
        self._quota(name, {})
        if name not in self._wanted.delete_data:
            return
        if topics := {each for each in self._topics if each.startswith(prefix(name))}:
            self._server.delete_topics(topics)
            self._told(f"{name}: deleted topics {', '.join(sorted(topics))}")
        if groups := {each for each in self._server.groups() if each.startswith(prefix(name))}:
            self._server.delete_groups(groups)
            self._told(f"{name}: deleted groups {', '.join(sorted(groups))}")
        self._server.remove_rules([marker(self._wanted.owner, name)])
        self._told(f"{name}: nothing of it is left")

    def _user(self, name: str, tenant: Tenant) -> None:
        if name in self._users and self._server.lets_in(name, tenant.password):
            return
        self._server.set_user(name, tenant.password)
        self._told(f"{name}: {'set its password' if name in self._users else 'made the user'}")

    def _quota(self, name: str, wanted: Mapping[str, float]) -> None:
        found = self._quotas.get(name, {})
        change: dict[str, float | None] = {key: None for key in found if key not in wanted}
        change |= {key: value for key, value in wanted.items() if found.get(key) != value}
        if change:
            self._server.set_quotas(name, change)
            self._told(f"{name}: quotas: {_spelled(change)}")

    def _rules(self, name: str, wanted: set[Rule], *, keep: bool = False) -> None:
        found = {each for each in self._there if each.user == name}
        if more := wanted - found:
            self._server.add_rules(sorted(more, key=repr))
            self._told(f"{name}: may now {_listed(more)}")
        if less := set() if keep else found - wanted:
            self._server.remove_rules(sorted(less, key=repr))
            self._told(f"{name}: no longer: {_listed(less)}")

    def _topic(self, name: str, wanted: Topic) -> None:
        found = self._topics.get(name)
        if found is None:
            self._server.create_topic(name, wanted)
            self._told(f"{name}: made, {wanted.partitions} partitions, {_spelled(wanted.settings)}")
            return
        if wanted.partitions < found.partitions:
            raise AccessError(
                f"topic {name} has {found.partitions} partitions, and fewer would lose messages: write partitions: {found.partitions}, "
                "or declare a topic of another name"
            )
        if wanted.partitions > found.partitions:
            self._server.grow_topic(name, wanted.partitions)
            self._told(f"{name}: grown from {found.partitions} to {wanted.partitions} partitions")
        change: dict[str, str | None] = {
            key: None for key in found.settings if key in MANAGED and key not in wanted.settings
        }
        change |= {key: value for key, value in wanted.settings.items() if found.settings.get(key) != value}
        if change:
            self._server.configure_topic(name, change)
            self._told(f"{name}: {_spelled(change)}")

    def _told(self, change: str) -> None:
        self._changes += 1
        self._say(change)


def _spelled(settings: Mapping[str, object]) -> str:
    return ", ".join(
        f"{key} {'as all' if value is None else value}" for key, value in sorted(settings.items())
    )


def _listed(some: Iterable[Rule]) -> str:
    return ", ".join(
        sorted(
            f"{'' if each.allow else 'not '}{each.operation} {each.kind} {each.name}{'*' if each.prefix else ''}"
            for each in some
        )
    )


def main() -> int:
    """Run on the mounted state; the exit code is 0 when it is as wanted."""
    place, found = mounted()
    try:
        cluster = Cluster(place)
        retained.report(Access(cluster, Wanted.of(found)).reconcile())
        cluster.close()
    except (AccessError, ClusterError, KafkaError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
