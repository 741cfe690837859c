"""Spark as a data scientist uses it: ten lines of an application, right results whatever dies, within the tenant's share and its namespace."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import airportsdata
import pytest
import yaml

from modules.compute.spark import connect, history, image, operator
from modules.compute.spark.component import OPERATOR_ROLE
from modules.compute.spark.config import ACCOUNT, DEFAULTS, NAMESPACE, Connect
from modules.compute.spark.defaults import Stores
from modules.kit import labels
from modules.kit.names import namespace
from modules.kit.operator_namespace import POD_SECURITY
from tests.live import PATIENCE_SECONDS, TIMEOUT, Live, Pod, Tenant, meanwhile, pod, unique
from tests.pages import examples

pytestmark = pytest.mark.compute

API: str = "sparkoperator.k8s.io/v1beta2"
AIRPORTS = Path(airportsdata.__file__).parent / "airports.csv"
"""A real data set: 28,000 places, as people wrote them down."""

SLOW = """
import sys, time
from pyspark.sql import SparkSession

def squared(part):
    for number in part:
        time.sleep(0.25)
        yield number, number * number

spark = SparkSession.builder.getOrCreate()
squares = spark.sparkContext.parallelize(range(60), 12).mapPartitions(squared)
spark.createDataFrame(squares, "number long, square long").write.mode("append").parquet(sys.argv[1])
"""
"""Rows that take their time, added to what is there: whatever is written twice is seen."""


KEYSPACE = """
import json, ssl, sys
from pathlib import Path
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster
binding = {file.name: file.read_text() for file in Path("/bindings/cassandra").iterdir() if file.is_file()}
cluster = Cluster(
    [binding["host"]], port=int(binding["port"]), auth_provider=PlainTextAuthProvider(binding["username"], binding["password"]),
    ssl_context=ssl.create_default_context(cafile="/bindings/cassandra/ca.crt"), ssl_options={"server_hostname": binding["server_name"]},
)
session = cluster.connect(binding["keyspace"])
rows = [dict(row._asdict()) for row in session.execute("SELECT country, passengers, airports FROM arrivals")]
session.execute("DROP TABLE arrivals", timeout=60)
cluster.shutdown()
print(json.dumps(rows))
"""

FIND_SPARK = 'import glob, sys; sys.path[:0] = glob.glob("/opt/spark/python/lib/*.zip")\n'
"""What the image's entry point does for programs that it starts."""

PRODUCE = """
import json, pathlib, sys
from confluent_kafka import Producer
binding = pathlib.Path("/bindings/kafka")
producer = Producer(json.loads((binding / "librdkafka.json").read_text()))
topic, key, messages = sys.argv[1:]
for each in json.loads(messages):
    producer.produce((binding / "prefix").read_text() + topic, json.dumps(each), key=key)
assert not producer.flush(60)
"""

STORE = """
import json, os, sys
os.environ |= {"AWS_CONFIG_FILE": "/bindings/object-store/config", "AWS_SHARED_CREDENTIALS_FILE": "/bindings/object-store/credentials"}
import boto3
bucket = boto3.client("s3")
name = open("/bindings/object-store/bucket").read()
"""
PUT = STORE + "bucket.put_object(Bucket=name, Key=sys.argv[1], Body=sys.argv[2].encode())"
FIGURES = (
    STORE
    + """
import io, pandas
file = io.BytesIO(bucket.get_object(Bucket=name, Key="airports.csv")["Body"].read())
airports = pandas.read_csv(file, usecols=["icao", "country"], keep_default_na=False)  # NA is Namibia
arrivals = pandas.DataFrame(json.loads(sys.argv[1])).groupby("airport").passengers.sum().reset_index()
joined = arrivals.merge(airports, left_on="airport", right_on="icao").groupby("country")
print(joined.agg(passengers=("passengers", "sum"), airports=("icao", "count")).reset_index().to_json(orient="records"))
"""
)
"""The same as pandas sees it."""
ROWS = (
    STORE
    + """
import io, pyarrow.parquet
found = bucket.list_objects_v2(Bucket=name, Prefix=sys.argv[1] + "/")["Contents"]
rows = [row for each in found if each["Key"].endswith(".parquet") and "/_" not in each["Key"]
        for row in pyarrow.parquet.read_table(io.BytesIO(bucket.get_object(Bucket=name, Key=each["Key"])["Body"].read()), use_threads=False, pre_buffer=False).to_pylist()]
print(json.dumps(rows))
"""
)
RUNS = """
import json, sys, urllib.request
print(json.dumps(json.load(urllib.request.urlopen(f"http://{sys.argv[1]}/api/v1/applications", timeout=10))))
"""


