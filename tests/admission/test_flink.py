"""What the API server makes of a Job that says that it is a Flink application: the policy, before an API server of the tests' own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modules.compute.flink import admission, jobs
from modules.compute.flink.config import Flink as Config
from modules.compute.flink.config import FlinkSession
from modules.kit import mutation
from tests.api_server import ApiServer, api_server

pytestmark = pytest.mark.compute


def session() -> dict[str, Any]:
    wanted = FlinkSession(task_managers=2, cpu="1", memory="2Gi")
    return json.loads(json.dumps(jobs.session(Config(), wanted, "longhouse/flink:1")))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the policy, a tenant, and a namespace that is nobody's."""
    with api_server(tmp_path_factory.mktemp("flink")) as running:
        policies = {
            "MutatingAdmissionPolicy": admission.mutating(Config(), "longhouse/flink:1"),
            "MutatingAdmissionPolicyBinding": admission.binding(),
        }
        tenant = {"name": "tenant-atlas", "labels": {"longhouse.dev/tenant": "atlas"}}
        running.create(
            [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": tenant},
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}},
                *(
                    {"apiVersion": mutation.API_VERSION, "kind": kind, "metadata": {"name": admission.NAME}, "spec": spec}
                    for kind, spec in policies.items()
                ),
            ]
        )  # fmt: skip
        for _ in range(100):
            if submit(running).returncode == 0:
                break
            time.sleep(0.2)
        yield running


def submit(running: ApiServer, *, namespace: str = "tenant-atlas", labelled: bool = True, **more: Any) -> Any:
    """Try to start an application that says next to nothing. ``more`` are fields of its container, or `completions`."""
    completions = {"completions": more.pop("completions")} if "completions" in more else {}
    labels = {"labels": {admission.ENGINE: admission.VALUE}} if labelled else {}
    whole = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "counts", "namespace": namespace, **labels},
        "spec": {**completions, "template": {"spec": {"containers": [{"name": "main", **more}]}}},
    }
    words = ("create", "--validate=false", "--dry-run=server", "--output=json", "--filename=-")
    return running.kubectl(*words, stdin=json.dumps(whole))


def taken(running: ApiServer, **more: Any) -> dict[str, Any]:
    answer = submit(running, **more)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)["spec"]
    return found


class TestAdmission:
    def test_an_application_is_made_of_what_a_session_cluster_is_made_of(self, server: ApiServer) -> None:
        found, made = taken(server, completions=3), session()
        for key, value in jobs.settings().items():
            assert found[key] == made[key] == value
        pod, other = found["template"]["spec"], made["template"]["spec"]
        assert {key: pod[key] for key in jobs.pod()} == {key: other[key] for key in jobs.pod()}
        main, beside = pod["containers"][0], other["containers"][0]
        assert (main["name"], main["image"]) == (beside["name"], beside["image"])
        assert {key: main[key] for key in jobs.container()} == {key: beside[key] for key in jobs.container()}
        assert main["env"] == beside["env"]
        assert main["volumeMounts"] == beside["volumeMounts"]

    def test_its_script_is_the_config_map_of_its_name(self, server: ApiServer) -> None:
        volumes = taken(server)["template"]["spec"]["volumes"]
        (script,) = [each["configMap"]["name"] for each in volumes if "configMap" in each]
        assert script == "counts"

    @pytest.mark.parametrize(("asked", "pods"), [(None, 2), (1, 2), (2, 2), (5, 5)])
    def test_it_has_a_job_manager_and_at_least_one_task_manager(
        self, server: ApiServer, asked: int | None, pods: int
    ) -> None:
        found = taken(server, **({"completions": asked} if asked else {}))
        assert (found["completions"], found["parallelism"]) == (pods, pods)
        environment = {
            each["name"]: each.get("value") for each in found["template"]["spec"]["containers"][0]["env"]
        }
        assert environment["FLINK_TASK_MANAGERS"] == str(pods - 1)

    def test_what_it_says_itself_stays(self, server: ApiServer) -> None:
        size = {"cpu": "2", "memory": "3Gi"}
        own = {
            "image": "longhouse/own:1",
            "args": ["-Dstate.backend.type=rocksdb"],
            "resources": {"requests": size, "limits": size},
            "env": [{"name": "OWN", "value": "1"}],
        }
        main = taken(server, **own)["template"]["spec"]["containers"][0]
        assert {key: main[key] for key in ("image", "args", "resources")} == {
            key: own[key] for key in ("image", "args", "resources")
        }
        assert main["env"][0] == {"name": "OWN", "value": "1"}
        assert len(main["env"]) > 1

    def test_one_that_states_no_size_gets_the_profiles(self, server: ApiServer) -> None:
        size = {"cpu": "500m", "memory": "2Gi"}
        assert taken(server)["template"]["spec"]["containers"][0]["resources"] == {
            "requests": size,
            "limits": size,
        }

    def test_other_jobs_and_other_namespaces_are_left_alone(self, server: ApiServer) -> None:
        for refused in (submit(server, labelled=False), submit(server, namespace="other")):
            assert "spec.template.spec.containers[0].image: Required value" in refused.stderr
