"""Training as a data scientist uses it: ten lines of a job, as the page has them; whole gangs, workers that die, jobs that give way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import yaml

from modules.kit import labels
from modules.ml.training import admission, image, operators
from modules.ml.training.config import Training
from tests.live import TIMEOUT, Live, Object, Pod, Tenant, pod, unique
from tests.pages import examples

pytestmark = pytest.mark.training

TRAINJOBS = "trainjobs.trainer.kubeflow.org"
PRIORITY = "kueue.x-k8s.io/priority-class"
ACCURACY = 0.9
"""What the page promises, of digits that the model has never seen."""

STORE = """
import os, sys
os.environ |= {"AWS_CONFIG_FILE": "/bindings/object-store/config", "AWS_SHARED_CREDENTIALS_FILE": "/bindings/object-store/credentials"}
import boto3
bucket = boto3.client("s3")
name = open("/bindings/object-store/bucket").read()
"""
PUT = STORE + "bucket.put_object(Bucket=name, Key=sys.argv[1], Body=sys.argv[2].encode())"
KEPT = (
    STORE
    + """
import json
found = bucket.list_objects_v2(Bucket=name, Prefix=sys.argv[1]).get("Contents", [])
print(json.dumps([each["Key"] for each in found]))
"""
)


@pytest.fixture(scope="module")
def desk(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Pod]:
    """A pod of the first tenant, to put programs into its bucket and look at what came of them."""
    with live.client(tenants[0], "object-store", memory="96Mi") as found:
        yield found


@pytest.fixture(scope="module")
def bucket(desk: Pod) -> str:
    """The first tenant's bucket, with the page's programs."""
    name = desk.python("print(open('/bindings/object-store/bucket').read())")
    for key, program in zip(("digits", "tumours"), examples("training", "python", room=".")[:2], strict=True):
        desk.python(PUT, f"jobs/{key}.py", program)
    return name


def as_the_page_has_it(number: int, tenant: Tenant, bucket: str, prefix: str) -> dict[str, Any]:
    """A job of the page, as this tenant would write it, under a name of its own."""
    text = examples("training", "yaml", room=".")[number].replace("longhouse-atlas", bucket)
    found: dict[str, Any] = yaml.safe_load(text)
    found["metadata"] = {"name": unique(prefix), "namespace": tenant.namespace, "labels": {}}
    return found


def digits(tenant: Tenant, bucket: str, epochs: int, priority: str = "") -> dict[str, Any]:
    """The page's first job, for so many epochs."""
    found = as_the_page_has_it(0, tenant, bucket, "digits")
    found["spec"]["trainer"]["args"][1] = str(epochs)
    found["metadata"]["labels"] |= {PRIORITY: priority} if priority else {}
    return found


def gang(
    tenant: Tenant, workers: int, memory: str, *, seconds: int = 1, priority: str = ""
) -> dict[str, Any]:
    """A job whose workers only wait."""
    size = {"cpu": "20m", "memory": memory}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": unique("gang"), "namespace": tenant.namespace, "labels": {PRIORITY: priority} if priority else {}},
        "spec": {
            "runtimeRef": {"name": "torch"},
            "trainer": {
                "numNodes": workers,
                "command": ["sleep", str(seconds)],
                "resourcesPerNode": {"requests": size, "limits": size},
            },
        },
    }  # fmt: skip


@contextmanager
def running(live: Live, found: Object) -> Iterator[Job]:
    """A job for as long as the body runs."""
    with live.objects(found):
        yield Job(live, str(found["metadata"]["namespace"]), str(found["metadata"]["name"]))


@contextmanager
def taken(live: Live, tenant: Tenant, memory: str) -> Iterator[None]:
    """Somebody of the tenant's holds so much memory."""
    holder = pod(tenant)
    size = {"cpu": "10m", "memory": memory}
    holder["spec"]["containers"][0]["resources"] = {"requests": size, "limits": size}
    where = f"--namespace={tenant.namespace}"
    with live.objects(holder):
        live.kubectl("wait", where, "--for=condition=Ready", f"pod/{holder['metadata']['name']}", TIMEOUT)
        yield


