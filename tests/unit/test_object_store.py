"""The object store: how its servers are laid out and told, and what is declared of it."""

from __future__ import annotations

import base64
import configparser
import hashlib
import hmac
import json
from typing import Any

import pytest

from modules.data.object_store import accounts, bindings, settings, sizing
from modules.data.object_store.component import ObjectStore
from modules.data.object_store.config import ObjectStore as Config
from modules.data.object_store.inside import policies
from modules.data.object_store.inside.desired import Desired
from modules.foundation.tenants.config import Tenant
from modules.kit.pods import SETTINGS
from tests.conftest import Recording, record
from tests.unit.examples import AUTHORITY, CREDENTIALS, store_context, tenant

ONE = Config(servers=1, disk="8Gi", memory="384Mi")
EIGHT = Config(servers=8, disk="1Ti")
GIVEN = Config.model_validate(
    {
        "engine": "external",
        "external": {
            "endpoint": "https://s3.eu-central-1.amazonaws.com",
            "region": "eu-central-1",
            "site": "cloud",
            "cidrs": ["10.0.16.0/24"],
            "accounts": "iam",
            "iam_cidrs": ["10.0.17.0/28"],
        },
    }
)
COPIED = Config.model_validate(
    {
        "servers": 1,
        "copy_to": {
            "endpoint": "https://s3.example.com:9000",
            "region": "us-east-1",
            "site": "home",
            "cidrs": ["10.40.0.0/28"],
            "bucket": "the-copy",
        },
    }
)
ATLAS = tenant("atlas", data={"object_store": {"quota": "1Gi", "keep_versions_days": 3}})
BOREALIS = tenant("borealis", data={"object_store": {"quota": "2Gi"}})
WITHOUT = tenant("caldera")
TENANTS = (ATLAS, BOREALIS, WITHOUT)
WRITERS = {"kafka": "kafka", "mysql": "mysql"}


class TestFolders:
    """What a service of the platform keeps in each tenant's bucket."""

    def test_its_user_opens_that_folder_alone_and_no_older_versions(self) -> None:
        listing, *objects, denied = policies.folder("s-", "mlflow")["Statement"]
        assert (listing["Action"], listing["Condition"]) == (
            ["s3:ListBucket"],
            {"StringLike": {"s3:prefix": ["mlflow/*"]}},
        )
        assert {tuple(each["Resource"]) for each in objects} == {("arn:aws:s3:::s-*/mlflow/*",)}
        actions = {action: each.get("Condition") for each in objects for action in each["Action"]}
        assert not [each for each in actions if "Version" in each]
        newest = {"ForAllValues:StringEquals": {"s3:versionid": [""]}}
        assert (denied["Effect"], denied["Action"]) == ("Deny", ["s3:DeleteObjectVersion"])
        assert actions["s3:GetObject"] == actions["s3:DeleteObject"] == newest

    def test_the_key_is_derived_where_the_platform_may_choose_keys(self) -> None:
        ours, given = (accounts.folder(each, CREDENTIALS, "mlflow") for each in (ONE, GIVEN))
        assert ours.user == "longhouse-folder-mlflow"
        assert (ours.secret_key == "", given.secret_key) == (False, "")

    def test_the_service_may_call(self) -> None:
        def callers(folders: dict[str, str]) -> str:
            found = record(
                lambda: ObjectStore(
                    "object-store",
                    ONE,
                    context=store_context("atlas"),
                    tenants=[ATLAS],
                    writers={},
                    folders=folders,
                )
            )
            return repr(found.one("networking.k8s.io/v1:NetworkPolicy", "allow-clients").spec.ingress)

        assert "tracking" in callers({"mlflow": "tracking"})
        assert "tracking" not in callers({})


def declared(config: Config = ONE, **fields: Any) -> Recording:
    return record(
        lambda: ObjectStore(
            "object-store",
            config,
            context=store_context("atlas", "borealis", "caldera", **fields),
            tenants=TENANTS,
            writers=WRITERS,
        )
    )


def desired(config: Config = ONE) -> Desired:
    return accounts.desired(config, CREDENTIALS, TENANTS[:2], WRITERS, ["yotta"])


