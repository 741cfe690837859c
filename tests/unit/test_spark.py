"""Spark: the operator and its fence, what an application gets unasked, and what keeps it to what it was queued for."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace

from modules.compute.spark import defaults, image, operator
from modules.compute.spark.component import Spark
from modules.compute.spark.config import Spark as Config
from modules.compute.spark.defaults import Bucket, Principal, Stores
from modules.data.store import StoreContext
from modules.foundation.certificates.authority import Authority
from modules.kit.cluster import WebhookFailure
from modules.kit.quantities import bytes_of
from profiles.load import load, names
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