def application(tenant: Tenant, program: str) -> dict[str, Any]:
    """An application as small as this cluster is."""
    size = {"coreRequest": "150m", "coreLimit": "1", "memory": "1g"}
    return {
        "apiVersion": API,
        "kind": "SparkApplication",
        "metadata": {"name": unique("check"), "namespace": tenant.namespace},
        "spec": {
            "type": "Python",
            "sparkVersion": image.version(),
            "mainApplicationFile": program,
            "driver": size,
            "executor": {**size, "instances": 1},
        },
    }


def state(live: Live, tenant: Tenant, name: str) -> dict[str, Any]:
    found = live.get("sparkapplication", name, f"--namespace={tenant.namespace}")
    return dict(found.get("status", {}).get("applicationState", {}))


def completes(live: Live, tenant: Tenant, name: str, *, again: bool = False) -> None:
    """Waits until it is done; an AssertionError with what its driver said when it failed, unless it may try ``again``."""

    def over() -> str:
        now = state(live, tenant, name)
        if now.get("state") in (
            "FAILED",
            "SUBMISSION_FAILED",
            *(() if again else ("FAILING", "INVALIDATING")),
        ):
            log = live.try_kubectl("logs", f"--namespace={tenant.namespace}", f"{name}-driver", "--tail=40")
            raise AssertionError(f"{now}\n{log.stdout[-4000:]}")
        return str(now.get("state")) if now.get("state") == "COMPLETED" else ""

    live.eventually(f"{name} completed", over)


@contextmanager
def running(live: Live, tenant: Tenant, found: dict[str, Any]) -> Iterator[str]:
    """An application for as long as the body runs."""
    found["metadata"]["namespace"] = tenant.namespace
    with live.objects(found):
        yield str(found["metadata"]["name"])


@pytest.fixture(scope="module")
def desk(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Pod]:
    """A pod of the first tenant with Spark's own image, to put things into its bucket and look at what came of them."""
    stores = ("object-store", "cassandra")
    with live.client(tenants[0], *stores, image=image.image(), memory="256Mi", cpu="1") as found:
        yield found


@pytest.fixture(scope="module")
def bucket(desk: Pod) -> str:
    """The first tenant's bucket."""
    return desk.python("print(open('/bindings/object-store/bucket').read())")


