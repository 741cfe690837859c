"""What tenants that are gone leave where Strimzi makes users and topics: listed, and deleted where it may be."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from modules.data.kafka import operator
from modules.data.kafka.component import Kafka as Component
from modules.data.kafka.config import Kafka, KafkaShare
from modules.data.kafka.inside.departed import DepartedError, Wanted, settle
from modules.data.kafka.inside.rules import Rule, Topic, departed_rules
from modules.foundation.tenants.config import Data
from tests.conftest import Recording, record
from tests.unit.examples import store_context, tenant


@dataclass
class Fake:
    """Kafka and Strimzi in memory: a topic goes ``after`` so many looks at its deleted resource."""

    held: dict[str, Topic]
    declared: set[str]
    consumers: set[str] = field(default_factory=set)
    after: int = 1
    deleting: dict[str, int] = field(default_factory=dict)
    resources: Resources = field(init=False)

    def __post_init__(self) -> None:
        self.resources = Resources(self)

    def topics(self) -> dict[str, Topic]:
        return dict(self.held)

    def delete_topics(self, names: Iterable[str]) -> None:
        for each in names:
            assert each not in self.declared, "its resource would make it again"
            del self.held[each]

    def groups(self) -> set[str]:
        return set(self.consumers)

    def delete_groups(self, names: Iterable[str]) -> None:
        self.consumers -= set(names)


@dataclass
class Resources:
    """The resources' side of it."""

    fake: Fake

    def topics(self) -> set[str]:
        for name, looks in list(self.fake.deleting.items()):
            self.fake.deleting[name] = looks - 1
            if looks <= 0:
                self.fake.declared.discard(name)
                self.fake.held.pop(name, None)
        return set(self.fake.declared)

    def delete(self, name: str) -> None:
        self.fake.deleting.setdefault(name, self.fake.after)


def fake(after: int = 1) -> Fake:
    names = ("atlas.events", "zephyr.events", "zephyr.own", "__consumer_offsets", "zephyrus.events")
    return Fake(
        {each: Topic(3) for each in names},
        {"atlas.events", "zephyr.events", "zephyrus.events"},
        {"zephyr.readers", "atlas.readers"},
        after,
    )


def settled(server: Fake, *delete_data: str) -> dict[str, str]:
    wanted = Wanted.of({"tenants": ["atlas", "zephyrus"], "delete_data": list(delete_data)})
    return settle(server, server.resources, wanted, say=lambda _: None, pause=lambda _: None)


def test_what_is_kept_of_a_tenant_that_is_gone_is_listed_and_nothing_of_the_others() -> None:
    server = fake()
    assert settled(server) == {
        "zephyr.events": "topic of zephyr, 3 partitions",
        "zephyr.own": "topic of zephyr, 3 partitions",
    }
    assert server.held == fake().held


def test_what_may_be_deleted_goes_with_its_resources_first_and_all_else_stays() -> None:
    server = fake()
    assert settled(server, "zephyr") == {}
    assert set(server.held) == {"atlas.events", "__consumer_offsets", "zephyrus.events"}
    assert server.declared == {"atlas.events", "zephyrus.events"}
    assert server.consumers == {"atlas.readers"}


def test_a_tenant_that_came_back_keeps_its_topics_whatever_else_is_said() -> None:
    server = fake()
    settled(server, "atlas")
    assert "atlas.events" in server.held


def test_a_topic_that_strimzi_does_not_delete_is_an_error_that_names_it() -> None:
    with pytest.raises(DepartedError, match=r"zephyr\.events.*topic operator"):
        settled(fake(after=10_000), "zephyr")


def declared(delete_data: frozenset[str] = frozenset()) -> Recording:
    atlas = tenant("atlas").model_copy(update={"data": Data(kafka=KafkaShare())})
    return record(
        lambda: Component(
            "kafka", Kafka(), context=store_context("atlas", delete_data=delete_data), tenants=(atlas,)
        )
    )


def test_the_program_sees_and_deletes_resources_of_topics_in_its_namespace_and_no_other_kind() -> None:
    role = declared().one("rbac.authorization.k8s.io/v1:Role", operator.DEPARTED_ACCOUNT)
    assert role.metadata.namespace == "kafka"
    assert {(tuple(each.resources), tuple(each.verbs)) for each in role.inputs.rules} == {
        (("configmaps",), ("get", "patch")),
        (("kafkatopics",), ("list", "delete")),
    }


def test_its_user_may_delete_only_what_belongs_to_tenants_whose_data_may_go() -> None:
    assert not [each for each in departed_rules("d", ()) if each.operation == "DELETE"]
    assert {each for each in departed_rules("d", ["zephyr"]) if each.operation == "DELETE"} == {
        Rule("d", "TOPIC", "zephyr.", "DELETE"),
        Rule("d", "GROUP", "zephyr.", "DELETE"),
    }
    user = declared(frozenset({"zephyr"})).one("kafka.strimzi.io/v1:KafkaUser", operator.DEPARTED)
    assert "zephyr." in {each.resource.name for each in user.inputs.spec.authorization.acls}


def test_it_runs_again_when_a_tenants_data_may_go() -> None:
    def program(recorded: Recording) -> str:
        (found,) = recorded.of("batch/v1:Job")
        return json.dumps(found.metadata.name)

    assert program(declared()) == program(declared())
    assert program(declared()) != program(declared(frozenset({"zephyr"})))
