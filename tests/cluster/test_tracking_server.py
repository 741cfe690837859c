"""MLflow's server itself, without a cluster, with MariaDB and MinIO as the platform runs them: that a tenant finds what it logged, and nobody
else's by any route and any path."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from modules.ml.tracking import accounts, settings
from modules.ml.tracking.inside.database import FRESH_SECONDS
from sandbox import images
from tests.bare_pods import Unpacked
from tests.pages import examples
from tests.tracking_server import TENANTS, Running, running
from tests.unit.examples import CREDENTIALS

pytestmark = pytest.mark.tracking

SECRET: Final = "nobody-else-may-read-this"
"""A word that stands in everything that atlas logs, and in nothing that borealis knows: what it is called is known to both."""

LOGS: Final = """
import json, sys, mlflow
word = sys.argv[1]
mlflow.set_experiment("known")
mlflow.set_experiment_tag("word", word)
with mlflow.start_run(run_name=word, tags={"word": word}) as run:
    mlflow.log_param("word", word)
    mlflow.log_metric("known", 0.5, step=1)
    mlflow.log_metric(word, 0.5, step=1)
    mlflow.log_text(word, "model/word.txt")
    mlflow.log_input(mlflow.data.meta_dataset.MetaDataset(mlflow.data.http_dataset_source.HTTPDatasetSource(f"https://example.com/{word}"), name=word))
client = mlflow.MlflowClient()
client.create_registered_model("known", description=word, tags={"word": word})
version = client.create_model_version("known", f"runs:/{run.info.run_id}/model", run.info.run_id, description=word)
client.set_registered_model_alias("known", "champion", version.version)
logged = client.create_logged_model(run.info.experiment_id, name=word, source_run_id=run.info.run_id, tags={"word": word})
span = mlflow.start_span_no_context(word, inputs={"word": word})
span.end(outputs=word)
mlflow.flush_trace_async_logging()
print(json.dumps({
    "run": run.info.run_id, "experiment": run.info.experiment_id, "version": version.version, "logged": logged.model_id, "trace": span.trace_id,
    "artifacts": run.info.artifact_uri,
}))
"""
"""A tenant logs of every kind, and says by which names."""

STATE: Final = """
import json, mlflow
client = mlflow.MlflowClient()
runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
state = {
    "experiments": sorted((each.experiment_id, each.name, each.lifecycle_stage, sorted(each.tags.items())) for each in client.search_experiments(view_type=3)),
    "runs": sorted((each.info.run_id, each.info.status, each.info.lifecycle_stage, repr(sorted(each.data.tags.items())), repr(each.data.params), repr(each.data.metrics)) for each in runs),
    "files": sorted(each.path for run in runs for each in client.list_artifacts(run.info.run_id, "model")),
    "words": [mlflow.artifacts.load_text(f"{run.info.artifact_uri}/model/word.txt") for run in runs],
    "models": sorted((each.name, each.description, repr(each.aliases), repr(each.tags)) for each in client.search_registered_models()),
    "versions": sorted((each.name, each.version, each.source, each.description) for each in client.search_model_versions()),
    "traces": sorted(each.info.trace_id for each in mlflow.search_traces(locations=[each.experiment_id for each in client.search_experiments()], return_type="list")),
}
print(json.dumps(state))
"""
"""All that a tenant finds of its own."""

ROUTES: Final = """
import json
from mlflow.server import app
print(json.dumps(sorted((str(each), method) for each in app.url_map.iter_rules() for method in each.methods - {"HEAD", "OPTIONS"})))
"""

SWEEP: Final = """
import json, re, sys, requests
known, routes = json.loads(sys.argv[1]), json.loads(sys.argv[2])  # and the word
host = "https://tracking.tracking.svc:5000"
session = requests.Session()
session.verify = "/bindings/tracking/ca.crt"
folder = known["artifacts"].removeprefix("mlflow-artifacts:/").strip("/")
values = {
    "experiment_id": known["experiment"], "run_id": known["run"], "run_uuid": known["run"], "name": "known", "version": known["version"],
    "model_id": known["logged"], "trace_id": known["trace"], "request_id": known["trace"], "metric_key": "known", "alias": "champion",
    "key": "word", "value": "mine now", "tag_key": "word", "experiment_name": "known", "max_results": 100,
    "new_name": "mine now", "description": "mine now", "status": "FAILED", "source": known["artifacts"] + "/model", "stage": "Production",
    "timestamp": 1, "step": 1, "artifact_path": folder + "/model/word.txt", "path": "model/word.txt", "workspace_name": "atlas",
}
lists = {
    "experiment_ids": [known["experiment"]], "run_ids": [known["run"]], "trace_ids": [known["trace"]], "request_ids": [known["trace"]],
    "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": known["experiment"]}}], "model_ids": [known["logged"]],
    "metrics": [{"key": "mine", "value": 1, "timestamp": 1, "step": 1}], "params": [{"key": "mine", "value": "now"}], "tags": [{"key": "mine", "value": "now"}],
    "models": [{"model_id": known["logged"], "step": 1}], "datasets": [],
}
paths = [folder + "/model/word.txt", "../" + folder, "..%2f" + folder, "/" + folder, folder.replace("workspaces/", ""), "workspaces/borealis/../../" + folder]
found, asked, writes = [], 0, any(method != "GET" for _, method in routes)
def look(method, path, **more):
    global asked
    asked += 1
    answer = session.request(method, host + path, timeout=60, allow_redirects=False, **more)
    if sys.argv[3] in answer.text:
        found.append([method, path, answer.status_code, answer.text[:300]])
