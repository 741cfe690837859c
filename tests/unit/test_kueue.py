"""How Kueue is run: its chart's values, its configuration, and the objects that the chart cannot make right."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
import yaml

from modules.foundation.certificates.authority import KeyPair
from modules.foundation.queueing import kueue
from modules.foundation.queueing.config import BetweenTenants, Preemption, Queueing
from modules.kit.cluster import WebhookFailure
from modules.ml.training import earlier
from tests.unit.examples import unknown_values
from upstream import part

CONFIG = Queueing(priorities={"normal": 0})
PAIR = KeyPair("leaf", "key")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def adjusted(found: dict[str, Any], failure: WebhookFailure = WebhookFailure.FAIL) -> dict[str, Any]:
    return kueue.adjustment(PAIR, "trusted", failure, lambda data: ("hidden", data))(found)


def configuration(config: Queueing = CONFIG) -> dict[str, Any]:
    values = kueue.values(config, "v0.19.2")
    found: dict[str, Any] = yaml.safe_load(values["managerConfig"]["controllerManagerConfigYaml"])
    return found


def webhooks() -> dict[str, Any]:
    hooks: list[dict[str, Any]] = [
        {"name": name, "clientConfig": {"service": {}}, "failurePolicy": "Fail"} for name in ("a", "b")
    ]
    return {"kind": "MutatingWebhookConfiguration", "metadata": {"name": "kueue"}, "webhooks": hooks}


def deployment() -> dict[str, Any]:
    pod = {
        "containers": [
            {"name": "manager", "volumeMounts": [{"name": "visibility", "mountPath": "/visibility"}]}
        ],
        "volumes": [{"name": "cert", "secret": {}}, {"name": "visibility", "emptyDir": {}}],
    }
    return {
        "kind": "Deployment",
        "metadata": {"name": "kueue-controller-manager"},
        "spec": {"template": {"spec": pod}},
    }


class TestConfiguration:
    def test_a_job_without_a_queue_label_is_queued_too(self) -> None:
        assert configuration()["manageJobsWithoutQueueName"] is True

    def test_only_tenants_namespaces_are_managed(self) -> None:
        assert configuration()["managedJobsNamespaceSelector"] == {
            "matchExpressions": [{"key": "longhouse.dev/tenant", "operator": "Exists"}]
        }

    @pytest.mark.parametrize(
        ("said", "strategies"),
        [
            (BetweenTenants.FINAL_SHARE, ["LessThanOrEqualToFinalShare"]),
            (BetweenTenants.INITIAL_SHARE, ["LessThanInitialShare"]),
            (BetweenTenants.FINAL_THEN_INITIAL, ["LessThanOrEqualToFinalShare", "LessThanInitialShare"]),
        ],
    )
    def test_the_profile_says_when_one_borrower_gives_way_to_another(
        self, said: BetweenTenants, strategies: list[str]
    ) -> None:
        preemption = Preemption(between_tenants=said)
        found = configuration(Queueing(priorities={"normal": 0}, preemption=preemption))
        assert found["fairSharing"] == {"preemptionStrategies": strategies}

    def test_plain_pods_are_queued_like_jobs(self) -> None:
        assert {"pod", "batch/job"} <= set(configuration()["integrations"]["frameworks"])

    def test_a_spark_application_is_queued_with_its_executors(self) -> None:
        """They belong to the driver's pod, and what belongs to a queued pod is counted by nobody."""
        assert "sparkoperator.k8s.io/sparkapplication" in configuration()["integrations"]["frameworks"]
        assert configuration()["featureGates"]["SparkApplicationIntegration"] is True

    def test_the_operator_does_not_make_its_own_certificate(self) -> None:
        assert configuration()["internalCertManagement"] == {"enable": False}
        assert "enableCertManager" not in kueue.values(CONFIG, "v0.19.2")

    def test_what_is_not_whole_in_time_gives_its_room_back_and_waits_longer_each_time(self) -> None:
        found = configuration(Queueing(priorities={"normal": 0}, ready_minutes=45))["waitForPodsReady"]
        assert (found["timeout"], found["recoveryTimeout"]) == ("45m", "45m")
        assert found["blockAdmission"] is False, "others are not held up by it"
        assert "backoffLimitCount" not in found["requeuingStrategy"], "it is never given up"

    @pytest.mark.parametrize(
        "kind",
        [
            "trainer.kubeflow.org/trainjob",
            "jobset.x-k8s.io/jobset",
            *(f"kubeflow.org/{each}" for each in (earlier.MPI, *earlier.KINDS)),
        ],
    )
    def test_every_kind_of_training_job_is_queued(self, kind: str) -> None:
        assert kind in configuration()["integrations"]["frameworks"]

    def test_fair_sharing_can_be_switched_off(self) -> None:
        assert "fairSharing" in configuration()
        assert "fairSharing" not in configuration(Queueing(priorities={"normal": 0}, fair_sharing=False))