class Job:
    """A job of a tenant, by what can be seen of it."""

    def __init__(self, live: Live, namespace: str, name: str) -> None:
        self.live, self.name, self.where = live, name, f"--namespace={namespace}"

    def pods(self, more: str = "") -> list[Object]:
        """Its pods that are not on their way out."""
        found = self.live.items("pods", self.where, f"-l{admission.JOBSET}={self.name}{more}")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def log(self, worker: int = 0) -> str:
        """What a worker of now has said."""
        which = f"-l{admission.JOBSET}={self.name},batch.kubernetes.io/job-completion-index={worker}"
        return self.live.try_kubectl("logs", self.where, which, "--tail=-1").stdout

    def epochs(self) -> list[int]:
        """Epochs that the first worker of now has done."""
        return [int(each) for each in re.findall(r"^epoch (\d+):", self.log(), re.MULTILINE)]

    def completes(self) -> None:
        """Waits until it is done; an AssertionError with what its workers said when it failed."""

        def done() -> bool:
            found = self.live.get(TRAINJOBS, self.name, self.where)
            now = {
                each["type"]
                for each in found.get("status", {}).get("conditions", [])
                if each["status"] == "True"
            }
            assert "Failed" not in now, f"{found['status']}\n{self.log()[-3000:]}\n{self.log(1)[-3000:]}"
            return "Complete" in now

        self.live.eventually(f"{self.name} is complete", done)

    @property
    def suspended(self) -> bool:
        """Whether it waits."""
        return bool(self.live.get(TRAINJOBS, self.name, self.where)["spec"].get("suspend"))

    @property
    def restarts(self) -> int:
        """How often all its workers began again."""
        return int(self.live.get("jobset", self.name, self.where)["status"].get("restarts", 0))

    def waits_for(self) -> str:
        """What the queue says that it waits for."""
        for found in self.live.items("workloads", self.where):
            if found["metadata"]["name"].startswith(f"trainjob-{self.name}"):
                for each in found.get("status", {}).get("conditions", []):
                    if each["type"] == "QuotaReserved" and each["status"] == "False":
                        return str(each["message"])
        return ""


def accuracy(log: str) -> float:
    return float(re.findall(r"accuracy ([\d.]+)", log)[-1])


