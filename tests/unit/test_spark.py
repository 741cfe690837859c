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

from modules.compute.spark import connect, defaults, history, image, operator
from modules.compute.spark.component import Spark
from modules.compute.spark.config import Connect, History, SparkShare, quantity
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
SHARES = {"atlas": SparkShare(history=History(), connect=Connect(executors=2, cpu="500m"))}


@functools.cache
def declared(*, shared: bool = True) -> Recording:
    def program() -> None:
        credentials = CREDENTIALS
        context = StoreContext(
            owner="us",
            cluster=CLUSTER,
            credentials=credentials,
            authority=Authority(credentials),
            homes={name: Namespace(f"home-{name}", metadata={"name": f"tenant-{name}"}) for name in TENANTS},
            monitors=ConfigMap("monitors", metadata={"name": "monitors"}) if shared else None,
        )
        Spark(
            "spark",
            Config(),
            context=context,
            webhooks=WebhookFailure.FAIL,
            tenants=TENANTS,
            shares=SHARES,
            opts=pulumi.ResourceOptions(),
        )

    return record(program)


def adjusted(found: dict[str, Any], failure: WebhookFailure = WebhookFailure.FAIL) -> dict[str, Any]:
    return operator.adjustment(failure)(found)


def named(kind: str, name: str, namespace: str | None = None, **more: Any) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {"kind": kind, "metadata": {"name": name, "labels": {}, **where}, **more}


class TestOperator:
    def test_it_works_where_a_tenant_is_whenever_the_tenant_comes(self) -> None:
        """Nothing of it names one, so that none restarts it, and it can be there before them."""
        found = operator.values(Config(), "v2.5.2")["spark"]
        assert (found["jobNamespaces"], found["jobNamespaceSelector"]) == ([], "longhouse.dev/tenant")

    def test_the_pinned_chart_knows_every_value(self) -> None:
        known = yaml.safe_load((part(operator.PART).chart(operator.CHART) / "values.yaml").read_text())
        assert not unknown_values(operator.values(Config(), "v2.5.2"), known)

    def test_what_it_may_do_in_a_tenants_namespace_is_what_the_pinned_chart_says(self) -> None:
        template = part(operator.PART).chart(operator.CHART) / "templates" / "controller" / "_helpers.tpl"
        (_, _, rules) = template.read_text().partition(
            '{{- define "spark-operator.controller.policyRules" -}}'
        )
        theirs = yaml.safe_load(rules.partition("{{-")[0])
        assert theirs == [
            {"apiGroups": list(rule.groups), "resources": list(rule.resources), "verbs": list(rule.verbs)}
            for rule in operator.WORKS
        ]

    def test_everywhere_else_it_only_reads(self) -> None:
        pods = {
            "apiGroups": [""],
            "resources": ["pods"],
            "verbs": ["get", "list", "watch", "create", "delete"],
        }
        events = {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}
        found = adjusted(named("ClusterRole", operator.CONTROLLER, rules=[pods, events]))
        assert found["rules"] == [{**pods, "verbs": ["get", "list", "watch"]}]

    def test_its_webhook_is_asked_about_tenants_only(self) -> None:
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            (hook,) = adjusted(named(kind, operator.WEBHOOK, webhooks=[{}]))["webhooks"]
            assert hook["namespaceSelector"]["matchExpressions"] == [
                {"key": "longhouse.dev/tenant", "operator": "Exists"}
            ]

    def test_its_image_is_of_the_pinned_release(self) -> None:
        assert operator.values(Config(), part(operator.PART).version)["image"] == {"tag": "2.5.2"}

    @pytest.mark.parametrize(("asked", "limit"), [("20m", "2"), ("4", "4")])
    def test_the_operator_is_never_limited_to_less_than_it_asks_for(self, asked: str, limit: str) -> None:
        made = operator.values(Config(cpu=asked), "v2.5.2")["controller"]["resources"]
        assert (made["requests"]["cpu"], made["limits"]["cpu"]) == (asked, limit)

    def test_where_it_runs_its_webhooks_fail_closed(self) -> None:
        hooks = [{"clientConfig": {}, "failurePolicy": "Fail"}]
        (found,) = adjusted(named("MutatingWebhookConfiguration", operator.WEBHOOK, webhooks=hooks))[
            "webhooks"
        ]
        assert found["failurePolicy"] == "Fail"

    def test_it_counts_as_available_only_when_its_service_had_time_to_learn_of_it(self) -> None:
        found = adjusted(named("Deployment", operator.WEBHOOK, "spark-operator", spec={}))
        assert found["spec"]["minReadySeconds"] > 0

    def test_where_it_cannot_run_its_webhooks_fail_open(self) -> None:
        hooks = [{"clientConfig": {}, "failurePolicy": "Fail"}]
        found = adjusted(
            named("MutatingWebhookConfiguration", operator.WEBHOOK, webhooks=hooks), WebhookFailure.IGNORE
        )
        assert found["webhooks"][0]["failurePolicy"] == "Ignore"

    @pytest.mark.parametrize("profile", [name for name in names() if load(name).spark])
    def test_submissions_fit_the_memory_that_a_profile_gives(self, profile: str) -> None:
        config = load(profile).spark
        assert config is not None
        assert (config.submissions + 1) * bytes_of("1Gi") / 3 <= bytes_of(config.memory)