class TestLayout:
    @pytest.mark.parametrize(
        ("servers", "parity", "away_for_writes"),
        [(4, 2, 1), (5, 2, 2), (6, 3, 2), (7, 3, 3), (8, 4, 3), (9, 4, 4), (16, 4, 4)],
    )
    def test_parity_and_what_it_tolerates_are_upstreams_table(
        self, servers: int, parity: int, away_for_writes: int
    ) -> None:
        assert sizing.parity(servers) == parity, "docs/distributed/SIZING.md, column parity chosen"
        assert sizing.write_tolerance(servers, parity) == away_for_writes, "column tolerance for writes"

    def test_capacity_is_what_parity_leaves(self) -> None:
        assert EIGHT.capacity == 4 * 2**40
        assert ONE.capacity == 8 * 2**30

    @pytest.mark.parametrize(("servers", "parity"), [(1, None), (4, None), (4, 2), (16, 8), (5, 2)])
    def test_sound_layouts_have_no_fault(self, servers: int, parity: int | None) -> None:
        assert sizing.layout_fault(servers, parity) is None

    @pytest.mark.parametrize(
        ("servers", "parity", "key"),
        [
            (2, None, "servers"),
            (3, 1, "servers"),
            (1, 1, "parity"),
            (4, 0, "parity"),
            (4, 1, "parity"),
            (4, 3, "parity"),
        ],
    )
    def test_layouts_that_lose_data_name_the_key(self, servers: int, parity: int | None, key: str) -> None:
        fault = sizing.layout_fault(servers, parity)
        assert fault
        assert fault.key == key


class TestSettings:
    def test_one_server_has_a_folder_and_several_tell_each_other_the_same_names(self) -> None:
        assert settings.command(ONE)[-1] == "/data"
        assert settings.command(EIGHT)[-1] == "https://minio-{0...7}.minio.object-store.svc:9000/data"

    def test_the_image_is_named_by_the_release_that_the_commit_would_be(self) -> None:
        version = "v0.0.0-20260212201848-7aac2a2c5b7c"
        assert settings.image(version) == "longhouse/minio:RELEASE.2026-02-12T20-18-48Z"
        assert settings.image(version, "registry.example.com/us").startswith("registry.example.com/us/minio:")
        with pytest.raises(ValueError, match="no pseudo-version"):
            settings.release("v1.2.3")

    def test_the_settings_file_holds_what_is_wanted_and_no_console(self) -> None:
        lines = settings.settings(Config(servers=8, parity=3), "secret").splitlines()
        assert "MINIO_BROWSER=off" in lines
        assert "MINIO_STORAGE_CLASS_STANDARD=EC:3" in lines
        assert not any("STORAGE_CLASS" in line for line in settings.settings(ONE, "secret").splitlines())

    @pytest.mark.parametrize("password", ["two\nMINIO_BROWSER=on", "a b", "a#b", "a'b", "$(id)"])
    def test_a_value_that_would_need_quoting_is_refused(self, password: str) -> None:
        with pytest.raises(ValueError, match="MINIO_ROOT_PASSWORD"):
            settings.settings(ONE, password)

    def test_the_token_for_metrics_is_signed_with_that_users_key(self) -> None:
        head, claims, signature = settings.metrics_token("reader", "key").split(".")
        expected = hmac.digest(b"key", f"{head}.{claims}".encode(), hashlib.sha512)
        assert base64.urlsafe_b64decode(signature + "==") == expected
        assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == "reader"

    def test_the_heap_stays_below_the_pods_memory(self) -> None:
        assert int(settings.go_memory_limit(ONE)) == 384 * 2**20 * 9 // 10


class TestPolicies:
    def test_a_tenant_may_use_its_own_bucket_only_and_not_change_what_fences_it(self) -> None:
        policy = policies.tenant("store-atlas")
        assert {name for each in policy["Statement"] for name in each["Resource"]} == {
            "arn:aws:s3:::store-atlas",
            "arn:aws:s3:::store-atlas/*",
        }
        actions = {action for each in policy["Statement"] for action in each["Action"]}
        assert not {
            action
            for action in actions
            if action.startswith(("s3:Put", "s3:Delete")) and "Object" not in action
        }
        assert not {"s3:CreateBucket", "s3:ListAllMyBuckets", "s3:*"} & actions

    def test_who_writes_backups_can_delete_none_and_sees_its_own_only(self) -> None:
        policy = policies.writer("store-backups", "kafka")
        actions = {action for each in policy["Statement"] for action in each["Action"]}
        assert not {action for action in actions if "Delete" in action or "Version" in action}
        listing = next(each for each in policy["Statement"] if "s3:ListBucket" in each["Action"])
        assert listing["Condition"] == {"StringLike": {"s3:prefix": ["kafka/*"]}}
        objects = next(each for each in policy["Statement"] if "s3:PutObject" in each["Action"])
        assert objects["Resource"] == ["arn:aws:s3:::store-backups/kafka/*"]

    def test_who_copies_can_delete_nothing(self) -> None:
        assert "Delete" not in json.dumps(policies.copier("store-"))

    def test_policies_are_the_same_in_any_order_of_their_lists_and_not_otherwise(self) -> None:
        one, other = policies.tenant("b"), policies.tenant("b")
        other["Statement"].reverse()
        other["Statement"][0]["Action"].reverse()
        assert policies.same(one, other)
        assert not policies.same(one, policies.tenant("c"))
        assert not policies.same(None, one)

    def test_over_its_quota_a_tenant_may_still_read_and_delete(self) -> None:
        policy = policies.tenant("b")
        left = {action for each in policies.without_put(policy)["Statement"] for action in each["Action"]}
        assert "s3:PutObject" not in left
        assert {"s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion"} <= left


