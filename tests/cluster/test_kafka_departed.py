"""The program that looks after what tenants left in Strimzi's Kafka, against a real API server with Strimzi's own kinds: what it
may do there, and what not. Kafka's side of it is what tests/cluster/test_kafka.py runs; Strimzi's operator cannot be had here."""

from __future__ import annotations

import ssl
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from modules.data.kafka import operator
from modules.data.kafka.config import NAMESPACE, Kafka, KafkaShare, Topic
from modules.data.kafka.inside.departed import KafkaTopics
from modules.kit import crds
from modules.kit.inside import retained
from modules.kit.inside.api_server import ApiServer as Inside
from tests.api_server import ApiServer, api_server
from tests.shipped import declared, manifest
from upstream import strimzi

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with Strimzi's kinds, two topics, and what the on-premises profile grants in Kafka's namespace."""
    with api_server(tmp_path_factory.mktemp("api-server")) as running:
        running.create(crds.read(sorted(strimzi.crds().glob("*.yaml"))))
        running.established()
        running.kubectl("create", "namespace", NAMESPACE)
        granted = ("ServiceAccount", "Role", "RoleBinding", "ConfigMap")
        running.create(
            manifest(each)
            for each in declared("onprem").objects
            if each.type.endswith(granted) and each.metadata.namespace == NAMESPACE
        )
        share = KafkaShare(topics={"events": Topic(), "features": Topic()})
        resources = operator.tenant_resources(Kafka(), "zephyr", share)
        running.create(each for each in resources if each["kind"] == operator.TOPIC_KIND)
        yield running


@pytest.fixture
def inside(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """The API server as the program's own account has it."""
    token = server.kubectl("create", "token", operator.DEPARTED_ACCOUNT, f"--namespace={NAMESPACE}")
    assert token.returncode == 0, token.stderr
    (tmp_path / "token").write_text(token.stdout.strip())
    (tmp_path / "namespace").write_text(NAMESPACE)
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: ssl._create_unverified_context())
    cluster = yaml.safe_load(server.kubeconfig.read_text())["clusters"][0]["cluster"]
    return Inside(tmp_path, cluster["server"])


def test_it_sees_and_deletes_resources_of_topics(server: ApiServer, inside: Inside) -> None:
    topics = KafkaTopics(inside, operator.API_VERSION)
    assert topics.topics() == {"zephyr.events", "zephyr.features"}
    topics.delete("zephyr.events")
    topics.delete("zephyr.events")
    assert topics.topics() == {"zephyr.features"}
    assert "zephyr.events" not in server.kubectl("get", "kafkatopics", f"--namespace={NAMESPACE}").stdout


def test_it_lists_what_is_retained(server: ApiServer, inside: Inside) -> None:
    retained.report({"zephyr.features": "topic of zephyr, 3 partitions"}, inside)
    found = server.kubectl("get", "configmap", retained.NAME, f"--namespace={NAMESPACE}", "--output=yaml")
    assert yaml.safe_load(found.stdout)["data"] == {"zephyr.features": "topic of zephyr, 3 partitions"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets"),
        ("GET", f"/apis/{operator.API_VERSION}/namespaces/{NAMESPACE}/kafkausers"),
        ("GET", f"/apis/{operator.API_VERSION}/namespaces/default/kafkatopics"),
        ("DELETE", f"/apis/{operator.API_VERSION}/namespaces/{NAMESPACE}/kafkas/longhouse"),
    ],
)
def test_it_may_do_nothing_else(inside: Inside, method: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        inside.call(method, path)
