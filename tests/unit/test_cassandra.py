"""Cassandra: sizes and settings that follow from what is declared, what is made of them, and the programs' own decisions."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra.cluster import NoHostAvailable

from modules.data import store_operator
from modules.data.cassandra import operator, plain, settings, sizing
from modules.data.cassandra.component import Cassandra, keyspace_of
from modules.data.cassandra.config import Cassandra as Config
from modules.data.cassandra.config import CassandraShare, Engine
from modules.data.cassandra.inside import access, backup, found, raw, ready
from modules.data.cassandra.inside.access import GRANTED, Keyspace, Wanted, reconcile
from modules.data.cassandra.inside.session import SessionError, identifier, keyspace, keyspaces_of, restored
from modules.foundation.tenants.config import Data, Tenant
from modules.kit import quantities
from modules.kit.pods import SETTINGS
from tests.conftest import Recording, record
from tests.unit.examples import store_context, tenant

PLAIN = Config(engine=Engine.PLAIN, nodes=1, replication=1, cpu="100m", memory="1Gi", disk="2Gi")
RING = Config(nodes=6, racks=("a", "b", "c"), memory="32Gi", disk="2Ti")
SHARE = CassandraShare(disk="1Gi", tables=3)


def declared(config: Config, *more: Tenant) -> Recording:
    atlas = tenant("atlas").model_copy(update={"data": Data(cassandra=SHARE)})
    tenants = (atlas, tenant("borealis"), *more)
    return record(
        lambda: Cassandra(
            "cassandra", config, context=store_context(*(each.name for each in tenants)), tenants=tenants
        )
    )


class TestSizes:
    @pytest.mark.parametrize(
        ("memory", "heap"), [("1Gi", 512), ("2Gi", 1024), ("8Gi", 2048), ("32Gi", 8192), ("256Gi", 8192)]
    )
    def test_the_heap_is_upstreams_share_of_the_memory(self, memory: str, heap: int) -> None:
        assert sizing.heap(memory) == heap * sizing.MIB

    @pytest.mark.parametrize("memory", ["1Gi", "4Gi", "64Gi"])
    def test_heap_and_buffers_leave_room_for_the_rest(self, memory: str) -> None:
        total = sizing.heap(memory) + sizing.direct(memory)
        assert total <= 0.8 * quantities.bytes_of(memory)

    def test_half_of_the_disks_holds_data_and_each_row_has_its_copies(self) -> None:
        assert sizing.capacity(RING) == 6 * 2 * 2**40 // 2 // 3

    def test_tables_are_those_of_all_plans_and_some_for_restores(self) -> None:
        assert sizing.tables([SHARE, SHARE]) == 6 + sizing.TABLES_SPARE


class TestSettings:
    def test_an_acknowledged_write_is_on_disk(self) -> None:
        found = settings.cassandra_yaml(RING)
        assert found["commitlog_sync"] == "group"
        assert found["commitlog_sync_period"] == "0ms", "beside upstream's 10 s the server refuses to start"

    def test_nobody_gets_in_without_password_and_tls(self) -> None:
        found = settings.cassandra_yaml(RING)
        assert found["authenticator"] == "PasswordAuthenticator"
        assert found["client_encryption_options"]["optional"] is False
        assert found["server_encryption_options"]["internode_encryption"] == "all"
        assert found["server_encryption_options"]["require_client_auth"] is True

    def test_no_keyspace_may_have_fewer_copies_than_the_ring(self) -> None:
        assert settings.cassandra_yaml(RING)["minimum_replication_factor_fail_threshold"] == 3

    def test_both_engines_run_the_same_settings(self) -> None:
        shared = settings.cassandra_yaml(PLAIN)
        node = json.loads(plain.files(PLAIN)["cassandra.yaml"])
        ring = json.loads(operator.node_config(PLAIN)["config"])["cassandra-yaml"]
        assert ring == shared
        assert node.items() >= shared.items()

    def test_the_founding_listens_on_loopback_only_and_differs_in_nothing_else(self) -> None:
        files = plain.files(PLAIN)
        served, founding = json.loads(files["cassandra.yaml"]), json.loads(files["founding.yaml"])
        assert founding["rpc_address"] == "127.0.0.1"
        assert {key for key in served if served[key] != founding[key]} == {"rpc_address"}

    def test_a_small_heap_has_the_collector_that_needs_least(self) -> None:
        assert "-XX:+UseSerialGC" in settings.jvm_options("1Gi")
        assert "-XX:+UseG1GC" in settings.jvm_options("32Gi")


class TestPlain:
    def test_the_server_never_makes_cassandras_own_superuser(self) -> None:
        (stateful_set,) = declared(PLAIN).of("apps/v1:StatefulSet")
        (main,) = stateful_set.spec.template.spec.containers
        delays = [each for each in main.command if "superuser_setup_delay_ms" in each]
        assert delays == [f"-Dcassandra.superuser_setup_delay_ms={2**53}"]
        assert "found" in [each.name for each in stateful_set.spec.template.spec.initContainers]

    def test_access_waits_for_the_server_and_the_backup_for_access(self) -> None:
        recorded = declared(PLAIN)
        (stateful_set,) = recorded.of("apps/v1:StatefulSet")
        (job,) = recorded.of("batch/v1:Job")
        (clock,) = recorded.of("batch/v1:CronJob")
        assert stateful_set.urn in job.dependencies
        assert job.urn in clock.dependencies

    def test_only_tenants_that_have_a_keyspace_get_a_binding_and_a_way_in(self) -> None:
        recorded = declared(PLAIN)
        assert [
            each.metadata.namespace
            for each in recorded.of("core/v1:Secret")
            if each.metadata.name == "cassandra"
        ] == ["tenant-atlas"]
        policy = recorded.one("networking.k8s.io/v1:NetworkPolicy", "allow-clients")
        (rule,) = policy.spec.ingress
        assert [each.port for each in rule.ports] == [9042]

    def test_another_setting_restarts_the_node_and_another_tenant_does_not(self) -> None:
        def pod(config: Config, *tenants: Tenant) -> str:
            (found,) = declared(config, *tenants).of("apps/v1:StatefulSet")
            return str(found.spec.template.metadata.annotations[SETTINGS])

        assert pod(PLAIN) != pod(PLAIN.model_copy(update={"memory": "2Gi"}))
        assert pod(PLAIN) != pod(PLAIN.model_copy(update={"tables": 30}))
        assert pod(PLAIN) == pod(PLAIN, tenant("caldera", data={"cassandra": {"tables": 7}}))


class TestOperator:
    def test_the_ring_spreads_over_its_racks_and_outlives_its_resource(self) -> None:
        datacenter = declared(RING).one("cassandra.datastax.com/v1beta1:CassandraDatacenter", "home")
        spec = datacenter.inputs.spec
        assert [each.name for each in spec.racks] == ["a", "b", "c"]
        assert datacenter.metadata.annotations["cassandra.datastax.com/delete-pvc"] == "false"

    def test_the_operator_has_upstreams_rights_in_its_own_namespace_only(self) -> None:
        recorded = declared(RING)
        everywhere = recorded.one("rbac.authorization.k8s.io/v1:ClusterRole", operator.STORAGE_CLASSES)
        assert [list(each.resources) for each in everywhere.inputs.rules] == [["storageclasses"]]
        own = recorded.one("rbac.authorization.k8s.io/v1:Role", store_operator.NAME)
        assert own.metadata.namespace == "cassandra"


class FakeRing:
    """Keyspaces, roles and grants in memory; statements are remembered."""

    def __init__(self) -> None:
        self.kept: dict[str, Keyspace] = {}
        self.logins: dict[str, str] = {}
        self.grants: dict[str, dict[str, frozenset[str]]] = {}
        self.books: dict[str, str] = {}
        self.run: list[str] = []

    def keyspaces(self) -> dict[str, Keyspace]:
        return dict(self.kept)

    def roles(self) -> set[str]:
        return set(self.logins)

    def permissions(self, role: str) -> dict[str, frozenset[str]]:
        return self.grants.get(role, {})

    def registered(self) -> dict[str, str]:
        return dict(self.books)

    def may_log_in(self, role: str, password: str) -> bool:
        return self.logins.get(role) == password

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        self.run.append(statement)
        words = statement.replace('"', "").split()
        match words:
            case ["CREATE", "KEYSPACE", *rest]:
                self.kept[rest[3] if rest[0] == "IF" else rest[0]] = Keyspace(WANTED.copies, True, 0)
            case ["DROP", "KEYSPACE", *rest]:
                self.kept.pop(rest[-1])
            case ["CREATE" | "ALTER", "ROLE", name, *_]:
                self.logins[name] = str(values[0])
            case ["DROP", "ROLE", *_, name]:
                self.logins.pop(name)
                self.grants.pop(name, None)
            case ["GRANT", permission, *_, where, "TO", name]:
                held = self.grants.setdefault(name, {})
                held[f"data/{where}/*"] = held.get(f"data/{where}/*", frozenset()) | {permission}
            case ["REVOKE", *_, name]:
                self.grants[name] = {key: value for key, value in self.grants[name].items() if name in key}
            case ["INSERT", *_]:
                self.books[str(values[0])] = str(values[1]) if len(values) > 1 else ""
            case ["DELETE", *_]:
                self.books.pop(str(values[0]))


WANTED = Wanted("home", 1, {"atlas": "secret-a", "two-words": "secret-b"})


def reconciled(
    ring: FakeRing, wanted: Wanted = WANTED, today: str = "2026-11-21"
) -> tuple[list[str], dict[str, str]]:
    said: list[str] = []
    kept = reconcile(ring, wanted, today, said.append)
    return said, kept


class TestAccess:
    def test_each_tenant_gets_a_keyspace_and_a_role_and_a_second_run_changes_nothing(self) -> None:
        ring = FakeRing()
        reconciled(ring)
        assert set(ring.kept) == {"longhouse", "atlas", "two_words"}
        assert ring.grants["two_words"] == {"data/two_words/*": GRANTED}
        assert reconciled(ring) == (["no change"], {})

    def test_what_drifted_is_put_right(self) -> None:
        ring = FakeRing()
        reconciled(ring)
        ring.logins["atlas"] = "changed by its tenant"
        ring.kept["atlas"] = Keyspace(WANTED.copies, False, 2)
        said, _ = reconciled(ring)
        assert said == ['set copies of keyspace "atlas"', 'set the password of role "atlas"']
        assert "durable_writes = true" in ring.run[-2]

    def test_what_one_tenant_let_another_into_is_taken_back(self) -> None:
        ring = FakeRing()
        reconciled(ring)
        ring.grants["atlas"]["data/two_words/t"] = frozenset({"SELECT"})
        said, _ = reconciled(ring)
        assert said == ['revoked what role "atlas" had been granted on data/two_words/t']
        assert ring.run[-1] == 'REVOKE ALL PERMISSIONS ON TABLE "two_words"."t" FROM "atlas"'

    def test_who_is_removed_loses_the_role_and_the_data_stays_until_it_may_go(self) -> None:
        ring = FakeRing()
        reconciled(ring)
        ring.kept["two_words_restored_june"] = Keyspace(WANTED.copies, True, 4)
        remaining = Wanted("home", 1, {"atlas": "secret-a"})
        _, kept = reconciled(ring, remaining)
        assert "two_words" not in ring.logins
        assert set(kept) == {"two_words", "two_words_restored_june"}
        said, later = reconciled(ring, remaining, "2027-01-01")
        assert (said, later) == (["no change"], kept), "the day is that of the removal"
        _, kept = reconciled(ring, Wanted("home", 1, remaining.tenants, frozenset({"two-words"})))
        assert (set(ring.kept), kept) == ({"longhouse", "atlas"}, {})

    def test_who_comes_back_finds_the_data_again(self) -> None:
        ring = FakeRing()
        reconciled(ring)
        reconciled(ring, Wanted("home", 1, {"atlas": "secret-a"}))
        said, kept = reconciled(ring)
        assert 'made role "two_words"' in said
        assert not any("made keyspace" in each for each in said)
        assert kept == {}

    def test_what_others_made_is_never_touched(self) -> None:
        ring = FakeRing()
        reconciled(ring)
        ring.kept["zeta"] = Keyspace(WANTED.copies, True, 1)
        with pytest.raises(SessionError, match="was not made for tenant zeta"):
            reconciled(ring, Wanted("home", 1, {**WANTED.tenants, "zeta": "secret"}))


class TestNames:
    def test_no_two_tenants_share_a_keyspace(self) -> None:
        assert keyspace("two-words") == keyspace_of("two-words") == "two_words"

    def test_a_restored_keyspace_is_its_tenants_unless_another_has_the_name(self) -> None:
        present = ["a", "a_restored_1", "b"]
        assert keyspaces_of("a", present, ["a", "b"]) == ["a", "a_restored_1"]
        assert keyspaces_of("a", present, ["a", "a-restored-1"]) == ["a"]

    def test_a_label_that_makes_no_name_is_refused(self) -> None:
        for label in ("", "June", "a_b", "x" * 40):
            with pytest.raises(SessionError):
                restored("atlas", label)

    def test_names_are_quoted_whatever_is_in_them(self) -> None:
        assert identifier('a"; DROP') == '"a""; DROP"'


class TestFounding:
    def test_the_default_superuser_is_locked_and_ours_is_there(self) -> None:
        run: list[str] = []
        made = False

        def login(role: str, password: str) -> Any:
            if role == "longhouse" and not made:
                raise NoHostAvailable("Bad credentials", {})
            return SimpleNamespace(execute=execute)

        def execute(statement: str, values: tuple[str, ...]) -> None:
            nonlocal made
            run.append(statement)
            made = made or statement.startswith("CREATE ROLE")

        found.secure(login, "longhouse", "secret")
        assert run[0].startswith("CREATE ROLE IF NOT EXISTS longhouse")
        assert run[1].startswith("ALTER ROLE cassandra")
        assert "LOGIN = false AND SUPERUSER = false" in run[1]
        found.secure(login, "longhouse", "secret")
        assert run[2:] == run[1:2], "cut off before the end, it only ends what is left"


class TestReadiness:
    def test_only_a_normal_member_of_the_ring_is_ready(self) -> None:
        assert ready.is_normal('# TYPE x gauge\ncassandra_operation_mode{mode="NORMAL"} 1.0\n')
        for other in ("JOINING", "DRAINED", "STARTING"):
            assert not ready.is_normal(f'cassandra_operation_mode{{mode="{other}"}} 1.0\n')


class TestRows:
    ROWS: Sequence[raw.Cells] = ((b"a", None, b""), (b"\x00\xff", b"b" * 70000, None))

    def test_rows_come_back_as_they_went(self) -> None:
        assert list(raw.unpack(io.BytesIO(b"".join(raw.pack(self.ROWS))))) == list(self.ROWS)

    def test_a_stream_that_is_cut_off_is_no_end(self) -> None:
        whole = b"".join(raw.pack(self.ROWS))
        with pytest.raises(EOFError):
            list(raw.unpack(io.BytesIO(whole[:-1])))

    def test_a_stream_is_compressed_piece_by_piece(self) -> None:
        stream = backup._Compressed(raw.pack(self.ROWS))
        pieces = []
        while piece := stream.read(100):
            pieces.append(piece)
        assert gzip.decompress(b"".join(pieces)) == b"".join(raw.pack(self.ROWS))

    def test_the_slices_are_the_whole_ring_once(self) -> None:
        found = backup.slices()
        assert [found[0][0], found[-1][1]] == [-(2**63), 2**63 - 1]
        assert all(one[1] + 1 == next_[0] for one, next_ in itertools.pairwise(found))

    def test_a_schema_moves_to_another_keyspace(self) -> None:
        moved = {
            "CREATE TABLE atlas.t (\n a text": 'CREATE TABLE "x".t (\n a text',
            'CREATE TABLE "select".t (a': 'CREATE TABLE "x".t (a',
            "CREATE TYPE atlas.u (a int)": 'CREATE TYPE "x".u (a int)',
            "CREATE INDEX i ON atlas.t (v)": 'CREATE INDEX i ON "x".t (v)',
            "CREATE CUSTOM INDEX i ON atlas.t (v) USING 'sai'": "CREATE CUSTOM INDEX i ON \"x\".t (v) USING 'sai'",
        }
        assert {each: backup.moved(each, "x") for each in moved} == moved

    def test_a_schema_with_anything_else_is_refused(self) -> None:
        for other in ("CREATE ROLE r", "DROP TABLE atlas.t", "CREATE FUNCTION atlas.f (x int)", "GRANT ALL"):
            with pytest.raises(backup.BackupError):
                backup.moved(other, "x")

    def test_cells_are_written_with_their_own_times(self) -> None:
        writer: Any = backup._Writer.__new__(backup._Writer)
        writer._columns = backup.Columns(("k", "c"), ("s", "v", "w"), ("s", "v", "w"), ())
        writer._name, writer._static, writer._partition = '"x"."t"', {"s"}, 1
        row = (b"K", b"C", b"S", b"V", None, b"1", None, b"2", b"60", None, None)
        assert list(writer.writes(row)) == [
            (
                'INSERT INTO "x"."t" ("k", "c", "s") VALUES (?, ?, ?) USING TIMESTAMP ?',
                (b"K", b"C", b"S", b"1"),
            ),
            (
                'INSERT INTO "x"."t" ("k", "c", "v") VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL ?',
                (b"K", b"C", b"V", b"2", b"60"),
            ),
        ]
        key_alone = (b"K", b"C", None, None, None, *([None] * 6))
        assert list(writer.writes(key_alone)) == [
            ('INSERT INTO "x"."t" ("k", "c") VALUES (?, ?)', (b"K", b"C"))
        ]
        static_alone = (b"K", None, b"S", None, None, b"1", None, *([None] * 4))
        assert list(writer.writes(static_alone)) == [
            ('INSERT INTO "x"."t" ("k", "s") VALUES (?, ?) USING TIMESTAMP ?', (b"K", b"S", b"1"))
        ]


def test_the_resources_that_grants_name_are_those_of_the_table() -> None:
    assert access._resource("data") == "ALL KEYSPACES"
    assert access._resource("data/a") == 'KEYSPACE "a"'
    assert access._resource("data/a/*") == 'ALL TABLES IN KEYSPACE "a"'