class TestAccounts:
    def test_every_user_bucket_and_key_is_another(self) -> None:
        wanted = desired(COPIED)
        users = [
            each.user for each in (*wanted.tenants, *wanted.writers, wanted.metrics, wanted.copier) if each
        ]
        keys = [
            each.secret_key
            for each in (*wanted.tenants, *wanted.writers, wanted.metrics, wanted.copier)
            if each
        ]
        assert len(set(users)) == len(users) == 6
        assert len(set(keys)) == 6
        assert all(user.startswith(wanted.prefix) for user in users)
        assert len({wanted.backups.bucket, *(each.bucket for each in wanted.tenants)}) == 3

    def test_no_tenants_name_makes_a_user_of_somebody_elses(self) -> None:
        names = [
            tenant(name, data={"object_store": {"quota": "1Gi"}})
            for name in ("backup-kafka", "metrics", "copy")
        ]
        wanted = accounts.desired(COPIED, CREDENTIALS, names, WRITERS, [])
        users = [
            each.user for each in (*wanted.tenants, *wanted.writers, wanted.metrics, wanted.copier) if each
        ]
        assert len(set(users)) == len(users)

    def test_what_is_desired_goes_through_its_document(self) -> None:
        for config in (ONE, GIVEN, COPIED):
            assert Desired.of(desired(config).as_json()) == desired(config)

    def test_no_key_shows_in_a_representation(self) -> None:
        assert desired().tenants[0].secret_key not in repr(desired())

    def test_a_stores_place_for_backups_is_known_from_the_profile_alone(self) -> None:
        place = accounts.backup_bucket(ONE, CREDENTIALS, AUTHORITY, "kafka")
        writer = next(each for each in desired().writers if each.store == "kafka")
        assert (place.name, place.prefix) == (desired().backups.bucket, "kafka/")
        assert (place.access_key, place.secret_key) == (writer.user, writer.secret_key)
        assert (place.ca, place.namespace, place.port) == (AUTHORITY.bundle, "object-store", 9000)

    def test_in_a_given_s3_the_place_is_a_secret_that_its_owner_makes(self) -> None:
        place = accounts.backup_bucket(GIVEN, CREDENTIALS, AUTHORITY, "kafka")
        assert place.files().existing == "backups-bucket"
        assert place.secret_key == ""
        assert place.cidrs == ("10.0.16.0/24",)


class TestBinding:
    def test_the_two_files_are_what_awss_sdks_read(self) -> None:
        facts = bindings.facts(ONE, desired().tenants[0], "bundle")
        config, credentials = configparser.ConfigParser(), configparser.ConfigParser()
        config.read_string(facts["config"])
        credentials.read_string(facts["credentials"])
        assert config["default"]["endpoint_url"] == "https://object-store.object-store.svc:9000"
        assert config["default"]["ca_bundle"] == "/bindings/object-store/ca.crt"
        assert config["default"]["s3"].strip() == "addressing_style = path"
        assert credentials["default"]["aws_secret_access_key"] == facts["secret_key"]

    def test_a_key_that_a_cloud_draws_is_not_declared(self) -> None:
        facts = bindings.facts(GIVEN, desired(GIVEN).tenants[0], "bundle")
        assert not {"access_key", "secret_key", "credentials", "password", "ca.crt"} & facts.keys()
        assert facts["provider"] == "s3"


