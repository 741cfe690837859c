"""Spark: the operator and its fence, what an application gets unasked, and what keeps it to what it was queued for."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace

from modules.compute.spark import admission, defaults, image, operator
from modules.compute.spark.component import Spark
from modules.compute.spark.config import Spark as Config
from modules.compute.spark.defaults import Bucket, Principal, Stores
from modules.data.store import StoreContext
from modules.foundation.certificates.authority import Authority
from modules.kit import crds
from modules.kit.cluster import WebhookFailure
from modules.kit.quantities import bytes_of
from profiles.load import load, names
from tests.api_server import ApiServer, api_server
from tests.conftest import Recording, record
from tests.unit.examples import CLUSTER, CREDENTIALS, unknown_values
from upstream import maven, part

BUCKET = Bucket("longhouse-atlas", "https://object-store.object-store.svc:9000", "us-east-1", path_style=True)
STORES = Stores(BUCKET, Principal("atlas", "LONGHOUSE"))
TENANTS = {"atlas": STORES, "borealis": Stores()}
HOMES = {f"tenant-{name}": name for name in TENANTS}


@functools.cache
def declared(webhooks: WebhookFailure = WebhookFailure.FAIL) -> Recording:
    def program() -> None:
        credentials = CREDENTIALS
        context = StoreContext(
            owner="us",
            cluster=CLUSTER,
            credentials=credentials,
            authority=Authority(credentials),
            homes={name: Namespace(f"home-{name}", metadata={"name": f"tenant-{name}"}) for name in TENANTS},
            monitors=ConfigMap("monitors", metadata={"name": "monitors"}),
        )
        Spark(
            "spark",
            Config(),
            context=context,
            webhooks=webhooks,
            tenants=TENANTS,
            opts=pulumi.ResourceOptions(),
        )

    return record(program)


def adjusted(found: dict[str, Any], failure: WebhookFailure = WebhookFailure.FAIL) -> dict[str, Any]:
    return operator.adjustment(failure, HOMES)(found)


def named(kind: str, name: str, namespace: str | None = None, **more: Any) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {"kind": kind, "metadata": {"name": name, "labels": {}, **where}, **more}


class TestOperator:
    def test_it_sees_the_tenants_namespaces_and_no_other(self) -> None:
        assert operator.values(Config(), "v2.5.2", list(HOMES))["spark"]["jobNamespaces"] == [
            "tenant-atlas",
            "tenant-borealis",
        ]

    def test_the_pinned_chart_knows_every_value(self) -> None:
        known = yaml.safe_load((part(operator.PART).chart(operator.CHART) / "values.yaml").read_text())
        assert not unknown_values(operator.values(Config(), "v2.5.2", list(HOMES)), known)

    def test_its_image_is_of_the_pinned_release(self) -> None:
        assert operator.values(Config(), part(operator.PART).version, [])["image"] == {"tag": "2.5.2"}

    @pytest.mark.parametrize(("asked", "limit"), [("20m", "2"), ("4", "4")])
    def test_the_operator_is_never_limited_to_less_than_it_asks_for(self, asked: str, limit: str) -> None:
        made = operator.values(Config(cpu=asked), "v2.5.2", [])["controller"]["resources"]
        assert (made["requests"]["cpu"], made["limits"]["cpu"]) == (asked, limit)

    def test_where_it_runs_its_webhooks_fail_closed(self) -> None:
        hooks = [{"clientConfig": {}, "failurePolicy": "Fail"}]
        found = adjusted(named("MutatingWebhookConfiguration", operator.WEBHOOK, webhooks=hooks))
        assert found["webhooks"] == [{"clientConfig": {}, "failurePolicy": "Fail"}]

    def test_it_counts_as_available_only_when_its_service_had_time_to_learn_of_it(self) -> None:
        found = adjusted(named("Deployment", operator.WEBHOOK, "spark-operator", spec={}))
        assert found["spec"]["minReadySeconds"] > 0

    def test_where_it_cannot_run_its_webhooks_fail_open(self) -> None:
        hooks = [{"clientConfig": {}, "failurePolicy": "Fail"}]
        found = adjusted(
            named("MutatingWebhookConfiguration", operator.WEBHOOK, webhooks=hooks), WebhookFailure.IGNORE
        )
        assert found["webhooks"][0]["failurePolicy"] == "Ignore"

    def test_what_the_chart_puts_into_a_tenants_namespace_says_whose_it_is(self) -> None:
        found = adjusted(named("Role", operator.CONTROLLER, "tenant-atlas", rules=[]))
        assert found["metadata"]["labels"] == {"longhouse.dev/tenant": "atlas"}
        assert (
            adjusted(named("Role", operator.CONTROLLER, "spark-operator", rules=[]))["metadata"]["labels"]
            == {}
        )

    @pytest.mark.parametrize("profile", [name for name in names() if load(name).spark])
    def test_submissions_fit_the_memory_that_a_profile_gives(self, profile: str) -> None:
        config = load(profile).spark
        assert config is not None
        assert (config.submissions + 1) * bytes_of("1Gi") / 3 <= bytes_of(config.memory)


class TestTenants:
    def test_each_has_an_account_for_drivers_that_may_work_in_its_namespace_only(self) -> None:
        bindings = declared().of("rbac.authorization.k8s.io/v1:RoleBinding")
        assert {
            (each.metadata.namespace, each.inputs.subjects[0].namespace, each.inputs.subjects[0].name)
            for each in bindings
        } == {(f"tenant-{name}", f"tenant-{name}", "spark") for name in TENANTS}

    def test_a_driver_may_touch_what_executors_are_made_of_and_nothing_else(self) -> None:
        role = declared().one("rbac.authorization.k8s.io/v1:ClusterRole", "longhouse:tenant-spark-driver")
        (rule,) = role.inputs.rules
        assert set(rule.resources) == {"configmaps", "persistentvolumeclaims", "pods", "services"}
        assert "*" not in rule.verbs

    def test_each_has_defaults_without_a_secret_in_them(self) -> None:
        (data,) = [
            each.inputs.data
            for each in declared().of("core/v1:ConfigMap")
            if (each.metadata.namespace, each.object_name) == ("tenant-atlas", "spark-defaults")
        ]
        assert data["spark.eventLog.dir"] == "s3a://longhouse-atlas/spark-events"
        assert not [
            key for key in data if re.search("secret[._]key|password|access[._]key", key, re.IGNORECASE)
        ]

    def test_a_tenant_without_stores_gets_no_settings_for_them(self) -> None:
        found = defaults.settings(Stores())
        assert not [key for key in found if "s3a" in key or "kerberos" in key or "secrets" in key]

    def test_bindings_are_mounted_in_driver_and_executors(self) -> None:
        found = defaults.settings(STORES)
        assert {key: value for key, value in found.items() if ".secrets." in key} == {
            f"spark.kubernetes.{role}.secrets.{store}": f"/bindings/{store}"
            for role in ("driver", "executor")
            for store in ("object-store", "hdfs")
        }

    def test_the_key_stays_in_the_pod(self) -> None:
        assert defaults.settings(STORES)["spark.kerberos.keytab"].startswith("local://")


class TestImage:
    def test_connectors_are_of_sparks_own_release_and_its_hadoop(self) -> None:
        jars = maven.lock_text(image.PIN)
        assert f"spark-sql-kafka-0-10_2.13-{image.version()}.jar" in jars
        assert f"pyspark=={image.version()} " in image.RELEASE.read_text()
        assert "hadoop-aws-3.4.1.jar" in jars

    def test_its_tag_changes_with_what_is_in_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        before = image.image()
        other = tmp_path / "entrypoint.sh"
        other.write_text("other")
        monkeypatch.setattr(image, "ENTRYPOINT", other)
        assert image.image() != before

    def test_a_real_cluster_pulls_it_from_where_its_owner_pushed_it(self) -> None:
        assert image.image("registry.example.com/x").startswith("registry.example.com/x/spark:4.0.4-")

    @pytest.mark.parametrize(("given", "heap"), [("1g", "614m"), ("768m", "460m"), ("1024", "614m")])
    def test_the_heap_is_cut_from_the_containers_memory(self, given: str, heap: str) -> None:
        text = image.ENTRYPOINT.read_text()
        function = text[text.index("heap() {") : text.index("\n}\n", text.index("heap() {")) + 3]
        done = subprocess.run(
            ["bash", "-c", f'{function}heap "$1"', "-", given], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == heap


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
