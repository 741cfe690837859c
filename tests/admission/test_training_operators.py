"""What the API server makes of training jobs' pods, and which jobs it refuses: before an API server of the tests' own, with upstream's kinds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modules.kit import crds, mutation
from modules.ml.training import admission, defaults, earlier, operators
from modules.ml.training.config import CheckpointStore, Runtimes, Training, TrainingShare
from modules.ml.training.defaults import Stores
from tests.api_server import ApiServer, api_server

pytestmark = pytest.mark.training

CONFIG = Training(
    runtimes=Runtimes(jax="registry.example.com/jax:1", deepspeed="registry.example.com/deepspeed:1")
)
NCCL = {"a100": {"NCCL_SOCKET_IFNAME": "eth1"}}
TENANTS = {
    "atlas": defaults.environment(Stores("longhouse-atlas"), TrainingShare()),
    "borealis": defaults.environment(
        Stores(home="hdfs://longhouse/tenants/borealis", tracked=True),
        TrainingShare(checkpoints=CheckpointStore.HDFS),
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the kinds, the policy, and two tenants that have defaults."""
    with api_server(tmp_path_factory.mktemp("training")) as running:
        every = (*operators.operators(CONFIG), *earlier.operators(CONFIG, "longhouse/training:1"))
        running.create(crds.read([file for each in every for file in each.kinds]))
        running.established()
        objects: list[dict[str, Any]] = [
            {
                "apiVersion": mutation.API_VERSION,
                "kind": kind,
                "metadata": {"name": name},
                "spec": spec,
            }
            for name, specs in admission.policies(NCCL).items()
            for kind, spec in zip(
                ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"), specs, strict=True
            )
        ]
        for name, data in TENANTS.items():
            space = f"tenant-{name}"
            restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
            objects += [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": {"longhouse.dev/tenant": name, **restricted}}},
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "training-defaults", "namespace": space}, "data": data},
            ]  # fmt: skip
        running.create(objects)
        _until_enforced(running)
        yield running


def _until_enforced(running: ApiServer) -> None:
    for _ in range(100):
        answer = submit(running)
        if answer.returncode == 0 and "bindings" in answer.stdout:
            return
        time.sleep(0.2)
    raise AssertionError(answer.stderr or answer.stdout)


def submit(running: ApiServer, *, tenant: str = "atlas", label: str = admission.JOBSET, **spec: Any) -> Any:
    """A pod as an operator makes it."""
    whole = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "digits-node-0-0", "namespace": f"tenant-{tenant}", "labels": {label: "digits"}},
        "spec": {"containers": [{"name": "node", "image": "longhouse/training:1"}], **spec},
    }
    return running.kubectl(
        "create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(whole)
    )


def taken(running: ApiServer, **more: Any) -> dict[str, Any]:
    answer = submit(running, **more)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)["spec"]
    return found


def variables(container: dict[str, Any]) -> dict[str, str]:
    names = [each["name"] for each in container.get("env", [])]
    assert len(names) == len(set(names)), "a variable stands there twice"
    return {each["name"]: each.get("value") for each in container.get("env", [])}


