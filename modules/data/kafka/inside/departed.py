"""Where Strimzi makes users and topics: what is left of tenants that are gone is listed, and deleted where it may be.

Strimzi takes a tenant's user away with its resource. Topics stay: declared ones as resources, which their operator makes again as
long as they are there, and those that the tenant made itself in Kafka alone. So resources go first, and then what is left in Kafka.
"""

from __future__ import annotations

import sys
import time
import urllib.error
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from kafka.errors import KafkaError

from modules.data.kafka.inside.cluster import Cluster, ClusterError
from modules.data.kafka.inside.place import mounted, prefix
from modules.data.kafka.inside.rules import Topic
from modules.kit.inside import retained
from modules.kit.inside.api_server import ApiServer

_PATIENCE_SECONDS: Final = 120
_PAUSE_SECONDS: Final = 2


class DepartedError(Exception):
    """What may be deleted is still there; the text says what to do."""


@dataclass(frozen=True)
class Wanted:
    """Tenants that there are, and those that are gone and whose data may be deleted."""

    tenants: frozenset[str]
    delete_data: frozenset[str]

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Wanted:
        """From the mounted document."""
        return cls(frozenset(found["tenants"]), frozenset(found["delete_data"]))


class Server(Protocol):
    """What is in Kafka."""

    def topics(self) -> dict[str, Topic]: ...
    def delete_topics(self, names: Iterable[str]) -> None: ...
    def groups(self) -> set[str]: ...
    def delete_groups(self, names: Iterable[str]) -> None: ...


class Resources(Protocol):
    """The resources of topics, in Kubernetes."""

    def topics(self) -> set[str]: ...
    def delete(self, name: str) -> None: ...


class KafkaTopics:
    """Strimzi's resources of topics in the program's own namespace."""

    def __init__(self, server: ApiServer, api_version: str) -> None:
        self._server = server
        self._path = f"/apis/{api_version}/namespaces/{server.namespace}/kafkatopics"

    def topics(self) -> set[str]:
        """Their names, which are those of the topics."""
        return {each["metadata"]["name"] for each in self._server.call("GET", self._path)["items"]}

    def delete(self, name: str) -> None:
        """Have Strimzi delete a topic with all that is in it."""
        try:
            self._server.call("DELETE", f"{self._path}/{name}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise


def settle(
    server: Server,
    resources: Resources,
    wanted: Wanted,
    say: Callable[[str], None] = print,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Delete what may be deleted, and give what is kept of tenants that are gone.

    Raises DepartedError when Strimzi does not delete a topic, OSError when the API server refuses, ClusterError when Kafka does.
    """
    for tenant in sorted(wanted.delete_data - wanted.tenants):
        _delete(server, resources, tenant, say, pause)
    return {
        name: f"topic of {name.partition('.')[0]}, {topic.partitions} partitions"
        for name, topic in sorted(server.topics().items())
        if "." in name and name.partition(".")[0] not in wanted.tenants
    }


def _delete(
    server: Server,
    resources: Resources,
    tenant: str,
    say: Callable[[str], None],
    pause: Callable[[float], None],
) -> None:
    own = prefix(tenant)
    declared = {each for each in resources.topics() if each.startswith(own)}
    for each in sorted(declared):
        resources.delete(each)
        say(f"{tenant}: deleted the resource of topic {each}")
    for _ in range(_PATIENCE_SECONDS // _PAUSE_SECONDS):
        if not (left := {each for each in resources.topics() if each.startswith(own)}):
            break
        pause(_PAUSE_SECONDS)
    else:
        raise DepartedError(
            f"topics {', '.join(sorted(left))} are still there {_PATIENCE_SECONDS} seconds after their resources were deleted: "
            "see the log of Strimzi's topic operator, then run the deployment again"
        )
    if topics := {each for each in server.topics() if each.startswith(own)}:
        server.delete_topics(topics)
        say(f"{tenant}: deleted topics {', '.join(sorted(topics))}")
    if groups := {each for each in server.groups() if each.startswith(own)}:
        server.delete_groups(groups)
        say(f"{tenant}: deleted groups {', '.join(sorted(groups))}")


def main() -> int:
    """Run on the mounted state; the exit code is 0 when nothing is left that may be deleted."""
    place, found = mounted()
    try:
        cluster = Cluster(place)
        topics = KafkaTopics(ApiServer(), found["api_version"])
        retained.report(settle(cluster, topics, Wanted.of(found)))
        cluster.close()
    except (DepartedError, ClusterError, KafkaError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
