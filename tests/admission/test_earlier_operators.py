"""The operators of before Trainer, their real programs: with the rights that the platform gives them and no others, before an API server of the tests' own,
beside Kueue's own program. There is no node: what the kubelet would say of pods, the tests say."""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi_kubernetes.core.v1 import ConfigMap

from bench.control import queues_manager
from modules.foundation.admission.component import Admission
from modules.foundation.admission.config import Admission as AdmissionConfig
from modules.foundation.queueing import kueue
from modules.foundation.queueing.config import Queueing
from modules.kit import crds
from modules.kit.cluster import WebhookFailure
from modules.kit.names import COHORT, KUEUE_NAMESPACE
from modules.ml.training import earlier, earlier_image, image
from modules.ml.training.component import Training
from modules.ml.training.config import Training as Config
from modules.ml.training.defaults import Stores
from modules.ml.training.operators import CERTIFICATES
from policies import api_server as programs
from policies.admission import admission_policies
from policies.api_server import free_port
from sandbox.images import MPI_OPERATOR, TRAINING_OPERATOR
from tests.api_server import ApiServer, api_server
from tests.conftest import Declared, record
from tests.pages import examples
from tests.shipped import manifest
from tests.unit.examples import AUTHORITY, store_context
from upstream import part

pytestmark = pytest.mark.training

CONFIG = Config(earlier_kinds=True)
HOME = "tenant-atlas"
HERE = f"--namespace={HOME}"
SECONDS = 60
QUEUES: tuple[tuple[str, str, str | None, dict[str, Any]], ...] = (
    ("ResourceFlavor", "general", None, {}),
    (
        "ClusterQueue",
        "atlas-cpu",
        None,
        {
            "namespaceSelector": {},
            "cohortName": COHORT,
            "preemption": {"reclaimWithinCohort": "Any"},
            "resourceGroups": [
                {
                    "coveredResources": ["cpu", "memory"],
                    "flavors": [
                        {
                            "name": "general",
                            "resources": [
                                {"name": "cpu", "nominalQuota": "2"},
                                {"name": "memory", "nominalQuota": "4Gi"},
                            ],
                        }
                    ],
                }
            ],
        },
    ),
    ("LocalQueue", "default", HOME, {"clusterQueue": "atlas-cpu"}),
)


def _wanted() -> list[Declared]:
    """All that the platform declares for training, and what it lets into tenants' namespaces; with webhooks that may fail: nothing answers them here."""

    def program() -> None:
        Admission("admission", AdmissionConfig(), admission_policies(), owner="us")
        context = store_context("atlas", monitors=ConfigMap("monitors", metadata={"name": "monitors"}))
        Training(
            "training",
            CONFIG,
            context=context,
            webhooks=WebhookFailure.IGNORE,
            tenants={"atlas": Stores("longhouse-atlas")},
            shares={},
            pools={},
        )

    return record(program).resources


LEFT_OUT = (
    "Deployment",
    "Service",
    "PodMonitor",
    "ClusterTrainingRuntime",
    "PodDisruptionBudget",
    "CustomResourceDefinition",
)