for route, method in routes:
    filled = re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", lambda each: str(values.get(each[1], known["run"])), route)
    look(method, filled, params=values | {"run_ids": [known["run"]], "experiment_ids": [known["experiment"]], "trace_ids": [known["trace"]]})
    if method != "GET":
        look(method, filled, json=values | lists)
        look(method, filled, json=values | lists, headers={"X-MLFLOW-WORKSPACE": "atlas"})
    else:
        look(method, filled, params=values, headers={"X-MLFLOW-WORKSPACE": "atlas"})
for path in paths if writes else ():
    for root in ("/api/2.0/mlflow-artifacts/artifacts/", "/ajax-api/2.0/mlflow-artifacts/artifacts/"):
        look("GET", root + path)
        look("PUT", root + path, data=b"mine now")
        look("DELETE", root + path)
        look("GET", root.rstrip("/"), params={"path": path})
for query in ("mlflowGetRun(input: {runId: %s}) {run {info {runName} data {params {value}}}}" % json.dumps(known["run"]),
              "mlflowGetExperiment(input: {experimentId: %s}) {experiment {name}}" % json.dumps(known["experiment"]),
              "mlflowSearchRuns(input: {experimentIds: [%s]}) {runs {info {runName}}}" % json.dumps(known["experiment"]),
              "mlflowListArtifacts(input: {runId: %s, path: \\"model\\"}) {files {path} rootUri}" % json.dumps(known["run"]),
              "mlflowGetMetricHistoryBulkInterval(input: {runIds: [%s], metricKey: %s}) {metrics {value key}}" % (json.dumps(known["run"]), json.dumps("known"))):
    look("POST", "/graphql", json={"query": "query {%s}" % query})
print(json.dumps({"found": found, "asked": asked}))
"""
"""Ask every route that there is for what another tenant has, by all of its names; gives answers with its word in it. Who is given routes to read only changes nothing."""


@pytest.fixture(scope="module")
def mlflow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both servers and their stores, for as long as these tests run."""
    if request.config.getoption("--cluster") != "embedded":
        pytest.skip("starts servers on this machine, as root, and asks nothing of the cluster that was named")
    folder = tmp_path_factory.mktemp("tracking")
    unpacked = Unpacked(folder / "images", (images.TRACKING_IMAGE,))
    (folder / "images").mkdir()
    with running(folder, unpacked) as started:
        yield started
    shutil.rmtree(folder / "images")


@pytest.fixture(scope="module")
def logged(mlflow: Running) -> dict[str, Any]:
    """What atlas logged, by what it is called."""
    found: dict[str, Any] = mlflow.told("atlas", LOGS, SECRET)
    return found


def test_one_of_two_servers_makes_the_schema_while_the_other_waits(mlflow: Running) -> None:
    said = [mlflow.pods[f"{settings.SERVER}-{number}"].said("upgrade") for number in range(2)]
    assert sum("Creating initial MLflow database tables" in each for each in said) == 1
    assert all("the schema is " in each for each in said)


