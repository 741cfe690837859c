"""MySQL: what fits, what is set, what is declared for each engine, and how a tenant is told."""

from __future__ import annotations

import configparser
import functools
import json

import pytest
from pulumi_kubernetes.core.v1 import Namespace

from modules.data import store_operator
from modules.data.mysql import accounts, exporter, operator, plain, settings, sizing
from modules.data.mysql.component import MySql
from modules.data.mysql.config import SERVER_ACCOUNTS, SERVER_SCHEMAS, MySqlEngine, MySqlShare, ServiceSchema
from modules.data.mysql.config import MySql as Config
from modules.data.mysql.inside.access import Desired
from modules.data.mysql.sizing import COSTS, GIB, MIB, Flavour
from modules.kit import quantities
from tests.conftest import Recording, record
from tests.unit.examples import AUTHORITY, BACKUPS, CREDENTIALS, store_context, tenant

SMALL = Config(cpu="50m", memory="384Mi", disk="2Gi")
CLUSTER = Config(engine=MySqlEngine.OPERATOR, nodes=3, memory="32Gi", disk="500Gi")
ENDPOINT = Config.model_validate(
    {
        "engine": "external",
        "external": {"host": "db.example.com", "cidrs": ["10.9.0.0/28"], "admin_secret": "rds"},
    }
)
HUB = ServiceSchema("hub", "hub-system")


CHANGED = SMALL.model_copy(update={"settings": {"long_query_time": "5"}})
CONFIGS = {"small": SMALL, "changed": CHANGED, "cluster": CLUSTER, "endpoint": ENDPOINT}


@functools.cache
def declared(config: str = "small", *, services: bool = False, backups: bool = True) -> Recording:
    def program() -> None:
        own = {HUB: Namespace("hub", metadata={"name": HUB.namespace})} if services else None
        MySql(
            "mysql",
            CONFIGS[config],
            context=store_context("atlas", "borealis", backups=BACKUPS if backups else None),
            tenants=(tenant(data={"mysql": {"connections": 7}}), tenant("borealis")),
            services=own,
        )

    return record(program)


class TestSizing:
    @pytest.mark.parametrize(
        ("engine", "memory"),
        [
            *(
                (MySqlEngine.PLAIN, each)
                for each in ("256Mi", "384Mi", "1Gi", "4Gi", "16Gi", "64Gi", "512Gi")
            ),
            *((MySqlEngine.OPERATOR, each) for each in ("2Gi", "4Gi", "16Gi", "64Gi", "512Gi")),
        ],
    )
    def test_the_server_its_busy_connections_and_the_buffer_pool_fit_into_the_memory(
        self, engine: MySqlEngine, memory: str
    ) -> None:
        found = sizing.sizes(Config(engine=engine, memory=memory))
        costs = COSTS[sizing.flavour(engine)]
        spent = costs.base + found.connections * costs.connection + found.buffer_pool
        assert spent <= quantities.bytes_of(memory)

    def test_a_large_server_gives_most_of_its_memory_to_the_buffer_pool(self) -> None:
        assert sizing.sizes(Config(memory="64Gi", disk="1Ti")).buffer_pool > 40 * GIB

    def test_a_pool_that_mysql_would_round_up_is_rounded_down_first(self) -> None:
        assert sizing.sizes(CLUSTER).buffer_pool % GIB == 0

    def test_logs_leave_a_small_disk_to_the_data(self) -> None:
        found = sizing.sizes(SMALL)
        assert found.redo_log <= 2 * GIB // 20
        assert found.binlog <= 2 * GIB // 20

    @pytest.mark.parametrize("of", list(Flavour))
    def test_the_least_memory_is_just_enough(self, of: Flavour) -> None:
        engine = MySqlEngine.PLAIN if of is Flavour.MARIADB else MySqlEngine.OPERATOR
        least = sizing.least_memory(of)
        found = sizing.sizes(Config(engine=engine, memory=f"{least // MIB}Mi"))
        assert found.buffer_pool >= sizing.LEAST_BUFFER_POOL
        assert found.connections >= 2 * sizing.PLATFORM_CONNECTIONS


