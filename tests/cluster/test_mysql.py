"""MySQL as tenants use it: their own schemas and nobody else's, within their limits, through crashes, and back from a backup."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from modules.data.mysql.plain import IMAGE
from tests.live import PATIENCE_SECONDS, TIMEOUT, Live, Pod, Tenant, meanwhile, unique
from tests.pages import examples

pytestmark = pytest.mark.data

ACCESS_DENIED, NO_SCHEMA_FOR_YOU, NO_TABLE_FOR_YOU, TOO_MANY, OTHER_ENGINE = 1045, 1044, 1142, 1226, 1290
NO_PLAIN_TEXT = (ACCESS_DENIED, 3159)

CLIENT = """
import json, pathlib, pymysql, ssl, sys, threading, time
def fact(name): return pathlib.Path('/bindings/mysql', name).read_text()
def connect(**other):
    facts = dict(host=fact('host'), port=int(fact('port')), user=fact('username'), password=fact('password'),
        database=fact('database'), ssl=ssl.create_default_context(cafile='/bindings/mysql/ca.crt'), autocommit=True)
    return pymysql.connect(**{**facts, **other})
def run(connection, statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return [list(row) for row in cursor.fetchall()]
def error(call, *args, **options):
    try: call(*args, **options)
    except pymysql.err.MySQLError as problem: return problem.args[0]
    return 0
"""
"""What a tenant writes to use it: the driver, and the facts of the binding."""

SYSTEM = Tenant("mysql", "mysql")


@pytest.fixture(scope="module")
def pods(live: Live, tenants: tuple[Tenant, Tenant]) -> Iterator[tuple[Pod, Pod]]:
    """A pod of each of two tenants, with its binding."""
    with live.client(tenants[0], "mysql") as ours, live.client(tenants[1], "mysql") as theirs:
        yield ours, theirs


def told(where: Pod, program: str, *arguments: str) -> Any:
    """What a program that begins with CLIENT printed last, as JSON."""
    return where.told(CLIENT + program, *arguments)


def as_documented(live: Live, instead: dict[str, str]) -> None:
    """Restore by the page's own commands, with these names instead of the page's."""
    (page,) = examples("mysql", "restore")
    commands = page.replace("create job restore", "create job check-restore")
    for name, other in instead.items():
        commands = commands.replace(name, other)
    try:
        environment = {**os.environ, "KUBECONFIG": str(live.kubeconfig)}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", commands],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        live.kubectl("--namespace=mysql", "wait", "--for=condition=Complete", "job/check-restore", TIMEOUT)
    finally:
        live.try_kubectl("--namespace=mysql", "delete", "job", "check-restore", "--wait=false")


class TestTenants:
    def test_a_tenant_reads_back_what_it_wrote_in_its_schema_and_in_one_it_made(
        self, pods: tuple[Pod, Pod]
    ) -> None:
        rows = told(
            pods[0],
            """
db = connect(); own, made = fact('database'), fact('database') + '_' + sys.argv[1]
try:
    run(db, f'CREATE DATABASE `{made}`')
    for schema in (own, made):
        run(db, f'CREATE TABLE `{schema}`.`{sys.argv[1]}` (id INT PRIMARY KEY, word VARCHAR(80))')
        run(db, f'INSERT INTO `{schema}`.`{sys.argv[1]}` VALUES (1, %s)', 'grüße, 世界 🚀')
    print(json.dumps(run(connect(), f'SELECT a.word, b.word FROM `{own}`.`{sys.argv[1]}` a JOIN `{made}`.`{sys.argv[1]}` b USING (id)')))
finally:
    run(db, f'DROP DATABASE `{made}`'); run(db, f'DROP TABLE IF EXISTS `{own}`.`{sys.argv[1]}`')
""",
            unique("t").replace("-", "_"),
        )
        assert rows == [["grüße, 世界 🚀"] * 2]

    def test_nobody_else_sees_or_reads_it(self, pods: tuple[Pod, Pod]) -> None:
        owner = told(
            pods[0],
            "db = connect(); run(db, 'CREATE TABLE IF NOT EXISTS private (id INT PRIMARY KEY)'); print(json.dumps(fact('username')))",
        )
        found = told(
            pods[1],
            """
db = connect(); other = sys.argv[1]
print(json.dumps({
    'use': error(connect, database=other),
    'read': error(run, db, f'SELECT * FROM `{other}`.private'),
    'write': error(run, db, f'INSERT INTO `{other}`.private VALUES (1)'),
    'beside': error(run, db, f'CREATE DATABASE `{other}_mine`'),
    'elsewhere': error(run, db, 'CREATE DATABASE anything'),
    'accounts': error(run, db, 'SELECT * FROM mysql.global_priv'),
    'books': error(run, db, 'SELECT * FROM longhouse.owned'),
    'other password': error(connect, user=other),
    'schemas': [name for (name,) in run(db, 'SHOW DATABASES')],
    'sessions': sorted({row[1] for row in run(db, 'SHOW PROCESSLIST')}),
}))""",
            owner,
        )
        us = told(pods[1], "print(json.dumps(fact('username')))")
        for schema in found.pop("schemas"):
            assert schema in (us, "information_schema") or schema.startswith(f"{us}_"), f"{us} sees {schema}"
        assert found.pop("sessions") == [us]
        assert found == {
            "use": NO_SCHEMA_FOR_YOU,
            "read": NO_TABLE_FOR_YOU,
            "write": NO_TABLE_FOR_YOU,
            "beside": NO_SCHEMA_FOR_YOU,
            "elsewhere": NO_SCHEMA_FOR_YOU,
            "accounts": NO_TABLE_FOR_YOU,
            "books": NO_TABLE_FOR_YOU,
            "other password": ACCESS_DENIED,
        }

    def test_without_a_password_or_tls_nobody_gets_in(self, pods: tuple[Pod, Pod]) -> None:
        found = told(
            pods[0],
            """print(json.dumps({name: error(connect, user=name, password='', database=None)
for name in ('nobody', 'root', 'mysql', 'platform_admin', 'platform_probe', fact('username'))}
| {'plain text': error(connect, ssl=None, ssl_disabled=True)}))""",
        )
        assert found.pop("plain text") in NO_PLAIN_TEXT
        assert set(found.values()) == {ACCESS_DENIED}, found

    def test_one_connection_more_than_promised_is_refused_and_the_other_tenant_is_not_touched(
        self, live: Live, pods: tuple[Pod, Pod]
    ) -> None:
        program = """
held, codes = [], []
for _ in range(60):
    try: held.append(connect())
    except pymysql.err.OperationalError as problem: codes.append(problem.args[0]); break
pathlib.Path('/tmp/crowded').touch()
while not pathlib.Path('/tmp/enough').exists(): time.sleep(0.1)
print(json.dumps([len(held), codes]))"""
        with meanwhile(lambda: told(pods[0], program)) as crowd:
            try:
                live.eventually("a crowd", lambda: crowd.done() or pods[0].host.file("/tmp/crowded").exists)
                assert told(pods[1], "print(json.dumps(run(connect(), 'SELECT 1')))") == [[1]]
            finally:
                pods[0].host.run("touch /tmp/enough")
            held, codes = crowd.result()
        assert codes == [TOO_MANY]
        assert held == 10

    def test_tables_that_lose_data_in_a_crash_are_refused(self, pods: tuple[Pod, Pod]) -> None:
        program = "db = connect(); print(json.dumps([error(run, db, f'CREATE TABLE weak (id INT PRIMARY KEY) ENGINE={each}') for each in ('MyISAM', 'Aria', 'MEMORY')]))"
        assert told(pods[0], program) == [OTHER_ENGINE] * 3

    def test_the_example_of_the_page_runs(self, pods: tuple[Pod, Pod]) -> None:
        (program,) = examples("mysql", "python")
        assert pods[0].python(program) == "hello"


class TestServer:
    def test_it_runs_with_the_settings_that_keep_what_was_acknowledged(self, pods: tuple[Pod, Pod]) -> None:
        (found,) = told(
            pods[0],
            "print(json.dumps(run(connect(), 'SELECT VERSION(), @@sync_binlog, @@innodb_flush_log_at_trx_commit, @@log_bin, @@innodb_doublewrite, @@require_secure_transport, @@innodb_flush_method')))",
        )
        assert found[0].startswith(IMAGE.rpartition(":")[2]), "the image's tag says another version"
        assert found[1:] == [1, 1, 1, 1, 1, "O_DIRECT"]

    def test_it_tells_its_state_and_what_each_tenant_uses(
        self, live: Live, tenants: tuple[Tenant, Tenant]
    ) -> None:
        metrics = live.kubectl("get", "--raw=/api/v1/namespaces/mysql/pods/exporter-0:9104/proxy/metrics")
        assert "\nmysql_up 1\n" in metrics
        assert f'mysql_info_schema_user_statistics_rows_read_total{{user="{tenants[0].name}"}}' in metrics

    @pytest.mark.parametrize("how", ["crash", "eviction"])
    def test_every_acknowledged_commit_outlives_it(self, live: Live, pods: tuple[Pod, Pod], how: str) -> None:
        stream = """
table = sys.argv[1]; run(connect(), f'CREATE TABLE {table} (id INT PRIMARY KEY)')
acknowledged, gap, db, since, patience = [], 0.0, None, None, float(sys.argv[2])
end = time.monotonic() + 8
number = 0
while time.monotonic() < end or db is None or not gap:
    number += 1
    try:
        db = db or connect(connect_timeout=2, read_timeout=5, write_timeout=5)
        run(db, f'INSERT INTO {table} VALUES (%s)', number)
        acknowledged.append(number)
        if number == 11: pathlib.Path('/tmp', table).touch()
        if since: gap, since = max(gap, time.monotonic() - since), None
    except pymysql.err.MySQLError:
        since = since or time.monotonic(); db = None; time.sleep(0.05)
    if time.monotonic() > end + patience: break
db = connect(); there = {row[0] for row in run(db, f'SELECT id FROM {table}')}; run(db, f'DROP TABLE {table}')
print(json.dumps({'acknowledged': len(acknowledged), 'lost': sorted(set(acknowledged) - there), 'gap': round(gap, 2)}))"""
        table = unique("k").replace("-", "_")
        deeds = {
            "crash": lambda: live.fallen("mariadb-0", "mariadb", "mysql"),
            "eviction": lambda: live.gone("mariadb-0", "mysql"),
        }
        found = live.written_during(
            deeds[how],
            pods[0],
            lambda: told(pods[0], stream, table, str(PATIENCE_SECONDS)),
            f"/tmp/{table}",
        )
        print(
            f"\n{how}: {found['acknowledged']} commits acknowledged, none lost, {found['gap']} s without one"
        )
        assert found["lost"] == []
        assert found["acknowledged"] > 10
        assert found["gap"] > 0, "the server was not away at all"


class TestAccess:
    def test_names_alike_do_not_open_each_others_schemas_and_who_goes_is_cut_off_at_once(
        self, live: Live
    ) -> None:
        """Four made-up owners, by the very program that the deployment runs: `_` and `%` are wildcards in grants, and hyphens
        are letters of names."""
        with live.program_pod(SYSTEM, "job", "access") as inside:
            found = json.loads(
                inside.python(
                    """
import dataclasses, json, pymysql
from modules.data.mysql.inside import sql
from modules.data.mysql.inside.access import *
desired = Desired.of(STATE.read_text())
user, password = ((ADMIN / name).read_text() for name in ('username', 'password'))
def reconcile(owners, delete=()):
    said = []
    wanted = dataclasses.replace(desired, owners=(*desired.owners, *owners), delete_data=(*desired.delete_data, *delete))
    kept = Access(Live(wanted, user, password, CA), wanted, said.append).reconcile()
    return said, kept
def connect(owner): return sql.connect(desired.hosts[0], desired.port, owner.name, owner.password, CA)
def error(call, *args):
    try: call(*args)
    except pymysql.err.MySQLError as problem: return problem.args[0]
    return 0
names = ('zz', 'zz-b', 'zzxb')
owners = [Owner(name, 'secret-of-' + name, 3) for name in names] + [Owner('longhouse_zz', 'secret', 3, family=False)]
result = {}
try:
    reconcile(owners)
    result['again'] = reconcile(owners)[0]
    sessions = {owner.name: connect(owner) for owner in owners}
    for name, session in sessions.items():
        session.query(f'CREATE TABLE `{name}`.t (id INT PRIMARY KEY)')
    for name in names: sessions[name].query(f'CREATE DATABASE `{name}_b`')
    result['reads'] = {name: sorted(other for other in sessions if not error(session.query, f'SELECT * FROM `{other}`.t')) for name, session in sessions.items()}
    result['makes'] = {name: sorted(each for each in ('zz-b_y', 'zzxb_y', 'zzy', 'longhouse_zz_y', 'longhouse-zz', 'longhousexzz') if not error(session.query, f'CREATE DATABASE `{each}`')) for name, session in sessions.items()}
    said, kept = reconcile(owners[1:])
    result['kept'] = {key: value for key, value in kept.items() if key.startswith('zz')}
    result['cut'] = [error(sessions['zz'].query, 'SELECT 1'), error(connect, owners[0])]
    result['others'] = error(sessions['zz-b'].query, 'SELECT 1')
    result['said'] = said
finally:
    said, kept = reconcile([], [owner.name for owner in owners])
    result['left'] = [key for key in kept if 'zz' in key]
print(json.dumps(result))
"""
                ).splitlines()[-1]
            )
        assert found["again"] == ["no change"]
        assert found["reads"] == {name: [name] for name in ("zz", "zz-b", "zzxb", "longhouse_zz")}
        assert found["makes"] == {"zz": [], "zz-b": ["zz-b_y"], "zzxb": ["zzxb_y"], "longhouse_zz": []}
        assert found["kept"] == {"zz": "schema zz of zz", "zz_b": "schema zz_b of zz"}
        assert found["cut"] == [2013, ACCESS_DENIED]
        assert found["others"] == 0
        assert found["said"] == ["zz: dropped the account", "zz: ended 1 sessions"]
        assert found["left"] == []


class TestBackup:
    def test_a_schema_comes_back_as_it_was(self, live: Live, pods: tuple[Pod, Pod]) -> None:
        table = unique("b").replace("-", "_")
        owner, before = told(
            pods[0],
            """
db, table = connect(), sys.argv[1]
run(db, f'CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6), amount DECIMAL(20,6), body LONGBLOB, word VARCHAR(100))')
for n in range(200): run(db, f'INSERT INTO {table} (amount, body, word) VALUES (%s, %s, %s)', n / 7, bytes(range(256)) * n, f"quote ' back \\\\ {n} ü 🚀")
run(db, f'CREATE VIEW {table}_v AS SELECT COUNT(*) AS n FROM {table}')
run(db, f'CREATE PROCEDURE {table}_p() SELECT 42')
print(json.dumps([fact('username'), run(db, f'CHECKSUM TABLE {table}')[0][1]]))""",
            table,
        )
        restored = f"{owner}_{table}"
        try:
            with live.program_pod(SYSTEM, "cronjob", "backup") as inside:
                module = "python3 -m modules.data.mysql.inside.backup"
                done = inside.host.run(module)
                assert done.rc == 0, done.stderr
                assert "backed up" in done.stdout
                told(pods[0], "run(connect(), f'DELETE FROM {sys.argv[1]}'); print(0)", table)
                over = inside.host.run(f"{module} restore latest {owner} {owner}")
                assert over.rc == 1
                assert "nothing may overwrite" in over.stderr
                foreign = inside.host.run(f"{module} restore latest {owner} somebody_else")
                assert foreign.rc == 1
            as_documented(live, {"atlas_restored": restored, '"atlas"': json.dumps(owner)})
            after = told(
                pods[0],
                """db = connect(); into, table = sys.argv[1:]
print(json.dumps([run(db, f'CHECKSUM TABLE `{into}`.{table}')[0][1], run(db, f'SELECT n FROM `{into}`.{table}_v'), run(db, f'CALL `{into}`.{table}_p()')]))""",
                restored,
                table,
            )
            assert after == [before, [[200]], [[42]]]
        finally:
            told(
                pods[0],
                """db = connect(); into, table = sys.argv[1:]
for each in (f'DATABASE IF EXISTS `{into}`', f'TABLE IF EXISTS {table}', f'VIEW IF EXISTS {table}_v', f'PROCEDURE IF EXISTS {table}_p'): run(db, f'DROP {each}')
print(0)""",
                restored,
                table,
            )