def _objects() -> Iterator[dict[str, Any]]:
    """Those of it that an API server without nodes has a use for."""
    yield {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": HOME,
            "labels": {"longhouse.dev/tenant": "atlas", "pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    for each in _wanted():
        if each.type.startswith("kubernetes:") and each.object_name not in (HOME, "monitors"):
            found = manifest(each)
            if found["kind"] not in LEFT_OUT:
                yield found


class Cluster:
    """The API server, and a tenant's jobs in it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        done = self.server.kubectl(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def items(self, kind: str, *words: str) -> list[dict[str, Any]]:
        return list(json.loads(self.kubectl("get", kind, HERE, *words, "--output=json"))["items"])

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", kind, name, HERE, "--output=json")))

    def pods(self, job: str) -> list[dict[str, Any]]:
        found = self.items("pods", f"-ltraining.kubeflow.org/job-name={job}")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def says(self, pod: str, phase: str) -> None:
        """What the kubelet would of a pod."""
        ready = {"type": "Ready", "status": "True" if phase == "Running" else "False"}
        state = {"running": {}} if phase == "Running" else {"terminated": {"exitCode": 0}}
        (container,) = self.get("pod", pod)["spec"]["containers"]
        status = {
            "phase": phase,
            "conditions": [ready],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": phase == "Running",
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }
        self.kubectl(
            "patch",
            "pod",
            pod,
            HERE,
            "--subresource=status",
            "--type=merge",
            f"--patch={json.dumps({'status': status})}",
        )

    def submit(self, kind: str, name: str) -> None:
        """The page's job of a kind, with as much room as there is not yet."""
        (text,) = [each for each in examples("training", "yaml", room=".") if f"kind: {kind}\n" in each]
        found = yaml.safe_load(text)
        labels = {"kueue.x-k8s.io/queue-name": "default"}
        found["metadata"] = {"name": name, "namespace": HOME, "labels": labels}
        found["spec"].setdefault("runPolicy", {})["suspend"] = True  # as Kueue's webhook has it
        self.kubectl("create", "--filename=-", stdin=json.dumps(found))

    def room(self, how: str) -> None:
        """Open or close the tenant's queue."""
        patch = json.dumps({"spec": {"stopPolicy": how}})
        self.kubectl("patch", "clusterqueue", "atlas-cpu", "--type=merge", f"--patch={patch}")

    def conditions(self, kind: str, name: str) -> set[str]:
        found = self.get(kind, name).get("status", {}).get("conditions", [])
        return {each["type"] for each in found if each["status"] == "True"}


def until(what: str, check: Callable[[], Any]) -> Any:
    """The first truthy answer."""
    deadline = time.monotonic() + SECONDS
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {SECONDS} seconds: {what}"
        time.sleep(0.5)
    return answer


_AT_THEIR_PLACE = (
    *("unshare", "--mount", "sh", "-c"),
    'mkdir --parents "$1" && mount --bind "$0" "$1" && shift && exec "$@"',
)
"""Runs a program that finds a folder's files at another place, alone on this machine: it looks for its certificate nowhere else."""


def _account(cluster: Cluster, name: str) -> Path:
    """A kubeconfig by which a program has its own account's rights and no others."""
    token = cluster.kubectl("create", "token", name, f"--namespace={name}", "--duration=2h").strip()
    whole = yaml.safe_load(cluster.server.kubeconfig.read_text())
    whole["users"] = [{"name": "throw-away", "user": {"token": token}}]
    file = cluster.server.folder / f"{name}.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(whole))
    return file


def _queues(cluster: Cluster, running: ExitStack) -> None:
    """Kueue, with one queue."""
    pair = AUTHORITY.server("kueue/webhook", kueue.SERVER_NAMES)
    files = {"tls.crt": pair.certificate, "tls.key": pair.private_key, "ca.crt": AUTHORITY.bundle}
    data = {name: b64encode(text.encode()).decode() for name, text in files.items()}
    secret = {"kind": "Secret", "metadata": {"name": kueue.SERVER_SECRET}, "data": data}
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": KUEUE_NAMESPACE}}
    cluster.server.create([home])
    config = Queueing(priorities={"normal": 0})
    frameworks = ("batch/job", "pod", "kubeflow.org/mpijob", "kubeflow.org/tfjob")
    running.enter_context(queues_manager(cluster.server, [secret], config, frameworks))
    for kind, name, namespace, spec in QUEUES:
        where = {"namespace": namespace} if namespace else {}
        cluster.server.create(
            [
                {
                    "apiVersion": "kueue.x-k8s.io/v1beta2",
                    "kind": kind,
                    "metadata": {"name": name, **where},
                    "spec": spec,
                }
            ]
        )


def _training_operator(cluster: Cluster, running: ExitStack) -> None:
    """It makes its certificate itself, into its Secret, and waits until the kubelet has put that into its pod."""
    operator, _ = earlier.operators(CONFIG, image.image())
    mounted = cluster.server.folder / "mounted"
    folder = mounted / Path(CERTIFICATES).name
    folder.mkdir(parents=True)
    template = cluster.server.folder / "wait.yaml"
    template.write_text((operator.settings or {})["wait.yaml"])
    # Who leads is agreed upon in the namespace of its own pod, and it has none here.
    elsewhere = ("--leader-elect", "--pytorch-init-container-template-file")
    flags = [each for each in operator.container.command[1:] if not each.startswith(elsewhere)]
    words = (
        *flags,
        f"--pytorch-init-container-template-file={template}",
        f"--kubeconfig={_account(cluster, operator.name)}",
        "--metrics-bind-address=0",
        f"--health-probe-bind-address=127.0.0.1:{free_port()}",
        f"--webhook-server-port={free_port()}",
    )
    environment = {"POD_NAMESPACE": operator.name, **operator.container.environment}
    running.enter_context(
        programs.process(
            cluster.server.folder / "training-operator.log",
            *_AT_THEIR_PLACE,
            mounted,
            Path(CERTIFICATES).parent,
            "env",
            *(f"{name}={value}" for name, value in environment.items()),
            TRAINING_OPERATOR.build(),
            *words,
        )
    )

    def made() -> Mapping[str, str]:
        found = json.loads(
            cluster.kubectl(
                "get", "secret", str(operator.secret), f"--namespace={operator.name}", "--output=json"
            )
        )
        data: Mapping[str, str] = found.get("data") or {}
        return data

    for name, text in until("training-operator has made its certificate", made).items():
        (folder / name).write_bytes(b64decode(text))


def _mpi_operator(cluster: Cluster, running: ExitStack) -> None:
    _, operator = earlier.operators(CONFIG, image.image())
    words = (*operator.container.command[1:], f"--kubeConfig={_account(cluster, operator.name)}")
    running.enter_context(
        programs.process(cluster.server.folder / "mpi-operator.log", MPI_OPERATOR.build(), *words)
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.skip("its programs find their certificates by a mount of their own")
    with api_server(tmp_path_factory.mktemp("earlier")) as server, ExitStack() as running:
        found = Cluster(server)
        kinds = part("kueue").directory / "config" / "components" / "crd" / "bases"
        operators = earlier.operators(CONFIG, image.image())
        server.create(
            crds.read([*sorted(kinds.glob("*.yaml")), *(file for each in operators for file in each.kinds)])
        )
        server.established()
        wanted = list(_objects())
        server.create(each for each in wanted if each["kind"] == "Namespace")
        _queues(found, running)
        server.create(each for each in wanted if each["kind"] != "Namespace")
        _training_operator(found, running)
        _mpi_operator(found, running)
        yield found


def _log(cluster: Cluster, name: str) -> str:
    return (cluster.server.folder / f"{name}.log").read_text()


@pytest.fixture(scope="module")
def tfjob(cluster: Cluster) -> str:
    """One of the tenant's, for which there is no room yet."""
    cluster.room("Hold")
    cluster.submit("TFJob", "digits-tf")
    return "digits-tf"


class TestTFJob:
    def test_it_waits_as_one_for_room_for_all_its_workers(self, cluster: Cluster, tfjob: str) -> None:
        (workload,) = until("it is queued", lambda: cluster.items("workloads"))
        assert workload["metadata"]["name"].startswith(f"tfjob-{tfjob}")
        (workers,) = workload["spec"]["podSets"]
        assert workers["count"] == 2
        until("its operator knows that it waits", lambda: "Suspended" in cluster.conditions("tfjob", tfjob))
        assert not cluster.pods(tfjob)

    def test_admitted_its_workers_are_made_and_find_each_other_and_their_places(
        self, cluster: Cluster, tfjob: str
    ) -> None:
        cluster.room("None")
        found = until("its workers are there", lambda: len(cluster.pods(tfjob)) == 2 and cluster.pods(tfjob))
        assert cluster.get("tfjob", tfjob)["spec"]["runPolicy"]["suspend"] is False
        for each in found:
            (container,) = each["spec"]["containers"]
            variables = {one["name"]: one.get("value") for one in container["env"]}
            told = json.loads(variables["TF_CONFIG"])
            assert [host.partition(".")[0] for host in told["cluster"]["worker"]] == [
                f"{tfjob}-worker-0",
                f"{tfjob}-worker-1",
            ]
            assert variables["CHECKPOINT_DIR"] == f"s3://longhouse-atlas/checkpoints/{tfjob}"
            assert each["spec"]["securityContext"]["runAsUser"] == 1000
        services = {each["metadata"]["name"] for each in cluster.items("services")}
        assert {f"{tfjob}-worker-0", f"{tfjob}-worker-1"} <= services

    def test_it_gives_way_whole_and_begins_again_when_there_is_room(
        self, cluster: Cluster, tfjob: str
    ) -> None:
        for number in range(2):
            cluster.says(f"{tfjob}-worker-{number}", "Running")
        until("it runs", lambda: "Running" in cluster.conditions("tfjob", tfjob))
        cluster.room("HoldAndDrain")
        until("its workers are gone", lambda: not cluster.pods(tfjob))
        assert "Failed" not in cluster.conditions("tfjob", tfjob), "giving way is no failure"
        cluster.room("None")
        until("they are there again", lambda: len(cluster.pods(tfjob)) == 2)

    def test_it_is_done_when_its_first_worker_is_and_its_room_is_given_back(
        self, cluster: Cluster, tfjob: str
    ) -> None:
        for number, phase in ((1, "Running"), (0, "Running"), (0, "Succeeded")):
            cluster.says(f"{tfjob}-worker-{number}", phase)
        until("it has succeeded", lambda: "Succeeded" in cluster.conditions("tfjob", tfjob))
        (workload,) = cluster.items("workloads")
        until(
            "the queue knows",
            lambda: "Finished" in cluster.conditions("workload", workload["metadata"]["name"]),
        )

    def test_one_whose_worker_is_taken_from_its_node_has_failed(self, cluster: Cluster) -> None:
        """Upstream's operator counts a pod on its way out as a failure, whatever the job's restart policy. The page says so."""
        cluster.room("None")
        cluster.submit("TFJob", "drained")
        until("its workers are there", lambda: len(cluster.pods("drained")) == 2)
        for number in range(2):
            cluster.says(f"drained-worker-{number}", "Running")
        held = json.dumps({"metadata": {"finalizers": ["longhouse.dev/held"]}})  # as a kubelet holds it
        cluster.kubectl("patch", "pod", "drained-worker-1", HERE, "--type=merge", f"--patch={held}")
        cluster.kubectl("delete", "pod", "drained-worker-1", HERE, "--wait=false")
        until("it has failed", lambda: "Failed" in cluster.conditions("tfjob", "drained"))


@pytest.fixture(scope="module")
def mpijob(cluster: Cluster) -> str:
    """One of the tenant's, for which there is no room yet."""
    cluster.room("Hold")
    cluster.submit("MPIJob", "sums")
    return "sums"


class TestMPIJob:
    def test_it_waits_as_one_with_its_launcher(self, cluster: Cluster, mpijob: str) -> None:
        def queued() -> list[dict[str, Any]]:
            return [
                each for each in cluster.items("workloads") if each["metadata"]["name"].startswith("mpijob-")
            ]

        (workload,) = until("it is queued", queued)
        assert {each["name"]: each["count"] for each in workload["spec"]["podSets"]} == {
            "launcher": 1,
            "worker": 2,
        }
        until("its operator knows that it waits", lambda: "Suspended" in cluster.conditions("mpijob", mpijob))
        assert not cluster.pods(mpijob)

    def test_admitted_its_workers_have_one_key_and_a_list_for_the_launcher(
        self, cluster: Cluster, mpijob: str
    ) -> None:
        cluster.room("None")
        found = until(
            "its workers are there", lambda: len(cluster.pods(mpijob)) == 2 and cluster.pods(mpijob)
        )
        assert {each["metadata"]["name"] for each in found} == {f"{mpijob}-worker-0", f"{mpijob}-worker-1"}
        for each in found:
            (container,) = each["spec"]["containers"]
            assert container["command"][0] == "/usr/sbin/sshd"
            mounts = {one["mountPath"] for one in container["volumeMounts"]}
            assert {earlier_image.SSH_FOLDER, "/bindings/object-store"} <= mounts
            assert each["spec"]["securityContext"]["runAsNonRoot"] is True
        assert set(cluster.get("secret", f"{mpijob}-ssh")["data"]) == {"ssh-privatekey", "ssh-publickey"}
        (launcher,) = until("its launcher is there", lambda: cluster.items("jobs"))
        assert launcher["metadata"]["name"] == f"{mpijob}-launcher"
        hosts = cluster.get("configmap", f"{mpijob}-config")["data"]["hostfile"]
        assert [each.partition(" ")[0].partition(".")[0] for each in hosts.splitlines()] == [
            f"{mpijob}-worker-0",
            f"{mpijob}-worker-1",
        ]

    def test_its_launcher_waits_in_no_queue_of_its_own(self, cluster: Cluster, mpijob: str) -> None:
        assert not [
            each for each in cluster.items("workloads") if each["metadata"]["name"].startswith("job-")
        ]


class TestRights:
    @pytest.mark.parametrize("operator", ["training-operator", "mpi-operator"])
    def test_an_operator_misses_no_right(self, cluster: Cluster, operator: str) -> None:
        """What it was refused would stand in what it says. It may not in the namespaces of others, where nobody has a job."""
        refused = [line for line in _log(cluster, operator).splitlines() if "forbidden" in line.lower()]
        assert not refused