class TestSettings:
    @pytest.mark.parametrize("config", [SMALL, CLUSTER])
    def test_every_engine_keeps_what_it_acknowledged(self, config: Config) -> None:
        found = read(settings.option_file(config))
        assert found["sync_binlog"] == "1"
        assert found["innodb_flush_log_at_trx_commit"] == "1"
        assert found["require_secure_transport"] == "ON"

    def test_engines_differ_where_the_table_says_so_and_in_numbers_only(self) -> None:
        mariadb, pxc = read(settings.option_file(SMALL)), read(settings.option_file(CLUSTER))
        found = sizing.sizes(SMALL)
        table = settings.different(SMALL, found)
        assert set(mariadb) - set(pxc) == {name for each in table for name in each.mariadb}
        assert set(pxc) - set(mariadb) == {name for each in table for name in each.pxc}
        shared = {name for name in set(mariadb) & set(pxc) if mariadb[name] != pxc[name]}
        assert all(mariadb[name].isdigit() for name in shared), shared

    @pytest.mark.parametrize(
        "name",
        [
            "sync_binlog", "innodb_flush_log_at_trx_commit", "innodb_doublewrite", "log_bin", "skip_log_bin", "disable_log_bin",
            "loose_sync_binlog", "loose_skip_log_bin", "innodb_flush_log_at", "require_secure_transport", "skip_grant_tables",
            "skip_require_secure_transport", "max_connections", "innodb_buffer_pool_size", "innodb_force_recovery", "init_file",
            "maximum_max_connections", "plugin_load_add",
        ],
    )  # fmt: skip
    def test_what_would_lose_data_or_is_the_platforms_own_is_refused_however_it_is_spelt(
        self, name: str
    ) -> None:
        assert settings.refusal(name, SMALL)
        with pytest.raises(ValueError, match=name):
            settings.option_file(SMALL.model_copy(update={"settings": {name: "0"}}))

    @pytest.mark.parametrize(
        "name", ["long_query_time", "slow_query_log", "wait_timeout", "innodb_io_capacity"]
    )
    def test_other_settings_reach_the_server(self, name: str) -> None:
        config = SMALL.model_copy(update={"settings": {name: "5"}})
        assert read(settings.option_file(config))[name] == "5"

    def test_an_option_cannot_break_its_line(self) -> None:
        with pytest.raises(ValueError, match="would break its line"):
            settings.ini({"client": {"password": "a\nskip-ssl"}})


