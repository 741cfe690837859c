"""HDFS: its realm, its servers' settings, how they are laid out, and what is declared of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from modules.data.hdfs import metrics, places, settings, sizing
from modules.data.hdfs.component import Hdfs
from modules.data.hdfs.config import Hdfs as Config
from modules.data.hdfs.inside.desired import Desired
from modules.data.hdfs.keytab import Principal, key, keytab
from modules.data.hdfs.realm import Realm
from modules.data.hdfs.servers import Cast
from modules.foundation.tenants.config import Tenant
from modules.kit.pods import SETTINGS
from tests.conftest import Recording, record
from tests.unit.examples import AUTHORITY, CREDENTIALS, store_context, tenant

ALONE = Config.model_validate(
    {
        "high_availability": False,
        "apart": False,
        "kerberos": {"kdc": {"mode": "embedded", "replicas": 1}},
        "namenode": {"cpu": "100m", "memory": "512Mi", "disk": "2Gi"},
        "datanodes": {"count": 1, "cpu": "50m", "memory": "512Mi", "disk": "4Gi"},
        "replication": 1,
    }
)
PAIR = Config.model_validate(
    {
        "datanodes": {
            "count": 7,
            "cpu": "2",
            "memory": "8Gi",
            "disk": "10Ti",
            "racks": ["rack-a", "rack-b", "rack-c"],
        }
    }
)
GIVEN = Config.model_validate(
    {
        "kerberos": {
            "realm": "CORP.EXAMPLE.COM",
            "kdc": {"mode": "given", "addresses": ["dc1.example.com"], "cidrs": ["10.1.0.0/28"]},
        }
    }
)
ATLAS = tenant("atlas", data={"hdfs": {"space": "1Gi", "files": 500}})
WITHOUT = tenant("caldera")


def declared(
    config: Config = ALONE, tenants: tuple[Tenant, ...] = (ATLAS, WITHOUT), **fields: Any
) -> Recording:
    return record(
        lambda: Hdfs(
            "hdfs", config, context=store_context(*(each.name for each in tenants), **fields), tenants=tenants
        )
    )


def cast(config: Config, *tenants: str) -> Cast:
    return Cast(config, CREDENTIALS, AUTHORITY, "longhouse/clients:1", tenants=tenants)


class TestKeytab:
    def test_a_password_stands_for_the_key_of_the_standards_own_example(self) -> None:
        salt = bytes.fromhex("10DF9DD783E5BC8ACEA1730E74355F61") + b"ATHENA.MIT.EDUraeburn"
        wanted = "45BD806DBF6A833A9CFFC1C94589A222367A79BC21C413718906E9F578A78467"
        assert key("password", salt) == bytes.fromhex(wanted), "RFC 8009, appendix A"

    def test_it_has_the_layout_of_mits_format_and_is_the_same_each_time(self) -> None:
        entry = Principal("hdfs/a.b", "REALM", "secret")
        written = keytab([entry])
        assert written == keytab([entry])
        assert written[:2] == b"\x05\x02"
        length = int.from_bytes(written[2:6])
        assert len(written) == 6 + length
        assert written[6:8] == b"\x00\x02", "two components"
        assert written[8:15] == b"\x00\x05REALM"
        assert written[-4:] == b"\x00\x00\x00\x01", "the first version of the key"
        assert key("secret", b"REALMhdfsa.b") in written, "salted with realm and components"

    def test_two_principals_have_two_keys(self) -> None:
        realm = Realm(ALONE, CREDENTIALS)
        assert realm.user("atlas") != realm.user("borealis")


class TestRealm:
    def test_the_kdc_is_told_everybody_who_has_a_keytab_and_no_one_else(self) -> None:
        lines = Realm(PAIR, CREDENTIALS).commands(["atlas"]).splitlines()
        names = [line.split()[-1] for line in lines]
        servers = (*places.namenodes(PAIR), *places.datanodes(PAIR), *places.journalnodes(PAIR))
        assert names[0] == "krbtgt/LONGHOUSE"
        assert set(names[1:]) == {*places.principals(servers), "hdfs", "atlas"}
        assert len(servers) == 2 + 7 + 3

    def test_a_name_that_kadmin_would_read_otherwise_is_never_written(self) -> None:
        for name in ("-randkey", "a b", "a\nadd_principal b", 'a"b'):
            with pytest.raises(ValueError, match=r"cannot be written|lower-case parts"):
                Realm(ALONE, CREDENTIALS).commands([name])

    def test_a_given_realm_is_asked_at_its_own_addresses_and_nothing_is_made_in_it(self) -> None:
        found = cast(GIVEN, "atlas")
        assert found.kdc() is None
        assert "kdc = dc1.example.com:88" in settings.krb5("CORP.EXAMPLE.COM", places.kdcs(GIVEN))
        (keys,) = [each for each in found.namenode().pod.secrets if each.name == "keytab"]
        assert (keys.existing, dict(keys.binary)) == ("namenode-keytab", {})
        assert GIVEN.reach.cidrs == ("10.1.0.0/28",)
        bindings = declared(GIVEN).named("core/v1:Secret")
        assert "keytab" not in (bindings["hdfs"].inputs.get("data") or {})


class TestSizing:
    @pytest.mark.parametrize(("memory", "heap"), [("512Mi", 352), ("192Mi", 48), ("16Gi", 12288)])
    def test_what_lies_beside_the_heap_has_its_room(self, memory: str, heap: int) -> None:
        assert sizing.heap(memory) == heap * sizing.MIB

    def test_room_is_counted_once_without_what_each_disk_keeps_free(self) -> None:
        assert sizing.capacity(PAIR) == 7 * (10 * 2**40 - sizing.reserved("10Ti")) // 3

    def test_a_space_quota_counts_every_copy_as_hdfs_does(self) -> None:
        share = ATLAS.data.hdfs
        assert share is not None
        assert sizing.space_quota(share, 3) == 3 * 2**30

    def test_handlers_grow_with_the_logarithm_of_the_datanodes(self) -> None:
        assert [sizing.handlers(count) for count in (1, 10, 100)] == [10, 46, 92]

    def test_racks_share_the_datanodes_evenly(self) -> None:
        assert sizing.in_racks(7, ("a", "b", "c")) == {"a": 3, "b": 2, "c": 2}
        assert sizing.in_racks(2, ()) == {"": 2}


class TestSettings:
    @pytest.mark.parametrize("config", [ALONE, PAIR, GIVEN])
    def test_nobody_is_believed_and_nothing_goes_in_the_clear(self, config: Config) -> None:
        core = settings.core(config)
        assert core["hadoop.security.authentication"] == "kerberos"
        assert core["hadoop.security.authorization"] == "true"
        assert core["hadoop.rpc.protection"] == "privacy"
        assert core["hadoop.http.authentication.type"] == "kerberos"
        for site in (settings.namenode(config), settings.datanode(config)):
            assert site["dfs.data.transfer.protection"] == "privacy"
            assert site["dfs.http.policy"] == "HTTPS_ONLY"
            assert site["dfs.block.access.token.enable"] == "true"

    def test_only_servers_may_speak_the_servers_protocols(self) -> None:
        policy = settings.policy()
        assert policy["security.datanode.protocol.acl"] == "hdfs"
        assert [name for name, who in policy.items() if who == "*"] == [
            "security.client.protocol.acl",
            "security.client.datanode.protocol.acl",
            "security.get.user.mappings.protocol.acl",
        ]

    def test_a_client_names_the_file_system_alike_in_both_shapes(self) -> None:
        assert settings.client_core(ALONE)["fs.defaultFS"] == settings.client_core(PAIR)["fs.defaultFS"]
        assert settings.client_hdfs(ALONE)["dfs.ha.namenodes.longhouse"] == "nn0"
        assert settings.client_hdfs(PAIR)["dfs.ha.namenodes.longhouse"] == "nn0,nn1"

    def test_a_realm_with_dots_admits_no_other_realm(self) -> None:
        assert r"@CORP\.EXAMPLE\.COM$" in settings.core(GIVEN)["hadoop.security.auth_to_local"]

    def test_the_journal_and_failover_are_there_with_two_namenodes_only(self) -> None:
        journal = settings.namenode(PAIR)["dfs.namenode.shared.edits.dir"]
        assert journal.startswith("qjournal://journalnode-0.")
        assert journal.endswith("/longhouse")
        assert settings.namenode(PAIR)["dfs.ha.automatic-failover.enabled"] == "true"
        assert not [name for name in settings.namenode(ALONE) if name.startswith("ha.") or "shared" in name]

    def test_text_of_any_kind_stays_text_in_the_file(self) -> None:
        written = settings.xml({"name": "<a> & 'b' \"c\""})
        assert ElementTree.fromstring(written).findtext("property/value") == "<a> & 'b' \"c\""

    def test_zookeeper_listens_to_tls_only_and_asks_its_peers_for_a_password(self) -> None:
        lines = settings.zookeeper(PAIR).splitlines()
        assert "secureClientPort=2281" in lines
        assert not [line for line in lines if line.startswith("clientPort")]
        assert {
            "sslQuorum=true",
            "quorum.auth.serverRequireSasl=true",
            "quorum.auth.learnerRequireSasl=true",
        } <= {*lines}

    def test_zookeepers_account_is_written_as_zookeeper_hashes_it(self) -> None:
        account = settings.zookeeper_account("secret")
        # echo -n hdfs:secret | openssl dgst -binary -sha1 | openssl base64
        assert account["zookeeper-auth"] == "digest:hdfs:secret"
        assert account["zookeeper-acl"] == "digest:hdfs:Rqc/eU/YLg4bkzNvY5214ox3UMs=:rwcda"


class TestRackScript:
    SCRIPT = Path(settings.__file__).parent / "files" / "rack.sh"

    def run(self, tmp_path: Path, name: str) -> subprocess.CompletedProcess[str]:
        fake = tmp_path / "getent"
        fake.write_text(f"#!/bin/bash\necho '10.0.0.1 {name}'\n")
        fake.chmod(0o755)
        return subprocess.run(
            ["bash", self.SCRIPT, "10.0.0.1"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_a_datanodes_rack_is_in_its_name(self, tmp_path: Path) -> None:
        found = self.run(tmp_path, "datanode-rack-a-0.datanode-rack-a.hdfs.svc.cluster.local")
        assert found.stdout == "/rack-a\n"

    def test_who_is_no_datanode_has_none_and_is_turned_away(self, tmp_path: Path) -> None:
        assert self.run(tmp_path, "elsewhere.example.com").returncode == 1


class TestServers:
    def test_alone_there_is_one_of_each_and_nothing_of_a_quorum(self) -> None:
        assert [(each.name, each.replicas) for each in cast(ALONE).servers] == [
            ("namenode", 1),
            ("datanode", 1),
        ]

    def test_a_pair_has_a_quorum_and_its_datanodes_stand_by_rack(self) -> None:
        found = {each.name: each for each in cast(PAIR).servers}
        assert {name: each.replicas for name, each in found.items()} == {
            "zookeeper": 3,
            "journalnode": 3,
            "namenode": 2,
            "datanode-rack-a": 3,
            "datanode-rack-b": 2,
            "datanode-rack-c": 2,
        }
        assert found["datanode-rack-a"].pod.node_labels == {"topology.kubernetes.io/zone": "rack-a"}
        assert [each.name for each in found["namenode"].pod.containers] == ["namenode", "failover"]

    def test_each_is_ready_by_what_it_says_of_itself(self) -> None:
        wanted = {
            "namenode": metrics.STANDBY_IN_SYNC,
            "journalnode": metrics.JOURNALNODE_READY[0],
            "zookeeper": metrics.ZOOKEEPER_READY[0],
            "datanode-rack-a": metrics.DATANODE_READY[0],
        }
        for each in cast(PAIR).servers:
            if each.name in wanted:
                probe = each.pod.containers[0].readiness
                assert probe is not None
                assert wanted[each.name] in probe.command

    def test_a_settings_change_restarts_only_that_server(self) -> None:
        changed = ALONE.model_copy(update={"datanodes": ALONE.datanodes.model_copy(update={"disk": "8Gi"})})
        before = {each.name: each.pod.settings_hash for each in cast(ALONE).servers}
        after = {each.name: each.pod.settings_hash for each in cast(changed).servers}
        assert before["datanode"] != after["datanode"], "it leaves another part of its disk free"
        assert before["namenode"] == after["namenode"]

    def test_another_tenant_restarts_the_kdc_and_no_server_that_holds_data(self) -> None:
        one, two = cast(ALONE, "atlas"), cast(ALONE, "atlas", "borealis")
        kdcs = one.kdc(), two.kdc()
        assert kdcs[0]
        assert kdcs[1]
        assert kdcs[0].pod.settings_hash != kdcs[1].pod.settings_hash
        assert [each.pod.settings_hash for each in one.servers] == [
            each.pod.settings_hash for each in two.servers
        ]


class TestDeclared:
    def test_a_tenants_binding_is_all_that_hadoops_client_needs(self) -> None:
        found = declared().named("core/v1:Secret")["hdfs"]
        assert found.metadata.namespace == "tenant-atlas"
        facts = found.inputs["stringData"]
        assert {"core-site.xml", "hdfs-site.xml", "krb5.conf", "ca.crt", "username", "webhdfs", "uri"} <= {
            *facts
        }
        assert facts["uri"] == "hdfs://longhouse/tenants/atlas"
        assert "keytab" in found.inputs["data"]

    def test_a_tenant_without_hdfs_has_no_binding_and_no_principal(self) -> None:
        found = declared()
        assert "tenant-caldera" not in {each.metadata.namespace for each in found.of("core/v1:Secret")}
        principals = found.named("core/v1:Secret")["realm-principals"].inputs["stringData"]["principals"]
        assert "caldera" not in principals

    def test_the_access_program_is_told_the_homes_and_whose_data_may_go(self) -> None:
        found = declared(delete_data=frozenset({"zeta"})).named("core/v1:Secret")
        wanted = Desired.of(found["access-desired"].inputs["stringData"]["desired.json"])
        assert {name: (home.names, home.space) for name, home in wanted.tenants.items()} == {
            "atlas": (500, 2**30)
        }
        assert wanted.delete_data == ("zeta",)

    def test_homes_are_backed_up_by_the_clock_where_there_is_a_bucket(self) -> None:
        assert declared().one("batch/v1:CronJob").spec.schedule == ALONE.backup
        assert not declared(backups=None).of("batch/v1:CronJob")

    def test_no_settings_file_holds_a_secret(self) -> None:
        found = declared(PAIR)
        passwords = [
            CREDENTIALS.password(purpose)
            for purpose in ("hdfs/principals/atlas", "hdfs/stores/namenode", "hdfs/zookeeper/failover")
        ]
        text = str([each.inputs.get("data") for each in found.of("core/v1:ConfigMap")])
        assert not [each for each in passwords if each in text]

    def test_every_server_of_data_restarts_by_the_hash_of_its_settings(self) -> None:
        for each in declared(PAIR).of("apps/v1:StatefulSet"):
            assert each.spec.template.metadata.annotations[SETTINGS]