class TestTorch:
    def test_the_pages_job_learns_what_it_promises_and_keeps_it_in_the_bucket(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        with running(live, as_the_page_has_it(0, tenants[0], bucket, "digits")) as job:
            job.completes()
            log = job.log()
            assert job.epochs() == list(range(30))
            assert accuracy(log) >= ACCURACY, log
            assert len(job.pods()) == 2
            assert job.restarts == 0
            assert desk.told(KEPT, f"checkpoints/{job.name}/") == [f"checkpoints/{job.name}/checkpoint"]

    def test_when_a_worker_is_killed_all_go_on_from_the_checkpoint(
        self, live: Live, tenants: tuple[Tenant, Tenant], bucket: str
    ) -> None:
        tenant = tenants[0]
        with running(live, digits(tenant, bucket, 400)) as job:
            live.eventually("it is at work", lambda: len(job.epochs()) > 3)
            before = max(job.epochs())
            (second,) = job.pods(",batch.kubernetes.io/job-completion-index=1")
            live.gone(second["metadata"]["name"], tenant.namespace)
            live.eventually("it goes on", lambda: "goes on after epoch" in job.log())
            first = live.eventually("with the next epoch", job.epochs)[0]
            assert first > before, "what was done is not done again"
            job.completes()
            assert job.epochs() == list(range(first, 400))
            assert accuracy(job.log()) >= ACCURACY
            assert job.restarts == 1


class TestXgboost:
    def test_the_pages_job_makes_one_model_of_two_workers_rows(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        with running(live, as_the_page_has_it(1, tenants[0], bucket, "tumours")) as job:
            job.completes()
            log = job.log() + job.log(1)
            assert "workers 2 " in log, log
            assert accuracy(log) >= ACCURACY
            assert desk.told(KEPT, f"checkpoints/{job.name}/") == [f"checkpoints/{job.name}/model.ubj"]


class TestQueue:
    """There are 5 GiB that one tenant can have of the real node, of which servers of its own hold half a GiB."""

    def test_four_workers_start_together_or_not_at_all(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        tenant = tenants[0]
        with ExitStack() as room:
            room.enter_context(taken(live, tenant, "3Gi"))
            with running(live, gang(tenant, 4, "400Mi")) as job:
                why = live.eventually("it waits", job.waits_for)
                assert "insufficient" in why, why
                assert job.suspended
                assert not job.pods(), "three would have had room"
                room.close()
                live.eventually("all four start", lambda: len(job.pods()) == 4)
                job.completes()

    def test_a_job_that_gave_way_to_a_higher_priority_finishes_from_its_checkpoint(
        self, live: Live, tenants: tuple[Tenant, Tenant], bucket: str
    ) -> None:
        tenant = tenants[0]
        with ExitStack() as room, running(live, digits(tenant, bucket, 400, "low")) as low:
            live.eventually("it is at work", lambda: len(low.epochs()) > 3)
            before = max(low.epochs())
            room.enter_context(taken(live, tenant, "2Gi"))
            with running(live, gang(tenant, 2, "700Mi", seconds=20, priority="high")) as high:
                live.eventually("it gives way", lambda: low.suspended)
                live.eventually("the other one runs", lambda: len(high.pods()) == 2)
                assert not low.pods()
                high.completes()
            room.close()
            live.eventually("it goes on", lambda: "goes on after epoch" in low.log())
            assert live.eventually("with the next epoch", low.epochs)[0] > before
            low.completes()
            assert accuracy(low.log()) >= ACCURACY
            assert low.restarts == 0, "giving way is no failure"

    def test_a_framework_without_a_kind_is_a_jobset_that_is_queued_and_finds_its_places(
        self, live: Live, tenants: tuple[Tenant, Tenant], bucket: str
    ) -> None:
        tenant = tenants[0]
        found = as_the_page_has_it(2, tenant, bucket, "chainer")
        (replicated,) = found["spec"]["replicatedJobs"]
        (main,) = replicated["template"]["spec"]["template"]["spec"]["containers"]
        main["image"] = image.image()
        name, where = found["metadata"]["name"], f"--namespace={tenant.namespace}"
        with live.objects(found):
            live.kubectl("wait", where, "--for=condition=Completed", f"jobset/{name}", TIMEOUT)
            said = live.kubectl("logs", where, f"-l{admission.JOBSET}={name}", "--tail=-1")
            queued = [each["metadata"]["name"] for each in live.items("workloads", where)]
        assert said.split() == [f"s3://{bucket}/checkpoints/{name}"] * 2
        assert [each for each in queued if each.startswith(f"jobset-{name}")]


class TestFence:
    def test_no_account_of_a_tenant_starts_a_job_in_anothers_namespace(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        own, other = tenants
        whose = f"--as=system:serviceaccount:{own.namespace}:workload"
        found = gang(other, 1, "64Mi")
        done = live.try_kubectl("create", whose, "--dry-run=server", "--filename=-", stdin=json.dumps(found))
        assert done.returncode != 0
        assert "forbidden" in done.stderr

    @pytest.mark.parametrize("operator", operators.operators(Training()), ids=lambda each: each.name)
    def test_an_operator_makes_nothing_outside_tenants_namespaces(
        self, live: Live, tenants: tuple[Tenant, Tenant], operator: operators.Operator
    ) -> None:
        whose = f"--as=system:serviceaccount:{operator.name}:{operator.name}"
        asked = {"jobset-system": "jobs.batch", "trainer-system": "jobsets.jobset.x-k8s.io"}[operator.name]
        for where, allowed in (
            ("kube-system", "no"),
            ("default", "no"),
            (operator.name, "no"),
            (tenants[0].namespace, "yes"),
        ):
            answer = live.try_kubectl("auth", "can-i", "create", asked, whose, f"--namespace={where}")
            assert answer.stdout.strip() == allowed, where

    def test_an_editor_may_start_one_and_a_viewer_may_not(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        where = f"--namespace={tenants[0].namespace}"
        for role, allowed in (("editor", "yes"), ("viewer", "no")):
            group = live.get("rolebinding", role, where)["subjects"][0]["name"]
            for kind in (TRAINJOBS, "jobsets.jobset.x-k8s.io"):
                answer = live.try_kubectl(
                    "auth", "can-i", "create", kind, where, "--as=somebody", f"--as-group={group}"
                )
                assert answer.stdout.strip() == allowed, (role, kind)

    def test_a_job_of_a_runtime_that_is_not_there_is_refused(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        found = gang(tenants[0], 1, "64Mi")
        found["spec"]["runtimeRef"] = {"name": "unheard-of"}
        refused = live.create(found)
        assert refused.returncode != 0
        assert "unheard-of" in refused.stderr

    def test_runtimes_are_the_platforms_own(self, live: Live) -> None:
        found = live.items("clustertrainingruntimes.trainer.kubeflow.org")
        assert {each["metadata"]["name"] for each in found} == {"torch", "xgboost"}
        assert all(labels.OWNER in each["metadata"]["labels"] for each in found)
