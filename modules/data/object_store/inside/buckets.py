"""Buckets as they shall be, on any S3: versions kept and expired in time, marked as whose they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from modules.data.object_store.inside.desired import Desired
from modules.kit.inside import bucket as kit

TENANT_TAG: Final = "longhouse.dev/tenant"
"""Tag of a bucket that the platform made, with the tenant's name: how it knows its own."""

PLATFORM: Final = "longhouse.dev/backups"
"""Value of that tag on the bucket of the backups, which is no tenant's: no tenant can be called so."""

_DELETE_AT_ONCE: Final = 1000
_NOTHING: Final = ("NoSuchLifecycleConfiguration", "NoSuchTagSet", "NoSuchPublicAccessBlockConfiguration")

Say = Callable[[str], None]


class Buckets:
    """The buckets of one S3, through an account that may make them.

    ``cloud`` adds what a public cloud needs and MinIO does by itself: no public access, encryption at rest, and the end of
    uploads that were never finished (MinIO ends them after a day and drops such a rule).
    """

    def __init__(self, s3: Any, region: str, *, cloud: bool, say: Say) -> None:
        self._s3, self._region, self._cloud, self._say = s3, region, cloud, say

    def own(self, prefix: str) -> dict[str, str]:
        """Buckets that the platform made: name to tenant."""
        found = {}
        for each in self._s3.list_buckets()["Buckets"]:
            if each["Name"].startswith(prefix) and (tenant := self._tags(each["Name"]).get(TENANT_TAG)):
                found[each["Name"]] = tenant
        return found

    def ensure(self, bucket: str, tenant: str, rules: list[dict[str, Any]]) -> None:
        """Make it, or bring it to what it shall be. Raises PermissionError for a bucket that is somebody else's."""
        if not self._exists(bucket):
            place = (
                {}
                if self._region == "us-east-1"
                else {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
            )
            self._s3.create_bucket(Bucket=bucket, **place)
            self._s3.put_bucket_tagging(
                Bucket=bucket, Tagging={"TagSet": [{"Key": TENANT_TAG, "Value": tenant}]}
            )
            self._say(f"bucket {bucket}: made")
        tags = self._tags(bucket)
        if tags.get(TENANT_TAG) != tenant:
            if tags or not self._empty(bucket):
                raise PermissionError(
                    f"bucket {bucket} is there, and not as {tenant}'s: choose another bucket_prefix, or empty it and take it away"
                )
            self._s3.put_bucket_tagging(
                Bucket=bucket, Tagging={"TagSet": [{"Key": TENANT_TAG, "Value": tenant}]}
            )
            self._say(f"bucket {bucket}: marked as {tenant}'s")
        if self._s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
            self._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            self._say(f"bucket {bucket}: keeps versions")
        if self._cloud:
            self._fence(bucket)
            rules = [*rules, _UNFINISHED]
        if by_id(self._rules(bucket)) != by_id(rules):
            self._s3.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": rules}
            )
            self._say(f"bucket {bucket}: lifecycle set")

    def destroy(self, bucket: str) -> None:
        """Delete every version of every object, then the bucket."""
        gone = 0
        while batch := self._some_versions(bucket):
            answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise RuntimeError(
                    f"bucket {bucket}: {first['Key']} is not deleted: {first['Code']}: run this again"
                )
            gone += len(batch)
            self._say(f"bucket {bucket}: {gone} versions deleted so far")
        for upload in self._s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
            self._s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        self._s3.delete_bucket(Bucket=bucket)
        self._say(f"bucket {bucket}: deleted with {gone} versions")

    def _exists(self, bucket: str) -> bool:
        try:
            self._s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] == "404":
                return False
            if error.response["Error"]["Code"] == "403":
                raise PermissionError(
                    f"bucket {bucket} is another account's: choose another bucket_prefix"
                ) from None
            raise
        return True

    def _empty(self, bucket: str) -> bool:
        return not self._s3.list_object_versions(Bucket=bucket, MaxKeys=1).keys() & {
            "Versions",
            "DeleteMarkers",
        }

    def _some_versions(self, bucket: str) -> list[dict[str, str]]:
        page = self._s3.list_object_versions(Bucket=bucket, MaxKeys=_DELETE_AT_ONCE)
        return [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]

    def _tags(self, bucket: str) -> dict[str, str]:
        found = _or_nothing(lambda: self._s3.get_bucket_tagging(Bucket=bucket)["TagSet"], [])
        return {each["Key"]: each["Value"] for each in found}

    def _rules(self, bucket: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _or_nothing(
            lambda: self._s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"], []
        )
        return found

    def _fence(self, bucket: str) -> None:
        found = _or_nothing(
            lambda: self._s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"], {}
        )
        if found != _NO_PUBLIC:
            self._s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=_NO_PUBLIC)
            self._say(f"bucket {bucket}: closed to the public")
        encryption = _or_nothing(
            lambda: self._s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"][
                "Rules"
            ],
            [],
        )
        if not encryption:
            self._s3.put_bucket_encryption(
                Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [_ENCRYPTED]}
            )
            self._say(f"bucket {bucket}: encrypted at rest")


def client(wanted: Desired, key: Path) -> Any:
    """A client of the store with the key of a mounted folder."""
    access_key, secret_key = ((key / name).read_text().strip() for name in ("access_key", "secret_key"))
    ca = key / "ca.crt"
    credentials = kit.Credentials(
        wanted.endpoint, wanted.region, wanted.backups.bucket, "", access_key, secret_key
    )
    return kit.client(credentials, str(ca) if ca.exists() else None)


def versions_expire(days: int) -> list[dict[str, Any]]:
    """What was overwritten or deleted goes after so many days, and the mark of a deletion when nothing is left below it."""
    return [
        {
            "ID": "longhouse-versions",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": days},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        }
    ]


def backups_expire(days: int) -> list[dict[str, Any]]:
    """A backup goes after so many days; what was overwritten stays as long, so that an overwriting can be undone."""
    expire = {
        "ID": "longhouse-backups",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": days},
    }
    return [expire, *versions_expire(days)]


_UNFINISHED: Final = {
    "ID": "longhouse-unfinished",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}
_NO_PUBLIC: Final = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_ENCRYPTED: Final = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


def by_id(rules: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rules by their name, as every S3 gives them back: an empty filter has several spellings."""
    return {
        each["ID"]: {key: value for key, value in each.items() if key not in ("Filter", "Prefix")}
        for each in rules
    }


def _or_nothing(ask: Callable[[], Any], nothing: Any) -> Any:
    try:
        return ask()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _NOTHING or code == "ServerSideEncryptionConfigurationNotFoundError":
            return nothing
        raise
