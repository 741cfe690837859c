"""Giving tenants their buckets and users: on fakes of a few lines, and on a simulated AWS."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from modules.data.object_store.inside import access, buckets, policies
from modules.data.object_store.inside.access import Said
from modules.data.object_store.inside.buckets import Buckets
from modules.data.object_store.inside.desired import Backups, Desired, Folder, Tenant, Writer
from modules.data.object_store.inside.iam_accounts import GivenAccounts, IamAccounts

ATLAS = Tenant("atlas", "tenant-atlas", "s-atlas", "s-tenant-atlas", 1000, 3, "key-of-atlas")
BOREALIS = Tenant(
    "borealis", "tenant-borealis", "s-borealis", "s-tenant-borealis", 1000, 30, "key-of-borealis"
)
WANTED = Desired(
    endpoint="https://s3.eu-central-1.amazonaws.com",
    region="eu-central-1",
    accounts="iam",
    prefix="s-",
    backups=Backups("s-backups", 7, 0),
    tenants=(ATLAS, BOREALIS),
    writers=(Writer("kafka", "s-backup-kafka"),),
)
WITHOUT_BOREALIS = replace(WANTED, tenants=(ATLAS,))


@dataclass
class Holder:
    """Bindings in memory."""

    kept: dict[str, tuple[str, str]] = field(default_factory=dict)

    def key(self, namespace: str) -> tuple[str, str] | None:
        return self.kept.get(namespace)

    def put(self, namespace: str, access_key: str, secret_key: str) -> None:
        self.kept[namespace] = (access_key, secret_key)


@dataclass
class Aws:
    """A simulated account, and what the program does in it."""

    s3: Any
    iam: Any
    holder: Holder = field(default_factory=Holder)
    said: Said = field(default_factory=Said)

    def run(self, wanted: Desired) -> dict[str, str]:
        self.said = Said()
        store = Buckets(self.s3, wanted.region, cloud=True, say=self.said)
        namespaces = {each.user: each.namespace for each in wanted.tenants}
        accounts = IamAccounts(self.iam, self.s3, wanted.prefix, namespaces, self.holder, self.said)
        return access.reconcile(wanted, store, accounts)

    def users(self) -> set[str]:
        return {each["UserName"] for each in self.iam.list_users()["Users"]}

    def names(self) -> set[str]:
        return {each["Name"] for each in self.s3.list_buckets()["Buckets"]}

    def policy(self, user: str) -> Any:
        return self.iam.get_user_policy(UserName=user, PolicyName="longhouse")["PolicyDocument"]


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        place = {"region_name": "eu-central-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
        yield Aws(boto3.client("s3", **place), boto3.client("iam", **place))


class TestBuckets:
    def test_each_tenant_gets_a_bucket_that_keeps_versions_for_its_days(self, aws: Aws) -> None:
        aws.run(WANTED)
        assert aws.names() == {"s-atlas", "s-borealis", "s-backups"}
        assert aws.s3.get_bucket_versioning(Bucket="s-atlas")["Status"] == "Enabled"
        rules = {
            each["ID"]: each for each in aws.s3.get_bucket_lifecycle_configuration(Bucket="s-atlas")["Rules"]
        }
        assert rules["longhouse-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 3
        assert "longhouse-unfinished" in rules

    def test_in_a_cloud_it_is_closed_to_the_public_and_encrypted(self, aws: Aws) -> None:
        aws.run(WANTED)
        fence = aws.s3.get_public_access_block(Bucket="s-atlas")["PublicAccessBlockConfiguration"]
        assert all(fence.values())
        assert aws.s3.get_bucket_encryption(Bucket="s-atlas")

    def test_backups_expire_and_what_was_overwritten_too(self, aws: Aws) -> None:
        aws.run(WANTED)
        rules = {
            each["ID"]: each
            for each in aws.s3.get_bucket_lifecycle_configuration(Bucket="s-backups")["Rules"]
        }
        assert rules["longhouse-backups"]["Expiration"]["Days"] == 7
        assert rules["longhouse-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7

    def test_a_second_run_changes_nothing(self, aws: Aws) -> None:
        aws.run(WANTED)
        assert aws.said.lines
        aws.run(WANTED)
        assert not aws.said.lines

    def test_what_was_changed_by_hand_is_set_right(self, aws: Aws) -> None:
        aws.run(WANTED)
        aws.s3.put_bucket_versioning(Bucket="s-atlas", VersioningConfiguration={"Status": "Suspended"})
        aws.s3.delete_bucket_lifecycle(Bucket="s-atlas")
        aws.s3.delete_public_access_block(Bucket="s-atlas")
        aws.run(WANTED)
        assert aws.said.lines == 3
        assert aws.s3.get_bucket_versioning(Bucket="s-atlas")["Status"] == "Enabled"

    def test_a_bucket_that_was_made_but_not_marked_yet_is_taken_up(self, aws: Aws) -> None:
        aws.s3.create_bucket(
            Bucket="s-atlas", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        aws.run(WANTED)
        assert Buckets(aws.s3, "eu-central-1", cloud=True, say=print).own("s-")["s-atlas"] == "atlas"

    def test_a_bucket_with_somebody_elses_objects_is_not_taken_over(self, aws: Aws) -> None:
        aws.s3.create_bucket(
            Bucket="s-atlas", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        aws.s3.put_object(Bucket="s-atlas", Key="theirs", Body=b"")
        with pytest.raises(PermissionError, match="choose another bucket_prefix"):
            aws.run(WANTED)


class TestRemoved:
    def test_a_tenant_that_is_gone_loses_its_user_and_its_bucket_is_kept_and_told(self, aws: Aws) -> None:
        aws.run(WANTED)
        aws.s3.put_object(Bucket="s-borealis", Key="note", Body=b"kept")
        kept = aws.run(WITHOUT_BOREALIS)
        assert aws.users() == {"s-tenant-atlas", "s-backup-kafka"}
        assert kept == {"s-borealis": "bucket of tenant borealis, which is gone"}
        assert aws.s3.get_object(Bucket="s-borealis", Key="note")["Body"].read() == b"kept"

    def test_its_data_goes_with_every_version_once_it_is_named_as_departed(self, aws: Aws) -> None:
        aws.run(WANTED)
        for body in (b"1", b"2"):
            aws.s3.put_object(Bucket="s-borealis", Key="note", Body=body)
        aws.s3.delete_object(Bucket="s-borealis", Key="note")
        assert aws.run(replace(WITHOUT_BOREALIS, delete=("borealis",))) == {}
        assert aws.names() == {"s-atlas", "s-backups"}

    def test_a_tenant_that_comes_back_has_its_objects_again(self, aws: Aws) -> None:
        aws.run(WANTED)
        aws.s3.put_object(Bucket="s-borealis", Key="note", Body=b"kept")
        aws.run(WITHOUT_BOREALIS)
        assert aws.run(WANTED) == {}
        assert "s-tenant-borealis" in aws.users()
        assert aws.s3.get_object(Bucket="s-borealis", Key="note")["Body"].read() == b"kept"

    def test_a_tenant_that_is_here_never_loses_data_whoever_is_named_as_departed(self, aws: Aws) -> None:
        aws.run(WANTED)
        aws.run(replace(WANTED, delete=("atlas", "longhouse.dev/backups")))
        assert aws.names() == {"s-atlas", "s-borealis", "s-backups"}

    def test_what_the_platform_did_not_make_is_never_touched(self, aws: Aws) -> None:
        aws.iam.create_user(UserName="s-somebody")
        aws.s3.create_bucket(
            Bucket="s-theirs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        assert aws.run(replace(WANTED, delete=("theirs",))) == {}
        assert "s-somebody" in aws.users()
        assert "s-theirs" in aws.names()


class TestIam:
    def test_a_user_has_exactly_its_policy_and_its_binding_a_key_that_is_its(self, aws: Aws) -> None:
        aws.run(WANTED)
        assert policies.same(aws.policy("s-tenant-atlas"), policies.tenant("s-atlas"))
        (key,) = aws.iam.list_access_keys(UserName="s-tenant-atlas")["AccessKeyMetadata"]
        assert aws.holder.kept["tenant-atlas"][0] == key["AccessKeyId"]

    def test_a_key_that_no_binding_holds_is_replaced(self, aws: Aws) -> None:
        aws.run(WANTED)
        before = aws.holder.kept.pop("tenant-atlas")
        aws.run(WANTED)
        (key,) = aws.iam.list_access_keys(UserName="s-tenant-atlas")["AccessKeyMetadata"]
        assert aws.holder.kept["tenant-atlas"][0] == key["AccessKeyId"] != before[0]

    def test_who_writes_backups_has_a_policy_and_draws_its_key_itself(self, aws: Aws) -> None:
        aws.run(WANTED)
        assert policies.same(aws.policy("s-backup-kafka"), policies.writer("s-backups", "kafka"))
        assert not aws.iam.list_access_keys(UserName="s-backup-kafka")["AccessKeyMetadata"]

    def test_a_service_has_a_folder_of_tenants_buckets_for_as_long_as_it_is_wanted(self, aws: Aws) -> None:
        aws.run(replace(WANTED, folders=(Folder("mlflow", "s-folder-mlflow"),)))
        assert policies.same(aws.policy("s-folder-mlflow"), policies.folder("s-", "mlflow"))
        aws.run(WANTED)
        assert "s-folder-mlflow" not in aws.users()

    def test_a_policy_that_was_widened_by_hand_is_narrowed_again(self, aws: Aws) -> None:
        aws.run(WANTED)
        wide = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}],
        }
        aws.iam.put_user_policy(
            UserName="s-tenant-atlas", PolicyName="longhouse", PolicyDocument=json.dumps(wide)
        )
        aws.run(WANTED)
        assert policies.same(aws.policy("s-tenant-atlas"), policies.tenant("s-atlas"))

    def test_over_its_quota_a_tenant_may_not_put_until_it_is_below_again(self, aws: Aws) -> None:
        aws.run(WANTED)
        aws.s3.put_object(Bucket="s-atlas", Key="big", Body=b"x" * 600)
        version = aws.s3.put_object(Bucket="s-atlas", Key="big", Body=b"y" * 600)["VersionId"]
        aws.run(WANTED)
        assert policies.same(aws.policy("s-tenant-atlas"), policies.without_put(policies.tenant("s-atlas")))
        assert policies.same(aws.policy("s-tenant-borealis"), policies.tenant("s-borealis"))
        aws.s3.delete_object(Bucket="s-atlas", Key="big", VersionId=version)
        aws.run(WANTED)
        assert policies.same(aws.policy("s-tenant-atlas"), policies.tenant("s-atlas"))

    def test_a_user_of_that_name_elsewhere_is_not_taken_over(self, aws: Aws) -> None:
        aws.iam.create_user(UserName="s-tenant-atlas", Path="/theirs/")
        with pytest.raises(PermissionError, match="not the platform's"):
            aws.run(WANTED)


class TestGiven:
    def test_the_given_key_goes_into_the_binding_once(self) -> None:
        said, holder = Said(), Holder()
        accounts = GivenAccounts({"u": ("id", "key")}, {"u": "tenant-atlas"}, holder, said)
        for _ in range(2):
            accounts.ensure("u", "", policies.tenant("b"))
        assert holder.kept == {"tenant-atlas": ("id", "key")}
        assert said.lines == 1
        assert accounts.own("") == set()

    def test_a_key_that_was_not_given_is_asked_for(self) -> None:
        accounts = GivenAccounts({}, {"u": "tenant-atlas"}, Holder(), print)
        with pytest.raises(KeyError, match="admin_secret"):
            accounts.ensure("u", "", policies.tenant("b"))


def test_users_go_before_anything_is_made_so_that_a_failure_later_leaves_no_access(aws: Aws) -> None:
    aws.run(WANTED)
    elsewhere = replace(WITHOUT_BOREALIS, backups=Backups("taken", 7, 0))
    aws.s3.create_bucket(Bucket="taken", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    aws.s3.put_object(Bucket="taken", Key="theirs", Body=io.BytesIO(b""))
    with pytest.raises(PermissionError):
        aws.run(elsewhere)
    assert "s-tenant-borealis" not in aws.users()


def test_rules_are_compared_by_what_they_say() -> None:
    rules = buckets.versions_expire(3)
    spelt_otherwise = [{**rules[0], "Filter": {}}]
    assert buckets.by_id(rules) == buckets.by_id(spelt_otherwise)
    assert buckets.by_id(rules) != buckets.by_id(buckets.versions_expire(4))
