"""MinIO itself, without a cluster: that the profiles' settings are what it takes for what we say they are, that users can do what
their policies say and nothing else, and that the copy of its buckets comes back on another server."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from modules.data.object_store import accounts, sizing
from modules.data.object_store.config import ObjectStore
from modules.data.object_store.inside import access, backup
from modules.data.object_store.inside.desired import FILE, PLACE_FILE, Desired
from modules.kit.inside.bucket import PART, BucketError
from profiles.load import load, names
from tests.minio_server import MinioServer, minio_server, minio_servers
from tests.unit.examples import CREDENTIALS, tenant

pytestmark = pytest.mark.data

QUOTA = 20 * 2**20
TRIAL = ObjectStore.model_validate(
    {
        "servers": 1,
        "copy_to": {
            "endpoint": "https://copy.example.com",
            "region": "us-east-1",
            "site": "home",
            "cidrs": ["10.40.0.0/28"],
            "bucket": "the-copy",
        },
    }
)
ATLAS, BOREALIS = (
    tenant(name, data={"object_store": {"quota": f"{QUOTA // 2**20}Mi"}}) for name in ("atlas", "borealis")
)
CALDERA = tenant("caldera", data={"object_store": {"quota": "1Gi"}})


def with_servers() -> list[str]:
    """Profiles in which the platform runs MinIO."""
    stores = {name: load(name).object_store for name in names()}
    return [name for name, store in stores.items() if store and not store.given]


def refusal(call: Any, **arguments: Any) -> str:
    """The code with which a call is refused; empty when it is not."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


@pytest.mark.parametrize("profile", with_servers())
def test_the_settings_of_each_profile_start_the_server_with_the_parity_that_we_reckon_with(
    profile: str, tmp_path: Path
) -> None:
    store = load(profile).object_store
    assert store
    parity = sizing.parity(store.servers, store.parity)
    with minio_server(tmp_path, store) as server:
        quorum = store.servers - sizing.write_tolerance(store.servers, parity)
        assert server.health()["x-minio-write-quorum"] == str(quorum)
        server.client().create_bucket(Bucket="kept")
        bucket = server.bucket("kept")
        stored = [
            bucket.put(f"object-{number}", io.BytesIO(bytes([number]) * 300_000)) for number in range(10)
        ]
        for lost in server.drives[:parity]:
            shutil.rmtree(lost / "kept")
        for each in stored:
            with bucket.get(each) as stream:
                assert len(stream.read()) == each.size


def _wait_for_all(server: MinioServer) -> None:
    """Until a server of four knows all others: what it writes before, it writes to three. Only where all are there would three have a quorum without it."""
    deadline = time.monotonic() + 60
    while not server.health(without_it=True):
        assert time.monotonic() < deadline, "the servers did not find each other"
        time.sleep(0.2)


def test_four_servers_go_on_without_one_and_keep_all_that_they_acknowledged_without_two(
    tmp_path: Path,
) -> None:
    with minio_servers(tmp_path, ObjectStore(servers=4)) as started:
        (server, _), *others = started
        _wait_for_all(server)
        server.client().create_bucket(Bucket="kept")
        bucket = server.bucket("kept")
        stored = [bucket.put(f"before-{number}", io.BytesIO(b"x" * 1000)) for number in range(20)]
        others[0][1].kill()
        stored += [bucket.put(f"without-one-{number}", io.BytesIO(b"y" * 1000)) for number in range(20)]
        others[1][1].kill()
        impatient = Config(read_timeout=5, retries={"total_max_attempts": 1})
        client = boto3.client("s3", **_place(server, *fresh_key(server)), config=impatient)
        with pytest.raises((ClientError, ReadTimeoutError)):
            client.put_object(Bucket="kept", Key="without-two", Body=b"z")
        assert not server.health(), "a server without a quorum for writes is not ready"
        for each in stored:
            with bucket.get(each) as stream:
                assert len(stream.read()) == each.size


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """One server, whose count for quotas is never long behind."""
    with minio_server(tmp_path_factory.mktemp("minio"), TRIAL, MINIO_SCANNER_SPEED="fastest") as running:
        yield running


def desired(server: MinioServer, *tenants: Any, delete: tuple[str, ...] = ()) -> Desired:
    wanted = accounts.desired(TRIAL, CREDENTIALS, tenants, {"kafka": "kafka", "mysql": "mysql"}, delete)
    return replace(wanted, endpoint=server.endpoint)


def reconcile(
    server: MinioServer, folder: Path, *tenants: Any, delete: tuple[str, ...] = ()
) -> Mapping[str, str]:
    """Run the access program as its Job does. Gives what it reports as retained."""
    (folder / FILE).write_text(desired(server, *tenants, delete=delete).as_json())
    kept: dict[str, str] = {}
    access.main(folder, server.key, kept.update)
    return kept


