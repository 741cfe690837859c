"""Studies before an API server of the tests' own: a driver runs one with the rights that its account has, and what is rendered is taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from modules.kit import labels
from modules.kit.inside.api_server import ApiServer as Account
from modules.ml.tuning import jobs, katib
from modules.ml.tuning.component import ROLE
from modules.ml.tuning.config import ACCOUNT
from modules.ml.tuning.config import Tuning as Config
from modules.ml.tuning.inside.driver import Cluster, Driver, Tally
from modules.ml.tuning.inside.plan import Owner, Trial, job_of
from modules.ml.tuning.study import Study
from policies.admission import enforced
from policies.rule import Severity, violations
from tests.api_server import ApiServer, api_server
from tests.policies.objects import resource
from tests.unit.test_tuning import IMAGE, PLAN, STUDY, Memory, declared
from upstream import katib as upstream

pytestmark = pytest.mark.training

HOME = "tenant-atlas"
RESTRICTED = {"longhouse.dev/tenant": "atlas", "pod-security.kubernetes.io/enforce": "restricted"}
OFFERING = {
    "metadata": {
        "labels": RESTRICTED,
        "annotations": {
            labels.QUEUES: "default gpu",
            labels.GPUS: "a100=nvidia.com/gpu",
            labels.GPUS_FOR + "training": "a100=nvidia.com/gpu",
        },
    }
}
"""The tenant's namespace, as rules see it."""

FIRST = Trial(0, {"x": -1.5, "rate": 1e-05, "depth": 4, "kind": "sgd"})
CHECK = """
import json, sys
from kubeflow_katib_api.models import V1beta1Experiment
given = json.load(sys.stdin)
print(json.dumps(V1beta1Experiment.from_dict(given).to_dict()))
"""


def experiments() -> dict[str, Any]:
    """The kind, defined as Katib does: without a schema."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [{"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]
    names = {"plural": "experiments", "kind": katib.KIND}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "experiments.kubeflow.org"},
        "spec": {"group": "kubeflow.org", "scope": "Namespaced", "names": names, "versions": versions},
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with a tenant, what the component declares for it, and Katib's kind."""
    with api_server(tmp_path_factory.mktemp("tuning")) as running:
        found = declared(here=("atlas",))
        running.create(
            [
                experiments(),
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME, "labels": RESTRICTED}},
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant-borealis"}},
                *(
                    json.loads(json.dumps(each.inputs, default=dict))
                    for each in found.objects
                    if each.metadata["name"] in (ACCOUNT, ROLE, "tuning-driver")
                ),
            ]
        )
        running.established()
        yield running


@pytest.fixture
def account(server: ApiServer, tmp_path: Path) -> Account:
    """The driver's, as its pod has it."""
    token = server.kubectl("create", "token", ACCOUNT, f"--namespace={HOME}").stdout.strip()
    for name, text in (
        ("token", token),
        ("namespace", HOME),
        ("ca.crt", (server.folder / "apiserver.crt").read_text()),
    ):
        (tmp_path / name).write_text(text)
    return Account(tmp_path, f"https://127.0.0.1:{server.port}")


@dataclass(frozen=True)
class Silent(Cluster):
    """A cluster whose pods have printed what the test says: no kubelet is there to be asked."""

    printed: dict[str, float] = field(default_factory=dict)

    def metric(self, pod: str, name: str) -> float | None:
        return self.printed.get(pod)


def patch(server: ApiServer, kind: str, name: str, status: Mapping[str, Any]) -> None:
    words = ("patch", kind, name, f"--namespace={HOME}", "--subresource=status", "--type=merge")
    done = server.kubectl(*words, f"--patch={json.dumps({'status': status})}")
    assert done.returncode == 0, done.stderr


def end(server: ApiServer, name: str, *, exit_code: int) -> None:
    """What kubelet and controller say of a Job whose pod has ended."""
    job = json.loads(server.kubectl("get", "job", name, f"--namespace={HOME}", "--output=json").stdout)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-x",
            "namespace": HOME,
            "labels": {"batch.kubernetes.io/job-name": name},
        },
        "spec": job["spec"]["template"]["spec"],
    }
    server.create([pod])
    ended = {"exitCode": exit_code, "reason": "Completed" if exit_code == 0 else "Error"}
    state = {
        "name": "trial",
        "image": IMAGE,
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": ended},
    }
    patch(
        server,
        "pod",
        f"{name}-x",
        {"phase": "Failed" if exit_code else "Succeeded", "containerStatuses": [state]},
    )
    now = "2026-01-01T00:00:00Z"
    ways = ("FailureTarget", "Failed") if exit_code else ("SuccessCriteriaMet", "Complete")
    conditions = [{"type": each, "status": "True", "reason": "Test", "message": ""} for each in ways]
    more = {"failed": 1} if exit_code else {"succeeded": 1, "completionTime": now}
    patch(server, "job", name, {"startTime": now, "conditions": conditions, **more})


