"""Kafka as tenants use it: their own names and nobody else's, within their limits, through crashes, and back from a backup."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modules.data.kafka.config import NAMESPACE
from modules.kit.quantities import bytes_of
from tests.live import TIMEOUT, Live, Pod, Tenant, unique
from tests.pages import examples

pytestmark = pytest.mark.data

QUOTA = bytes_of("512Ki")
"""What tenants may write in a second, in the local profiles."""

_HOME = f"--namespace={NAMESPACE}"

CLIENT = """
import json, pathlib, sys, threading, time
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
FACTS = json.loads(pathlib.Path('/bindings/kafka/librdkafka.json').read_text())
OWN = pathlib.Path('/bindings/kafka/prefix').read_text()
PATIENCE = 120
EVENTS = OWN + 'events'
def error(call, *words, **options):
    try: call(*words, **options)
    except KafkaException as problem: return problem.args[0].name()
    return ''
def made(name, partitions=3):
    admin = AdminClient(FACTS)
    (answer,) = admin.create_topics([NewTopic(OWN + name, partitions)]).values()
    if (problem := error(answer.result)) not in ('', 'TOPIC_ALREADY_EXISTS'): raise SystemExit(problem)
    return OWN + name
def write(topic, values, facts=FACTS, **options):
    problems = []
    producer = Producer({**facts, 'enable.idempotence': True, 'log_level': 0, **options})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda e, m: e and problems.append(e.name()))
    left = producer.flush(PATIENCE)
    return sorted(set(problems)) or (['UNSENT'] if left else [])
def read(topic, facts=FACTS, group=OWN + 'checks'):
    consumer = Consumer({**facts, 'group.id': group, 'enable.auto.commit': False, 'enable.partition.eof': True, 'log_level': 0})
    found = consumer.list_topics(topic, timeout=PATIENCE).topics[topic]
    if found.error: raise KafkaException(found.error)
    parts = [TopicPartition(topic, each, 0) for each in found.partitions]
    consumer.assign(parts)
    values, ended, deadline = [], set(), time.monotonic() + PATIENCE
    while len(ended) < len(parts) and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None: continue
        if message.error() is None: values.append(message.value().decode())
        elif message.error().code() == KafkaError._PARTITION_EOF: ended.add(message.partition())
        else: raise KafkaException(message.error())
    consumer.close()
    return values