class TestPods:
    @pytest.mark.parametrize("label", [admission.JOBSET, admission.EARLIER])
    def test_a_jobs_pod_is_restricted_and_finds_its_own_places(self, server: ApiServer, label: str) -> None:
        found = taken(server, label=label)
        (node,) = found["containers"]
        assert found["securityContext"] == {
            "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
        assert node["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert node["securityContext"]["allowPrivilegeEscalation"] is False
        env = variables(node)
        assert env["CHECKPOINT_DIR"] == "s3://longhouse-atlas/checkpoints/digits"
        assert env["TENSORBOARD_LOG_DIR"] == "s3://longhouse-atlas/tensorboard/digits"
        assert env["AWS_CONFIG_FILE"] == "/bindings/object-store/config"
        assert "MLFLOW_TRACKING_URI" not in env

    def test_bindings_are_mounted_that_may_be_absent(self, server: ApiServer) -> None:
        found = taken(server)
        secrets = {each["name"]: each["secret"] for each in found["volumes"]}
        assert {name: each["optional"] for name, each in secrets.items()} == {
            "object-store": True,
            "hdfs": True,
            "tracking": True,
        }
        mounts = {each["name"]: each["mountPath"] for each in found["containers"][0]["volumeMounts"]}
        assert mounts == {name: f"/bindings/{name}" for name in ("object-store", "hdfs", "tracking")}

    def test_what_a_pod_says_itself_stays(self, server: ApiServer) -> None:
        own = {"name": "CHECKPOINT_DIR", "value": "s3://elsewhere/x"}
        mount = {"name": "data", "mountPath": "/data"}
        context = {"runAsUser": 7, **mutation.RESTRICTED_CONTAINER, "readOnlyRootFilesystem": True}
        found = taken(
            server,
            securityContext={"runAsUser": 5},
            volumes=[{"name": "data", "emptyDir": {}}],
            containers=[
                {"name": "node", "image": "x", "env": [own, {"name": "A", "value": "$(HOME)"}], "volumeMounts": [mount], "securityContext": context}
            ],
        )  # fmt: skip
        (node,) = found["containers"]
        assert variables(node)["CHECKPOINT_DIR"] == "s3://elsewhere/x"
        assert node["env"][-1]["name"] == "A", "a variable may be made from those that come before it"
        assert node["volumeMounts"][0] == mount
        assert node["securityContext"] == context
        assert (found["securityContext"]["runAsUser"], found["securityContext"]["runAsGroup"]) == (5, 1000)
        assert [each["name"] for each in found["volumes"]] == ["data", "object-store", "hdfs", "tracking"]

    def test_every_container_gets_them(self, server: ApiServer) -> None:
        two = [{"name": name, "image": "x"} for name in ("node", "beside")]
        first = [{"name": "init-pytorch", "image": "x"}]
        found = taken(server, containers=two, initContainers=first)
        for each in (*found["containers"], *found["initContainers"]):
            assert variables(each)["HOME"] == "/tmp"
            assert each["securityContext"]["runAsNonRoot"] is True
            assert len(each["volumeMounts"]) == 3

    def test_a_tenant_may_keep_checkpoints_in_hdfs(self, server: ApiServer) -> None:
        env = variables(taken(server, tenant="borealis")["containers"][0])
        assert env["CHECKPOINT_DIR"] == "hdfs://longhouse/tenants/borealis/checkpoints/digits"
        assert env["KRB5_CLIENT_KTNAME"] == "FILE:/bindings/hdfs/keytab"
        assert not {"AWS_CONFIG_FILE", "TENSORBOARD_LOG_DIR"} & env.keys()

    def test_mlflows_clients_find_the_tenants_binding(self, server: ApiServer) -> None:
        env = variables(taken(server, tenant="borealis")["containers"][0])
        assert env["MLFLOW_TRACKING_URI"] == "https://tracking.tracking.svc:5000"
        assert env["MLFLOW_TRACKING_SERVER_CERT_PATH"] == "/bindings/tracking/ca.crt"
        assert env["NETRC"] == "/bindings/tracking/netrc"
        assert env["MLFLOW_EXPERIMENT_NAME"] == "training/digits"

    @pytest.mark.parametrize(("pool", "found"), [("a100", "eth1"), ("general", None), ("", None)])
    def test_a_pod_gets_the_variables_of_the_pool_that_the_queue_chose(
        self, server: ApiServer, pool: str, found: str | None
    ) -> None:
        selected = {"nodeSelector": {"longhouse.dev/pool": pool}} if pool else {}
        env = variables(taken(server, **selected)["containers"][0])
        assert env.get("NCCL_SOCKET_IFNAME") == found

    def test_a_pod_that_trains_nothing_gets_nothing(self, server: ApiServer) -> None:
        refused = submit(server, label="app")
        assert "violates PodSecurity" in refused.stderr

    def test_a_pod_that_asks_for_more_than_a_tenant_may_is_refused(self, server: ApiServer) -> None:
        context = {"securityContext": {"privileged": True}}
        refused = submit(server, containers=[{"name": "node", "image": "x", **context}])
        assert "violates PodSecurity" in refused.stderr


class TestJobs:
    @staticmethod
    def created(running: ApiServer, name: str, labels: dict[str, str], pod: dict[str, Any]) -> dict[str, Any]:
        """The pod of a Job, as the API server keeps it."""
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": "tenant-atlas", "labels": labels},
            "spec": {"template": {"spec": {"restartPolicy": "Never", **pod}}},
        }
        answer = running.kubectl(
            "create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(job)
        )
        assert answer.returncode == 0, answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)["spec"]["template"]["spec"]
        return found

    def test_one_of_a_jobset_is_restricted_before_it_is_judged(self, server: ApiServer) -> None:
        own = {"allowPrivilegeEscalation": False, "runAsUser": 7}
        containers = [{"name": "one", "image": "x"}, {"name": "two", "image": "x", "securityContext": own}]
        found = self.created(server, "w-0", {admission.JOBSET: "chainer"}, {"containers": containers})
        assert {
            key: found["securityContext"][key] for key in mutation.RESTRICTED_POD
        } == mutation.RESTRICTED_POD
        one, two = found["containers"]
        assert one["securityContext"] == mutation.RESTRICTED_CONTAINER
        assert two["securityContext"] == own
        assert "env" not in one, "its pods get the rest"

    def test_one_that_somebody_wrote_is_as_it_was_written(self, server: ApiServer) -> None:
        found = self.created(server, "own", {"app": "own"}, {"containers": [{"name": "one", "image": "x"}]})
        assert found["securityContext"] == {}
        assert "securityContext" not in found["containers"][0]