class TestValues:
    def test_the_image_is_the_pinned_version_of_the_release(self) -> None:
        image = kueue.values(CONFIG, "v0.19.2")["controllerManager"]["manager"]["image"]
        assert image == {
            "repository": "registry.k8s.io/kueue/kueue",
            "tag": "v0.19.2",
            "pullPolicy": "IfNotPresent",
        }

    def test_the_operator_states_what_it_needs(self) -> None:
        resources = kueue.values(CONFIG, "v0.19.2")["controllerManager"]["manager"]["resources"]
        assert {kind: sorted(amounts) for kind, amounts in resources.items()} == {
            "requests": ["cpu", "memory"],
            "limits": ["cpu", "memory"],
        }

    @pytest.mark.parametrize(("replicas", "budget"), [(1, False), (2, True)])
    def test_instances_that_stand_by_are_not_all_taken_away_at_once(
        self, replicas: int, budget: bool
    ) -> None:
        values = kueue.values(Queueing(priorities={"normal": 0}, replicas=replicas), "v0.19.2")[
            "controllerManager"
        ]
        assert (values["replicas"], values["podDisruptionBudget"]["enabled"]) == (replicas, budget)

    def test_the_pinned_chart_knows_every_value(self) -> None:
        known = yaml.safe_load((part(kueue.PART).chart(kueue.CHART) / "values.yaml").read_text())
        assert not unknown_values(kueue.values(CONFIG, "v0.19.2"), known)

    def test_the_pinned_chart_names_its_objects_as_the_adjustment_expects(self) -> None:
        templates = part(kueue.PART).chart(kueue.CHART) / "templates"
        text = "".join(file.read_text() for file in sorted(templates.rglob("*.yaml")))
        made = re.sub(r'\{\{-? ?include "kueue.fullname" \. ?-?\}\}', kueue.RELEASE, text)
        for name in (kueue.DEPLOYMENT, kueue.SERVER_SECRET, *kueue.SERVICES):
            assert re.search(rf"name: '?{name}'?$", made, re.MULTILINE), name

    def test_the_operator_answers_to_each_of_its_services(self) -> None:
        assert "kueue-webhook-service.kueue-system.svc" in kueue.SERVER_NAMES
        assert len(kueue.SERVER_NAMES) == 3


class TestAdjustment:
    def test_callers_trust_the_bundle(self) -> None:
        found = adjusted(webhooks())
        assert [each["clientConfig"]["caBundle"] for each in found["webhooks"]] == [encoded("trusted")] * 2

    def test_where_the_operator_runs_its_webhooks_fail_closed(self) -> None:
        found = adjusted(webhooks())
        assert [each["failurePolicy"] for each in found["webhooks"]] == ["Fail"] * 2
        assert not [each for each in found["webhooks"] if "timeoutSeconds" in each]

    def test_where_it_cannot_run_they_fail_open_and_fast(self) -> None:
        found = adjusted(webhooks(), WebhookFailure.IGNORE)
        assert [(each["failurePolicy"], each["timeoutSeconds"]) for each in found["webhooks"]] == [
            ("Ignore", 1)
        ] * 2

    def test_a_crd_that_is_converted_trusts_the_bundle(self) -> None:
        conversion = {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {}}}}
        found = adjusted(
            {
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "x"},
                "spec": {"conversion": conversion},
            }
        )
        assert found["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"] == encoded("trusted")

    def test_a_crd_that_is_not_converted_is_left_alone(self) -> None:
        found = {"kind": "CustomResourceDefinition", "metadata": {"name": "x"}, "spec": {"group": "g"}}
        assert adjusted(dict(found)) == found

    def test_the_operators_own_api_is_verified(self) -> None:
        spec = {"group": "visibility.kueue.x-k8s.io", "insecureSkipTLSVerify": True}
        found = adjusted({"kind": "APIService", "metadata": {"name": "v1beta2"}, "spec": spec})
        assert found["spec"] == {"group": "visibility.kueue.x-k8s.io", "caBundle": encoded("trusted")}

    def test_the_operator_gets_its_certificate_and_the_key_is_concealed(self) -> None:
        found = adjusted({"kind": "Secret", "metadata": {"name": "kueue-webhook-server-cert"}})
        assert found["data"] == (
            "hidden",
            {"ca.crt": encoded("trusted"), "tls.crt": encoded("leaf"), "tls.key": encoded("key")},
        )

    def test_no_other_secret_gets_it(self) -> None:
        assert "data" not in adjusted({"kind": "Secret", "metadata": {"name": "other"}})

    def test_metrics_and_visibility_serve_with_the_same_certificate(self) -> None:
        pod = adjusted(deployment())["spec"]["template"]["spec"]
        assert {"name": "cert", "mountPath": "/etc/kueue/metrics/certs", "readOnly": True} in pod[
            "containers"
        ][0]["volumeMounts"]
        (visibility,) = [each for each in pod["volumes"] if each["name"] == "visibility"]
        assert visibility == {
            "name": "visibility",
            "secret": {"secretName": "kueue-webhook-server-cert", "defaultMode": 420},
        }

    def test_the_operator_counts_as_available_only_when_its_service_had_time_to_learn_of_it(self) -> None:
        assert adjusted(deployment())["spec"]["minReadySeconds"] == kueue.SETTLE_SECONDS > 0
