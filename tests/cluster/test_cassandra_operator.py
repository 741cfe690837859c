"""cass-operator, as a real pod, on the custom resource that the on-premises profile declares, with smaller sizes.

What this shows: the operator takes the resource, finds all that it names, and makes its services and a StatefulSet for each rack,
whose pods the namespace's Pod Security admits. The servers' own images are not to be had here, so the pods stand on simulated nodes,
no Cassandra runs in them, and the operator waits for the first one's Management API for ever; a budget it makes
when they are ready.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from modules.data.cassandra import operator, settings
from modules.data.cassandra.component import Cassandra
from modules.data.cassandra.config import Cassandra as Config
from profiles.load import load
from sandbox import images
from tests.live import TIMEOUT, Live, Object
from tests.store_operator import SIMULATED, StoreOperator, only_embedded

pytestmark = pytest.mark.data

CHECK = StoreOperator("cassandra-check", "cassandradatacenters", "home", images.CASS_OPERATOR_IMAGE)
RACKS = ("rack-a", "rack-b", "rack-c")
POOL = "cloud-l4"
"""Simulated nodes, which for as long as the check runs stand in the racks."""


def config() -> Config:
    """The profile's own, in small."""
    wanted = load("onprem").cassandra
    assert wanted is not None
    assert wanted.racks == RACKS
    return wanted.model_copy(update={"nodes": 3, "cpu": "50m", "memory": "1Gi", "disk": "1Gi"})


def objects(live: Live) -> list[Object]:
    """What the component declares, with a ring that stands on simulated nodes."""
    found = CHECK.objects(
        live,
        lambda context: Cassandra("cassandra", config(), context=context, tenants=()),
        ("access", "backup"),
    )
    for each in found:
        if each["kind"] == operator.KIND:
            each["spec"]["tolerations"] = SIMULATED
    return found


@pytest.fixture(scope="module")
def running(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    """The operator, and the resource in its namespace."""
    only_embedded(request)
    pool = live.items("nodes", f"--selector=longhouse.dev/pool={POOL}")
    nodes = [each["metadata"]["name"] for each in pool]
    try:
        for name, rack in zip(nodes, RACKS, strict=False):
            live.kubectl("label", "node", name, f"{operator.ZONE}={rack}", "--overwrite")
        with CHECK.running(live, operator.operator().crd_files, objects(live)):
            yield live
    finally:
        live.try_kubectl("delete", "clusterrole,clusterrolebinding", operator.STORAGE_CLASSES)
        for name in nodes:
            live.try_kubectl("label", "node", name, f"{operator.ZONE}-")


def test_the_operator_runs_and_finds_nothing_wrong_with_the_resource(running: Live) -> None:
    running.kubectl(
        "--namespace", CHECK.namespace, "wait", "--for=condition=Ready", "pod/operator-0", TIMEOUT
    )

    def taken_up() -> Object | None:
        status = (CHECK.found(running, "cassandradatacenter", "home") or {}).get("status", {})
        return status if status.get("cassandraOperatorProgress") else None

    status = running.eventually("the operator works on the resource", taken_up)
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    # The operator says that a resource is valid when its ring is up; that one is not, at once.
    assert conditions.get("Valid", {}).get("status") != "False", conditions


@pytest.mark.parametrize("rack", RACKS)
def test_each_rack_is_a_stateful_set_of_restricted_pods_on_nodes_of_its_zone(
    running: Live, rack: str
) -> None:
    stateful_set = CHECK.made(running, "statefulset", f"longhouse-home-{rack}-sts")
    assert stateful_set["spec"]["replicas"] == 1
    pod = running.eventually(
        f"a pod of {rack} on a node",
        lambda: (
            (each := CHECK.found(running, "pod", f"longhouse-home-{rack}-sts-0"))
            and each["spec"].get("nodeName")
            and each
        ),
    )
    node = running.get("node", pod["spec"]["nodeName"])
    assert node["metadata"]["labels"][operator.ZONE] == rack
    images = {each["image"] for each in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])}
    print(f"\n{rack}: {', '.join(sorted(images))}")
    assert any(":5.0.6" in each for each in images)


def test_the_servers_are_told_the_settings_that_the_plain_engine_runs_with(running: Live) -> None:
    stateful_set = CHECK.made(running, "statefulset", "longhouse-home-rack-a-sts")
    inits = {each["name"]: each for each in stateful_set["spec"]["template"]["spec"]["initContainers"]}
    (told,) = [each for each in inits["server-config-init"]["env"] if each["name"] == "CONFIG_FILE_DATA"]
    source = told["valueFrom"]["secretKeyRef"]
    given = json.loads(base64.b64decode(CHECK.made(running, "secret", source["name"])["data"][source["key"]]))
    wanted = json.loads(json.dumps(settings.cassandra_yaml(config())))
    assert {key: given["cassandra-yaml"].get(key) for key in wanted} == wanted
    assert given["jvm-server-options"]["max_heap_size"] == "512m"
    assert [given["cluster-info"]["name"], given["datacenter-info"]["name"]] == ["longhouse", "home"]
    mounts = {
        each["mountPath"]
        for each in stateful_set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    assert settings.TLS_PATH in mounts


def test_clients_have_a_service(running: Live) -> None:
    service = operator.HOST.partition(".")[0]
    ports = {each["name"]: each["port"] for each in CHECK.made(running, "service", service)["spec"]["ports"]}
    assert ports["native"] == 9042
