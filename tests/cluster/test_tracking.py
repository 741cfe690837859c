"""Tracking as a data scientist uses it: the page's examples, a training job and a study that stand in MLflow, and nobody else who sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from modules.kit import names
from modules.ml.tracking.config import NAME, NAMESPACE
from modules.ml.training import image
from tests.cluster.test_tuning import study, submitted
from tests.live import TIMEOUT, Live, Pod, Tenant, unique
from tests.pages import examples

pytestmark = pytest.mark.tracking

COUNT = """
import json, mlflow
print(json.dumps([each.name for each in mlflow.MlflowClient().search_experiments()]))
"""

RUNS = """
import json, sys, mlflow
runs = mlflow.search_runs(experiment_names=[sys.argv[1]], output_format="list")
print(json.dumps([{"status": each.info.status, "params": each.data.params, "metrics": each.data.metrics, "tags": each.data.tags} for each in runs]))
"""

LOGS = """
import mlflow
with mlflow.start_run():
    mlflow.log_metric("done", 1)
"""


@contextmanager
def desk(live: Live, tenant: Tenant) -> Iterator[Pod]:
    """A pod of the tenant with MLflow's client and the variables that the page names."""
    (variables,) = examples("tracking", "yaml", room="")
    with live.client(
        tenant, NAME, image=f"docker.io/{image.image()}", environment=yaml.safe_load(variables)["env"]
    ) as found:
        yield found


@pytest.fixture(scope="module")
def desks(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[tuple[Pod, Pod]]:
    """One of each tenant's."""
    with desk(live, tenants[0]) as own, desk(live, tenants[1]) as other:
        yield own, other


def test_the_pages_examples_work(desks: tuple[Pod, Pod]) -> None:
    own, _ = desks
    said = [own.python(example) for example in examples("tracking", "python", room="")]
    assert "logged" in said[0]
    assert "champion is version 1 weights, for now in words" in said[1]


def test_another_tenant_sees_none_of_it_and_is_let_in_nowhere_else(
    live: Live, tenants: tuple[Tenant, Tenant], desks: tuple[Pod, Pod]
) -> None:
    own, other = desks
    name = unique("mine")
    own.python(f"import mlflow; mlflow.create_experiment({name!r})")
    assert name in own.told(COUNT)
    assert name not in other.told(COUNT)
    status = """
import json, requests
session = requests.Session()
session.verify = "/bindings/tracking/ca.crt"
place = "https://tracking.tracking.svc:5000/api/2.0/mlflow/experiments/search"
answers = [session.post(place, json={"max_results": 5}, headers=each).status_code for each in ({}, {"X-MLFLOW-WORKSPACE": "OTHER"})]
session.trust_env = False
print(json.dumps([*answers, session.post(place, json={"max_results": 5}).status_code]))
"""
    assert other.told(status.replace("OTHER", tenants[0].name)) == [200, 403, 401]


def test_a_training_jobs_runs_stand_in_the_experiment_of_its_name(
    live: Live, tenants: tuple[Tenant, Tenant], desks: tuple[Pod, Pod]
) -> None:
    tenant, where = tenants[0], f"--namespace={tenants[0].namespace}"
    name = unique("logs")
    size = {"cpu": "150m", "memory": "384Mi"}
    main = {"name": "main", "image": f"docker.io/{image.image()}", "command": ["python3", "-c", LOGS], "resources": {"requests": size, "limits": size}}  # fmt: skip
    template = {"spec": {"restartPolicy": "Never", "containers": [main]}}
    job = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "namespace": tenant.namespace, "labels": {"kueue.x-k8s.io/queue-name": names.DEFAULT_QUEUE}},
        "spec": {"replicatedJobs": [{"name": "worker", "template": {"spec": {"backoffLimit": 0, "template": template}}}]},
    }  # fmt: skip
    with live.objects(job):
        live.kubectl("wait", where, "--for=condition=Completed", f"jobset/{name}", TIMEOUT)
        (run,) = desks[0].told(RUNS, f"training/{name}")
    assert (run["status"], run["metrics"]) == ("FINISHED", {"done": 1.0})


def test_a_study_stands_there_with_its_trials(
    live: Live, tenants: tuple[Tenant, Tenant], desks: tuple[Pod, Pod], tmp_path: Path
) -> None:
    program = "import os, sys\nif os.environ['OPTIMIZER'] == 'sgd': sys.exit(1)\nprint('loss =', float(os.environ['RATE']))"
    wanted: dict[str, Any] = study(tenants[0], command=["python3", "-c", program])
    wanted |= {"max_trials": 4, "parallel_trials": 2, "max_failed": 4, "algorithm": "random", "seed": 1}
    with submitted(live, tenants[0], wanted, tmp_path) as running:
        live.kubectl("wait", running.where, "--for=condition=Complete", f"job/{running.name}", TIMEOUT)
        rows = running.rows()
        runs = desks[0].told(RUNS, running.name)
    trials = {
        each["tags"]["longhouse.dev/trial"]: each for each in runs if "longhouse.dev/trial" in each["tags"]
    }
    assert trials.keys() == {str(each.number) for each in rows}
    states = {"COMPLETE": "FINISHED", "FAIL": "FAILED"}
    for row in rows:
        found = trials[str(row.number)]
        assert found["status"] == states[row.state]
        assert found["metrics"] == ({} if row.value is None else {"loss": pytest.approx(row.value)})
    (whole,) = [each for each in runs if "longhouse.dev/trial" not in each["tags"]]
    assert whole["status"] == "FINISHED"


def test_artifacts_stand_in_the_tenants_own_bucket(
    live: Live, tenants: tuple[Tenant, Tenant], desks: tuple[Pod, Pod]
) -> None:
    own, _ = desks
    text = unique("word")
    run = own.told(
        "import json, sys, mlflow\nmlflow.set_experiment('bucket')\nwith mlflow.start_run() as run: mlflow.log_text(sys.argv[1], 'word.txt')\nprint(json.dumps([run.info.experiment_id, run.info.run_id]))",
        text,
    )
    with live.client(tenants[0], "object-store") as client:
        found = client.python(
            "import os, sys, boto3\nos.environ |= {'AWS_CONFIG_FILE': '/bindings/object-store/config', 'AWS_SHARED_CREDENTIALS_FILE': '/bindings/object-store/credentials'}\n"
            "bucket = open('/bindings/object-store/bucket').read()\nprint(boto3.client('s3').get_object(Bucket=bucket, Key=sys.argv[1])['Body'].read().decode())",
            f"mlflow/workspaces/{tenants[0].name}/{run[0]}/{run[1]}/artifacts/word.txt",
        )
    assert found == text


def test_a_server_that_falls_over_comes_back_with_all_that_it_acknowledged(
    live: Live, desks: tuple[Pod, Pod]
) -> None:
    own, _ = desks
    name = unique("kept")
    own.python(f"import mlflow; mlflow.create_experiment({name!r})")
    (pod, *_) = live.items("pods", f"--namespace={NAMESPACE}", "-lapp.kubernetes.io/name=mlflow")
    live.fallen(pod["metadata"]["name"], "mlflow", NAMESPACE)
    live.eventually("the server answers again", lambda: own.host.run("python3 -c %s", COUNT).rc == 0)
    assert name in own.told(COUNT)
