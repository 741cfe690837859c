"""State in an S3 bucket, kept by a real server: sealed, locked while somebody is at work, and given back when it is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modules.data.object_store import settings
from modules.data.object_store.config import ObjectStore
from modules.kit.names import namespace
from stacks.deploy import CHECKOUT, PROJECT, SECRET
from tests.lifecycle.fleet import PLATFORM, Environment, kill_session
from tests.minio_server import ROOT_PASSWORD, minio_server

_BUCKET = "states"
_TENANT = "dune"


class Bucket:
    """The bucket that the state is in."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def names(self, prefix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket=_BUCKET, Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in found]

    def locks(self) -> list[str]:
        return self.names(".pulumi/locks/")

    def texts(self) -> list[str]:
        return [
            self.client.get_object(Bucket=_BUCKET, Key=name)["Body"].read().decode() for name in self.names()
        ]


@pytest.fixture(scope="module")
def bucket(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A server, and an environment whose state is there."""
    environment.write(None, _TENANT)
    with minio_server(tmp_path_factory.mktemp("minio"), ObjectStore()) as server:
        server.client().create_bucket(Bucket=_BUCKET)
        environment.env |= {
            "PULUMI_BACKEND_URL": f"s3://{_BUCKET}?endpoint={server.endpoint}&s3ForcePathStyle=true&region={server.region}",
            "AWS_ACCESS_KEY_ID": settings.ROOT_USER,
            "AWS_SECRET_ACCESS_KEY": ROOT_PASSWORD,
            "AWS_CA_BUNDLE": str(server.key / "ca.crt"),
        }
        yield Bucket(server.client())


def _begun(environment: Environment, bucket: Bucket) -> subprocess.Popen[bytes]:
    """A deployment that has got as far as its lock."""
    running = subprocess.Popen(
        environment.command("up", "--yes", "--every"), cwd=CHECKOUT, env=environment.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not bucket.locks():
        assert running.poll() is None, "it was done before it was seen"
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.05)
    return running


def test_the_state_is_in_the_bucket_and_nowhere_else(environment: Environment, bucket: Bucket) -> None:
    environment.fleet("up")
    assert f".pulumi/stacks/{PROJECT}/{PLATFORM}.json" in bucket.names()
    assert bucket.locks() == []
    assert not (environment.folder / "data" / "longhouse" / "state").exists()
    assert environment.fleet("up", "--every").strip().endswith("same")
    assert bucket.names(".pulumi/backups/"), "nothing to go back to"


def test_no_secret_lies_in_the_bucket_in_the_clear(environment: Environment, bucket: Bucket) -> None:
    sealed = environment.pulumi("config", "get", SECRET, "--stack", PLATFORM)
    assert sealed.returncode == 0, sealed.stderr
    secret = sealed.stdout.strip()
    assert len(secret) > 20
    assert bucket.texts()
    assert not any(secret in text for text in bucket.texts())


def test_a_second_deployment_is_refused_while_one_is_at_work(
    environment: Environment, bucket: Bucket
) -> None:
    with _begun(environment, bucket) as first:
        said = environment.fleet("up", "--every", code=1)
        assert "is at work on stack" in said
        assert first.wait() == 0


def test_a_lock_of_a_deployment_that_was_killed_stops_nobody(
    environment: Environment, bucket: Bucket
) -> None:
    with _begun(environment, bucket) as first:
        kill_session(first.pid)
    assert bucket.locks()
    environment.fleet("up")
    assert bucket.locks() == []


def test_a_lock_of_another_machine_is_respected(environment: Environment, bucket: Bucket) -> None:
    name = f".pulumi/locks/organization/{PROJECT}/{PLATFORM}/else.json"
    lock = {"pid": 1, "username": "ann", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}
    bucket.client.put_object(Bucket=_BUCKET, Key=name, Body=json.dumps(lock).encode())
    said = environment.fleet("up", "--every", code=1)
    assert "ann@elsewhere" in said
    bucket.client.delete_object(Bucket=_BUCKET, Key=name)


def test_where_the_state_is_lost_the_next_deployment_takes_everything_over(
    environment: Environment, bucket: Bucket
) -> None:
    before = environment.uids()
    for name in bucket.names():
        bucket.client.delete_object(Bucket=_BUCKET, Key=name)
    environment.fleet("up")
    assert environment.uids() == before
    assert environment.fleet("up", "--every").strip().endswith("same")


def test_the_doctor_finds_what_is_wrong_and_mends_it_without_losing_data(
    environment: Environment, bucket: Bucket
) -> None:
    learned = environment.folder / "home" / ".kube"
    shutil.rmtree(learned, ignore_errors=True)
    assert environment.doctor() == "1 stacks: nothing wrong"
    assert learned.is_dir(), "kubectl keeps what it learned at its user's home"
    with _begun(environment, bucket) as first:
        kill_session(first.pid)
    labels = {"app.kubernetes.io/managed-by": "longhouse"}
    home = namespace(_TENANT)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    environment.server.create(
        [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "left", "namespace": home, "labels": labels}},
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "left", "namespace": home, "labels": labels}, "spec": claim},
        ]
    )  # fmt: skip
    assert (
        environment.server.kubectl("delete", "rolebinding", "viewer", f"--namespace={home}").returncode == 0
    )
    said = environment.doctor(code=1)
    assert "which is gone" in said
    assert f"ConfigMap.core {home}/left: no state knows of it" in said
    assert f"PersistentVolumeClaim.core {home}/left: no state knows of it" in said
    assert (
        f"RoleBinding.rbac.authorization.k8s.io {home}/viewer: is in a state and not in the cluster" in said
    )
    assert bucket.locks(), "looking mends nothing"
    environment.doctor("--mend", "--yes", code=1)
    assert bucket.locks() == []
    found = environment.server.kubectl(
        "get",
        "configmaps,persistentvolumeclaims",
        f"--namespace={home}",
        "--selector=app.kubernetes.io/managed-by",
        "--output=name",
    )
    kept = {each for each in found.stdout.split() if each.endswith("/left")}
    assert kept == {"persistentvolumeclaim/left"}
