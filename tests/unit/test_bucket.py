"""The wrapper over S3 that all backups use, on a simulated S3."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from modules.kit.inside.bucket import MANIFEST, PART, Bucket, BucketError, Credentials, Stored

CREDENTIALS = Credentials(
    "https://s3.eu-central-1.amazonaws.com", "eu-central-1", "backups", "mysql/", "key", "secret"
)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def bucket(said: list[str]) -> Iterator[Bucket]:
    with mock_aws():
        s3 = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
        s3.create_bucket(Bucket="backups", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield Bucket.of(CREDENTIALS, say=said.append)


class _Drip:
    """A pipe that gives a little at a time, as a dump does."""

    def __init__(self, content: bytes) -> None:
        self._left = io.BytesIO(content)

    def read(self, size: int, /) -> bytes:
        return self._left.read(min(size, 100_000))


def test_what_is_stored_comes_back(bucket: Bucket) -> None:
    stored = bucket.put("day/one", io.BytesIO(b"content"))
    assert (stored.size, len(stored.sha256)) == (7, 64)
    with bucket.get(stored) as stream:
        assert stream.read() == b"content"


def test_a_pipe_longer_than_a_part_is_stored_in_parts_though_it_reads_short(bucket: Bucket) -> None:
    content = bytes(range(256)) * ((PART + 2**20) // 256)
    stored = bucket.put("long", _Drip(content))
    assert stored.size == len(content)
    assert bucket.client.head_object(Bucket="backups", Key="mysql/long")["ETag"].endswith('-2"')
    with bucket.get(stored) as stream:
        assert stream.read() == content


def test_keys_stay_below_the_prefix_and_are_told_without_it(bucket: Bucket) -> None:
    bucket.put("day/one", io.BytesIO(b"1"))
    bucket.client.put_object(Bucket="backups", Key="kafka/other", Body=b"not ours")
    assert [each.key for each in bucket.objects()] == ["day/one"]
    assert [each["Key"] for each in bucket.client.list_objects_v2(Bucket="backups")["Contents"]] == [
        "kafka/other", "mysql/day/one",
    ]  # fmt: skip


def test_only_backups_with_a_manifest_are_whole(bucket: Bucket) -> None:
    for day in ("2026-11-20", "2026-11-21"):
        bucket.put(f"{day}/rows", io.BytesIO(b"rows"))
    bucket.put_json(f"2026-11-20/{MANIFEST}", {"rows": 4})
    assert bucket.snapshots() == ["2026-11-20"]
    assert bucket.get_json(f"2026-11-20/{MANIFEST}") == {"rows": 4}


@pytest.mark.parametrize(
    ("change", "complaint"), [({"sha256": "0" * 64}, "by its SHA-256"), ({"size": 8}, "has 7 bytes, not 8")]
)
def test_content_that_is_not_what_was_stored_raises_at_its_end(
    bucket: Bucket, change: dict[str, object], complaint: str
) -> None:
    stored = dataclasses.replace(bucket.put("one", io.BytesIO(b"content")), **change)  # type: ignore[arg-type]
    with pytest.raises(BucketError, match=complaint), bucket.get(stored) as stream:
        stream.read()


@pytest.mark.parametrize(
    ("key", "bucket_name", "way_out"),
    [
        ("gone", "backups", "NoSuchKey: list the bucket"),
        ("gone", "elsewhere", "NoSuchBucket: deploy the object store"),
    ],
)
def test_a_failure_says_what_to_do(bucket: Bucket, key: str, bucket_name: str, way_out: str) -> None:
    elsewhere = dataclasses.replace(bucket, bucket=bucket_name)
    with pytest.raises(BucketError, match=way_out), elsewhere.get(key):
        pass


def test_a_server_that_is_away_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.kit.inside.bucket._ATTEMPTS", 1)
    away = Bucket.of(dataclasses.replace(CREDENTIALS, endpoint="http://127.0.0.1:9"))
    with pytest.raises(BucketError, match="check that the object store is ready"):
        list(away.objects())


def test_each_transfer_is_told(bucket: Bucket, said: list[str]) -> None:
    bucket.put("one", io.BytesIO(b"content"))
    assert len(said) == 1
    assert said[0].startswith("stored one: 7 bytes in ")


def test_mounted_credentials_are_a_file_a_field(tmp_path: Path) -> None:
    for name, value in dataclasses.asdict(CREDENTIALS).items():
        (tmp_path / name).write_text(f"{value}\n")
    found = Bucket.mounted(tmp_path)
    assert (found.bucket, found.prefix) == ("backups", "mysql/")
    (tmp_path / "secret_key").unlink()
    with pytest.raises(BucketError, match="give the profile an object_store"):
        Bucket.mounted(tmp_path)


def test_credentials_never_show_their_keys() -> None:
    assert "secret" not in repr(CREDENTIALS)


def test_a_stored_object_goes_through_a_manifest(bucket: Bucket) -> None:
    stored = bucket.put("one", io.BytesIO(b"content"))
    assert Stored(**stored.as_dict()) == stored
