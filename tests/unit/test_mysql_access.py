"""The program that makes MySQL's accounts what the desired state says, on a server of a few lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pymysql
import pytest

from modules.data.mysql.inside import sql
from modules.data.mysql.inside.access import (
    BOOKS,
    PRIVILEGES,
    Access,
    AccessError,
    Desired,
    Helper,
    Owner,
)
from modules.data.mysql.inside.backup import BackupError, owner_of
from modules.data.mysql.inside.sql import Row, identifier, literal, native_hash, pattern

ATLAS = Owner("atlas", "of-atlas", 10, 60)
BOREALIS = Owner("bore-alis", "of-borealis", 5)
HUB = Owner("longhouse_hub", "of-hub", 5, family=False)
METRICS = Helper("platform_metrics", "of-metrics", ("PROCESS", "REPLICATION CLIENT"), 3)


@dataclass
class Account:
    password: str
    limits: str
    grants: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class FakeServer:
    """Accounts, schemas, sessions and grants; statements by their first words."""

    version: str = "10.11.19-MariaDB"
    partial_revokes: str = "OFF"
    accounts: dict[str, Account] = field(default_factory=dict)
    schemas: set[str] = field(default_factory=lambda: {"mysql"})
    owned: list[str] = field(default_factory=list)
    sessions: dict[int, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    breaks_at: str = "never"

    def query(self, statement: str, *values: object) -> Sequence[Row]:
        first, *rest = map(str, values) if values else ("",)
        if statement.startswith(self.breaks_at):
            raise ConnectionError("killed")
        if not statement.startswith("SELECT"):
            self.written.append(" ".join([statement, *map(str, values)]))
        if statement.startswith("SELECT VERSION"):
            return [(self.version,)]
        if statement.startswith("SHOW GLOBAL VARIABLES"):
            return [("partial_revokes", self.partial_revokes)]
        if "LEFT(SCHEMA_NAME" in statement:
            return [(each,) for each in sorted(self.schemas) if each == first or each.startswith(rest[1])]
        if "information_schema.SCHEMATA" in statement:
            return [(first,)] if first in self.schemas else []
        if "PROCESSLIST" in statement:
            return [(number,) for number, user in self.sessions.items() if user == first]
        if "FROM mysql.user" in statement:
            return [(name, *self._limits(each)) for name, each in self.accounts.items()]
        if "_PRIVILEGES" in statement:
            everywhere = "USER_PRIVILEGES" in statement
            held = self.accounts[re.findall(r"'(.*?)'", first)[0]].grants
            return [each for each in held if (each[0] == "*") == everywhere]
        if statement.startswith("SELECT name"):
            return [(each,) for each in self.owned]
        self._change(statement, first, rest)
        return []

    def _change(self, statement: str, first: str, rest: list[str]) -> None:
        if found := re.fullmatch(r"CREATE DATABASE `(.*)` CHARACTER SET utf8mb4 COLLATE \w+", statement):
            self.schemas.add(found[1])
        elif found := re.fullmatch(r"DROP DATABASE `(.*)`", statement):
            self.schemas.remove(found[1])
        elif statement.startswith("INSERT INTO"):
            self.owned.append(first)
        elif statement.startswith("DELETE FROM"):
            self.owned.remove(first)
        elif statement.startswith("CREATE USER"):
            self.accounts[first] = Account(rest[1], statement.partition("REQUIRE")[2])
        elif statement.startswith("ALTER USER") and "IDENTIFIED" in statement:
            self.accounts[first].password = rest[1]
        elif statement.startswith("ALTER USER"):
            self.accounts[first].limits = statement.partition("REQUIRE")[2]
        elif statement.startswith("DROP USER"):
            del self.accounts[first]
        elif statement.startswith("KILL"):
            del self.sessions[int(statement.split()[-1])]
        elif found := re.fullmatch(r"(GRANT|REVOKE) (.*) ON (.*)\.\* (?:TO|FROM) %s@%s", statement):
            on = found[3].strip("`").replace("%%", "%")
            named = {(on, each) for each in found[2].split(", ")}
            held = self.accounts[first].grants
            held |= named if found[1] == "GRANT" else set()
            held -= named if found[1] == "REVOKE" else set()
        else:
            assert statement.startswith("CREATE TABLE IF NOT EXISTS"), statement

    @staticmethod
    def _limits(account: Account) -> tuple[str, int, float]:
        numbers = dict(re.findall(r"(MAX_\w+) (\d+)", account.limits))
        tls = "ANY" if account.limits.strip().startswith("SSL") else ""
        return tls, int(numbers["MAX_USER_CONNECTIONS"]), float(numbers.get("MAX_STATEMENT_TIME", 0))

    def all(self) -> Sequence[FakeServer]:
        return [self]

    def lets_in(self, user: str, password: str) -> bool:
        return self.accounts[user].password in (password, native_hash(password))


def reconcile(server: FakeServer, *owners: Owner, delete: tuple[str, ...] = ()) -> dict[str, str]:
    server.said, server.written = [], []
    desired = Desired(("a",), 3306, owners, (METRICS,), delete)
    return Access(server, Desired.of(desired.as_json()), server.said.append).reconcile()


@pytest.fixture
def server() -> FakeServer:
    """A server with two tenants and a service."""
    made = FakeServer()
    reconcile(made, ATLAS, BOREALIS, HUB)
    return made


class TestOwners:
    def test_each_has_an_account_with_its_limits_over_tls_and_a_schema_of_its_name(
        self, server: FakeServer
    ) -> None:
        assert set(server.accounts) == {"atlas", "bore-alis", "longhouse_hub", "platform_metrics"}
        assert server.accounts["atlas"].limits == " SSL WITH MAX_USER_CONNECTIONS 10 MAX_STATEMENT_TIME 60"
        assert server.schemas == {"mysql", BOOKS, "atlas", "bore-alis", "longhouse_hub"}

    def test_it_may_use_its_schema_and_its_family_and_nothing_else(self, server: FakeServer) -> None:
        assert server.accounts["atlas"].grants == {
            (on, each) for on in ("atlas", r"atlas\_%") for each in PRIVILEGES
        }
        assert server.accounts["longhouse_hub"].grants == {(r"longhouse\_hub", each) for each in PRIVILEGES}

    def test_a_name_with_a_wildcard_in_it_has_no_family(self) -> None:
        with pytest.raises(ValueError, match="could be somebody else's"):
            Owner("a_b", "secret", 1)

    def test_a_second_run_changes_nothing_and_says_so(self, server: FakeServer) -> None:
        assert reconcile(server, ATLAS, BOREALIS, HUB) == {}
        assert server.said == ["no change"]

    def test_what_differs_is_set_right_and_nothing_else(self, server: FakeServer) -> None:
        held = server.accounts["atlas"]
        held.grants -= {("atlas", "SELECT")}
        held.grants |= {("*", "SUPER"), ("bore-alis", "SELECT")}
        held.limits = " NONE WITH MAX_USER_CONNECTIONS 99 MAX_STATEMENT_TIME 60"
        held.password = "another"
        reconcile(server, ATLAS, BOREALIS, HUB)
        assert server.said == [
            "atlas: set its limits",
            "atlas: set its password",
            "atlas: granted on atlas: SELECT",
            "atlas: revoked on *: SUPER",
            "atlas: revoked on bore-alis: SELECT",
        ]
        reconcile(server, ATLAS, BOREALIS, HUB)
        assert server.said == ["no change"]

    def test_mariadb_never_hears_a_password_because_its_binary_log_would_keep_it(
        self, server: FakeServer
    ) -> None:
        reconcile(server, Owner("atlas", "rotated", 10, 60), BOREALIS, HUB)
        assert server.said == ["atlas: set its password"]
        assert server.accounts["atlas"].password == native_hash("rotated")

    def test_mysql_makes_the_hash_itself_and_has_no_limit_of_statements(self) -> None:
        server = FakeServer(version="8.4.8-8.1")
        reconcile(server, ATLAS)
        assert server.accounts["atlas"] == Account(
            "of-atlas", " SSL WITH MAX_USER_CONNECTIONS 10", server.accounts["atlas"].grants
        )
        reconcile(server, ATLAS)
        assert server.said == ["no change"]

    def test_a_server_that_takes_patterns_for_names_is_refused(self) -> None:
        with pytest.raises(AccessError, match="partial_revokes"):
            reconcile(FakeServer(version="8.4.8", partial_revokes="ON"), ATLAS)


class TestStrangers:
    def test_an_account_that_somebody_else_made_is_not_taken_over(self) -> None:
        server = FakeServer(accounts={"atlas": Account("theirs", " SSL WITH MAX_USER_CONNECTIONS 1")})
        with pytest.raises(AccessError, match="account atlas is there and the platform did not make it"):
            reconcile(server, ATLAS)
        assert server.accounts["atlas"].password == "theirs"

    def test_a_schema_that_somebody_else_made_is_not_given_away(self) -> None:
        server = FakeServer(schemas={"atlas"})
        with pytest.raises(AccessError, match="schema atlas is there and the platform did not make it"):
            reconcile(server, ATLAS)
        assert "atlas" not in server.accounts

    def test_an_account_that_nobody_wants_and_the_platform_did_not_make_stays(
        self, server: FakeServer
    ) -> None:
        server.accounts["visitor"] = Account("theirs", " SSL WITH MAX_USER_CONNECTIONS 1")
        reconcile(server, ATLAS, BOREALIS, HUB)
        assert server.said == ["no change"]


class TestRemoval:
    def test_access_and_sessions_end_at_once_and_data_is_kept_and_listed(self, server: FakeServer) -> None:
        server.schemas |= {"atlas_dev", "atlas_odd name", "atlasx"}
        server.sessions = {7: "atlas", 8: "bore-alis", 9: "atlas"}
        kept = reconcile(server, BOREALIS, HUB)
        assert server.said == ["atlas: dropped the account", "atlas: ended 2 sessions"]
        assert "atlas" not in server.accounts
        assert server.sessions == {8: "bore-alis"}
        assert kept == {
            "atlas": "schema atlas of atlas",
            "atlas_dev": "schema atlas_dev of atlas",
            "atlas_odd.name": "schema atlas_odd name of atlas",
        }
        assert reconcile(server, BOREALIS, HUB) == kept
        assert server.said == ["no change"]

    def test_sessions_that_a_run_cut_off_left_behind_are_ended_by_the_next(self, server: FakeServer) -> None:
        del server.accounts["atlas"]
        server.sessions = {7: "atlas"}
        reconcile(server, BOREALIS, HUB)
        assert server.said == ["atlas: ended 1 sessions"]

    def test_a_session_that_ends_by_itself_meanwhile_is_no_failure(self, server: FakeServer) -> None:
        class Gone(FakeServer):
            def query(self, statement: str, *values: object) -> Sequence[Row]:
                if statement.startswith("KILL"):
                    self.sessions.clear()
                    raise pymysql.err.OperationalError(sql.NO_SUCH_THREAD, "Unknown thread id")
                return super().query(statement, *values)

        gone = Gone(
            accounts=server.accounts, schemas=server.schemas, owned=server.owned, sessions={7: "atlas"}
        )
        reconcile(gone, BOREALIS, HUB)
        assert "atlas: ended 1 sessions" in gone.said

    def test_who_comes_back_finds_the_data(self, server: FakeServer) -> None:
        reconcile(server, BOREALIS, HUB)
        assert reconcile(server, ATLAS, BOREALIS, HUB) == {}
        assert "atlas: made the account" in server.said
        assert not any("DROP DATABASE" in each for each in server.written)

    def test_data_goes_only_when_somebody_said_so_and_never_a_neighbours(self, server: FakeServer) -> None:
        server.schemas |= {"atlas_dev", "atlasx"}
        assert reconcile(server, BOREALIS, HUB, delete=("atlas",)) == {}
        assert server.schemas == {"mysql", BOOKS, "bore-alis", "longhouse_hub", "atlasx"}
        assert "atlas" not in server.owned

    def test_data_of_a_tenant_that_is_still_wanted_is_never_deleted(self, server: FakeServer) -> None:
        reconcile(server, ATLAS, BOREALIS, HUB, delete=("atlas", "mysql", "unheard-of"))
        assert server.said == ["no change"]

    def test_a_service_that_goes_takes_nobody_elses_schema_along(self, server: FakeServer) -> None:
        server.schemas |= {"longhouse_hub_two"}
        assert reconcile(server, ATLAS, BOREALIS) == {
            "longhouse_hub": "schema longhouse_hub of longhouse_hub"
        }


@pytest.mark.parametrize(
    "at",
    [
        "CREATE DATABASE `longhouse`",
        "CREATE TABLE",
        "INSERT",
        "CREATE USER",
        "CREATE DATABASE `atlas`",
        "GRANT",
    ],
)
def test_a_run_that_is_cut_off_is_finished_by_the_next(at: str) -> None:
    server = FakeServer(breaks_at=at)
    with pytest.raises(ConnectionError):
        reconcile(server, ATLAS)
    server.breaks_at = "never"
    reconcile(server, ATLAS)
    assert server.accounts["atlas"].grants
    reconcile(server, ATLAS)
    assert server.said == ["no change"]


class TestQuoting:
    @pytest.mark.parametrize("name", ["plain", "with-hyphen", "a`b", "``", "a'b", "a b", "ü"])
    def test_a_name_cannot_end_its_quotes(self, name: str) -> None:
        quoted = identifier(name)
        assert quoted[0] == quoted[-1] == "`"
        assert quoted[1:-1].replace("``", "") == name.replace("`", "")

    @pytest.mark.parametrize("text", ["plain", "it's", "a\\", "\\'", "'; DROP TABLE t; --", "%s"])
    def test_a_literal_is_what_the_driver_would_have_made_of_it(self, text: str) -> None:
        inside = literal(text)[1:-1]
        assert inside.replace("''", "\\'") == pymysql.converters.escape_string(text)

    def test_a_literal_of_two_lines_is_refused(self) -> None:
        with pytest.raises(ValueError, match="one line"):
            literal("a\nb")

    def test_wildcards_of_grants_stand_for_themselves(self) -> None:
        assert pattern("a_b%c\\d") == "a\\_b\\%c\\\\d"

    def test_the_hash_is_the_servers_own(self) -> None:
        # SELECT PASSWORD('password') on any MariaDB.
        assert native_hash("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


class TestRestore:
    DESIRED = Desired(("a",), 3306, (ATLAS, BOREALIS, HUB))

    @pytest.mark.parametrize(
        ("schema", "owner"),
        [("atlas", ATLAS), ("atlas_dev", ATLAS), ("bore-alis_x", BOREALIS), ("longhouse_hub", HUB)],
    )
    def test_a_schema_is_put_back_by_whose_it_is(self, schema: str, owner: Owner) -> None:
        assert owner_of(self.DESIRED, schema) == owner

    @pytest.mark.parametrize("schema", ["atlasx", "mysql", "longhouse_hub_x", "gone"])
    def test_a_schema_that_is_nobodys_is_not(self, schema: str) -> None:
        with pytest.raises(BackupError, match="has no owner now"):
            owner_of(self.DESIRED, schema)