def test_no_table_is_without_a_primary_key(mlflow: Running) -> None:
    """Percona's cluster takes no writes to one (pxc_strict_mode)."""
    program = """
import json
from modules.ml.tracking.inside import database
with database.connection() as made, made.cursor() as cursor:
    cursor.execute("SELECT table_name FROM information_schema.tables AS t WHERE table_schema = DATABASE() AND NOT EXISTS (SELECT 1 FROM "
                   "information_schema.table_constraints AS c WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.constraint_type = 'PRIMARY KEY')")
    print(json.dumps(cursor.fetchall()))
"""
    assert mlflow.told("tracking-access", program) == []


def test_the_pages_examples_work(mlflow: Running) -> None:
    for example in examples("tracking", "python", room=""):
        done = mlflow.run("borealis", example)
        assert done.returncode == 0, done.stderr
    assert "champion is version 1 weights, for now in words" in done.stdout


def test_a_tenant_finds_what_it_logged(mlflow: Running, logged: dict[str, Any]) -> None:
    state = mlflow.told("atlas", STATE)
    assert [each[0] for each in state["runs"]] == [logged["run"]]
    assert state["words"] == [SECRET]
    assert state["files"] == ["model/word.txt"]
    assert [each[0] for each in state["models"]] == ["known"]
    assert state["traces"] == [logged["trace"]]


def test_nobody_else_reads_or_changes_it_by_any_route(mlflow: Running, logged: dict[str, Any]) -> None:
    before = mlflow.told("atlas", STATE)
    routes = [[path, method] for path, method in mlflow.told("tracking-access", ROUTES)]
    reads = [each for each in routes if each[1] == "GET"]
    own = mlflow.told("atlas", SWEEP, json.dumps(logged), json.dumps(reads), SECRET)
    seen = {path for _, path, status, _ in own["found"] if status < 300}
    assert len(seen) >= 10, f"the sweep sees what there is to see: {seen}"
    told = mlflow.told("borealis", SWEEP, json.dumps(logged), json.dumps(routes), SECRET)
    assert told["asked"] > 500
    assert told["found"] == [], json.dumps(told["found"], indent=1)
    assert mlflow.told("atlas", STATE) == before


def test_an_artifact_that_is_not_there_is_told_of_at_once(mlflow: Running, logged: dict[str, Any]) -> None:
    program = """
import json, sys, time, mlflow
begin = time.monotonic()
try:
    mlflow.artifacts.load_text(sys.argv[1] + "/model/absent.txt")
except mlflow.exceptions.MlflowException as refusal:
    print(json.dumps([str(refusal), time.monotonic() - begin]))
"""
    said, seconds = mlflow.told("atlas", program, logged["artifacts"])
    assert "absent.txt is not there" in said
    assert seconds < 30, "it is not asked for again and again"


def test_a_path_that_a_client_writes_leads_to_no_other_tenants_artifacts(
    mlflow: Running, logged: dict[str, Any]
) -> None:
    program = """
import json, sys, mlflow, requests
folder = sys.argv[1]
mlflow.set_experiment("reader")
span = mlflow.start_span_no_context("reader")
span.end()
mlflow.flush_trace_async_logging()
client = mlflow.MlflowClient()
session = requests.Session()
session.verify = "/bindings/tracking/ca.crt"
answers = []
for place in (folder, folder + "/model", "s3://longhouse-atlas/mlflow/" + folder.partition("/")[2], "tenants:///" + folder.partition("/")[2]):
    try:
        client.set_trace_tag(span.trace_id, "mlflow.artifactLocation", place)
    except mlflow.exceptions.MlflowException as refusal:
        answers.append(str(refusal))
    for name in ("word.txt", "model/word.txt"):
        answer = session.get("https://tracking.tracking.svc:5000/ajax-api/2.0/mlflow/get-trace-artifact", params={"request_id": span.trace_id, "path": name})
        answers.append(answer.text)
with mlflow.start_run() as run: pass
client.create_registered_model("reader")
for source in (folder + "/model", "s3://longhouse-atlas/mlflow/x", "file:///bindings/mysql", "/bindings/mysql", "https://example.com/x", "mlflow-artifacts://elsewhere/x"):
    try:
        client.create_model_version("reader", source, run.info.run_id)
        answers.append("TAKEN " + source)
    except mlflow.exceptions.MlflowException as refusal:
        answers.append("refused")
print(json.dumps(answers))
"""
    answers = mlflow.told("borealis", program, logged["artifacts"])
    assert not [each for each in answers if SECRET in each or each.startswith("TAKEN")], answers
    assert answers.count("refused") == 6