def read(text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return dict(parser["mysqld"])


class TestPlain:
    def test_no_account_is_left_without_a_password_and_none_reads_in_clear(self) -> None:
        statements = plain.accounts("admin's secret", "probe's secret")
        assert "secret" not in statements
        assert statements.splitlines()[1] == "DELETE FROM mysql.global_priv WHERE User IN ('root', '');"
        assert "'platform_admin'@'%' IDENTIFIED VIA mysql_native_password" in statements
        assert "REQUIRE SSL" in statements

    def test_the_administrator_may_grant_all_that_owners_and_helpers_need_and_no_more(self) -> None:
        held = set(plain.ADMIN_PRIVILEGES.split(", "))
        desired = accounts.desired(CREDENTIALS, hosts=["a"], port=1, shares={"atlas": MySqlShare()})
        helpers = {each for helper in desired.helpers for each in helper.privileges}
        assert helpers - {"REPLICATION CLIENT"} <= held
        assert not held & {"SUPER", "FILE", "SHUTDOWN", "SET USER", "ALL PRIVILEGES"}

    def test_the_image_is_the_version_that_the_sandbox_builds(self) -> None:
        from sandbox.images import MARIADB_IMAGE

        assert MARIADB_IMAGE.reference == plain.IMAGE

    def test_a_changed_setting_restarts_the_server_and_leaves_the_exporter_alone(self) -> None:
        before, after = declared(), declared("changed")
        hashes = [
            {
                name: each.spec.template.metadata.annotations["longhouse.dev/settings"]
                for name, each in recorded.named("apps/v1:StatefulSet").items()
            }
            for recorded in (before, after)
        ]
        assert hashes[0]["mariadb"] != hashes[1]["mariadb"]
        assert hashes[0]["exporter"] == hashes[1]["exporter"]

    def test_ready_is_more_than_an_open_port_and_a_slow_recovery_is_not_killed(self) -> None:
        (server,) = declared().one("apps/v1:StatefulSet", "mariadb").spec.template.spec.containers
        assert server.readinessProbe.exec.command
        assert "read_only" in (plain._FILES / "ready.sh").read_text()
        assert server.livenessProbe is None


class TestAccounts:
    def test_the_programs_state_survives_its_secret(self) -> None:
        desired = accounts.desired(
            CREDENTIALS, hosts=["a", "b"], port=3306, shares={"atlas": MySqlShare()}, services=[HUB]
        )
        assert Desired.of(desired.as_json()) == desired

    def test_no_schema_of_a_service_or_helper_can_be_a_tenants(self) -> None:
        taken = {accounts.schema_of(HUB), accounts.BACKUP, exporter.ACCOUNT, plain.ADMIN, plain.PROBE}
        assert all("_" in each for each in taken), "no tenant's name holds a _"

    def test_names_of_the_server_are_no_tenants(self) -> None:
        assert {"mysql", "sys", "information", "performance"} <= SERVER_SCHEMAS
        assert set(operator.ACCOUNTS) <= SERVER_ACCOUNTS

    def test_a_client_is_told_to_check_the_servers_name(self) -> None:
        facts = accounts.binding(MySqlEngine.PLAIN, host="h", port=1, account="at-las", password="p", ca="CA")
        assert facts["sqlalchemy-url"].endswith("&ssl_check_hostname=true&ssl_ca=/bindings/mysql/ca.crt")
        assert "VERIFY_IDENTITY" in facts["jdbc-url"]
        assert "ssl-verify-server-cert = 1" in facts["client.cnf"]
        assert facts["ca.crt"] == "CA"
        assert facts["uri"] == "mysql://at-las:p@h:1/at-las"

    def test_where_public_authorities_vouch_no_authority_is_handed_out(self) -> None:
        facts = accounts.binding(MySqlEngine.EXTERNAL, host="h", port=1, account="a", password="p", ca=None)
        assert "ca.crt" not in facts
        assert "ca.crt" not in json.dumps(facts)
        assert facts["sqlalchemy-url"].endswith("&ssl_check_hostname=true&ssl_capath=/etc/ssl/certs")


class TestComponent:
    def test_only_tenants_with_a_share_are_told_and_let_in(self) -> None:
        recorded = declared()
        bound = [
            each.metadata.namespace
            for each in recorded.of("core/v1:Secret")
            if each.inputs.type == "servicebinding.io/mysql"
        ]
        assert bound == ["tenant-atlas"]
        (rule,) = recorded.one("networking.k8s.io/v1:NetworkPolicy", "allow-clients").spec.ingress
        callers = [dict(each.namespaceSelector.matchLabels) for each in rule["from"]]
        assert callers == [{"kubernetes.io/metadata.name": "tenant-atlas"}]

    def test_a_service_of_the_platform_gets_a_schema_a_binding_and_the_way_in(self) -> None:
        recorded = declared(services=True)
        state = Desired.of(recorded.one("core/v1:Secret", "access-desired").inputs.stringData["desired.json"])
        (hub,) = [each for each in state.owners if not each.family]
        assert hub.name == "longhouse_hub"
        (bound,) = [
            each
            for each in recorded.of("core/v1:Secret")
            if each.object_name == "mysql" and each.metadata.namespace == HUB.namespace
        ]
        assert bound.inputs.stringData["database"] == "longhouse_hub"
        assert bound.inputs.stringData["password"] == hub.password
        (rule,) = recorded.one("networking.k8s.io/v1:NetworkPolicy", "allow-clients").spec.ingress
        assert len(list(rule["from"])) == 2

    def test_nothing_is_backed_up_where_there_is_no_object_store(self) -> None:
        assert not declared(backups=False).of("batch/v1:CronJob")
        assert len(declared().of("batch/v1:CronJob")) == 1

    def test_every_secret_is_secret_in_the_state(self) -> None:
        for config in CONFIGS:
            for each in declared(config).of("core/v1:Secret"):
                assert "stringData" in each.secrets, each.object_name


class TestOperator:
    def test_the_resource_names_secrets_that_are_declared_before_it(self) -> None:
        recorded = declared("cluster")
        cluster = recorded.one("pxc.percona.com/v1:PerconaXtraDBCluster")
        spec = cluster.spec
        named = {spec.secretsName, spec.sslSecretName, spec.backup.storages.backups.s3.credentialsSecret}
        secrets = recorded.named("core/v1:Secret")
        assert named <= set(secrets)
        assert {secrets[each].urn for each in named} <= cluster.dependencies

    def test_the_certificate_answers_to_the_way_in_and_to_each_node(self) -> None:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        tls = declared("cluster").one("core/v1:Secret", operator.TLS).inputs.stringData
        certificate = x509.load_pem_x509_certificate(tls["tls.crt"].encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        answers = names.get_values_for_type(x509.DNSName)
        assert operator.HOST in answers
        assert "*." + operator.node(0).partition(".")[2] in answers
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert ExtendedKeyUsageOID.CLIENT_AUTH in usage, "nodes show it to each other as clients"

    def test_three_nodes_stand_apart_with_one_away_at_a_time(self) -> None:
        spec = operator.cluster(CLUSTER, storage_class="ceph", bucket=BACKUPS)
        for each in ("pxc", "haproxy"):
            assert spec[each]["size"] == 3
            assert spec[each]["affinity"] == {"antiAffinityTopologyKey": "kubernetes.io/hostname"}
            assert spec[each]["podDisruptionBudget"] == {"maxUnavailable": 1}
        assert spec["pxc"]["volumeSpec"]["persistentVolumeClaim"]["storageClassName"] == "ceph"

    def test_whoever_writes_backups_deletes_none(self) -> None:
        backup = operator.cluster(CLUSTER, storage_class=None, bucket=BACKUPS)["backup"]
        assert backup["schedule"][0]["retention"]["deleteFromStorage"] is False
        assert backup["pitr"]["enabled"] is True

    def test_without_an_object_store_there_is_no_backup_to_configure(self) -> None:
        assert "backup" not in operator.cluster(CLUSTER, storage_class=None, bucket=None)

    def test_its_own_schedule_backs_up_and_each_node_has_an_exporter(self) -> None:
        recorded = declared("cluster")
        assert not recorded.of("batch/v1:CronJob")
        exporters = [name for name in recorded.named("apps/v1:StatefulSet") if name.startswith("exporter")]
        assert sorted(exporters) == ["exporter-0", "exporter-1", "exporter-2"]

    def test_images_and_version_are_those_of_the_pinned_release(self) -> None:
        assert operator.version() == "1.20.0"
        assert all(
            operator.image(each).startswith("docker.io/percona/") for each in ("pxc", "haproxy", "backup")
        )

    def test_the_operator_may_act_in_its_namespace_only(self) -> None:
        recorded = declared("cluster")
        assert not recorded.of("rbac.authorization.k8s.io/v1:ClusterRole")
        role = recorded.one("rbac.authorization.k8s.io/v1:Role", store_operator.NAME)
        assert role.metadata.namespace == "mysql"
        assert not [each for each in role.inputs.rules if "*" in list(each.verbs)]


class TestExternal:
    def test_no_server_runs_and_the_way_there_is_the_only_one_out(self) -> None:
        recorded = declared("endpoint")
        assert list(recorded.named("apps/v1:StatefulSet")) == ["exporter"]
        (rule,) = recorded.one("networking.k8s.io/v1:NetworkPolicy", "allow-endpoint").spec.egress
        assert [each.ipBlock.cidr for each in rule.to] == ["10.9.0.0/28"]

    def test_the_administrators_password_stays_with_whoever_keeps_it(self) -> None:
        recorded = declared("endpoint")
        assert "access-admin" not in recorded.named("core/v1:Secret")
        pod = recorded.one("batch/v1:Job").spec.template.spec
        assert "rds" in [each.secret.secretName for each in pod.volumes if each.secret]

    def test_tenants_reach_its_addresses(self) -> None:
        assert ENDPOINT.reach.cidrs == ("10.9.0.0/28",)
        assert ENDPOINT.reach.namespace is None

    def test_its_authority_is_the_profiles_not_the_platforms(self) -> None:
        (bound,) = [each for each in declared("endpoint").of("core/v1:Secret") if each.object_name == "mysql"]
        assert AUTHORITY.bundle not in bound.inputs.stringData.values()