def rows(desk: Pod, folder: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.told(ROWS, folder)
    return found


def as_the_page_has_it(kind: str, number: int, tenant: Tenant, bucket: str) -> str:
    """An example of the page, as this tenant would write it."""
    found = examples("spark", kind, room="processing")[number]
    own = [("longhouse-atlas", bucket), ("tenants/atlas", f"tenants/{tenant.name}"), ('atlas.', f"{tenant.name}.")]  # fmt: skip
    for old, new in own:
        found = found.replace(old, new)
    return found


def by_country(found: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    return {row["country"]: (row["passengers"], row["airports"]) for row in found}


class TestApplication:
    def test_the_pages_example_finds_what_plain_python_finds_and_is_in_the_tenants_history(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        tenant = tenants[0]
        where = ("exec", "--stdin", desk.name, f"--namespace={tenant.namespace}")
        upload = STORE + "bucket.upload_fileobj(sys.stdin.buffer, name, 'airports.csv')"
        live.kubectl(*where, "--", "python3", "-c", upload, stdin=AIRPORTS.read_text(encoding="utf-8"))
        desk.python(PUT, "jobs/countries.py", as_the_page_has_it("python", 0, tenant, bucket))
        with running(live, tenant, yaml.safe_load(as_the_page_has_it("yaml", 0, tenant, bucket))) as name:
            completes(live, tenant, name)
            log = live.kubectl("logs", f"--namespace={tenant.namespace}", f"{name}-driver")
            ran = live.get("sparkapplication", name, f"--namespace={tenant.namespace}")["status"]
        with AIRPORTS.open(encoding="utf-8") as file:
            airports = list(csv.DictReader(file))
        expected = {
            country: (len(there), max(there))
            for country in {each["country"] for each in airports}
            for there in [[float(each["elevation"]) for each in airports if each["country"] == country]]
        }
        assert {
            row["country"]: (row["airports"], row["highest"]) for row in rows(desk, "countries")
        } == expected
        assert f"rows in HDFS: {len(airports)}" in log, "read back from the tenant's home"

        def listed() -> list[dict[str, Any]]:
            found = desk.told(RUNS, f"{history.NAME}:{history.PORT}")
            return [each for each in found if each["id"] == ran["sparkApplicationId"]]

        (shown,) = live.eventually("the history server lists it", listed)
        assert shown["attempts"][-1]["completed"] is True

    def test_what_a_schedule_starts_joins_a_topic_with_hdfs_into_bucket_and_keyspace_as_pandas_does(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        tenant, day = tenants[0], unique("day")
        with AIRPORTS.open(encoding="utf-8") as file:
            known = [each["icao"] for each in csv.DictReader(file)]
        arrivals = [
            {"airport": known[number * 97 % len(known)], "passengers": number * 11 % 17}
            for number in range(300)
        ]
        with live.client(tenant, "kafka") as producer:
            producer.python(
                PRODUCE,
                "events",
                day,
                json.dumps([*arrivals, *arrivals, {"airport": "none", "passengers": 1}]),
            )
        program = as_the_page_has_it("python", 1, tenant, bucket).replace("2026-11-21", day)
        desk.python(PUT, "jobs/arrivals.py", program)
        found = yaml.safe_load(as_the_page_has_it("yaml", 1, tenant, bucket))
        found["metadata"] |= {"name": unique("arrivals"), "namespace": tenant.namespace}
        found["spec"]["schedule"] = "@every 1s"
        schedule = ("scheduledsparkapplication", found["metadata"]["name"], f"--namespace={tenant.namespace}")
        with live.objects(found):
            name = live.eventually(
                "it makes an application", lambda: live.get(*schedule).get("status", {}).get("lastRunName")
            )
            live.kubectl("patch", *schedule, "--type=merge", '--patch={"spec": {"suspend": true}}')
            completes(live, tenant, name)
        expected = by_country(desk.told(FIGURES, json.dumps([*arrivals, *arrivals])))
        assert len(expected) > 20
        assert by_country(rows(desk, "arrivals")) == expected
        assert by_country(desk.told(KEYSPACE)) == expected

    def test_executors_and_a_driver_that_die_change_no_result_and_nothing_is_written_twice(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        tenant, folder = tenants[0], unique("squares")
        desk.python(PUT, "jobs/slow.py", SLOW)
        found = application(tenant, f"s3a://{bucket}/jobs/slow.py")
        found["spec"]["arguments"] = [f"s3a://{bucket}/{folder}"]
        found["spec"]["restartPolicy"] = {
            "type": "OnFailure",
            "onFailureRetries": 1,
            "onFailureRetryInterval": 1,
        }
        works = f"--namespace={tenant.namespace}"
        with running(live, tenant, found) as name:
            driver = f"{name}-driver"

            def said(text: str) -> str:
                log = live.try_kubectl("logs", works, driver).stdout
                return log if text in log else ""

            def executor(text: str) -> str:
                live.eventually(f"its driver says: {text}", lambda: said(text))
                pods = live.items(
                    "pods", works, f"-lsparkoperator.k8s.io/app-name={name},spark-role=executor"
                )
                (up,) = [
                    str(each["metadata"]["name"])
                    for each in pods
                    if each["status"]["phase"] == "Running" and "deletionTimestamp" not in each["metadata"]
                ]
                return up

            victim = executor("Finished task 2")
            live.try_kubectl(
                "exec", works, victim, "--", "pkill", "-KILL", "--full", "KubernetesExecutorBackend"
            )
            live.eventually("another goes on", lambda: said("Finished task 5"))
            assert said("Lost executor 1")
            live.kubectl("delete", "pod", works, driver, "--grace-period=0", "--force")
            live.eventually("it begins again", lambda: not said("Lost executor 1"))
            told = executor("Finished task 2")
            live.kubectl("delete", "pod", works, told, "--wait=false")
            completes(live, tenant, name, again=True)
            assert said("Received executor 1 decommissioned message")
            ended = live.get("sparkapplication", name, works)["status"]["executorState"]
            assert ended[told] == "COMPLETED", "it had time to go"
        written = sorted((row["number"], row["square"]) for row in rows(desk, folder))
        assert written == [(number, number * number) for number in range(60)]

    def test_a_connect_server_and_each_executor_wait_for_room_and_executors_go_with_the_work(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod
    ) -> None:
        """On the one real node there is room for both, as long as nothing else takes it."""
        tenant, other = tenants
        where = f"--namespace={tenant.namespace}"
        found = application(tenant, "")
        name = found["metadata"]["name"]
        found["spec"] = {**connect.spec(Connect(cpu="150m", memory="1g"), Stores())}
        for patience in ("executorIdleTimeout", "shuffleTracking.timeout"):
            found["spec"]["sparkConf"][f"spark.dynamicAllocation.{patience}"] = "5s"
        ports = [{"port": connect.PORT, "targetPort": connect.PORT}]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": tenant.namespace},
            "spec": {"selector": connect.selector(name), "ports": ports},
        }

        def pods(role: str) -> list[dict[str, Any]]:
            return live.items("pods", where, f"-lsparkoperator.k8s.io/app-name={name},spark-role={role}")

        def waiting(workload: str) -> list[str]:
            return [
                each["message"]
                for found in live.items("workloads", where)
                if found["metadata"]["name"].startswith(workload)
                for each in found.get("status", {}).get("conditions", [])
                if each["type"] == "QuotaReserved" and each["status"] == "False"
            ]

        @contextmanager
        def taken(memory: str) -> Iterator[None]:
            holder = pod(tenant)
            size = {"cpu": "50m", "memory": memory}
            holder["spec"]["containers"][0]["resources"] = {"requests": size, "limits": size}
            with live.objects(holder):
                live.kubectl(
                    "wait", where, "--for=condition=Ready", f"pod/{holder['metadata']['name']}", TIMEOUT
                )
                yield

        program = as_the_page_has_it("python", 2, tenant, "").replace("sc://spark-connect", f"sc://{name}")
        with live.objects(service), ExitStack() as room:
            room.enter_context(taken("3600Mi"))
            with running(live, tenant, found):
                why = live.eventually("the server waits", lambda: waiting(f"sparkapplication-{name}"))
                assert "insufficient" in why[0], why
                assert live.get("sparkapplication", name, where)["spec"]["suspend"] is True
                assert not pods("driver")
                room.close()
                live.eventually("it has room", lambda: pods("driver"))
                room.enter_context(taken("2900Mi"))
                live.eventually("it serves", lambda: desk.reaches(name, connect.PORT))
                assert not pods("executor"), "there is nothing to do"
                with meanwhile(lambda: desk.python(FIND_SPARK + program)) as counting, room:
                    (executor,) = live.eventually("it asks for an executor", lambda: pods("executor"))
                    own = f"pod-{executor['metadata']['name']}"
                    why = live.eventually("which waits", lambda: waiting(own))
                    assert "insufficient" in why[0], why
                    assert not counting.done()
                    room.close()
                    assert counting.result(PATIENCE_SECONDS) == str(
                        sum(number % 7 == 3 for number in range(1000))
                    )
                live.eventually("it goes when there is nothing to do", lambda: not pods("executor"))
                with live.pod(other) as stranger:
                    assert not stranger.reaches(f"{name}.{tenant.namespace}.svc", connect.PORT)

    def test_executors_may_be_put_on_spot_nodes_and_their_driver_not(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        """As the queue decides it; the nodes are simulated."""
        pools = live.items("resourceflavors", "-l", labels.PART_OF)
        spot = [each["metadata"]["name"] for each in pools if labels.SPOT in each["spec"]["nodeLabels"]]
        tenant = tenants[0]
        where = f"--namespace={tenant.namespace}"
        found = application(tenant, "local:///opt/spark/x.py")
        found["metadata"]["labels"] = {labels.QUEUE: "gpu"}
        found["spec"]["executor"] |= {
            "gpu": {"name": "nvidia.com/gpu", "quantity": 1},
            "nodeSelector": {labels.POOL: spot[0]},
        }
        with running(live, tenant, found) as name:
            (assigned,) = live.eventually(
                "it is admitted",
                lambda: [
                    each["status"]["admission"]["podSetAssignments"]
                    for each in live.items("workloads", where)
                    if each["metadata"]["name"].startswith(f"sparkapplication-{name}")
                    and "admission" in each.get("status", {})
                ],
            )
        flavors = {each["name"]: set(each["flavors"].values()) for each in assigned}
        assert flavors["executor"] == {spot[0]}
        assert not flavors["driver"] & set(spot)


class TestOperator:
    def test_it_serves_a_tenant_that_came_after_it_as_soon_as_it_is_let_in_and_not_before(
        self, live: Live
    ) -> None:
        """As a group of tenants does that is deployed when the platform is there."""
        tenant = unique("late")
        late = Tenant(tenant, namespace(tenant))
        own = labels.tenant(tenant, "tenants", "somebody")
        home = {"name": late.namespace, "labels": {**own, **POD_SECURITY, labels.DATA_CLASS: "internal"}}
        rbac = "rbac.authorization.k8s.io"
        account = {"kind": "ServiceAccount", "name": operator.CONTROLLER, "namespace": NAMESPACE}
        meta = {"namespace": late.namespace, "labels": own}
        found = application(late, "local:///opt/spark/x.py")
        with live.objects(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": home},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": DEFAULTS, **meta}, "data": {"spark.x": "y"}},
        ):  # fmt: skip
            live.eventually("it has its defaults", lambda: live.create(found).returncode == 0)
            name = found["metadata"]["name"]
            assert not state(live, late, name), "it may write nothing there"
            binding = {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": NAMESPACE, **meta},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": OPERATOR_ROLE},
                "subjects": [account],
            }
            with live.objects(binding):
                live.eventually("it looks after the application", lambda: "state" in state(live, late, name))

    @pytest.mark.parametrize("kind", ["pods", "configmaps", "services"])
    def test_it_makes_nothing_outside_tenants_namespaces(self, live: Live, kind: str) -> None:
        whose = f"--as=system:serviceaccount:{NAMESPACE}:{operator.CONTROLLER}"
        for where in ("kube-system", NAMESPACE, "default"):
            asked = live.try_kubectl("auth", "can-i", "create", kind, whose, f"--namespace={where}")
            assert asked.stdout.strip() == "no", where


class TestFence:
    @pytest.mark.parametrize("account", [ACCOUNT, "workload"])
    def test_no_account_of_a_tenant_starts_anything_in_anothers_namespace(
        self, live: Live, tenants: tuple[Tenant, Tenant], account: str
    ) -> None:
        own, other = tenants
        whose = f"--as=system:serviceaccount:{own.namespace}:{account}"
        found = application(other, "local:///opt/spark/x.py")
        done = live.try_kubectl("create", whose, "--dry-run=server", "--filename=-", stdin=json.dumps(found))
        assert done.returncode != 0
        assert "forbidden" in done.stderr
        for kind in ("pods", "configmaps", "services"):
            asked = live.try_kubectl("auth", "can-i", "create", kind, whose, f"--namespace={other.namespace}")
            assert asked.stdout.strip() == "no", kind

    def test_a_tenants_history_is_shown_to_its_own_pods_only(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod
    ) -> None:
        own, other = tenants
        assert desk.reaches(f"{history.NAME}.{own.namespace}.svc", history.PORT)
        with live.pod(other) as stranger:
            assert not stranger.reaches(f"{history.NAME}.{own.namespace}.svc", history.PORT)

    def test_an_editor_may_start_one_and_a_viewer_may_not(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        tenant = tenants[0]
        for role, allowed in (("editor", "yes"), ("viewer", "no")):
            bound = live.get("rolebinding", role, f"--namespace={tenant.namespace}")
            group = bound["subjects"][0]["name"]
            for kind in ("sparkapplications", "scheduledsparkapplications"):
                words = (
                    "auth",
                    "can-i",
                    "create",
                    f"{kind}.sparkoperator.k8s.io",
                    f"--namespace={tenant.namespace}",
                )
                answer = live.try_kubectl(*words, "--as=somebody", f"--as-group={group}")
                assert answer.stdout.strip() == allowed, (role, kind)

    def test_a_size_that_the_queue_would_not_see_is_refused(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        found = application(tenants[0], "local:///opt/spark/x.py")
        found["spec"]["sparkConf"] = {"spark.executor.memoryOverhead": "64g"}
        refused = live.create(found)
        assert refused.returncode != 0
        assert "the queue does not read sparkConf" in refused.stderr