def test_the_servers_key_opens_one_folder_of_buckets_and_nothing_else(
    mlflow: Running, logged: dict[str, Any]
) -> None:
    program = """
import boto3, json, botocore
s3 = boto3.client("s3", config=botocore.config.Config(s3={"addressing_style": "path"}))
version = s3.put_object(Bucket="longhouse-atlas", Key="mlflow/x", Body=b"x")["VersionId"]
def code(call, **words):
    try:
        call(**words)
    except botocore.exceptions.ClientError as refusal:
        return refusal.response["Error"]["Code"]
    return ""
print(json.dumps({
    "own": code(s3.list_objects_v2, Bucket="longhouse-atlas", Prefix="mlflow/"),
    "delete": code(s3.delete_object, Bucket="longhouse-atlas", Key="mlflow/x"),
    "destroy them": s3.delete_objects(Bucket="longhouse-atlas", Delete={"Objects": [{"Key": "mlflow/x", "VersionId": version}]}).get("Errors", [{"Code": ""}])[0]["Code"],
    "list": code(s3.list_objects_v2, Bucket="longhouse-atlas"),
    "put": code(s3.put_object, Bucket="longhouse-atlas", Key="jobs/x", Body=b"x"),
    "version": code(s3.get_object, Bucket="longhouse-atlas", Key="mlflow/x", VersionId=version),
    "destroy": code(s3.delete_object, Bucket="longhouse-atlas", Key="mlflow/x", VersionId=version),
    "backups": code(s3.list_objects_v2, Bucket="longhouse-backups"),
    "buckets": code(s3.list_buckets),
}))
"""
    found = mlflow.told(settings.SERVER, program)
    assert (found.pop("own"), found.pop("delete")) == ("", "")
    assert set(found.values()) == {"AccessDenied"}, found


def test_a_password_that_was_rotated_is_refused_in_seconds_and_a_tenant_that_is_gone_too(
    mlflow: Running, logged: dict[str, Any]
) -> None:
    count = "import json, mlflow; print(json.dumps(len(mlflow.MlflowClient().search_experiments())))"
    wanted = accounts.desired(CREDENTIALS, [each.name for each in TENANTS], ())
    assert mlflow.let_in(wanted) == "no change\nretained\n"
    without = accounts.desired(CREDENTIALS, ["borealis"], ())
    said = mlflow.let_in(without)
    assert "atlas: comes in no more" in said
    assert "retained atlas" in said
    time.sleep(FRESH_SECONDS + 1)
    done = mlflow.run("atlas", count)
    assert done.returncode != 0
    assert "401" in done.stderr or "UNAUTHENTICATED" in done.stderr
    assert mlflow.told("borealis", count) >= 1
    mlflow.let_in(wanted)
    time.sleep(FRESH_SECONDS + 1)
    assert mlflow.told("atlas", STATE)["words"] == [SECRET], "who comes back finds what was kept"


def test_a_tenant_that_is_gone_for_good_leaves_nothing_in_the_schema(
    mlflow: Running, logged: dict[str, Any]
) -> None:
    said = mlflow.let_in(accounts.desired(CREDENTIALS, ["borealis"], ("atlas",)))
    assert "atlas: deleted the workspace with all that was in it" in said
    program = """
import json, sys
from modules.ml.tracking.inside import database
with database.connection() as made, made.cursor() as cursor:
    cursor.execute("SELECT COUNT(*) FROM experiments WHERE workspace = 'atlas'")
    found = [cursor.fetchone()[0]]
    cursor.execute("SELECT COUNT(*) FROM runs WHERE run_uuid = %s", (sys.argv[1],))
    found.append(cursor.fetchone()[0])
print(json.dumps(found))
"""
    assert mlflow.told("tracking-access", program, logged["run"]) == [0, 0]
