"""The dataset cache by itself: nginx as its image has it, with the settings that the platform renders, before a MinIO of the tests' own."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from modules.data.dataset_cache import image, settings
from modules.data.dataset_cache.config import PORT, DatasetCache
from modules.data.dataset_cache.settings import Store
from modules.data.object_store.config import ObjectStore
from modules.data.object_store.settings import ROOT_USER
from modules.kit import quantities
from modules.ml.training.inside import longhouse_training
from policies.api_server import free_port
from sandbox.images import DATASET_CACHE_IMAGE
from tests.minio_server import ROOT_PASSWORD, MinioServer, minio_server
from tests.unit.examples import AUTHORITY

pytestmark = pytest.mark.data

CONFIG = DatasetCache(storage_class="local", size="64Mi", memory="128Mi")
MOST = 0.85 * quantities.bytes_of(CONFIG.size)
BUCKET = "longhouse-atlas"
STRANGER = ("borealis", "the-key-of-somebody-else")
MIB = 2**20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    with minio_server(tmp_path_factory.mktemp("minio"), ObjectStore(servers=1), host="localhost") as running:
        running.client().create_bucket(Bucket=BUCKET)
        yield running


@dataclass(frozen=True)
class Cache:
    """A running cache."""

    root: Path
    endpoint: str
    store: MinioServer

    def signing(self, key: tuple[str, str] = (ROOT_USER, ROOT_PASSWORD)) -> Any:
        """A client that signs as the library's does."""
        return boto3.client(
            "s3",
            endpoint_url=self.store.endpoint,
            region_name=self.store.region,
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
            verify=str(self.store.key / "ca.crt"),
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def signed(
        self, key: str, *, seconds: int = 600, who: tuple[str, str] = (ROOT_USER, ROOT_PASSWORD)
    ) -> str:
        """Path and query of an object's URL."""
        found = self.signing(who).generate_presigned_url(
            "get_object", {"Bucket": BUCKET, "Key": key}, ExpiresIn=seconds
        )
        words = urlsplit(found)
        return f"{words.path}?{words.query}"

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
        """Status, whether it was a copy, and what came."""
        trust = ssl.create_default_context(cadata=AUTHORITY.bundle)
        request = urllib.request.Request(f"{self.endpoint}{path}", method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=trust, timeout=60) as answer:
                return answer.status, answer.headers["X-Cache"], answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.headers.get("X-Cache") or "", refusal.read()

    def put(self, key: str, size: int) -> bytes:
        """Make an object of random bytes."""
        data = secrets.token_bytes(size)
        self.store.client().put_object(Bucket=BUCKET, Key=key, Body=data)
        return data

    @property
    def kept(self) -> int:
        """Bytes of all copies."""
        found = 0
        for each in (self.root / "cache").rglob("*"):
            try:
                found += each.stat().st_size if each.is_file() else 0
            except FileNotFoundError:  # evicted just now
                continue
        return found


@pytest.fixture(scope="module")
def cache(store: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    if os.geteuid() != 0:
        pytest.skip("its image is unpacked and entered as root")
    root = tmp_path_factory.mktemp("cache") / "root"
    _unpack(DATASET_CACHE_IMAGE.build(), root)
    port = free_port()
    _place(
        root,
        port,
        Store(
            f"127.0.0.1:{urlsplit(store.endpoint).port}",
            urlsplit(store.endpoint).netloc,
            "localhost",
            f"{settings.CERTIFICATE}/ca.crt",
        ),
    )
    with _inside(root):
        found = Cache(root, f"https://127.0.0.1:{port}", store)
        deadline = time.monotonic() + 30
        while not _answers(found):
            assert time.monotonic() < deadline, (root.parent / "log").read_text()
            time.sleep(0.2)
        yield found


def _unpack(archive: Path, root: Path) -> None:
    """An image's files."""
    with tarfile.open(archive) as layout:

        def read(digest: str) -> Any:
            return layout.extractfile(f"blobs/{digest.replace(':', '/')}")

        (only,) = json.load(layout.extractfile("index.json"))["manifests"]  # type: ignore[arg-type]
        for each in json.load(read(only["digest"]))["layers"]:
            with tarfile.open(fileobj=read(each["digest"])) as layer:
                layer.extractall(root, filter="tar")


def _place(root: Path, port: int, store: Store) -> None:
    """What the pod has mounted."""
    pair = AUTHORITY.server("dataset-cache/server", ("127.0.0.1",))
    rendered = settings.files(CONFIG, store)
    rendered["nginx.conf"] = rendered["nginx.conf"].replace(
        f"listen {PORT} ssl", f"listen 127.0.0.1:{port} ssl"
    )
    assert str(port) in rendered["nginx.conf"]
    for folder, files in {
        settings.SETTINGS: rendered,
        settings.CERTIFICATE: {
            "tls.crt": pair.certificate,
            "tls.key": pair.private_key,
            "ca.crt": AUTHORITY.bundle,
        },
        "/etc": {"resolv.conf": "nameserver 127.0.0.1\n"},
    }.items():
        (root / folder.lstrip("/")).mkdir(exist_ok=True)
        for name, text in files.items():
            (root / folder.lstrip("/") / name).write_text(text)
    (root / "cache").mkdir()
    for writable in ("cache", "tmp"):
        shutil.chown(root / writable, image.USER, image.USER)


@contextmanager
def _inside(root: Path) -> Iterator[None]:
    """The cache's own start, as its own user, in its image."""
    words = 'mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot --userspec="$1:$1" "$0" /bin/sh "$2/start.sh"'
    command = ["unshare", "--mount", "sh", "-c", words, str(root), str(image.USER), settings.SETTINGS]
    log = root.parent / "log"
    log.touch()
    log.chmod(0o666)
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(cache: Cache) -> bool:
    try:
        return cache.get("/alive")[0] == 200
    except OSError:
        return False


class TestCopies:
    def test_the_second_read_comes_from_the_copy(self, cache: Cache) -> None:
        data = cache.put("images.npy", MIB)
        assert cache.get(cache.signed("images.npy")) == (200, "MISS", data)
        assert cache.get(cache.signed("images.npy")) == (200, "HIT", data)

    def test_another_one_who_may_read_it_finds_the_copy_too(self, cache: Cache) -> None:
        """A copy is of an object, not of a signature."""
        data = cache.put("shared.npy", MIB)
        cache.get(cache.signed("shared.npy"))
        assert cache.get(cache.signed("shared.npy", seconds=77)) == (200, "HIT", data)

    def test_a_large_object_is_copied_part_by_part_and_is_whole(self, cache: Cache) -> None:
        data = cache.put("large.npy", 20 * MIB + 7)
        assert cache.get(cache.signed("large.npy"))[2] == data
        status, how, found = cache.get(cache.signed("large.npy"))
        assert (status, how) == (200, "HIT")
        assert found == data
        part = cache.get(cache.signed("large.npy"), Range="bytes=9000000-9000009")
        assert part == (206, "HIT", data[9000000:9000010])

    def test_a_name_that_has_to_be_written_otherwise_in_a_url_is_found(self, cache: Cache) -> None:
        data = cache.put("2024/a b+c%20d/ä.npy", 1000)
        for how in ("MISS", "HIT"):
            assert cache.get(cache.signed("2024/a b+c%20d/ä.npy")) == (200, how, data)

    def test_what_was_written_since_is_what_is_read(self, cache: Cache) -> None:
        cache.put("changes.npy", 1000)
        cache.get(cache.signed("changes.npy"))
        data = cache.put("changes.npy", 1000)
        assert cache.get(cache.signed("changes.npy")) == (200, "MISS", data)

    def test_what_is_gone_is_gone(self, cache: Cache) -> None:
        cache.put("gone.npy", 1000)
        cache.get(cache.signed("gone.npy"))
        cache.store.client().delete_object(Bucket=BUCKET, Key="gone.npy")
        assert cache.get(cache.signed("gone.npy"))[0] >= 400

    def test_many_who_read_at_once_get_the_same(self, cache: Cache) -> None:
        data = cache.put("crowd.npy", 12 * MIB)
        with ThreadPoolExecutor(8) as crowd:
            found = list(crowd.map(lambda _: cache.get(cache.signed("crowd.npy")), range(8)))
        assert all(each[2] == data for each in found)

    def test_the_oldest_give_way_before_the_disk_is_full(self, cache: Cache) -> None:
        for number in range(8):
            cache.put(f"many/{number}.npy", 16 * MIB)
            cache.get(cache.signed(f"many/{number}.npy"))
        deadline = time.monotonic() + 60
        while cache.kept > MOST:
            assert time.monotonic() < deadline, f"{cache.kept / MIB:.0f} MiB are kept"
            time.sleep(0.5)
        assert cache.kept > MOST / 2, "no more goes than has to"
        assert cache.get(cache.signed("many/7.npy"))[1] == "HIT", "what was read last stays"
        assert cache.get(cache.signed("many/0.npy"))[1] == "MISS", "what was not read for longest goes"


class TestStrangers:
    @pytest.fixture
    def copied(self, cache: Cache) -> str:
        """An object that there is a copy of."""
        cache.put("secret.npy", 1000)
        assert cache.get(cache.signed("secret.npy"))[0] == 200
        assert cache.get(cache.signed("secret.npy"))[1] == "HIT"
        return "secret.npy"

    def test_who_signs_with_another_key_is_refused_what_there_is_a_copy_of(
        self, cache: Cache, copied: str
    ) -> None:
        status, how, found = cache.get(cache.signed(copied, who=STRANGER))
        assert (status, how) == (403, "")
        assert len(found) < 1000

    def test_who_signs_nothing_is_refused(self, cache: Cache, copied: str) -> None:
        assert cache.get(f"/{BUCKET}/{copied}")[0] == 403
        trust = {"Authorization": "AWS4-HMAC-SHA256 Credential=x"}
        assert cache.get(f"/{BUCKET}/{copied}", **trust)[0] == 403

    def test_a_url_that_has_expired_opens_nothing(self, cache: Cache, copied: str) -> None:
        path = cache.signed(copied, seconds=1)
        time.sleep(2.5)
        assert cache.get(path)[0] == 403

    def test_a_signature_of_one_object_opens_no_other(self, cache: Cache, copied: str) -> None:
        cache.put("other.npy", 10)
        assert cache.get(cache.signed("other.npy").replace("other.npy", copied))[0] == 403

    @pytest.mark.parametrize("written", ["x/../secret.npy", "/secret.npy", "./secret.npy", "%73ecret.npy/"])
    def test_no_other_spelling_of_a_name_leads_to_a_copy(
        self, cache: Cache, copied: str, written: str
    ) -> None:
        path = cache.signed("other.npy").replace("other.npy", written)
        found: list[bytes] = []
        host, port = urlsplit(cache.endpoint).hostname or "", urlsplit(cache.endpoint).port
        connection = http.client.HTTPSConnection(
            host, port, context=ssl.create_default_context(cadata=AUTHORITY.bundle)
        )
        connection.request("GET", path)
        answer = connection.getresponse()
        found.append(answer.read())
        connection.close()
        assert answer.status >= 400
        assert cache.get(cache.signed(copied))[2] not in found

    @pytest.mark.parametrize(
        "word", ["tagging", "partNumber=1", "versionId=x", "response-content-type=text/html", "list-type=2"]
    )
    def test_a_question_about_anything_but_the_object_is_refused(
        self, cache: Cache, copied: str, word: str
    ) -> None:
        assert cache.get(f"{cache.signed(copied)}&{word}")[0] == 403

    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "HEAD"])
    def test_nothing_is_written_through_it(self, cache: Cache, copied: str, method: str) -> None:
        assert cache.get(cache.signed(copied), method)[0] == 405

    def test_no_signature_is_written_down(self, cache: Cache, copied: str) -> None:
        cache.get(cache.signed(copied, who=STRANGER))
        log = (cache.root.parent / "log").read_text()
        assert f"/{BUCKET}/{copied}" in log
        told = [line for line in log.splitlines() if "X-Amz-Signature" in line]
        assert not told