"""
"""What a tenant writes to use it: the client library, and the facts of the binding. Its patience, in seconds, is more than a client
needs to give up the old address of a broker that came back as another pod."""


@pytest.fixture(scope="module")
def pods(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[tuple[Pod, Pod]]:
    """A pod of each of two tenants, with its binding."""
    with live.client(tenants[0], "kafka") as ours, live.client(tenants[1], "kafka") as theirs:
        yield ours, theirs


def told(where: Pod, program: str, *arguments: str) -> Any:
    """What a program that begins with CLIENT printed last, as JSON."""
    return where.told(CLIENT + program, *arguments)


def test_a_tenant_reads_what_it_wrote(pods: tuple[Pod, Pod]) -> None:
    word = unique("word")
    program = "said = write(EVENTS, [sys.argv[1] + str(n) for n in range(100)]); print(json.dumps([said, read(EVENTS)]))"
    problems, values = told(pods[0], program, word)
    assert problems == []
    assert {f"{word}{number}" for number in range(100)} <= set(values)


def test_another_tenant_can_neither_read_nor_write_nor_join_the_group(pods: tuple[Pod, Pod]) -> None:
    program = (
        "topic = sys.argv[1] + '.events'\n"
        "consumer = Consumer({**FACTS, 'group.id': sys.argv[1] + '.checks', 'log_level': 0})\n"
        "consumer.subscribe([EVENTS])\n"
        "message, deadline = None, time.monotonic() + PATIENCE\n"
        "while message is None and time.monotonic() < deadline: message = consumer.poll(1)\n"
        "print(json.dumps([error(read, topic), write(topic, ['x'], **{'message.timeout.ms': 60000}), message.error().name()]))"
    )
    assert told(pods[1], program, "atlas") == [
        "TOPIC_AUTHORIZATION_FAILED",
        ["TOPIC_AUTHORIZATION_FAILED"],
        "GROUP_AUTHORIZATION_FAILED",
    ]


def test_a_tenant_sees_its_own_topics_only(pods: tuple[Pod, Pod]) -> None:
    program = "print(json.dumps([OWN, sorted(AdminClient(FACTS).list_topics(timeout=PATIENCE).topics)]))"
    for each in pods:
        prefix, topics = told(each, program)
        assert topics
        assert all(topic.startswith(prefix) for topic in topics), topics


def test_without_the_password_or_without_tls_nobody_gets_in(pods: tuple[Pod, Pod]) -> None:
    program = (
        "def refused(**other):\n"
        "    seen = []\n"
        "    client = AdminClient({**FACTS, **other, 'log_level': 0, 'error_cb': lambda e: seen.append(e.name())})\n"
        "    deadline = time.monotonic() + PATIENCE\n"
        "    answer = client.describe_cluster(request_timeout=PATIENCE)\n"
        "    while not seen and not answer.done() and time.monotonic() < deadline: client.poll(0.1)\n"
        "    return seen[:1]\n"
        "print(json.dumps([refused(**{'sasl.password': 'wrong'}), refused(**{'sasl.username': 'longhouse_admin'}),\n"
        "    refused(**{'security.protocol': 'SASL_PLAINTEXT'})]))"
    )
    wrong, admin, plain = told(pods[0], program)
    assert wrong == admin == ["_AUTHENTICATION"]
    assert plain
    assert plain[0] != "_AUTHENTICATION", "without TLS no password is even asked for"


def test_the_brokers_own_listeners_are_out_of_reach(pods: tuple[Pod, Pod]) -> None:
    broker = f"kafka-0.kafka.{NAMESPACE}.svc"
    assert pods[0].reaches(broker, 9093)
    assert not pods[0].reaches(broker, 9090)
    assert not pods[0].reaches(broker, 9091)
    assert not pods[0].reaches(broker, 9404)


def test_topics_beyond_the_rate_are_refused_with_the_quotas_own_error(pods: tuple[Pod, Pod]) -> None:
    """By kafka-python: librdkafka asks in an older way, to which brokers answer late instead. Nothing is made: whether it would be
    is asked, which counts too."""
    program = (
        "from kafka.admin import KafkaAdminClient\n"
        "from kafka.errors import for_code\n"
        "admin = KafkaAdminClient(bootstrap_servers=FACTS['bootstrap.servers'], security_protocol='SASL_SSL',\n"
        "    sasl_mechanism='SCRAM-SHA-512', sasl_plain_username=FACTS['sasl.username'],\n"
        "    sasl_plain_password=FACTS['sasl.password'], ssl_cafile=FACTS['ssl.ca.location'])\n"
        "wanted = {OWN + 'throttled-' + str(number): {'num_partitions': 1} for number in range(100)}\n"
        "answer = admin.create_topics(wanted, validate_only=True, raise_errors=False)\n"
        "print(json.dumps([for_code(each['error_code']).__name__ for each in answer['topics']]))"
    )
    answers = told(pods[0], program)
    print(f"\n    {answers.count('NoError')} of 100 topics allowed at once, with 1 a second")
    assert set(answers) == {"NoError", "ThrottlingQuotaExceededError"}


def test_a_writer_is_slowed_down_to_its_rate(pods: tuple[Pod, Pod]) -> None:
    """Kafka has no error for bytes: it answers late. What is measured begins with the first late answer, since a quota is the mean of
    eleven seconds, whose bytes may come at once."""
    program = (
        "import os\n"
        "acknowledged, late = [], []\n"
        "producer = Producer({**FACTS, 'linger.ms': 5, 'compression.type': 'none', 'queue.buffering.max.messages': 20, 'log_level': 0,\n"
        "    'throttle_cb': lambda event: late.append((time.monotonic(), event.throttle_time))})\n"
        "told = lambda problem, message: acknowledged.append(time.monotonic())\n"
        "noise, blob, start = made('noise', 1), os.urandom(65536), time.monotonic()\n"
        "while time.monotonic() - (late[0][0] if late else start) < 10 and time.monotonic() - start < 30:\n"
        "    try: producer.produce(noise, blob, on_delivery=told)\n"
        "    except BufferError: producer.poll(0.05)\n"
        "    producer.poll(0)\n"
        "after = [each for each in acknowledged if late and each > late[0][0]]\n"
        "print(json.dumps([len(after) * 65536 / 10, max([each[1] for each in late], default=0)]))"
    )
    rate, wait = told(pods[0], program)
    print(
        f"\n    {rate / 1024:.0f} KiB/s acknowledged, of a quota of {QUOTA / 1024:.0f}; longest wait {wait:.1f} s"
    )
    assert wait > 0, "nothing was slowed down"
    assert rate < 1.5 * QUOTA


WRITER = """
topic, sent, acknowledged, times = made('numbers-' + sys.argv[1]), 0, [], []
def told(problem, message):
    if problem is None:
        acknowledged.append(int(message.value()))
        times.append(time.monotonic())
producer = Producer({**FACTS, 'enable.idempotence': True, 'acks': 'all', 'linger.ms': 5, 'message.timeout.ms': 180000, 'log_level': 0})
stop = pathlib.Path('/tmp/stop')
while not stop.exists():
    try: producer.produce(topic, str(sent), key=str(sent % 7), on_delivery=told); sent += 1
    except BufferError: pass
    producer.poll(0.02)
left = producer.flush(PATIENCE)
gap = max(later - earlier for earlier, later in zip(times, times[1:]))
found = {int(each) for each in read(topic)}
admin = AdminClient(FACTS)
admin.delete_topics([topic])[topic].exception()
pathlib.Path('/tmp/said').write_text(json.dumps(
    {'acknowledged': len(acknowledged), 'unsent': left, 'missing': len(set(acknowledged) - found), 'gap': gap}) + '\\n')
