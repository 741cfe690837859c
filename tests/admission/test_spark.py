"""What the API server makes of a SparkApplication, and which it refuses: Spark's policies, before an API server of the tests' own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modules.compute.spark import admission, operator
from modules.kit import crds
from tests.api_server import ApiServer, api_server
from upstream import part

pytestmark = pytest.mark.compute


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the kinds, both policies, and a tenant that has defaults."""
    with api_server(tmp_path_factory.mktemp("spark")) as running:
        running.create(crds.read((part(operator.PART).directory / "config/crd/bases").glob("*.yaml")))
        running.established()
        policies = {
            "MutatingAdmissionPolicy": admission.mutating("4.0.4", "longhouse/spark:1", "2g"),
            "MutatingAdmissionPolicyBinding": admission.mutating_binding(),
            "ValidatingAdmissionPolicy": admission.validating(),
            "ValidatingAdmissionPolicyBinding": admission.validating_binding(),
        }
        tenant = {"name": "tenant-atlas", "labels": {"longhouse.dev/tenant": "atlas"}}
        settings = {"name": "spark-defaults", "namespace": "tenant-atlas"}
        running.create(
            [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": tenant},
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": settings, "data": {"spark.a": "1", "spark.b": "2"}},
                *(
                    {"apiVersion": admission.API_VERSION, "kind": kind, "metadata": {"name": admission.NAME}, "spec": spec}
                    for kind, spec in policies.items()
                ),
            ]
        )  # fmt: skip
        _until_enforced(running)
        yield running


def _until_enforced(running: ApiServer) -> None:
    for _ in range(100):
        answer = submit(running, sparkConf={"spark.executor.memory": "9g"})
        if "does not read sparkConf" in answer.stderr and not submit(running).stderr:
            return
        time.sleep(0.2)
    raise AssertionError(answer.stderr)


def submit(running: ApiServer, **spec: Any) -> Any:
    whole = {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": "sums", "namespace": "tenant-atlas"},
        "spec": {"mainApplicationFile": "s3a://longhouse-atlas/sums.py", **spec},
    }
    return running.kubectl(
        "create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(whole)
    )


def taken(running: ApiServer, **spec: Any) -> dict[str, Any]:
    answer = submit(running, **spec)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)["spec"]
    return found


class TestAdmission:
    def test_an_application_that_says_next_to_nothing_is_complete(self, server: ApiServer) -> None:
        found = taken(server)
        assert (found["type"], found["mode"], found["sparkVersion"]) == ("Python", "cluster", "4.0.4")
        assert (found["image"], found["driver"]["serviceAccount"]) == ("longhouse/spark:1", "spark")
        assert found["executor"]["instances"] == 1
        assert found["sparkConf"] == {"spark.a": "1", "spark.b": "2"}

    def test_what_it_says_itself_stays(self, server: ApiServer) -> None:
        found = taken(server, sparkConf={"spark.a": "own"}, executor={"instances": 4, "memory": "3g"})
        assert found["sparkConf"] == {"spark.a": "own", "spark.b": "2"}
        assert (found["executor"]["instances"], found["executor"]["memory"]) == (4, "3g")

    def test_cores_are_asked_for_and_never_exceeded(self, server: ApiServer) -> None:
        found = taken(server, executor={"cores": 3}, driver={"coreRequest": "200m", "coreLimit": "1"})
        assert (found["executor"]["coreRequest"], found["executor"]["coreLimit"]) == ("3", "3")
        assert (found["driver"]["coreRequest"], found["driver"]["coreLimit"]) == ("200m", "1")

    def test_nothing_comes_on_top_of_the_memory_that_is_counted(self, server: ApiServer) -> None:
        found = taken(server, executor={"memoryOverhead": "9g"})
        assert [found["executor"][each] for each in ("memory", "memoryLimit", "memoryOverhead")] == [
            "2g",
            "2g",
            "0",
        ]

    def test_its_pods_meet_the_restricted_standard(self, server: ApiServer) -> None:
        for role in ("driver", "executor"):
            found = taken(server)[role]["securityContext"]
            assert found["allowPrivilegeEscalation"] is False
            assert found["capabilities"] == {"drop": ["ALL"]}
            assert found["seccompProfile"] == {"type": "RuntimeDefault"}

    @pytest.mark.parametrize(
        "key",
        [
            "spark.executor.memory",
            "spark.driver.memoryOverheadFactor",
            "spark.executor.pyspark.memory",
            "spark.memory.offHeap.size",
            "spark.dynamicAllocation.enabled",
            "spark.kubernetes.executor.request.cores",
            "spark.executor.instances",
        ],
    )
    def test_a_size_that_the_queue_would_not_see_is_refused(self, server: ApiServer, key: str) -> None:
        assert key in submit(server, sparkConf={key: "9"}).stderr

    def test_a_container_that_the_queue_would_not_see_is_refused(self, server: ApiServer) -> None:
        containers = [{"name": "spark-kubernetes-executor"}, {"name": "beside", "image": "x"}]
        refused = submit(server, executor={"template": {"spec": {"containers": containers}}})
        assert "spec.executor: memory is all that the pod gets" in refused.stderr
        assert taken(server, executor={"template": {"spec": {"containers": containers[:1]}}})

    def test_memory_that_is_asked_for_later_is_refused(self, server: ApiServer) -> None:
        whole = {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "metadata": {"name": "later", "namespace": "tenant-atlas"},
            "spec": {"mainApplicationFile": "s3a://longhouse-atlas/sums.py"},
        }
        made = server.kubectl("create", "--validate=false", "--filename=-", stdin=json.dumps(whole))
        assert made.returncode == 0, made.stderr
        for change in ({"memoryOverhead": "9g"}, {"memoryLimit": "9g"}):
            patch = json.dumps({"spec": {"driver": change}})
            words = (
                "patch",
                "sparkapplication",
                "later",
                "--namespace=tenant-atlas",
                "--type=merge",
                f"--patch={patch}",
            )
            assert "spec.driver: memory is all that the pod gets" in server.kubectl(*words).stderr

    def test_other_settings_are_not(self, server: ApiServer) -> None:
        assert taken(server, sparkConf={"spark.sql.shuffle.partitions": "4"})
