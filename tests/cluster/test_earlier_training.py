"""Jobs of before Trainer, and TensorBoard, as a data scientist uses them: the page's examples, on a platform that runs those kinds."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from modules.data.dataset_cache import config as dataset_cache
from modules.data.dataset_cache.config import NAME as CACHE
from modules.ml.tensorboard.config import NAME as BOARD
from modules.ml.tensorboard.config import PORT
from modules.ml.training import admission, earlier_image, image
from profiles.load import load
from sandbox.places import INSTANCE
from stacks.tensorboard import command
from tests.live import TEST_INSTANCE, TIMEOUT, Live, Object, Pod, Tenant, unique
from tests.pages import examples

pytestmark = pytest.mark.training

PROFILE = "local-full"
"""The profile that has them."""

ACCURACY = 0.9
"""What the page promises."""

STORE = """
import os, sys
os.environ |= {"AWS_CONFIG_FILE": "/bindings/object-store/config", "AWS_SHARED_CREDENTIALS_FILE": "/bindings/object-store/credentials"}
import boto3
bucket = boto3.client("s3")
name = open("/bindings/object-store/bucket").read()
"""
PUT = STORE + "bucket.put_object(Bucket=name, Key=sys.argv[1], Body=sys.argv[2].encode())"

LOGS = """
import os
from torch.utils.tensorboard import SummaryWriter
with SummaryWriter(os.environ["TENSORBOARD_LOG_DIR"]) as log:
    for step in range(5):
        log.add_scalar("accuracy", step / 8, step)
"""

READS = """
import hashlib, os, time
import longhouse_training
where = os.environ["TRAINING_DATA"]
for _ in range(3):
    with longhouse_training.dataset(where) as stream:
        print("read", hashlib.sha256(stream.read()).hexdigest(), flush=True)
"""
KILL = """
import os, pathlib, signal
for each in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    words = each.read_bytes().split(bytes(1))
    if len(words) > 1 and words[1].endswith(b"digits_tf.py"):
        os.kill(int(each.parent.name), signal.SIGKILL)
"""
"""Ends the program of a worker, as running out of memory would."""

FILL = (
    STORE
    + """
import hashlib
data = os.urandom(20_000_000)
bucket.put_object(Bucket=name, Key=sys.argv[1], Body=data)
print(hashlib.sha256(data).hexdigest())
"""
)
SIGN = (
    STORE
    + """
from botocore.config import Config
signer = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
print(signer.generate_presigned_url("get_object", {"Bucket": sys.argv[2], "Key": sys.argv[1]}, ExpiresIn=600))
"""
)
ASK = """
import ssl, sys, urllib.error, urllib.parse, urllib.request
cache, signed = sys.argv[1], urllib.parse.urlsplit(sys.argv[2])
trust = ssl.create_default_context(cafile="/bindings/object-store/ca.crt")
try:
    with urllib.request.urlopen(f"{cache}{signed.path}?{signed.query}", context=trust, timeout=60) as answer:
        print(answer.status, answer.headers["X-Cache"], len(answer.read()))
except urllib.error.HTTPError as refusal:
    print(refusal.code)