"""
"""Writes numbers, one after the other, until it is told to stop; then says which of those that were acknowledged are not there, and for
how long none was acknowledged."""


def test_no_acknowledged_message_is_lost_when_a_broker_is_killed(live: Live, pods: tuple[Pod, Pod]) -> None:
    found = live.items("pods", _HOME, "-lapp.kubernetes.io/name=kafka")
    assert found
    for broker in sorted(each["metadata"]["name"] for each in found):
        said, ready = _written_while_killed(live, pods[0], broker)
        print(
            f"\n    {broker} killed: {said['acknowledged']} messages acknowledged, {said['missing']} of them missing; "
            f"writes stood still for {said['gap']:.1f} s, the broker was ready again after {ready:.1f} s"
        )
        assert said["acknowledged"] > 10
        assert said["missing"] == said["unsent"] == 0


def _written_while_killed(live: Live, writer: Pod, broker: str) -> tuple[Any, float]:
    """What the writer says that wrote meanwhile, and after how many seconds the broker was ready again."""
    run = writer.host.run
    run(
        "rm -f /tmp/stop /tmp/said /tmp/ended; (nohup python3 -c %s %s > /tmp/log 2>&1; touch /tmp/ended) > /tmp/shell 2>&1 &",
        CLIENT + WRITER,
        str(time.time_ns()),
    )
    time.sleep(4)
    before, killed = _uid(live, broker), time.monotonic()
    live.gone(broker, NAMESPACE)
    live.eventually(f"{broker} is another pod", lambda: _uid(live, broker) not in ("", before))
    live.kubectl("wait", "--for=condition=Ready", f"pod/{broker}", _HOME, TIMEOUT)
    ready = time.monotonic() - killed
    time.sleep(2)
    run("touch /tmp/stop")
    live.eventually("the writer is done", lambda: run("test -e /tmp/ended").rc == 0)
    said = run("cat /tmp/said")
    assert said.rc == 0, run("cat /tmp/log").stdout
    return json.loads(said.stdout), ready


def _uid(live: Live, pod: str) -> str:
    return live.try_kubectl("get", "pod", pod, _HOME, "--output=jsonpath={.metadata.uid}").stdout


def test_a_backup_restores_every_message_as_it_was(live: Live, pods: tuple[Pod, Pod]) -> None:
    """Twice backed up, so that what is restored is of two parts."""
    if not live.items("cronjobs", _HOME):
        pytest.skip("this environment has no object store, and so no backups")
    name = unique("kept")
    program = (
        "topic, began = made(sys.argv[1]), int(time.time() * 1000) - 60_000\n"
        "producer = Producer({**FACTS, 'enable.idempotence': True})\n"
        "for number in range(50):\n"
        "    key, value = (b'k%d' % number, bytes([number, 0, 255])) if number % 5 else (None, None)\n"
        "    producer.produce(topic, value, key, timestamp=began + number, headers=[('n', b'%d' % number), ('none', None)])\n"
        "print(json.dumps(producer.flush(PATIENCE)))"
    )
    content = (
        "topic = OWN + sys.argv[1]\n"
        "consumer = Consumer({**FACTS, 'group.id': OWN + 'checks', 'enable.partition.eof': True})\n"
        "parts = AdminClient(FACTS).list_topics(topic, timeout=PATIENCE).topics[topic].partitions\n"
        "consumer.assign([TopicPartition(topic, each, 0) for each in parts])\n"
        "found, ended = [], 0\n"
        "while ended < len(parts):\n"
        "    message = consumer.poll(PATIENCE)\n"
        "    if message.error(): ended += 1\n"
        "    else: found.append(repr((message.partition(), message.key(), message.value(), message.timestamp(), message.headers())))\n"
        "print(json.dumps(sorted(found)))"
    )
    for _ in range(2):
        assert told(pods[0], program, name) == 0
        _run_job(live, "backup")
    written = told(pods[0], content, name)
    _run_job(live, "backup", "restore", "latest", f"atlas.{name}", f"atlas.{name}.again")
    assert told(pods[0], content, f"{name}.again") == written
    assert len(written) == 100


def _run_job(live: Live, cronjob: str, *words: str) -> None:
    """A Job made from a CronJob, with further words to its program."""
    job = unique("check")
    made = json.loads(
        live.kubectl(
            "create", "job", job, _HOME, f"--from=cronjob/{cronjob}", "--dry-run=client", "--output=json"
        )
    )
    made["spec"]["template"]["spec"]["containers"][0]["command"] += words
    with live.objects(made):
        live.kubectl("wait", "--for=condition=Complete", f"job/{job}", _HOME, TIMEOUT)


def test_the_example_of_the_page_runs_as_it_stands(pods: tuple[Pod, Pod]) -> None:
    (program,) = examples("kafka", "python")
    assert pods[0].python(program) == "hello"
