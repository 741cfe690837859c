"""The cluster as its administrator sees it: users, access rules, quotas and topics as plain values.

kafka-python's admin client, because librdkafka's has no client quotas. Where that client has no method either, the request itself is sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient
from kafka import errors
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.protocol.admin import (
    AlterClientQuotasRequest,
    DescribeClientQuotasRequest,
    IncrementalAlterConfigsRequest,
)

from modules.data.kafka.inside.place import MECHANISM, Place
from modules.data.kafka.inside.rules import Rule, Topic

ITERATIONS: Final = 8192
"""Rounds of hashing that a log-in costs. Kafka takes 4096 to 16384; a derived password has 190 bits and cannot be guessed at any."""

_ANY_USER: Final = 2
_SET, _DELETE = 0, 1
_PATIENCE_SECONDS: Final = 180
_LOGIN_SECONDS: Final = 15


class ClusterError(Exception):
    """The cluster refuses what is asked of it; the text says what to do."""


class Cluster:
    """A running cluster."""

    def __init__(self, place: Place) -> None:
        """Logs in, waiting for brokers that are still starting. Raises ClusterError."""
        self._place = place
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self._admin = KafkaAdminClient(**place.kafka_python())
                return
            except errors.KafkaError as error:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"cannot log in at {place.servers} as {place.username}: {error}: see whether the brokers are ready"
                    ) from error

    def close(self) -> None:
        """End the session."""
        self._admin.close()

    def users(self) -> set[str]:
        """Users that log in with SCRAM."""
        return set(self._admin.describe_user_scram_credentials())

    def lets_in(self, user: str, password: str) -> bool:
        """Whether the password is the user's, by trying. Raises ClusterError when nobody says."""
        seen: list[int] = []
        settings = self._place.login(user, password, MECHANISM)
        client = AdminClient({**settings, "error_cb": lambda e: seen.append(e.code()), "log_level": 0})  # type: ignore[dict-item]
        answer = client.describe_cluster(request_timeout=_LOGIN_SECONDS)
        deadline = time.monotonic() + _LOGIN_SECONDS
        while not answer.done() and KafkaError._AUTHENTICATION not in seen:
            if time.monotonic() > deadline:
                raise ClusterError(f"no broker answers at {self._place.clients}: see whether they are ready")
            client.poll(0.05)
        return KafkaError._AUTHENTICATION not in seen

    def set_user(self, user: str, password: str) -> None:
        """Make a user, or give it another password."""
        upsertion = UserScramCredentialUpsertion(user, MECHANISM, password, iterations=ITERATIONS)
        self._check("set the password of", self._admin.alter_user_scram_credentials([upsertion]))

    def delete_user(self, user: str) -> None:
        """Nobody logs in as the user any more."""
        deletion = UserScramCredentialDeletion(user, MECHANISM)
        self._check("delete", self._admin.alter_user_scram_credentials([deletion]))

    def rules(self) -> set[Rule]:
        """Every access rule that names one user, from any host."""
        everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
        found, error = self._admin.describe_acls(
            ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
        )
        if error is not errors.NoError:
            raise ClusterError(
                f"the access rules cannot be read: {error.__name__}: see the controllers' logs"
            )
        return {
            Rule(
                acl.principal.removeprefix("User:"),
                acl.resource_pattern.resource_type.name,
                acl.resource_pattern.resource_name,
                acl.operation.name,
                acl.resource_pattern.pattern_type is ACLResourcePatternType.PREFIXED,
                acl.permission_type is ACLPermissionType.ALLOW,
            )
            for acl in found
            if acl.principal.startswith("User:") and acl.host == "*"
        }

    def add_rules(self, rules: Iterable[Rule]) -> None:
        """Add access rules."""
        if wanted := [_acl(each) for each in rules]:
            failed = self._admin.create_acls(wanted)["failed"]
            if failed:
                raise ClusterError(f"access rules were refused: {failed}: see the controllers' logs")

    def remove_rules(self, rules: Iterable[Rule]) -> None:
        """Take access rules away."""
        if wanted := [_acl(each) for each in rules]:
            for _, _, error in self._admin.delete_acls(wanted):
                if error is not errors.NoError:
                    raise ClusterError(
                        f"an access rule could not be removed: {error.__name__}: see the controllers' logs"
                    )

    def quotas(self) -> dict[str, dict[str, float]]:
        """What users may take of the brokers, by user."""
        component = DescribeClientQuotasRequest.ComponentData(
            entity_type="user", match_type=_ANY_USER, match=None
        )
        answer = self._send(DescribeClientQuotasRequest(components=[component], strict=True))
        self._refuse(answer, "the quotas cannot be read")
        return {
            entry.entity[0].entity_name: {each.key: each.value for each in entry.values}
            for entry in answer.entries or ()
            if entry.entity[0].entity_name is not None
        }

    def set_quotas(self, user: str, quotas: Mapping[str, float | None]) -> None:
        """Set a user's quotas; None takes one away."""
        entry = AlterClientQuotasRequest.EntryData
        change = entry(
            entity=[entry.EntityData(entity_type="user", entity_name=user)],
            ops=[
                entry.OpData(key=key, value=value or 0.0, remove=value is None)
                for key, value in quotas.items()
            ],
        )
        answer = self._send(AlterClientQuotasRequest(entries=[change], validate_only=False))
        for each in answer.entries:
            self._refuse(each, f"the quotas of {user} were refused")

    def topics(self) -> dict[str, Topic]:
        """Topics of people, not the brokers' own."""
        found = {
            each["name"]: len(each["partitions"])
            for each in self._admin.describe_topics()
            if not each["is_internal"]
        }
        if not found:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(found)]
        settings = self._admin.describe_configs(resources).get("topic", {})
        return {
            name: Topic(
                number,
                {
                    key: facts["value"]
                    for key, facts in settings.get(name, {}).items()
                    if facts["config_source"] == "DYNAMIC_TOPIC_CONFIG"
                },
            )
            for name, number in found.items()
        }

    def identities(self) -> dict[str, str]:
        """What tells a topic from another that had its name before."""
        return {each["name"]: str(each["topic_id"]) for each in self._admin.describe_topics()}

    def create_topic(self, name: str, topic: Topic) -> None:
        """Make a topic with as many copies as the cluster keeps of every one."""
        with _explained(f"topic {name} could not be made"):
            wanted = {
                "num_partitions": topic.partitions,
                "replication_factor": -1,
                "configs": dict(topic.settings),
            }
            self._admin.create_topics({name: wanted}, wait_for_metadata=True)

    def grow_topic(self, name: str, partitions: int) -> None:
        """Give a topic more partitions."""
        with _explained(f"topic {name} could not be given {partitions} partitions"):
            self._admin.create_partitions({name: partitions})

    def configure_topic(self, name: str, settings: Mapping[str, str | None]) -> None:
        """Change what is set for a topic; None goes back to the brokers' own."""
        self._configure(ConfigResourceType.TOPIC, name, settings)

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics with all that is in them."""
        if wanted := sorted(names):
            with _explained("topics could not be deleted"):
                self._admin.delete_topics(wanted)

    def groups(self) -> set[str]:
        """Names of consumer groups."""
        return {str(each["group_id"]) for each in self._admin.list_groups()}

    def delete_groups(self, names: Iterable[str]) -> None:
        """Forget how far groups have read."""
        if wanted := sorted(names):
            with _explained("groups could not be deleted"):
                self._admin.delete_groups(wanted)

    def defaults(self) -> dict[str, str]:
        """Settings that hold for all brokers and are kept in the cluster's metadata, not in files."""
        broker = str(self._admin.describe_cluster()["brokers"][0]["broker_id"])
        found = self._admin.describe_configs(
            [ConfigResource(ConfigResourceType.BROKER, broker)], config_filter="all"
        )
        return {
            name: facts["value"]
            for each in found.get("broker", {}).values()
            for name, facts in each.items()
            if facts["config_source"] == "DYNAMIC_DEFAULT_BROKER_CONFIG"
        }

    def set_defaults(self, settings: Mapping[str, str]) -> None:
        """Set what holds for all brokers."""
        self._configure(ConfigResourceType.BROKER, "", settings)

    def _configure(self, kind: ConfigResourceType, name: str, settings: Mapping[str, str | None]) -> None:
        resource = IncrementalAlterConfigsRequest.AlterConfigsResource
        change = resource(
            resource_type=kind.value,
            resource_name=name,
            configs=[
                resource.AlterableConfig(
                    name=key, config_operation=_DELETE if value is None else _SET, value=value
                )
                for key, value in settings.items()
            ],
        )
        answer = self._send(IncrementalAlterConfigsRequest(resources=[change], validate_only=False))
        for each in answer.responses:
            self._refuse(each, f"the settings of {name or 'all brokers'} were refused")

    def _send(self, request: Any) -> Any:
        """Any broker passes what is the controllers' on to them (KIP-590)."""
        return self._admin._manager.run(self._admin._manager.send, request)

    @staticmethod
    def _refuse(answer: Any, what: str) -> None:
        if answer.error_code:
            raise ClusterError(
                f"{what}: {errors.for_code(answer.error_code).__name__}: {answer.error_message or 'see the brokers logs'}"
            )

    @staticmethod
    def _check(doing: str, answers: Mapping[str, str | None]) -> None:
        for user, error in answers.items():
            if error is not None:
                raise ClusterError(f"cannot {doing} user {user}: {error}")


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except errors.KafkaError as error:
        raise ClusterError(f"{what}: {error}") from error


def _acl(rule: Rule) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if rule.prefix else ACLResourcePatternType.LITERAL
    return ACL(
        f"User:{rule.user}",
        "*",
        ACLOperation[rule.operation],
        ACLPermissionType.ALLOW if rule.allow else ACLPermissionType.DENY,
        ResourcePattern(ResourceType[rule.kind], rule.name, pattern),
    )