class TestDriver:
    def test_it_runs_a_study_with_the_rights_of_its_account(
        self, server: ApiServer, account: Account
    ) -> None:
        uid = "9c1d8a52-0000-4000-8000-000000000000"
        cluster = Silent(account, PLAN.name, {f"valley-{number}-x": float(number) for number in range(20)})
        ledger, said = Memory(), list[str]()
        seen: set[str] = set()

        def step() -> bool:
            return Driver(PLAN, ledger, cluster, Owner("valley", uid), said.append).step()

        while step():
            running = [f"valley-{number}" for number in cluster.jobs()]
            for name in sorted(set(running) - seen):
                seen.add(name)
                if name == "valley-1":
                    words = ("delete", "job", name, f"--namespace={HOME}", "--cascade=background")
                    assert server.kubectl(*words).returncode == 0
                else:
                    end(server, name, exit_code=3 if name == "valley-2" else 0)
        assert ledger.tally() == Tally(succeeded=5, failed=1, killed=1), said
        assert ledger.failures[1].why == "was killed: its Job is gone"
        assert ledger.failures[2].why == "ended with exit code 3"
        left = server.kubectl("get", "jobs", f"--namespace={HOME}", "--output=name").stdout.split()
        assert left == ["job.batch/valley-2"], "what failed is left to be looked at"

    def test_its_account_may_do_no_more(self, account: Account) -> None:
        for path in (f"/api/v1/namespaces/{HOME}/secrets", "/apis/batch/v1/namespaces/tenant-borealis/jobs"):
            with pytest.raises(HTTPError) as refused:
                account.call("GET", path)
            assert refused.value.code == 403
        with pytest.raises(HTTPError) as refused:
            account.create(
                f"/api/v1/namespaces/{HOME}/pods",
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}},
            )
        assert refused.value.code == 403


def driver(study: Study = STUDY) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(jobs.driver(study, Config(), IMAGE)))
    return found


def trial() -> dict[str, Any]:
    job = job_of(PLAN, FIRST, Owner("valley", "9c1d8a52-0000-4000-8000-000000000000"))
    job["metadata"]["namespace"] = HOME
    return job


def pod_of(job: Mapping[str, Any]) -> dict[str, Any]:
    template = job["spec"]["template"]
    meta = {**template.get("metadata", {}), "name": "pod-of-it", "namespace": HOME}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


def experiment() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(katib.experiment(STUDY, IMAGE)))
    return found


def katibs_trial() -> dict[str, Any]:
    """The Job that Katib makes of the Experiment: its template with values, and a name."""
    template = experiment()["spec"]["trialTemplate"]
    text = json.dumps(template["trialSpec"])
    for each in template["trialParameters"]:
        text = text.replace(f"${{trialParameters.{each['name']}}}", str(FIRST.parameters[each["reference"]]))
    job: dict[str, Any] = json.loads(text)
    job["metadata"] |= {"name": "valley-abcdefgh", "namespace": HOME}
    return job


OBJECTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "driver": driver,
    "pod of the driver": lambda: pod_of(driver()),
    "trial": trial,
    "pod of the trial": lambda: pod_of(trial()),
    "experiment": experiment,
    "Katib's trial": katibs_trial,
    "pod of Katib's trial": lambda: pod_of(katibs_trial()),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_the_api_server_takes_every_field_of_it_in_a_restricted_namespace(
    server: ApiServer, name: str
) -> None:
    assert server.refusals([OBJECTS[name]()]) == ""


def test_the_api_server_refuses_a_pod_that_is_less_restricted(server: ApiServer) -> None:
    pod = pod_of(trial())
    del pod["spec"]["containers"][0]["securityContext"]
    assert "violates PodSecurity" in server.refusals([pod])


@pytest.mark.parametrize("name", OBJECTS)
def test_it_breaks_no_rule_of_the_platform(name: str) -> None:
    found = violations(enforced(), [replace(resource(OBJECTS[name]()), home=OFFERING)])
    assert [each.text for each in found if each.rule.severity is Severity.ERROR] == []


def known(body: Mapping[str, Any]) -> Any:
    """What Katib's own types keep of an Experiment; an AssertionError where they refuse it."""
    path = os.pathsep.join([str(upstream.types()), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECK], input=json.dumps(body), env={**os.environ, "PYTHONPATH": path},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestKatibsTypes:
    def test_they_know_every_field_of_the_experiment(self) -> None:
        assert known(experiment()) == experiment()

    def test_they_would_not_know_another(self) -> None:
        wrong = experiment()
        wrong["spec"]["maxTrials"] = wrong["spec"].pop("maxTrialCount")
        assert known(wrong) != wrong

    def test_they_refuse_a_number_that_is_text(self) -> None:
        wrong = experiment()
        wrong["spec"]["maxTrialCount"] = "6"
        with pytest.raises(AssertionError, match="maxTrialCount"):
            known(wrong)
