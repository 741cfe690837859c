"""Cassandra as tenants use it: their own keyspaces and nobody else's, within the ring's limits, through crashes, and back from a backup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live import PATIENCE_SECONDS, Live, Pod, Tenant, unique
from tests.pages import examples

pytestmark = pytest.mark.data

CLIENT = """
import json, pathlib, ssl, sys, threading, time
from cassandra import ConsistencyLevel, DriverException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import ConstantReconnectionPolicy
def fact(name): return pathlib.Path('/bindings/cassandra', name).read_text()
def connect(username=None, password=None, trust=None):
    profile = ExecutionProfile(consistency_level=ConsistencyLevel.name_to_value[fact('consistency')], request_timeout=30)
    cluster = Cluster([fact('host')], port=int(fact('port')), protocol_version=5, connect_timeout=30,
        auth_provider=None if username == '' else PlainTextAuthProvider(username or fact('username'), password or fact('password')),
        ssl_context=trust or ssl.create_default_context(cafile='/bindings/cassandra/ca.crt'),
        ssl_options={'server_hostname': fact('server_name')}, reconnection_policy=ConstantReconnectionPolicy(0.5, None),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    return cluster.connect()
def error(call, *args):
    try: call(*args)
    except (DriverException, NoHostAvailable) as problem: return f'{type(problem).__name__}: {problem}'
    return ''
"""
"""What a tenant writes to use it: the driver, and the facts of the binding."""

SYSTEM = Tenant("cassandra", "cassandra")


@pytest.fixture(scope="module")
def pods(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[tuple[Pod, Pod]]:
    """A pod of each of two tenants, with its binding."""
    with live.client(tenants[0], SYSTEM.name) as ours, live.client(tenants[1], SYSTEM.name) as theirs:
        yield ours, theirs


@pytest.fixture
def table() -> str:
    """A name that nothing else has."""
    return unique("t").replace("-", "_")


def told(where: Pod, program: str, *arguments: str) -> Any:
    """What a program that begins with CLIENT printed last, as JSON."""
    return where.told(CLIENT + program, *arguments)


class TestTenants:
    def test_a_tenant_reads_back_what_it_wrote_in_a_table_that_it_made(
        self, pods: tuple[Pod, Pod], table: str
    ) -> None:
        rows = told(
            pods[0],
            """
db, table = connect(), fact('keyspace') + '.' + sys.argv[1]
db.execute(f'CREATE TABLE {table} (id int PRIMARY KEY, word text)')
try:
    db.execute(f'INSERT INTO {table} (id, word) VALUES (1, %s)', ('grüße, 世界 🚀',))
    db.execute(f'CREATE INDEX ON {table} (word)'); db.execute(f'ALTER TABLE {table} ADD more set<text>')
    print(json.dumps([[row.id, row.word] for row in connect().execute(f'SELECT * FROM {table}')]))
finally: db.execute(f'DROP TABLE {table}')
""",
            table,
        )
        assert rows == [[1, "grüße, 世界 🚀"]]

    def test_the_example_of_the_page_runs(self, pods: tuple[Pod, Pod]) -> None:
        (program,) = examples("cassandra", "python")
        assert pods[0].python(program) == "hello"

    def test_another_tenant_reads_writes_and_changes_nothing_of_it(
        self, pods: tuple[Pod, Pod], table: str
    ) -> None:
        keyspace = told(
            pods[0],
            "connect().execute(f'CREATE TABLE {fact(\"keyspace\")}.{sys.argv[1]} (id int PRIMARY KEY)'); print(json.dumps(fact('keyspace')))",
            table,
        )
        found = told(
            pods[1],
            """
db, keyspace, table = connect(), *sys.argv[1:]
tries = {
    'read': f'SELECT * FROM {keyspace}.{table}', 'write': f'INSERT INTO {keyspace}.{table} (id) VALUES (1)',
    'make': f'CREATE TABLE {keyspace}.mine (id int PRIMARY KEY)', 'drop': f'DROP TABLE {keyspace}.{table}',
    'keyspace': "CREATE KEYSPACE mine WITH replication = {'class': 'NetworkTopologyStrategy', 'home': 1}",
    'roles': 'SELECT * FROM system_auth.roles', 'books': 'SELECT * FROM longhouse.tenants',
    'sessions': 'SELECT * FROM system_views.clients', 'settings': 'SELECT * FROM system_views.settings',
    'own durability': f"ALTER KEYSPACE {fact('keyspace')} WITH durable_writes = false", 'own keyspace': f"DROP KEYSPACE {fact('keyspace')}",
}
print(json.dumps({what: error(db.execute, statement) for what, statement in tries.items()}))
""",
            keyspace,
            table,
        )
        told(pods[0], "connect().execute(f'DROP TABLE {fact(\"keyspace\")}.{sys.argv[1]}'); print(0)", table)
        for what, problem in found.items():
            assert problem.startswith("Unauthorized"), f"{what}: {problem or 'allowed'}"

    def test_nobody_gets_in_without_a_role_of_their_own(self, pods: tuple[Pod, Pod]) -> None:
        found = told(
            pods[0],
            """
print(json.dumps({
    'default superuser': error(connect, 'cassandra', 'cassandra'), 'no password': error(connect, ''),
    'other role': error(connect, sys.argv[1]), 'wrong password': error(connect, None, 'wrong'),
    'other authority': error(connect, None, None, ssl.create_default_context()),
}))""",
            told(pods[1], "print(json.dumps(fact('username')))"),
        )
        for what in ("default superuser", "other role", "wrong password"):
            assert "Bad credentials" in found[what], f"{what}: {found[what]}"
        assert "requires authentication" in found["no password"]
        assert "CERTIFICATE_VERIFY_FAILED" in found["other authority"]


class TestLimits:
    def test_what_is_too_much_is_refused_by_the_rings_own_guardrails(
        self, pods: tuple[Pod, Pod], table: str
    ) -> None:
        found = told(
            pods[0],
            """
db, table = connect(), fact('keyspace') + '.' + sys.argv[1]
db.execute(f'CREATE TABLE {table} (id int PRIMARY KEY, word text)')
made = []
try:
    value = error(db.execute, f'INSERT INTO {table} (id, word) VALUES (1, %s)', ('x' * (5 * 2**20),))
    write = db.prepare(f'INSERT INTO {table} (id) VALUES (2)'); write.consistency_level = ConsistencyLevel.ANY
    hint = error(db.execute, write)
    tables = ''
    while not tables and len(made) < 60:
        made.append(f'{table}_{len(made)}')
        tables = error(db.execute, f'CREATE TABLE {made[-1]} (id int PRIMARY KEY)')
finally:
    for each in (table, *made): db.execute(f'DROP TABLE IF EXISTS {each}')
print(json.dumps({'value': value, 'hint': hint, 'tables': tables}))
""",
            table,
        )
        for what, name in (
            ("value", "column_value_size"),
            ("hint", "write_consistency_levels"),
            ("tables", "tables"),
        ):
            print(f"\n{what}: {found[what]}")
            assert f"Guardrail {name} violated" in found[what], f"{what}: {found[what] or 'allowed'}"


EVERY_TYPE = r"""
db, table = connect(), fact('keyspace') + '.' + sys.argv[1]
db.execute(f'CREATE TYPE {table}_u (a int, b text)')
db.execute(f'''CREATE TABLE {table} (p text, c timeuuid, s text STATIC, n varint, d decimal, b blob, t timestamp, l list<int>,
    m map<text, frozen<set<int>>>, u {sys.argv[1]}_u, f frozen<{sys.argv[1]}_u>, tu tuple<int, text>, v vector<float, 3>, du duration, i inet,
    PRIMARY KEY (p, c)) WITH CLUSTERING ORDER BY (c DESC)''')
db.execute(f'CREATE TABLE {table}_c (p int PRIMARY KEY, n counter)')
db.execute(f'CREATE INDEX ON {table} (n)')
for number in range(40):
    db.execute(f'''INSERT INTO {table} (p, c, s, n, d, b, t, l, m, u, f, tu, v, du, i) VALUES (%s, now(), %s, %s, 1.10, %s, toTimestamp(now()),
        [3, 1, 2], {{'k': {{2, 1}}}}, {{a: 1, b: 'x'}}, {{a: 2}}, (7, 'seven'), [1.5, 2.5, 3.5], 1mo2d3s, '192.0.2.1')''',
        (f'p{number % 5}', f'static {number}', 10 ** 30 + number, bytes(range(256)) * number))
    db.execute(f'UPDATE {table}_c SET n = n + {number} WHERE p = {number % 3}')
db.execute(f"INSERT INTO {table} (p, s) VALUES ('static only', %s)", ("ü 🚀 quote' \\",))
db.execute(f"INSERT INTO {table} (p, c, n) VALUES ('expires', now(), 5) USING TTL 86400 AND TIMESTAMP 1234567890")
print(json.dumps(fact('keyspace')))
"""
"""Rows of every kind of type: single cells, many cells, static, counted, expiring."""

CONTENT = """
import hashlib
db, table = connect(), sys.argv[1] + '.' + sys.argv[2]
rows = sorted(str(row) for name in (table, table + '_c') for row in db.execute(f'SELECT * FROM {name}'))
times = sorted(str(row) for row in db.execute(f'SELECT p, writetime(n), writetime(s) FROM {table}'))
(left,) = db.execute(f"SELECT ttl(n) AS left FROM {table} WHERE p = 'expires'")
print(json.dumps([len(rows), hashlib.sha256(repr((rows, times)).encode()).hexdigest(), 0 < left.left <= 86400]))
"""

DROP = """
db = connect()
for each in (f'TABLE IF EXISTS {sys.argv[1]}', f'TABLE IF EXISTS {sys.argv[1]}_c', f'TYPE IF EXISTS {sys.argv[1]}_u'): error(db.execute, f'DROP {each}')
print(0)
"""


FORGET = """
import sys
from modules.data.cassandra.inside.session import Place, identifier, superuser, wanted
with superuser(Place.of(wanted()['place'])) as session: session.execute(f'DROP KEYSPACE IF EXISTS {identifier(sys.argv[1])}')
"""


class TestBackup:
    def test_a_keyspace_comes_back_as_it_was_beside_itself(
        self, live: Live, pods: tuple[Pod, Pod], table: str
    ) -> None:
        own = told(pods[0], EVERY_TYPE, table)
        label = table[-4:]
        restored = f"{own}_restored_{label}"
        try:
            before = told(pods[0], CONTENT, own, table)
            with live.program_pod(SYSTEM, "cronjob", "backup") as inside:
                module = "python3 -m modules.data.cassandra.inside.backup"
                done = inside.host.run(module)
                assert done.rc == 0, done.stderr
                over = inside.host.run(f"{module} restore latest {own}")
                assert over.rc == 1
                assert "nothing may overwrite" in over.stderr
                done = inside.host.run(f"{module} restore latest {own} {label}")
                assert done.rc == 0, done.stderr
                print(f"\n{done.stdout}")
            assert before[0] == 45
            assert told(pods[0], CONTENT, restored, table) == before
            look = "print(json.dumps(error(connect().execute, f'SELECT * FROM {sys.argv[1]}')))"
            assert told(pods[1], look, f"{restored}.{table}").startswith("Unauthorized")
        finally:
            told(pods[0], DROP, f"{own}.{table}")
            with live.program_pod(SYSTEM, "cronjob", "backup") as inside:
                inside.python(FORGET, restored)


WRITER = """
table, seconds, patience = fact('keyspace') + '.' + sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
db = connect()
db.execute(f'CREATE TABLE {table} (id int PRIMARY KEY)')
write = db.prepare(f'INSERT INTO {table} (id) VALUES (?)')
end, number, acknowledged, gap, last = time.monotonic() + seconds, 0, [], 0.0, time.monotonic()
while time.monotonic() < end or gap < 1 or len(acknowledged) < 60:
    number += 1
    if not error(db.execute, write, (number,)):
        acknowledged.append(number)
        gap, last = max(gap, time.monotonic() - last), time.monotonic()
        if len(acknowledged) == 60: pathlib.Path('/tmp', sys.argv[1]).touch()
    else: time.sleep(0.05)
    if time.monotonic() > end + patience: break
there = {row.id for row in db.execute(f'SELECT id FROM {table}')}
db.execute(f'DROP TABLE {table}')
print(json.dumps({'acknowledged': len(acknowledged), 'lost': sorted(set(acknowledged) - there), 'gap': round(gap, 1)}))
"""
"""Writes one row after the other, and says which of those that were acknowledged are not there at the end."""


class TestCrash:
    @pytest.mark.parametrize("how", ["the server falls", "the pod is deleted by force"])
    def test_no_acknowledged_write_is_lost(
        self, live: Live, pods: tuple[Pod, Pod], table: str, how: str
    ) -> None:
        deeds = {
            "the server falls": lambda: live.fallen("cassandra-0", "cassandra", SYSTEM.namespace),
            "the pod is deleted by force": lambda: live.gone("cassandra-0", SYSTEM.namespace),
        }
        found = live.written_during(
            deeds[how],
            pods[0],
            lambda: told(pods[0], WRITER, table, "6", str(PATIENCE_SECONDS)),
            f"/tmp/{table}",
        )
        print(
            f"\n{how}: {found['acknowledged']} writes acknowledged, none lost, {found['gap']} s without one"
        )
        assert found["lost"] == []
        assert found["acknowledged"] > 50
        assert found["gap"] > 1, "the server was not away at all"
