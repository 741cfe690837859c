"""Flink as a data scientist uses it: windows of a stream are counted once and rightly whatever dies, and nobody else's jobs are within reach."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from modules.compute.flink import image, jobs
from modules.compute.flink.config import ACCOUNT, REST_PORT, SESSION, Flink, FlinkSession
from tests.live import TIMEOUT, Live, Object, Pod, Tenant, unique
from tests.pages import examples

pytestmark = pytest.mark.compute

SHOPS = ("north", "south", "east")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW_SECONDS = 10
CLICKS = [(number // 10, SHOPS[number // 2 % 3]) for number in range(1200)]
"""Two minutes of ten clicks a second: the second of each, and the shop."""

KAFKA = """
import json, sys
from confluent_kafka import Consumer, Producer, TopicPartition
settings = json.load(open("/bindings/kafka/librdkafka.json"))
prefix = open("/bindings/kafka/prefix").read()
"""
CLICK = (
    KAFKA
    + """
producer = Producer(settings)
for partition, shop, happened in json.loads(sys.argv[1]):
    producer.produce(prefix + "events", json.dumps({"shop": shop, "happened": happened}), partition=partition)
assert producer.flush(60) == 0
"""
)
READER = (
    KAFKA
    + """
reader = Consumer({**settings, "group.id": prefix + "check", "isolation.level": "read_committed",
                   "enable.partition.eof": True, "enable.auto.commit": False})
topic = prefix + "counts"
"""
)
END = READER + "print(reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=60)[1])"
COUNTED = (
    READER
    + """
reader.assign([TopicPartition(topic, 0, int(sys.argv[1]))])
rows = []
while (message := reader.poll(60)) is not None and not message.error():
    rows.append(json.loads(message.value()))
assert message is not None, "the end was not reached"
print(json.dumps(rows))
"""
)
QUERY = """
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'execution.runtime-mode' = 'batch';
SELECT SUM(number) AS total FROM (VALUES (1), (2), (39)) AS numbers (number);
"""


def moment(second: int) -> str:
    return (BEGIN + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


def expected() -> Counter[tuple[str, str]]:
    """Clicks by shop and window, as plain Python counts them."""
    return Counter((shop, window(second)) for second, shop in CLICKS)


def window(second: int) -> str:
    return (BEGIN + timedelta(seconds=second // WINDOW_SECONDS * WINDOW_SECONDS)).strftime(
        "%Y-%m-%d %H:%M:%S"
    )


@dataclass(frozen=True)
class Application:
    """A running application of a tenant, and a pod beside it that talks to Kafka."""

    live: Live
    tenant: Tenant
    name: str
    desk: Pod
    end: str
    """Where the results began."""

    @property
    def where(self) -> str:
        return f"--namespace={self.tenant.namespace}"

    def pods(self, index: int) -> list[Object]:
        """Those of the JobManager (0) or of a TaskManager that are not ending."""
        found = self.live.items("pods", self.where, f"-l{labels(self.name, index)}")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def kill(self, index: int) -> None:
        """Take the pod away without a word, and wait until there is another."""
        (victim,) = self.pods(index)
        name = victim["metadata"]["name"]
        self.live.kubectl("delete", "pod", self.where, name, "--grace-period=0", "--force")
        self.live.eventually(
            "it was made again",
            lambda: [each for each in self.pods(index) if each["metadata"]["name"] != name],
        )

    def click(self, first: int, last: int) -> None:
        """Send what was clicked between two seconds."""
        sent = [
            (number % 3, shop, moment(second))
            for number, (second, shop) in enumerate(CLICKS)
            if first <= second < last
        ]
        self.desk.python(CLICK, json.dumps(sent))

    def counted(self) -> list[Object]:
        """What can be read of the results."""
        rows: list[Object] = self.desk.told(COUNTED, self.end)
        return rows

    def has_counted(self, rows: int) -> list[Object]:
        """The results, once there are so many."""

        def enough() -> list[Object]:
            found = self.counted()
            return found if len(found) >= rows else []

        found: list[Object] = self.live.eventually(f"{rows} windows are counted", enough)
        return found

    def says(self, text: str) -> bool:
        """Whether the JobManager that is there has said it."""
        log = self.live.try_kubectl("logs", self.where, f"-l{labels(self.name, 0)}", "--tail=-1")
        return text in log.stdout


def labels(name: str, index: int) -> str:
    return f"batch.kubernetes.io/job-name={name},batch.kubernetes.io/job-completion-index={index}"


def script(tenant: Tenant, name: str, sql: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": tenant.namespace},
        "data": {"job.sql": sql},
    }


def forget(live: Live, tenant: Tenant, name: str) -> None:
    """Take away what an application that is deleted left for one of its name."""
    where = f"--namespace={tenant.namespace}"
    live.kubectl("wait", where, "--for=delete", "pod", f"-lbatch.kubernetes.io/job-name={name}", TIMEOUT)
    live.kubectl("delete", "configmap", where, f"-lapp={name}")


@pytest.fixture(scope="class")
def application(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[Application]:
    """The page's example, reading what is clicked from now on. It ends with its class: others need the room."""
    tenant = tenants[0]
    (sql,) = examples("flink", "sql", room="processing")
    now = f"'timestamp', 'scan.startup.timestamp-millis' = '{int(time.time() * 1000)}'"
    own = sql.replace("'atlas.", f"'{tenant.name}.").replace("'earliest-offset'", now)
    (job,) = map(yaml.safe_load, examples("flink", "yaml", room="processing"))
    name = unique("counts")
    job["metadata"] |= {"name": name, "namespace": tenant.namespace}
    with live.client(tenant, "kafka", memory="128Mi") as desk:
        end = desk.python(END)
        with live.objects(script(tenant, name, own), job):
            yield Application(live, tenant, name, desk, end)
        forget(live, tenant, name)