"""


@pytest.fixture(scope="module", autouse=True)
def _there(live: Live) -> None:
    """What is looked at is deployed by one profile, since few run it."""
    if live.try_kubectl("get", "crd", "tfjobs.kubeflow.org").returncode != 0:
        assert INSTANCE != TEST_INSTANCE, "the kinds of before are not there"
        pytest.skip(f"the kinds of before are deployed by `make up PROFILE={PROFILE}`")


@pytest.fixture(scope="module")
def desk(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Pod]:
    """A pod of the first tenant, to put programs into its bucket."""
    with live.client(tenants[0], "object-store", memory="192Mi") as found:
        yield found


@pytest.fixture(scope="module")
def bucket(desk: Pod) -> str:
    """The first tenant's bucket, with the page's programs of these kinds."""
    name = desk.python("print(open('/bindings/object-store/bucket').read())")
    *_, digits, sums = examples("training", "python", room=".")
    for key, program in (("digits_tf", digits), ("sums", sums)):
        desk.python(PUT, f"jobs/{key}.py", program)
    return name


def as_the_page_has_it(kind: str, tenant: Tenant, bucket: str) -> Object:
    """The page's job of a kind, as this tenant would write it, under a name of its own and in the image that is here."""
    texts = [each for each in examples("training", "yaml", room=".") if f"kind: {kind}\n" in each]
    (text,) = texts
    found: Object = yaml.safe_load(text.replace("longhouse-atlas", bucket))
    found["metadata"] = {"name": unique(kind.lower()), "namespace": tenant.namespace}
    for replica in _replicas(found).values():
        for each in replica["template"]["spec"]["containers"]:
            each["image"] = earlier_image.image()
    return found


def _replicas(job: Object) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"].get("tfReplicaSpecs") or job["spec"]["mpiReplicaSpecs"]
    return found


class Job:
    """A job of a tenant, by what can be seen of it."""

    def __init__(self, live: Live, made: Object) -> None:
        self.live = live
        self.name = str(made["metadata"]["name"])
        self.kind = f"{made['kind'].lower()}s.kubeflow.org"
        self.where = f"--namespace={made['metadata']['namespace']}"
        self.role = "job-role" if made["kind"] == "MPIJob" else "replica-type"
        """By which label its operator tells pods apart."""

    def pods(self, role: str) -> list[Object]:
        """Its pods of a role that are not on their way out."""
        which = f"-l{admission.EARLIER}={self.name},training.kubeflow.org/{self.role}={role}"
        found = self.live.items("pods", self.where, which)
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def log(self, pod: str) -> str:
        """What a pod has said, in its container of now."""
        return self.live.try_kubectl("logs", self.where, pod, "--tail=-1").stdout

    def done(self) -> None:
        """Waits until it has succeeded; an AssertionError with what its pods said when it failed."""

        def look() -> bool:
            status = self.live.get(self.kind, self.name, self.where).get("status", {})
            now = {each["type"] for each in status.get("conditions", []) if each["status"] == "True"}
            if "Failed" in now:
                which = f"-l{admission.EARLIER}={self.name}"
                said = self.live.try_kubectl("logs", self.where, which, "--tail=60", "--prefix").stdout
                raise AssertionError(f"{status}\n{said}")
            return "Succeeded" in now

        self.live.eventually(f"{self.name} has succeeded", look)

    @property
    def queued(self) -> list[Object]:
        """What the queue has of it."""
        prefix = f"{self.kind.partition('s.')[0]}-{self.name}"
        return [
            each
            for each in self.live.items("workloads", self.where)
            if each["metadata"]["name"].startswith(prefix)
        ]


@contextmanager
def running(live: Live, made: Object) -> Iterator[Job]:
    """A job for as long as the body runs."""
    with live.objects(made):
        yield Job(live, made)


def epochs(log: str) -> list[int]:
    return [int(each) for each in re.findall(r"^epoch (\d+):", log, re.MULTILINE)]


