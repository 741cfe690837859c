"""The copy of the object store, from one simulated S3 bucket to another and back."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from modules.data.object_store.inside import backup, buckets
from modules.kit.inside.bucket import MANIFEST, Bucket, BucketError

OWNED = {"store-atlas": "atlas", "store-backups": buckets.PLATFORM}


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        for name in (*OWNED, "copy", "restored"):
            client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket="copy", VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def copy(s3: Any) -> Bucket:
    return Bucket(s3, "copy", say=lambda _: None)


def put(s3: Any, **objects: str) -> None:
    for key, body in objects.items():
        s3.put_object(
            Bucket="store-atlas", Key=key, Body=body.encode(), ContentType="text/plain", Metadata={"by": "us"}
        )


def content(s3: Any, name: str) -> dict[str, str]:
    found = s3.list_objects_v2(Bucket=name).get("Contents", ())
    return {
        each["Key"]: s3.get_object(Bucket=name, Key=each["Key"])["Body"].read().decode() for each in found
    }


def test_every_bucket_of_ours_comes_back_as_it_was(s3: Any, copy: Bucket) -> None:
    put(s3, one="1", two="2")
    s3.put_object(Bucket="store-backups", Key="mysql/day/dump", Body=b"rows")
    done = backup.back_up(s3, OWNED, copy, "2026-11-21T01-30-00Z")
    assert {name: count.objects for name, count in done.items()} == {"atlas": 2, "backups": 1}
    backup.restore(copy, "atlas", "2026-11-21T01-30-00Z", s3, "restored")
    assert content(s3, "restored") == {"one": "1", "two": "2"}
    head = s3.head_object(Bucket="restored", Key="one")
    assert (head["ContentType"], head["Metadata"]) == ("text/plain", {"by": "us"})


def test_a_second_run_copies_only_what_is_new(s3: Any, copy: Bucket) -> None:
    put(s3, a="1", b="2", d="4")
    backup.back_up(s3, OWNED, copy, "1")
    put(s3, b="changed", c="3")
    s3.delete_object(Bucket="store-atlas", Key="a")
    assert backup.back_up(s3, OWNED, copy, "2")["atlas"] == backup.Count(objects=3, size=9, copied=2)
    assert backup.back_up(s3, OWNED, copy, "3")["atlas"].copied == 0


def test_an_older_moment_comes_back_with_what_was_changed_and_deleted_since(s3: Any, copy: Bucket) -> None:
    put(s3, changed="before", deleted="still here")
    backup.back_up(s3, OWNED, copy, "1")
    put(s3, changed="after")
    s3.delete_object(Bucket="store-atlas", Key="deleted")
    backup.back_up(s3, OWNED, copy, "2")
    assert backup.moments(copy) == {"atlas": ["1", "2"], "backups": ["1", "2"]}
    backup.restore(copy, "atlas", "1", s3, "restored")
    assert content(s3, "restored") == {"changed": "before", "deleted": "still here"}


def test_more_objects_than_one_list_has_are_copied_and_compared(
    s3: Any, copy: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAGE", 2)
    put(s3, **{f"k{number}": str(number) for number in range(5)})
    assert backup.back_up(s3, {"store-atlas": "atlas"}, copy, "1")["atlas"].copied == 5
    assert backup.back_up(s3, {"store-atlas": "atlas"}, copy, "2")["atlas"].copied == 0


def test_a_run_that_was_cut_short_is_no_moment(s3: Any, copy: Bucket) -> None:
    put(s3, one="1")
    backup.back_up(s3, OWNED, copy, "1")
    s3.delete_object(Bucket="copy", Key=f"atlas/1/{MANIFEST}")
    assert backup.moments(copy)["atlas"] == []


def test_a_copy_that_was_tampered_with_is_not_restored(s3: Any, copy: Bucket) -> None:
    put(s3, one="1")
    backup.back_up(s3, OWNED, copy, "1")
    (entry,) = backup.index(copy, "atlas", "1")
    forged = dataclasses.replace(entry, sha256="0" * 64)
    with pytest.raises(BucketError, match="by its SHA-256"):
        backup.restore_one(copy, "atlas", forged, Bucket(s3, "restored", say=lambda _: None))
    assert content(s3, "restored") == {}


def test_a_copy_without_versions_is_refused(s3: Any, copy: Bucket) -> None:
    plain = Bucket(s3, "restored", say=lambda _: None)
    with pytest.raises(BucketError, match="keeps no versions"):
        backup.back_up(s3, OWNED, plain, "1")


def test_lines_are_the_same_however_they_are_read(s3: Any) -> None:
    entries = [backup.Entry(f"key-{number}", "etag", number, "hash", "v") for number in range(300)]
    whole, drop = backup.Lines(iter(entries)), backup.Lines(iter(entries))
    at_once = whole.read(10_000_000)
    by_drops = b"".join(iter(lambda: drop.read(7), b""))
    assert at_once == by_drops
    assert list(backup.entries_of(io.BytesIO(at_once))) == entries