class TestApplication:
    def test_the_pages_example_counts_each_window_once_whatever_dies(self, application: Application) -> None:
        application.click(0, 45)
        application.has_counted(4 * len(SHOPS))
        application.kill(1)
        application.click(45, 85)
        application.has_counted(8 * len(SHOPS))
        assert application.says("from Checkpoint"), "the TaskManager's state came from a checkpoint"
        application.kill(0)
        application.click(85, 120)
        far = [(partition, "nobody", moment(300)) for partition in range(3)]
        application.desk.python(CLICK, json.dumps(far))
        rows = application.has_counted(12 * len(SHOPS))
        assert application.says("from Checkpoint"), "the new JobManager found where the old one had been"
        found = Counter({(row["shop"], row["since"]): row["clicks"] for row in rows})
        assert found == expected()
        assert len(rows) == len(found), "no window was told twice"

    def test_only_its_tenant_reaches_it(
        self, live: Live, tenants: tuple[Tenant, Tenant], application: Application
    ) -> None:
        (found,) = application.pods(0)
        address = found["status"]["podIP"]
        live.eventually("its tenant does", lambda: application.desk.reaches(address, REST_PORT))
        with live.pod(tenants[1]) as stranger:
            assert not stranger.reaches(address, REST_PORT)

    def test_its_account_may_agree_on_who_leads_and_nothing_else(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        own, other = tenants
        whose = f"--as=system:serviceaccount:{own.namespace}:{ACCOUNT}"

        def may(verb: str, kind: str, tenant: Tenant) -> str:
            words = ("auth", "can-i", verb, kind, whose, f"--namespace={tenant.namespace}")
            return live.try_kubectl(*words).stdout.strip()

        assert may("create", "configmaps", own) == "yes"
        assert [may("create", "configmaps", other), may("get", "configmaps", other)] == ["no", "no"]
        assert {may("create", "pods", own), may("get", "secrets", own), may("list", "pods", own)} == {"no"}

    def test_a_wrong_script_ends_the_job(self, live: Live, tenants: tuple[Tenant, Tenant]) -> None:
        tenant, name = tenants[1], unique("wrong")
        (job,) = map(yaml.safe_load, examples("flink", "yaml", room="processing"))
        job["metadata"] |= {"name": name, "namespace": tenant.namespace}
        with live.objects(script(tenant, name, "SELECT is no SQL;"), job):
            conditions = live.eventually(
                "it failed",
                lambda: [
                    each
                    for each in live.get("job", name, f"--namespace={tenant.namespace}")["status"].get(
                        "conditions", []
                    )
                    if each["type"] == "Failed"
                ],
            )
        assert conditions[0]["reason"] == "PodFailurePolicy"


class TestSession:
    def test_a_session_cluster_takes_jobs_of_its_own_tenant_and_of_no_other(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        other, tenant = tenants
        name, where = unique("session"), f"--namespace={tenant.namespace}"
        size = FlinkSession(cpu="100m", memory="1Gi")
        cluster = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": tenant.namespace},
            "spec": jobs.session(Flink(), size, image.image()),
        }
        with live.objects(cluster):
            live.eventually(
                "its TaskManager is there",
                lambda: (
                    "Successful registration at resource manager"
                    in live.try_kubectl("logs", where, f"-l{labels(name, 1)}", "--tail=-1").stdout
                ),
            )
            (manager,) = live.items("pods", where, f"-l{labels(name, 0)}")
            address = manager["status"]["podIP"]
            with live.pod(other) as stranger:
                assert not stranger.reaches(address, REST_PORT)
            with live.client(tenant, image=image.image(), memory="768Mi", cpu="1") as desk:
                (command,) = examples("flink", "session", room="processing")
                told = desk.host.run("echo %s > /tmp/job.sql && " + command.replace(SESSION, address), QUERY)
        forget(live, tenant, name)
        assert told.rc == 0, told.stdout + told.stderr
        assert "| 42 |" in " ".join(str(told.stdout).split())
