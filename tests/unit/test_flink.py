"""Flink: what a Job becomes that says that it is an application, and what a tenant's session cluster is made of."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace

from modules.compute.flink import image, jobs
from modules.compute.flink.component import Flink
from modules.compute.flink.config import Flink as Config
from modules.compute.flink.config import FlinkSession
from modules.data.store import StoreContext
from modules.foundation.certificates.authority import Authority
from tests.conftest import Recording, record
from tests.unit.examples import CLUSTER, CREDENTIALS
from upstream import maven

SESSION = FlinkSession(task_managers=2, cpu="1", memory="2Gi")
TENANTS = {"atlas": SESSION, "borealis": None}


@functools.cache
def declared(shared: bool = True, here: tuple[str, ...] = tuple(TENANTS)) -> Recording:
    def program() -> None:
        context = StoreContext(
            owner="us",
            cluster=CLUSTER,
            credentials=CREDENTIALS,
            authority=Authority(CREDENTIALS),
            homes={name: Namespace(f"home-{name}", metadata={"name": f"tenant-{name}"}) for name in here},
            monitors=ConfigMap("monitors", metadata={"name": "monitors"}) if shared else None,
        )
        Flink("flink", Config(), context=context, tenants=TENANTS, opts=pulumi.ResourceOptions())

    return record(program)


def session() -> dict[str, Any]:
    return json.loads(json.dumps(jobs.session(Config(), SESSION, "longhouse/flink:1")))  # type: ignore[no-any-return]


class TestTenants:
    def test_each_has_an_account_that_may_touch_config_maps_of_its_namespace_and_nothing_else(self) -> None:
        bindings = declared().of("rbac.authorization.k8s.io/v1:RoleBinding")
        assert {
            (each.metadata.namespace, each.inputs.subjects[0].namespace, each.inputs.subjects[0].name)
            for each in bindings
        } == {(f"tenant-{name}", f"tenant-{name}", "flink") for name in TENANTS}
        role = declared().one("rbac.authorization.k8s.io/v1:ClusterRole", "longhouse:tenant-flink")
        (rule,) = role.inputs.rules
        assert list(rule.resources) == ["configmaps"]
        assert "*" not in rule.verbs

    def test_a_session_cluster_stands_where_it_is_asked_for(self) -> None:
        for kind in ("batch/v1:Job", "core/v1:Service"):
            assert [each.metadata.namespace for each in declared().of(kind)] == ["tenant-atlas"]

    def test_it_is_queued_like_all_that_a_tenant_runs(self) -> None:
        (job,) = declared().of("batch/v1:Job")
        assert job.metadata.labels["kueue.x-k8s.io/queue-name"] == "default"

    def test_its_service_leads_to_the_job_manager(self) -> None:
        (service,) = declared().of("core/v1:Service")
        assert service.inputs.spec.selector["batch.kubernetes.io/job-completion-index"] == "0"

    def test_the_stack_of_a_group_declares_what_stands_in_its_own_tenants_homes(self) -> None:
        group = declared(shared=False, here=("borealis",))
        assert {each.metadata.namespace for each in group.of("core/v1:ServiceAccount")} == {"tenant-borealis"}
        assert not group.of("rbac.authorization.k8s.io/v1:ClusterRole")
        assert not group.of("admissionregistration.k8s.io/v1:MutatingAdmissionPolicy")


class TestSession:
    def test_it_has_a_job_manager_beside_its_task_managers(self) -> None:
        assert (session()["completions"], session()["parallelism"]) == (3, 3)

    @pytest.mark.parametrize(("asked", "limit"), [("1", "1"), ("100m", "1"), ("2.5", "3")])
    def test_its_pods_may_use_whole_cores_and_no_memory_beyond_what_they_ask_for(
        self, asked: str, limit: str
    ) -> None:
        made = jobs.session(Config(), FlinkSession(cpu=asked, memory="2Gi"), "longhouse/flink:1")
        (main,) = made["template"]["spec"]["containers"]
        assert main["resources"] == {
            "requests": {"cpu": asked, "memory": "2Gi"},
            "limits": {"cpu": limit, "memory": "2Gi"},
        }

    def test_only_what_failed_for_good_ends_it(self) -> None:
        actions = [
            (rule["action"], rule.get("onExitCodes")) for rule in session()["podFailurePolicy"]["rules"]
        ]
        assert actions[0] == ("FailJob", {"operator": "In", "values": [1443 % 256]})
        assert all(action == "Ignore" for action, _ in actions[1:])
        (again,) = session()["template"]["spec"]["containers"][0]["restartPolicyRules"]
        assert set(again["exitCodes"]["values"]) == {0, 1443 % 256}


class TestImage:
    def test_what_joins_flink_is_of_its_own_release_or_for_it(self) -> None:
        jars = maven.lock_text(image.PIN)
        for name in ("flink-s3-fs-hadoop", "flink-sql-gateway"):
            assert f"{name}-{image.version()}.jar" in jars
        feature = image.version().rpartition(".")[0]
        assert re.search(rf"flink-connector-kafka-[0-9.]+-{re.escape(feature)}\.jar", jars)
        for name in ("apache-flink", "apache-flink-libraries"):
            assert f"{name}=={image.version()} " in image.RELEASE.read_text()

    def test_its_tag_changes_with_what_is_in_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        before = image.image()
        other = tmp_path / "entrypoint.sh"
        other.write_text("other")
        monkeypatch.setattr(image, "ENTRYPOINT", other)
        assert image.image() != before

    def test_a_real_cluster_pulls_it_from_where_its_owner_pushed_it(self) -> None:
        assert image.image("registry.example.com/x").startswith(
            f"registry.example.com/x/flink:{image.version()}-"
        )

    def test_the_entry_point_asks_for_nothing_that_it_is_not_given(self) -> None:
        text = image.ENTRYPOINT.read_text()
        own = {
            name
            for line in re.findall(r"^export (.*)$", text, re.MULTILINE)
            for name in re.findall(r"(\w+)=", line)
        }
        asked = set(re.findall(r"FLINK_[A-Z_]+", text)) - own
        assert asked == {each["name"] for each in jobs.environment("1", 10)}