class TestTensorFlow:
    def test_two_workers_learn_what_the_page_promises_and_go_on_when_one_is_killed(
        self, live: Live, tenants: tuple[Tenant, Tenant], bucket: str
    ) -> None:
        made = as_the_page_has_it("TFJob", tenants[0], bucket)
        (container,) = made["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
        container["command"][-1] = "300"
        with running(live, made) as job:
            (first, second) = (f"{job.name}-worker-{number}" for number in range(2))
            live.eventually("it is at work", lambda: len(epochs(job.log(first))) > 3)
            assert len(job.queued) == 1, "the whole job waits as one"
            before = max(epochs(job.log(first)))
            live.kubectl("exec", second, f"--namespace={tenants[0].namespace}", "--", "python3", "-c", KILL)
            live.eventually("it goes on", lambda: "goes on after epoch" in job.log(first))
            begun = live.eventually("with the next epoch", lambda: epochs(job.log(first)))[0]
            assert begun > before, "what was done is not done again"
            job.done()
            log = job.log(first)
        assert epochs(log) == list(range(begun, 300))
        assert float(re.findall(r"accuracy ([\d.]+)", log)[-1]) >= ACCURACY


class TestMpi:
    def test_the_sum_of_two_workers_is_right_in_both(
        self, live: Live, tenants: tuple[Tenant, Tenant], bucket: str
    ) -> None:
        with running(live, as_the_page_has_it("MPIJob", tenants[0], bucket)) as job:
            job.done()
            (launcher,) = job.pods("launcher")
            log = job.log(launcher["metadata"]["name"])
            assert len(job.queued) == 1, "launcher and workers wait as one"
        found = re.findall(r"(\S+): worker (\d) of 2, sum (\d+)", log)
        assert sorted(rank for _, rank, _ in found) == ["0", "1"], log
        assert {host for host, _, _ in found} == {f"{job.name}-worker-{number}" for number in range(2)}
        assert {int(total) for _, _, total in found} == {sum(range(1_000_000))}

    def test_its_pods_are_as_restricted_as_all_of_the_tenants(
        self, live: Live, tenants: tuple[Tenant, Tenant], bucket: str
    ) -> None:
        with running(live, as_the_page_has_it("MPIJob", tenants[0], bucket)) as job:
            workers = live.eventually("its workers are there", lambda: job.pods("worker"))
            for each in workers:
                assert each["spec"]["securityContext"]["runAsNonRoot"] is True
                (container,) = each["spec"]["containers"]
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            job.done()


@contextmanager
def forwarded(live: Live, tenant: Tenant) -> Iterator[str]:
    """The address of the tenant's TensorBoard on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = command(
        [f"--kubeconfig={live.kubeconfig}"],
        tenant.name,
        ("port-forward", f"deployment/{BOARD}", f"{port}:{PORT}"),
    )
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def shown(address: str, path: str) -> Any:
    """What TensorBoard's own API says; None while it says nothing."""
    try:
        with urllib.request.urlopen(f"{address}{path}", timeout=30) as answer:
            return json.load(answer)
    except OSError:
        return None


class TestTensorBoard:
    def test_it_shows_what_a_job_logged_and_ends_when_nobody_looks(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        tenant = tenants[0]
        where = f"--namespace={tenant.namespace}"
        desk.python(PUT, "jobs/logs.py", LOGS)
        size = {"cpu": "100m", "memory": "400Mi"}
        job = {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "metadata": {"name": unique("logs"), "namespace": tenant.namespace},
            "spec": {
                "runtimeRef": {"name": "torch"},
                "trainer": {
                    "numNodes": 1,
                    "args": [f"s3://{bucket}/jobs/logs.py"],
                    "resourcesPerNode": {"requests": size, "limits": {**size, "cpu": "1"}},
                },
            },
        }
        name = job["metadata"]["name"]  # type: ignore[index]
        with live.objects(job):
            live.kubectl("wait", where, "--for=condition=Complete", f"trainjob/{name}", TIMEOUT)
        pods = f"-lapp.kubernetes.io/name={BOARD}"
        assert not live.items("pods", where, pods), "none runs before somebody opens it"
        live.kubectl(*command([], tenant.name, ("scale", f"deployment/{BOARD}", "--replicas=1"))[1:])
        live.kubectl("wait", where, "--for=condition=Available", f"deployment/{BOARD}", TIMEOUT)
        with forwarded(live, tenant) as address:
            tags = live.eventually(
                "the run is there", lambda: (shown(address, "/data/plugin/scalars/tags") or {}).get(name)
            )
            assert "accuracy" in tags
            found = shown(address, f"/data/plugin/scalars/scalars?run={name}&tag=accuracy")
            assert [(step, value) for _, step, value in found] == [(step, step / 8) for step in range(5)]
            assert live.items("pods", where, pods)
        looked = time.monotonic()
        live.eventually("nobody looks, and it ends", lambda: not live.items("pods", where, pods))
        profile = load(PROFILE)
        assert profile.tensorboard is not None
        assert time.monotonic() - looked > profile.tensorboard.idle_minutes * 60 - 10, "not before its time"
        assert live.get("deployment", BOARD, where)["spec"]["replicas"] == 0

    def test_no_other_tenants_pods_reach_it(self, live: Live, tenants: tuple[Tenant, Tenant]) -> None:
        own, other = tenants
        where = f"--namespace={own.namespace}"
        live.kubectl(*command([], own.name, ("scale", f"deployment/{BOARD}", "--replicas=1"))[1:])
        try:
            live.kubectl("wait", where, "--for=condition=Available", f"deployment/{BOARD}", TIMEOUT)
            (board,) = live.items("pods", where, f"-lapp.kubernetes.io/name={BOARD}")
            address = board["status"]["podIP"]
            with live.pod(own) as friend, live.pod(other) as stranger:
                assert friend.reaches(address, PORT)
                assert not stranger.reaches(address, PORT)
        finally:
            live.kubectl(*command([], own.name, ("scale", f"deployment/{BOARD}", "--replicas=0"))[1:])


class TestDatasetCache:
    def test_a_job_reads_a_dataset_by_way_of_its_nodes_copy(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        tenant = tenants[0]
        key = f"train/{unique('images')}"
        hashed = desk.python(FILL, key)
        size = {"cpu": "50m", "memory": "128Mi"}
        job = {
            "apiVersion": "jobset.x-k8s.io/v1alpha2",
            "kind": "JobSet",
            "metadata": {"name": unique("reads"), "namespace": tenant.namespace},
            "spec": {
                "replicatedJobs": [
                    {
                        "name": "worker",
                        "template": {
                            "spec": {
                                "backoffLimit": 0,
                                "template": {
                                    "spec": {
                                        "restartPolicy": "Never",
                                        "containers": [
                                            {
                                                "name": "main",
                                                "image": image.image(),
                                                "command": ["python3", "-c", READS],
                                                "env": [
                                                    {"name": "TRAINING_DATA", "value": f"s3://{bucket}/{key}"}
                                                ],
                                                "resources": {
                                                    "requests": size,
                                                    "limits": {**size, "cpu": "1"},
                                                },
                                            }
                                        ],
                                    }
                                },
                            }
                        },
                    }
                ]
            },
        }
        name, where = job["metadata"]["name"], f"--namespace={tenant.namespace}"  # type: ignore[index]
        with live.objects(job):
            live.kubectl("wait", where, "--for=condition=Completed", f"jobset/{name}", TIMEOUT)
            said = live.kubectl("logs", where, f"-l{admission.JOBSET}={name}", "--tail=-1")
        assert said.split() == ["read", hashed] * 3, "three times the same, and no word of the store"
        log = live.kubectl("logs", f"--namespace={CACHE}", f"daemonset/{CACHE}", "--tail=200")
        told = [line.split() for line in log.splitlines() if line.endswith(f"/{bucket}/{key}")]
        assert [each[0] for each in told] == ["200"] * 3
        assert told[-1][-3] == "HIT", "the last read came from the copy"

    def test_another_tenant_gets_no_copy_of_it(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        key = f"train/{unique('secret')}"
        desk.python(FILL, key)
        own = desk.python(SIGN, key, bucket)
        with live.client(tenants[1], "object-store", memory="192Mi") as stranger:
            for how in ("MISS", "HIT"):
                assert desk.python(ASK, dataset_cache.ENDPOINT, own) == f"200 {how} 20000000"
            theirs = stranger.python(SIGN, key, bucket)
            assert stranger.python(ASK, dataset_cache.ENDPOINT, theirs) == "403"
            assert stranger.python(ASK, dataset_cache.ENDPOINT, own.partition("?")[0]) == "403"
