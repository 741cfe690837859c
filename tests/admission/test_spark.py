"""What the API server makes of a SparkApplication, and which it refuses: Spark's policies, before an API server of the tests' own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from modules.compute.spark import admission, connect, elastic, operator
from modules.compute.spark.config import Connect
from modules.compute.spark.defaults import Stores
from modules.kit import crds, mutation
from tests.api_server import ApiServer, api_server
from tests.live import unique
from tests.pages import examples
from upstream import part

pytestmark = pytest.mark.compute


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the kinds, both policies, and a tenant that has defaults."""
    with api_server(tmp_path_factory.mktemp("spark")) as running:
        running.create(crds.read((part(operator.PART).directory / "config/crd/bases").glob("*.yaml")))
        running.established()
        policies = (
            (
                admission.NAME,
                "MutatingAdmissionPolicy",
                admission.mutating("4.0.4", "longhouse/spark:1", "2g"),
            ),
            (admission.NAME, "MutatingAdmissionPolicyBinding", admission.mutating_binding()),
            (admission.NAME, "ValidatingAdmissionPolicy", admission.validating()),
            (admission.NAME, "ValidatingAdmissionPolicyBinding", admission.validating_binding()),
            (elastic.NAME, "MutatingAdmissionPolicy", elastic.mutating()),
            (elastic.NAME, "MutatingAdmissionPolicyBinding", elastic.binding()),
        )
        tenant = {"name": "tenant-atlas", "labels": {"longhouse.dev/tenant": "atlas"}}
        settings = {"name": "spark-defaults", "namespace": "tenant-atlas"}
        running.create(
            [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": tenant},
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": settings, "data": {"spark.a": "1", "spark.b": "2"}},
                *(
                    {"apiVersion": mutation.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
                    for name, kind, spec in policies
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


def submit(running: ApiServer, queue: str = "", **spec: Any) -> Any:
    whole = {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {
            "name": "sums",
            "namespace": "tenant-atlas",
            "labels": {"kueue.x-k8s.io/queue-name": queue} if queue else {},
        },
        "spec": {"mainApplicationFile": "s3a://longhouse-atlas/sums.py", **spec},
    }
    return running.kubectl(
        "create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(whole)
    )


def taken(running: ApiServer, queue: str = "", **spec: Any) -> dict[str, Any]:
    answer = submit(running, queue, **spec)
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

    def test_its_driver_is_kept_off_spot_nodes_unless_it_says_where_it_goes(self, server: ApiServer) -> None:
        found = taken(server)
        (term,) = found["driver"]["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]["nodeSelectorTerms"]
        assert term["matchExpressions"] == [
            {"key": "longhouse.dev/spot", "operator": "NotIn", "values": ["true"]}
        ]
        assert "affinity" not in found["executor"]
        assert taken(server, driver={"affinity": {}})["driver"]["affinity"] == {}

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


ELASTIC: dict[str, str] = yaml.safe_load(examples("spark", "yaml", room="processing")[2])["sparkConf"]
"""As the page has it."""


class TestElastic:
    @pytest.mark.parametrize("queue", ["", "gpu"])
    def test_its_executors_are_left_to_the_queue_one_by_one(self, server: ApiServer, queue: str) -> None:
        found = taken(server, queue, sparkConf=ELASTIC)
        assert "instances" not in found["executor"]
        label = "spark.kubernetes.executor.label."
        assert found["sparkConf"][f"{label}longhouse.dev/elastic"] == "true"
        assert found["sparkConf"][f"{label}kueue.x-k8s.io/queue-name"] == (queue or "default")
        assert found["sparkConf"].items() >= ELASTIC.items()

    def test_so_many_wait_at_once_as_it_says(self, server: ApiServer) -> None:
        setting = "spark.kubernetes.allocation.maxPendingPods"
        assert taken(server, sparkConf=ELASTIC)["sparkConf"][setting] == "5"
        assert taken(server, sparkConf={**ELASTIC, setting: "1"})["sparkConf"][setting] == "1"

    def test_an_application_that_is_not_gets_none_of_it(self, server: ApiServer) -> None:
        for conf in ({}, {"spark.dynamicAllocation.enabled": "false"}):
            found = taken(server, sparkConf=conf)
            assert found["executor"]["instances"] == 1
            assert not [key for key in found["sparkConf"] if "executor.label" in key]

    def test_a_number_of_executors_beside_it_is_refused(self, server: ApiServer) -> None:
        refused = submit(server, sparkConf=ELASTIC, executor={"instances": 3})
        assert "leave spec.executor.instances out" in refused.stderr

    def test_the_field_that_the_queue_does_not_read_is_refused_with_the_setting_that_does_it(
        self, server: ApiServer
    ) -> None:
        refused = submit(server, dynamicAllocation={"enabled": True})
        assert 'say spark.dynamicAllocation.enabled: "true" in spec.sparkConf' in refused.stderr
        assert taken(server, dynamicAllocation={"enabled": False})

    @pytest.mark.parametrize(
        ("began", "change"),
        [
            ({}, {"sparkConf": ELASTIC}),
            (ELASTIC, {"sparkConf": {"spark.kubernetes.executor.label.longhouse.dev/elastic": None}}),
            (ELASTIC, {"sparkConf": {"spark.kubernetes.executor.label.kueue.x-k8s.io/queue-name": "gpu"}}),
            (ELASTIC, {"executor": {"instances": 3}}),
        ],
    )
    def test_it_stays_what_it_began_as(
        self, server: ApiServer, began: dict[str, str], change: dict[str, Any]
    ) -> None:
        name = unique("stays")
        whole = {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "metadata": {"name": name, "namespace": "tenant-atlas"},
            "spec": {"mainApplicationFile": "s3a://longhouse-atlas/sums.py", "sparkConf": began},
        }
        made = server.kubectl("create", "--validate=false", "--filename=-", stdin=json.dumps(whole))
        assert made.returncode == 0, made.stderr
        words = ("patch", "sparkapplication", name, "--namespace=tenant-atlas", "--type=merge")
        refused = server.kubectl(*words, f"--patch={json.dumps({'spec': change})}")
        assert "do not change whether it is one" in refused.stderr
        assert server.kubectl(*words, '--patch={"spec": {"arguments": ["x"]}}').returncode == 0

    def test_a_connect_server_is_one_as_it_is_declared(self, server: ApiServer) -> None:
        declared = connect.spec(Connect(executors=7), Stores())
        assert taken(server, **declared)["sparkConf"] == {
            **declared["sparkConf"],
            "spark.a": "1",
            "spark.b": "2",
        }

    @pytest.mark.parametrize(("role", "mark", "counted_with_its_driver"), [
        ("executor", "true", False),
        ("executor", "", True),
        ("driver", "true", True),
    ])  # fmt: skip
    def test_an_executor_that_waits_by_itself_is_not_taken_for_counted_with_its_driver(
        self, server: ApiServer, role: str, mark: str, counted_with_its_driver: bool
    ) -> None:
        sums = {
            "apiVersion": "sparkoperator.k8s.io/v1beta2",
            "kind": "SparkApplication",
            "name": "sums",
            "uid": "2",
        }
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "driver", "uid": "1", "controller": True}
        executor = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "executor",
                "namespace": "tenant-atlas",
                "labels": {
                    "spark-role": role,
                    "kueue.x-k8s.io/podset": "executor",
                    "kueue.x-k8s.io/queue-name": "default",
                    **({"longhouse.dev/elastic": mark} if mark else {}),
                },
                "annotations": {"kueue.x-k8s.io/workload": "sums", "own": "stays"},
                "ownerReferences": [sums, owner],
            },
            "spec": {"containers": [{"name": "spark", "image": "x"}]},
        }
        made = server.kubectl(
            "create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(executor)
        )
        assert made.returncode == 0, made.stderr
        meta = json.loads(made.stdout)["metadata"]
        owners = meta["ownerReferences"]
        marked = {"kueue.x-k8s.io/podset", "kueue.x-k8s.io/workload"} & {
            *meta["labels"],
            *meta["annotations"],
        }
        assert len(marked) == (2 if counted_with_its_driver else 0)
        assert meta["labels"]["kueue.x-k8s.io/queue-name"] == "default"
        assert meta["annotations"]["own"] == "stays"
        assert [each["name"] for each in owners] == ["sums", "driver"], "it goes when they do"
        assert [each["name"] for each in owners if each.get("controller")] == (
            ["driver"] if counted_with_its_driver else []
        )