class TestDeclared:
    def test_tenants_that_have_it_get_a_binding_and_others_none(self) -> None:
        found = {
            each.metadata.namespace
            for each in declared().of("core/v1:Secret")
            if each.object_name == "object-store"
        }
        assert found == {"tenant-atlas", "tenant-borealis"}

    def test_clients_are_the_tenants_that_have_it_and_the_stores_that_are_backed_up(self) -> None:
        policy = declared().one("networking.k8s.io/v1:NetworkPolicy", "allow-clients")
        (rule,) = policy.spec.ingress
        names = {peer.namespaceSelector.matchLabels["kubernetes.io/metadata.name"] for peer in rule["from"]}
        assert names == {"tenant-atlas", "tenant-borealis", "kafka", "mysql"}

    def test_ready_means_that_a_write_has_its_quorum(self) -> None:
        (container,) = declared().one("apps/v1:StatefulSet", "minio").spec.template.spec.containers
        assert container.readinessProbe.httpGet.path == "/minio/health/cluster"
        assert container.readinessProbe.httpGet.scheme == "HTTPS"

    def test_no_secret_is_in_the_command_the_environment_or_a_config_map(self) -> None:
        recorded = declared()
        (container,) = recorded.one("apps/v1:StatefulSet", "minio").spec.template.spec.containers
        plain = repr(
            [container.command, container.env, [each.inputs for each in recorded.of("core/v1:ConfigMap")]]
        )
        for purpose in ("object-store/root", "object-store/metrics", "object-store/tenants/atlas"):
            assert CREDENTIALS.password(purpose) not in plain

    def test_servers_that_form_one_set_start_and_restart_together_on_machines_of_their_own(self) -> None:
        spec = declared(EIGHT).one("apps/v1:StatefulSet", "minio").spec
        assert (spec.replicas, spec.podManagementPolicy) == (8, "Parallel")
        assert spec.updateStrategy.rollingUpdate.maxUnavailable == "100%"
        strict = [
            each
            for each in spec.template.spec.topologySpreadConstraints
            if each.whenUnsatisfiable == "DoNotSchedule"
        ]
        assert [each.topologyKey for each in strict] == ["kubernetes.io/hostname"]

    def test_another_tenant_restarts_no_server(self) -> None:
        def settings_with(*tenants: Tenant) -> str:
            recorded = record(
                lambda: ObjectStore(
                    "object-store",
                    ONE,
                    context=store_context("atlas", "borealis"),
                    tenants=tenants,
                    writers={},
                )
            )
            server = recorded.one("apps/v1:StatefulSet", "minio")
            return str(server.spec.template.metadata.annotations[SETTINGS])

        assert settings_with(ATLAS) == settings_with(ATLAS, BOREALIS)

    def test_other_settings_restart_the_servers(self) -> None:
        hashes = {
            declared(config).one("apps/v1:StatefulSet", "minio").spec.template.metadata.annotations[SETTINGS]
            for config in (EIGHT, Config(servers=8, disk="1Ti", parity=3))
        }
        assert len(hashes) == 2

    def test_a_given_s3_has_no_servers_and_its_programs_a_way_out_to_it_only(self) -> None:
        recorded = declared(GIVEN)
        assert not recorded.of("apps/v1:StatefulSet")
        for name, cidr in {"programs-to-external": "10.0.16.0/24", "programs-to-iam": "10.0.17.0/28"}.items():
            policy = recorded.one("networking.k8s.io/v1:NetworkPolicy", name)
            assert policy.spec.podSelector.matchExpressions[0].key == "longhouse.dev/program"
            assert [peer.ipBlock.cidr for rule in policy.spec.egress for peer in rule.to] == [cidr]

    def test_where_the_key_is_drawn_the_program_may_put_it_into_that_binding_and_no_other_secret(
        self,
    ) -> None:
        roles = [
            each
            for each in declared(GIVEN).of("rbac.authorization.k8s.io/v1:Role")
            if each.object_name == "object-store-keys"
        ]
        assert {each.metadata.namespace for each in roles} == {"tenant-atlas", "tenant-borealis"}
        assert all(
            dict(rule)["resourceNames"] == ["object-store"] for each in roles for rule in each.inputs["rules"]
        )
        chosen = declared(ONE).of("rbac.authorization.k8s.io/v1:Role")
        assert "object-store-keys" not in {each.object_name for each in chosen}

    def test_buckets_are_counted_by_the_hour_only_where_no_server_bounds_them(self) -> None:
        assert [each.object_name for each in declared(GIVEN).of("batch/v1:CronJob")] == ["quotas"]
        assert not declared(ONE).of("batch/v1:CronJob")

    def test_the_copy_is_given_no_key_but_its_own(self) -> None:
        recorded = declared(COPIED)
        assert recorded.one("batch/v1:CronJob", "copy").spec.schedule == "30 1 * * *"
        given = json.loads(
            recorded.one("core/v1:Secret", "copy-desired").inputs["stringData"]["desired.json"]
        )
        assert not given["tenants"]
        assert not given["writers"]
        source = recorded.one("core/v1:Secret", "copy-source").inputs["stringData"]
        assert source["access_key"] == "longhouse-copy"

    def test_who_reads_metrics_is_told_the_token_and_whom_to_trust(self) -> None:
        (endpoint,) = declared().one("monitoring.coreos.com/v1:PodMonitor", "minio").spec.podMetricsEndpoints
        assert dict(endpoint.authorization.credentials) == {"name": "minio-metrics", "key": "token"}
        assert dict(endpoint.tlsConfig.ca.secret) == {"name": "minio-metrics", "key": "ca.crt"}
        assert declared().one("core/v1:Secret", "minio-metrics").secrets