class TestLibrary:
    """What a job's program reads with."""

    @pytest.fixture(autouse=True)
    def told(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATASET_CACHE", cache.endpoint)
        monkeypatch.setenv("DATASET_CACHE_CA", AUTHORITY.bundle)

    def test_it_reads_by_way_of_the_copy(self, cache: Cache) -> None:
        data = cache.put("train/digits.npy", MIB)
        for _ in range(2):
            with longhouse_training.dataset(f"s3://{BUCKET}/train/digits.npy", cache.signing()) as stream:
                assert stream.read() == data
        assert cache.get(cache.signed("train/digits.npy"))[1] == "HIT"

    def test_where_no_cache_answers_it_reads_from_the_store(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = cache.put("alone.npy", 1000)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            monkeypatch.setenv("DATASET_CACHE", f"https://127.0.0.1:{closed.getsockname()[1]}")
            for _ in range(2):
                with longhouse_training.dataset(f"s3://{BUCKET}/alone.npy", cache.signing()) as stream:
                    assert stream.read() == data
        assert capsys.readouterr().err.count("keeps no copies") == 1, "it is asked once"

    def test_an_empty_object_is_read_too(self, cache: Cache) -> None:
        cache.put("empty.npy", 0)
        with longhouse_training.dataset(f"s3://{BUCKET}/empty.npy", cache.signing()) as stream:
            assert stream.read() == b""

    def test_a_stranger_is_told_by_the_store_that_it_may_not(self, cache: Cache) -> None:
        cache.put("mine.npy", 1000)
        with (
            pytest.raises(ClientError),
            longhouse_training.dataset(f"s3://{BUCKET}/mine.npy", cache.signing(STRANGER)),
        ):
            pass

    def test_what_is_not_in_s3_is_refused(self, cache: Cache) -> None:
        with (
            pytest.raises(longhouse_training.TrainingError, match="write s3://"),
            longhouse_training.dataset("hdfs://longhouse/x"),
        ):
            pass
