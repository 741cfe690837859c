"""Percona's own operator, as a real pod, on the custom resource that the on-premises profile declares, with smaller sizes.

What this shows: the operator takes the resource, finds all that it names, and makes its StatefulSets, whose pods the namespace's Pod
Security admits. The servers' own images are not to be had here, so the pods stand on simulated nodes, and no MySQL runs in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modules.data.mysql import operator, settings
from modules.data.mysql.component import MySql
from modules.data.mysql.config import MySql as Config
from profiles.load import load
from sandbox import images
from sandbox.cluster import Cluster
from tests.cluster.test_custom_resources import manifest
from tests.conftest import record
from tests.live import Live, Object
from tests.unit.examples import BACKUPS, store_context

pytestmark = pytest.mark.data

NAMESPACE = "mysql-check"
NODES = {"longhouse.dev/pool": "cloud-l4"}


def config() -> Config:
    """The profile's own, in small."""
    wanted = load("onprem").mysql
    assert wanted is not None
    return wanted.model_copy(update={"cpu": "50m", "memory": "2Gi", "disk": "1Gi"})


def objects() -> list[Object]:
    """What the component declares for it, but for the programs that would wait for a running server, in a namespace of its own."""
    cluster = load("local").cluster
    found = record(lambda: MySql("mysql", config(), context=store_context(cluster=cluster), tenants=()))
    kept = [each for each in map(manifest, found.objects) if _wanted(each)]
    for each in kept:
        _move(each)
        if each["kind"] == "PerconaXtraDBCluster":
            for part_of in ("pxc", "haproxy"):
                each["spec"][part_of] |= {"nodeSelector": NODES, "tolerations": [{"operator": "Exists"}]}
    return sorted(kept, key=lambda each: each["kind"] != "Namespace")


def _wanted(each: Object) -> bool:
    of_others = ("access", "exporter", "retained", "home-", "stands-for")
    return each["kind"] != "PodMonitor" and not each["metadata"]["name"].startswith(of_others)


def _move(each: Object) -> None:
    if each["kind"] == "Namespace":
        each["metadata"]["name"] = NAMESPACE
    elif "namespace" in each["metadata"]:
        each["metadata"]["namespace"] = NAMESPACE
    for subject in each.get("subjects", []):
        subject["namespace"] = NAMESPACE
    if each["kind"] == "StatefulSet":
        for setting in each["spec"]["template"]["spec"]["containers"][0]["env"]:
            if setting["name"] == "WATCH_NAMESPACE":
                setting["value"] = NAMESPACE


@pytest.fixture(scope="module")
def running(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    """The operator, and the resource in its namespace."""
    if request.config.getoption("--cluster") != "embedded":
        pytest.skip("needs the embedded cluster's simulated nodes, and its way to give a node an image")
    image = images.PXC_OPERATOR_IMAGE
    images.PXC_OPERATOR.build()
    Cluster(load("local"), None).node.import_image(image.build(), image.reference)
    crds = operator.operator().crd_files
    kinds = [f"--filename={each}" for each in crds]
    live.kubectl("apply", "--server-side", *kinds)
    live.eventually(
        "the kinds are served",
        lambda: live.try_kubectl("get", "pxc,pxc-backup,pxc-restore", "--all-namespaces").returncode == 0,
        30,
    )
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects()})
    try:
        live.kubectl("apply", "--server-side", "--filename=-", stdin=text)
        yield live
    finally:
        live.try_kubectl("--namespace", NAMESPACE, "delete", "pxc", "--all", "--wait=false")
        live.try_kubectl(
            "--namespace",
            NAMESPACE,
            "patch",
            "pxc",
            operator.CLUSTER,
            "--type=merge",
            '--patch={"metadata":{"finalizers":null}}',
        )
        live.try_kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        live.try_kubectl("delete", "--wait=false", *kinds)


def found(live: Live, kind: str, name: str) -> Object | None:
    """An object of the namespace; None while there is none."""
    answer = live.try_kubectl("--namespace", NAMESPACE, "get", kind, name, "--output=json")
    return json.loads(answer.stdout) if answer.returncode == 0 else None


def made(live: Live, kind: str, name: str) -> Any:
    """The same, once it is there."""
    return live.eventually(f"{kind} {name}", lambda: found(live, kind, name), 90)


def test_the_operator_runs_and_finds_nothing_wrong_with_the_resource(running: Live) -> None:
    running.kubectl(
        "--namespace", NAMESPACE, "wait", "--for=condition=Ready", "pod/operator-0", "--timeout=90s"
    )

    def state() -> str:
        return str((found(running, "pxc", operator.CLUSTER) or {}).get("status", {}).get("state", ""))

    assert running.eventually("the operator says how the cluster is", state, 90) == "initializing"
    status = running.get("pxc", operator.CLUSTER, f"--namespace={NAMESPACE}")["status"]
    assert "message" not in status, status["message"]


def test_it_makes_three_nodes_of_the_settings_secrets_and_fences_that_were_declared(running: Live) -> None:
    nodes = made(running, "statefulset", "mysql-pxc")
    pod = nodes["spec"]["template"]["spec"]
    assert nodes["spec"]["updateStrategy"]["type"] == "OnDelete", "SmartUpdate restarts one at a time itself"
    (server,) = [each for each in pod["containers"] if each["name"] == "pxc"]
    assert server["image"] == operator.image("pxc")
    assert server["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert {each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each} >= {operator.TLS}
    given = made(running, "configmap", "mysql-pxc")["data"]
    assert [text.strip() for text in given.values()] == [settings.option_file(config()).strip()]
    made(running, "service", "mysql-haproxy")
    made(running, "poddisruptionbudget", "mysql-pxc")


def test_its_pods_are_admitted_as_restricted_and_stand_on_machines_of_their_own(running: Live) -> None:
    def standing() -> list[str]:
        pods = running.items("pods", f"--namespace={NAMESPACE}", "--selector=app.kubernetes.io/component=pxc")
        return [each["spec"]["nodeName"] for each in pods if each["spec"].get("nodeName")]

    running.eventually("three nodes stand", lambda: len(standing()) == 3, 120)
    assert len(set(standing())) == 3
    events = running.items("events", f"--namespace={NAMESPACE}", "--field-selector=reason=FailedCreate")
    assert not [each["message"] for each in events]


def test_backups_go_to_the_bucket_with_the_key_that_was_given(running: Live) -> None:
    spec = running.get("pxc", operator.CLUSTER, f"--namespace={NAMESPACE}")["spec"]["backup"]
    assert spec["storages"]["backups"]["s3"]["endpointUrl"] == BACKUPS.endpoint
    key = made(running, "secret", operator.BUCKET_KEY)["data"]
    assert sorted(key) == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ca.crt"]