def client(server: MinioServer, name: str) -> Any:
    """A client with a tenant's key."""
    (found,) = (each for each in desired(server, ATLAS, BOREALIS, CALDERA).tenants if each.name == name)
    return server.client(found.user, found.secret_key)


@pytest.fixture
def both(server: MinioServer, tmp_path: Path) -> None:
    """Two tenants have the store."""
    reconcile(server, tmp_path, ATLAS, BOREALIS)


@pytest.mark.usefixtures("both")
class TestAccess:
    def test_a_second_run_finds_nothing_to_change(
        self, server: MinioServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        capsys.readouterr()
        reconcile(server, tmp_path, ATLAS, BOREALIS)
        assert capsys.readouterr().out == "no change\n"

    def test_a_key_that_was_rotated_opens_and_the_one_before_does_not(
        self, server: MinioServer, tmp_path: Path
    ) -> None:
        before = client(server, "atlas")
        wanted = desired(server, ATLAS, BOREALIS)
        rotated = replace(wanted.tenants[0], secret_key="another-key-of-atlas")
        (tmp_path / FILE).write_text(replace(wanted, tenants=(rotated, wanted.tenants[1])).as_json())
        access.main(tmp_path, server.key, lambda kept: None)
        assert refusal(before.list_objects_v2, Bucket=rotated.bucket) == "SignatureDoesNotMatch"
        after = server.client(rotated.user, rotated.secret_key)
        assert not refusal(after.list_objects_v2, Bucket=rotated.bucket)
        reconcile(server, tmp_path, ATLAS, BOREALIS)
        assert not refusal(before.list_objects_v2, Bucket=rotated.bucket)

    def test_what_is_gone_is_refused_at_once_in_open_sessions_and_with_derived_keys_too(
        self, server: MinioServer, tmp_path: Path
    ) -> None:
        (found,) = (each for each in desired(server, BOREALIS).tenants)
        key, session, atlas = client(server, "borealis"), _session(server, found), client(server, "atlas")
        for each in (key, session):
            each.put_object(Bucket=found.bucket, Key="note", Body=b"kept")
        kept = reconcile(server, tmp_path, ATLAS)
        assert kept == {found.bucket: "bucket of tenant borealis, which is gone"}
        assert refusal(key.get_object, Bucket=found.bucket, Key="note") == "InvalidAccessKeyId"
        assert refusal(session.get_object, Bucket=found.bucket, Key="note") == "AccessDenied"
        assert not refusal(atlas.put_object, Bucket="longhouse-atlas", Key="note", Body=b"untouched")
        with server.bucket(found.bucket).get("note") as stream:
            assert stream.read() == b"kept"

    def test_data_goes_with_every_version_once_the_tenant_is_named_as_departed(
        self, server: MinioServer, tmp_path: Path
    ) -> None:
        (found,) = (each for each in desired(server, BOREALIS).tenants)
        key = client(server, "borealis")
        for body in (b"1", b"2"):
            key.put_object(Bucket=found.bucket, Key="note", Body=body)
        assert reconcile(server, tmp_path, ATLAS, delete=("borealis",)) == {}
        assert refusal(server.client().head_bucket, Bucket=found.bucket) == "404"

    def test_small_writes_over_the_quota_are_refused_once_they_are_counted(self, server: MinioServer) -> None:
        atlas, deadline, code = client(server, "atlas"), time.monotonic() + 60, ""
        for number in range(3):
            atlas.put_object(Bucket="longhouse-atlas", Key=f"part-{number}", Body=bytes(QUOTA * 2 // 5))
        while not code and time.monotonic() < deadline:
            time.sleep(0.5)
            code = refusal(atlas.put_object, Bucket="longhouse-atlas", Key="one-more", Body=b"x")
        assert code == "XMinioAdminBucketQuotaExceeded"
        for each in atlas.list_object_versions(Bucket="longhouse-atlas")["Versions"]:
            atlas.delete_object(Bucket="longhouse-atlas", Key=each["Key"], VersionId=each["VersionId"])

    def test_who_writes_backups_reaches_its_own_only_and_destroys_none(self, server: MinioServer) -> None:
        wanted = desired(server)
        kafka = next(each for each in wanted.writers if each.store == "kafka")
        own = server.bucket(wanted.backups.bucket, "kafka/", (kafka.user, kafka.secret_key))
        stored = own.put("day/topic", io.BytesIO(bytes(PART + 2**20)))
        assert [each.key for each in own.objects()] == ["day/topic"]
        other = replace(own, prefix="mysql/")
        for forbidden in (lambda: other.put("dump", io.BytesIO(b"x")), lambda: list(other.objects())):
            with pytest.raises(BucketError, match="AccessDenied: each store may use its own prefix only"):
                forbidden()
        assert refusal(own.client.delete_object, Bucket=own.bucket, Key="kafka/day/topic") == "AccessDenied"
        own.put("day/topic", io.BytesIO(b"overwritten by a thief"))
        versions = server.client().list_object_versions(Bucket=own.bucket, Prefix="kafka/day/topic")[
            "Versions"
        ]
        assert sorted(each["Size"] for each in versions) == [22, stored.size]
        assert (
            refusal(
                own.client.delete_object,
                Bucket=own.bucket,
                Key="kafka/day/topic",
                VersionId=versions[0]["VersionId"],
            )
            == "AccessDenied"
        )


def _session(server: MinioServer, found: Any) -> Any:
    """A client with a temporary key that the tenant drew for itself."""
    sts = boto3.client("sts", **_place(server, found.user, found.secret_key))
    drawn = sts.assume_role(RoleArn="arn:aws:iam::0:role/unused", RoleSessionName="check")["Credentials"]
    temporary = _place(server, drawn["AccessKeyId"], drawn["SecretAccessKey"])
    return boto3.client("s3", aws_session_token=drawn["SessionToken"], **temporary)


def _place(server: MinioServer, access_key: str, secret_key: str) -> dict[str, str]:
    return {
        "endpoint_url": server.endpoint,
        "region_name": server.region,
        "verify": str(server.key / "ca.crt"),
        "aws_access_key_id": access_key,
        "aws_secret_access_key": secret_key,
    }


def test_the_copy_of_all_buckets_comes_back_on_another_server(
    server: MinioServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reconcile(server, tmp_path, CALDERA)
    caldera = client(server, "caldera")
    content = {
        "small": b"first",
        "folder/large": bytes(range(256)) * (PART // 256 + 4096),
        "ümlaut und Leerzeichen": b"x",
    }
    for key, body in content.items():
        caldera.put_object(
            Bucket="longhouse-caldera",
            Key=key,
            Body=body,
            ContentType="text/plain",
            Metadata={"by": "caldera"},
        )
    with minio_server(tmp_path / "copy", TRIAL) as second, minio_server(tmp_path / "new", TRIAL) as fresh:
        second.client().create_bucket(Bucket="the-copy")
        second.client().put_bucket_versioning(
            Bucket="the-copy", VersioningConfiguration={"Status": "Enabled"}
        )
        wanted = desired(server, CALDERA)
        assert wanted.copier
        run = _Copy(tmp_path, second, wanted)
        run(server, wanted.copier.user, wanted.copier.secret_key)
        for each in caldera.list_object_versions(Bucket="longhouse-caldera")["Versions"]:
            caldera.delete_object(Bucket="longhouse-caldera", Key=each["Key"], VersionId=each["VersionId"])
        run(server, wanted.copier.user, wanted.copier.secret_key)
        first, emptied = backup.moments(second.bucket("the-copy"))["caldera"]

        fresh.client().create_bucket(Bucket="restored")
        run(fresh, *fresh_key(fresh), "restore", "caldera", "restored", first)
        assert f"{len(content)} objects" in capsys.readouterr().out
        with pytest.raises(BucketError, match=f"there are {first}, {emptied}"):
            run(fresh, *fresh_key(fresh), "restore", "caldera", "restored", "never")
        restored = fresh.client()
        for key, body in content.items():
            found = restored.get_object(Bucket="restored", Key=key)
            assert found["Body"].read() == body
            assert (found["ContentType"], found["Metadata"]) == ("text/plain", {"by": "caldera"})

        run(
            server,
            wanted.copier.user,
            wanted.copier.secret_key,
            "restore",
            "caldera",
            "longhouse-caldera",
            first,
        )
        assert caldera.get_object(Bucket="longhouse-caldera", Key="small")["Body"].read() == b"first"


def fresh_key(server: MinioServer) -> tuple[str, str]:
    """The root account's key of a server that has no users yet."""
    return (server.key / "access_key").read_text(), (server.key / "secret_key").read_text()


class _Copy:
    """Runs the backup program with its files where its pod has them."""

    def __init__(self, folder: Path, second: MinioServer, wanted: Desired) -> None:
        self._folder, self._second, self._wanted = folder, second, wanted
        place = {"endpoint": second.endpoint, "region": second.region, "bucket": "the-copy"}
        (folder / PLACE_FILE).write_text(json.dumps(place))
        self._source = folder / "source"
        self._source.mkdir()

    def __call__(self, server: MinioServer, access_key: str, secret_key: str, *command: str) -> None:
        (self._folder / FILE).write_text(replace(self._wanted, endpoint=server.endpoint).as_json())
        for name, value in {"access_key": access_key, "secret_key": secret_key}.items():
            (self._source / name).write_text(value)
        shutil.copy(server.key / "ca.crt", self._source)
        time.sleep(1)  # two runs are two moments
        backup.main([*command], self._folder, self._source, self._folder, self._second.key)
