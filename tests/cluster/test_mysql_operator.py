"""Percona's own operator, as a real pod, on the custom resource that the on-premises profile declares, with smaller sizes.

What this shows: the operator takes the resource, finds all that it names, and makes its StatefulSets, whose pods the namespace's Pod
Security admits. The servers' own images are not to be had here, so the pods stand on simulated nodes, and no MySQL runs in them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modules.data.mysql import operator, settings
from modules.data.mysql.component import MySql
from modules.data.mysql.config import MySql as Config
from profiles.load import load
from sandbox import images
from tests.live import TIMEOUT, Live, Object
from tests.store_operator import SIMULATED, StoreOperator, only_embedded
from tests.unit.examples import BACKUPS

pytestmark = pytest.mark.data

CHECK = StoreOperator("mysql-check", "pxc", operator.CLUSTER, images.PXC_OPERATOR_IMAGE)
NODES = {"longhouse.dev/pool": "cloud-l4"}


def config() -> Config:
    """The profile's own, in small."""
    wanted = load("onprem").mysql
    assert wanted is not None
    return wanted.model_copy(update={"cpu": "50m", "memory": "2Gi", "disk": "1Gi"})


def objects(live: Live) -> list[Object]:
    """What the component declares, with servers that stand on simulated nodes."""
    found = CHECK.objects(
        live, lambda context: MySql("mysql", config(), context=context, tenants=()), ("access", "exporter")
    )
    for each in found:
        if each["kind"] == "PerconaXtraDBCluster":
            for part_of in ("pxc", "haproxy"):
                each["spec"][part_of] |= {"nodeSelector": NODES, "tolerations": SIMULATED}
    return found


@pytest.fixture(scope="module")
def running(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    """The operator, and the resource in its namespace."""
    only_embedded(request)
    with CHECK.running(live, operator.operator().crd_files, objects(live)):
        yield live


def test_the_operator_runs_and_finds_nothing_wrong_with_the_resource(running: Live) -> None:
    running.kubectl(
        "--namespace", CHECK.namespace, "wait", "--for=condition=Ready", "pod/operator-0", TIMEOUT
    )

    def state() -> str:
        return str((CHECK.found(running, "pxc", operator.CLUSTER) or {}).get("status", {}).get("state", ""))

    assert running.eventually("the operator says how the cluster is", state) == "initializing"
    status = running.get("pxc", operator.CLUSTER, f"--namespace={CHECK.namespace}")["status"]
    assert "message" not in status, status["message"]


def test_it_makes_three_nodes_of_the_settings_secrets_and_fences_that_were_declared(running: Live) -> None:
    nodes = CHECK.made(running, "statefulset", "mysql-pxc")
    pod = nodes["spec"]["template"]["spec"]
    assert nodes["spec"]["updateStrategy"]["type"] == "OnDelete", "SmartUpdate restarts one at a time itself"
    (server,) = [each for each in pod["containers"] if each["name"] == "pxc"]
    assert server["image"] == operator.image("pxc")
    assert server["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert {each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each} >= {operator.TLS}
    given = CHECK.made(running, "configmap", "mysql-pxc")["data"]
    assert [text.strip() for text in given.values()] == [settings.option_file(config()).strip()]
    CHECK.made(running, "service", "mysql-haproxy")
    CHECK.made(running, "poddisruptionbudget", "mysql-pxc")


def test_its_pods_are_admitted_as_restricted_and_stand_on_machines_of_their_own(running: Live) -> None:
    def standing() -> list[str]:
        pods = running.items(
            "pods", f"--namespace={CHECK.namespace}", "--selector=app.kubernetes.io/component=pxc"
        )
        return [each["spec"]["nodeName"] for each in pods if each["spec"].get("nodeName")]

    running.eventually("three nodes stand", lambda: len(standing()) == 3)
    assert len(set(standing())) == 3
    events = running.items("events", f"--namespace={CHECK.namespace}", "--field-selector=reason=FailedCreate")
    assert not [each["message"] for each in events]


def test_backups_go_to_the_bucket_with_the_key_that_was_given(running: Live) -> None:
    spec = running.get("pxc", operator.CLUSTER, f"--namespace={CHECK.namespace}")["spec"]["backup"]
    assert spec["storages"]["backups"]["s3"]["endpointUrl"] == BACKUPS.endpoint
    key = CHECK.made(running, "secret", operator.BUCKET_KEY)["data"]
    assert sorted(key) == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ca.crt"]