class TestTenants:
    def test_drivers_and_the_operator_may_work_in_each_ones_namespace_only(self) -> None:
        bindings = declared().of("rbac.authorization.k8s.io/v1:RoleBinding")
        subjects = [(each.metadata.namespace, each.inputs.subjects[0]) for each in bindings]
        assert {(where, subject.namespace, subject.name) for where, subject in subjects} == {
            (f"tenant-{name}", namespace, account)
            for name in TENANTS
            for namespace, account in (
                (f"tenant-{name}", "spark"),
                ("spark-operator", "spark-operator-controller"),
            )
        }

    def test_a_group_of_tenants_has_nothing_outside_their_namespaces(self) -> None:
        made = [each for each in declared(shared=False).objects if not each.name.startswith("home-")]
        assert {each.metadata.namespace for each in made} == {f"tenant-{name}" for name in TENANTS}
        assert {each.metadata.labels["longhouse.dev/tenant"] for each in made} == set(TENANTS)

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


class TestHistory:
    def test_only_who_asks_for_a_server_has_it(self) -> None:
        for kind, name in (("apps/v1:Deployment", "spark-history"), ("core/v1:Service", "spark-history")):
            assert declared().one(kind, name).metadata.namespace == "tenant-atlas"

    def test_it_reads_what_applications_write_with_the_tenants_own_key(self) -> None:
        logs = history.settings(BUCKET)["spark.history.fs.logDirectory"]
        assert logs == defaults.settings(STORES)["spark.eventLog.dir"]
        found = declared().one("apps/v1:Deployment", "spark-history").spec.template.spec
        assert [each.secret.secretName for each in found.volumes if each.secret] == ["object-store"]
        assert found.automountServiceAccountToken is False

    def test_no_deployment_waits_until_there_is_room_for_it(self) -> None:
        for kind in ("apps/v1:Deployment", "core/v1:Service"):
            for each in declared().of(kind):
                assert each.metadata.annotations["pulumi.com/skipAwait"] == "true"

    @pytest.mark.parametrize(("spark", "kubernetes"), [("512m", "512Mi"), ("2g", "2Gi")])
    def test_memory_is_the_same_in_both_spellings(self, spark: str, kubernetes: str) -> None:
        assert quantity(spark) == kubernetes


class TestConnect:
    def test_it_is_an_application_whose_executors_come_and_go_up_to_what_is_asked_for(self) -> None:
        found = declared().one("sparkoperator.k8s.io/v1beta2:SparkApplication", "spark-connect")
        assert found.metadata.namespace == "tenant-atlas"
        assert "instances" not in found.spec.executor
        assert found.spec.sparkConf["spark.dynamicAllocation.maxExecutors"] == "2"
        assert found.spec.driver.coreRequest == found.spec.executor.coreRequest == "500m"
        assert found.spec.restartPolicy.type == "Always"

    def test_a_later_image_or_another_default_reaches_it(self) -> None:
        found = connect.spec(Connect(), STORES, "registry.example.com/x")
        assert found["image"] == image.image("registry.example.com/x")
        assert found["sparkConf"].items() >= defaults.settings(STORES).items()

    def test_its_service_leads_to_its_driver(self) -> None:
        found = declared().one("core/v1:Service", "spark-connect").spec
        assert found.selector["spark-role"] == "driver"
        assert found.selector["sparkoperator.k8s.io/app-name"] == "spark-connect"
        assert (
            str(int(found.ports[0].port))
            == connect.spec(Connect(), STORES)["sparkConf"]["spark.connect.grpc.binding.port"]
        )

    @pytest.mark.parametrize(("cpu", "slots"), [("100m", 1), ("2500m", 2), ("4", 4)])
    def test_an_executor_works_on_as_much_at_once_as_it_has_cores(self, cpu: str, slots: int) -> None:
        assert connect.spec(Connect(cpu=cpu), STORES)["executor"]["cores"] == slots


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
        monkeypatch.undo()
        monkeypatch.setattr(image, "BESIDE", (*image.BESIDE, other))
        assert image.image() != before

    def test_what_settings_name_is_in_it(self) -> None:
        """What Spark calls by its path: an executor that is taken away, and the program of a server."""
        there = {f"{image.ROOM}/{each.name}" for each in image.BESIDE}
        named = {
            defaults.settings(STORES)["spark.kubernetes.decommission.script"],
            connect.spec(Connect(), STORES)["mainApplicationFile"].removeprefix("local://"),
        }
        assert named == there

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
