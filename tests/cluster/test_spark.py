"""Spark as a data scientist uses it: ten lines of an application, right results whatever dies, within the tenant's share and its namespace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from modules.compute.spark import image
from modules.compute.spark.config import ACCOUNT
from tests.live import TIMEOUT, Live, Pod, Tenant, pod, unique
from tests.pages import examples

pytestmark = pytest.mark.compute

API: str = "sparkoperator.k8s.io/v1beta2"
SHOPS = ("north", "south", "east")
SALES = [(SHOPS[number % 3], number * 7 % 101) for number in range(3000)]
"""What is summed: as plain Python sees it."""

SLOW = """
import time
from pyspark.sql import SparkSession

def squared(part):
    for number in part:
        time.sleep(0.25)
        yield number * number

spark = SparkSession.builder.getOrCreate()
total = spark.sparkContext.parallelize(range(60), 12).mapPartitions(squared).sum()
print("the total is", total)
"""

STORE = """
import json, os, sys
os.environ |= {"AWS_CONFIG_FILE": "/bindings/object-store/config", "AWS_SHARED_CREDENTIALS_FILE": "/bindings/object-store/credentials"}
import boto3
bucket = boto3.client("s3")
name = open("/bindings/object-store/bucket").read()
"""
PUT = STORE + "bucket.put_object(Bucket=name, Key=sys.argv[1], Body=sys.argv[2].encode())"
ROWS = (
    STORE
    + """
import io, pyarrow.parquet
found = bucket.list_objects_v2(Bucket=name, Prefix=sys.argv[1] + "/")["Contents"]
rows = [row for each in found if each["Key"].endswith(".parquet")
        for row in pyarrow.parquet.read_table(io.BytesIO(bucket.get_object(Bucket=name, Key=each["Key"])["Body"].read())).to_pylist()]
print(json.dumps(rows))
"""
)
LOGS = (
    STORE
    + """
found = bucket.list_objects_v2(Bucket=name, Prefix="spark-events/").get("Contents", [])
print(json.dumps([each["Key"] for each in found if sys.argv[1] in each["Key"] and each["Size"]]))
"""
)


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


def completes(live: Live, tenant: Tenant, name: str) -> None:
    """Waits until it is done; an AssertionError with what its driver said when it failed."""

    def over() -> str:
        now = state(live, tenant, name)
        if now.get("state") in ("FAILED", "SUBMISSION_FAILED", "FAILING", "INVALIDATING"):
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
    with live.client(tenants[0], "object-store", image=image.image(), memory="256Mi", cpu="500m") as found:
        yield found


@pytest.fixture(scope="module")
def bucket(desk: Pod) -> str:
    """The first tenant's bucket."""
    return desk.python("print(open('/bindings/object-store/bucket').read())")


def rows(desk: Pod, folder: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.told(ROWS, folder)
    return found


class TestApplication:
    def test_the_pages_example_sums_what_plain_python_sums_and_leaves_its_log(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        tenant = tenants[0]
        (program,) = examples("spark", "python", room="processing")
        lines = "shop,amount\n" + "".join(f"{shop},{amount}\n" for shop, amount in SALES)
        own = [("longhouse-atlas", bucket), ("tenants/atlas", f"tenants/{tenant.name}")]
        for old, new in own:
            program = program.replace(old, new)
        desk.python(PUT, "sales.csv", lines)
        desk.python(PUT, "jobs/sums.py", program)
        found = yaml.safe_load(
            examples("spark", "yaml", room="processing")[0].replace("longhouse-atlas", bucket)
        )
        with running(live, tenant, found) as name:
            completes(live, tenant, name)
            log = live.kubectl("logs", f"--namespace={tenant.namespace}", f"{name}-driver")
            status = live.get("sparkapplication", name, f"--namespace={tenant.namespace}")["status"]
        expected = {
            shop: (
                sum(amount for where, amount in SALES if where == shop),
                sum(where == shop for where, _ in SALES),
            )
            for shop in SHOPS
        }
        assert {row["shop"]: (row["amount"], row["sales"]) for row in rows(desk, "per-shop")} == expected
        assert "rows in HDFS: 3" in log, "read back from the tenant's home"
        assert desk.told(LOGS, status["sparkApplicationId"]), "the event log is in the bucket"

    def test_a_killed_executor_changes_no_result(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        tenant = tenants[0]
        desk.python(PUT, "jobs/slow.py", SLOW)
        found = application(tenant, f"s3a://{bucket}/jobs/slow.py")
        with running(live, tenant, found) as name:
            executors = (
                "pods",
                f"--namespace={tenant.namespace}",
                f"-lsparkoperator.k8s.io/app-name={name},spark-role=executor",
            )
            works = f"--namespace={tenant.namespace}"

            def busy() -> str:
                up = [
                    each["metadata"]["name"]
                    for each in live.items(*executors)
                    if each["status"]["phase"] == "Running"
                ]
                log = live.try_kubectl("logs", works, f"{name}-driver").stdout
                return up[0] if up and "Finished task 2" in log else ""

            victim = live.eventually("an executor is in the middle of it", busy)
            live.kubectl("delete", "pod", works, victim, "--grace-period=0", "--force")
            completes(live, tenant, name)
            log = live.kubectl("logs", works, f"{name}-driver")
        assert "Lost executor 1" in log
        assert f"the total is {sum(number * number for number in range(60))}" in log

    def test_one_beyond_the_room_waits_and_starts_when_room_comes(
        self, live: Live, tenants: tuple[Tenant, Tenant], desk: Pod, bucket: str
    ) -> None:
        tenant = tenants[0]
        where = f"--namespace={tenant.namespace}"
        desk.python(PUT, "jobs/slow.py", SLOW)
        free = pod(tenant)
        free["spec"]["containers"][0]["resources"] = {
            kind: {"cpu": "200m", "memory": "64Mi"} for kind in ("requests", "limits")
        }
        holder = free["metadata"]["name"]
        found = application(tenant, f"s3a://{bucket}/jobs/slow.py")
        # With its driver within all that tenants have on the one real node, and not beside the holder. The node need not have room for its executor.
        found["spec"]["executor"]["coreRequest"] = "750m"
        with live.objects(free):
            live.kubectl("wait", where, "--for=condition=Ready", f"pod/{holder}", TIMEOUT)
            with running(live, tenant, found) as name:
                waits = live.eventually(
                    "its workload waits for room",
                    lambda: [
                        each["message"]
                        for workload in live.items("workloads", where)
                        if workload["metadata"]["name"].startswith(f"sparkapplication-{name}")
                        for each in workload.get("status", {}).get("conditions", [])
                        if each["type"] == "QuotaReserved" and each["status"] == "False"
                    ],
                )
                assert "insufficient" in waits[0], waits
                assert live.get("sparkapplication", name, where)["spec"]["suspend"] is True
                drivers = live.items("pods", where, f"-lsparkoperator.k8s.io/app-name={name}")
                assert not drivers
                live.kubectl("delete", "pod", where, holder, "--wait=false")
                live.eventually(
                    "it runs",
                    lambda: state(live, tenant, name).get("state") in ("RUNNING", "SUCCEEDING", "COMPLETED"),
                )


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
