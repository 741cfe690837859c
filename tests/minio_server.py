"""MinIO by itself, for seconds: the program that the sandbox builds, with the settings that the platform renders."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.data.object_store import settings
from modules.data.object_store.config import ObjectStore
from modules.kit.inside import bucket
from modules.kit.inside.bucket import Bucket, Credentials
from sandbox.images import MINIO
from tests.unit.examples import AUTHORITY, CREDENTIALS

ROOT_PASSWORD = CREDENTIALS.password("object-store/root")
_START_SECONDS = 60.0


@dataclass(frozen=True)
class MinioServer:
    """A running server with as many drives as its profile has servers."""

    endpoint: str
    region: str
    drives: tuple[Path, ...]
    key: Path
    """Folder with the root account's key, as programs are given it."""

    def client(self, access_key: str = settings.ROOT_USER, secret_key: str = ROOT_PASSWORD) -> Any:
        """A client of S3."""
        return bucket.client(self._credentials("", access_key, secret_key), str(self.key / "ca.crt"))

    def bucket(
        self, name: str, prefix: str = "", key: tuple[str, str] = (settings.ROOT_USER, ROOT_PASSWORD)
    ) -> Bucket:
        """A bucket as backup programs open it."""
        credentials = self._credentials(name, *key, prefix=prefix)
        return Bucket.of(credentials, str(self.key / "ca.crt"), say=lambda _: None)

    def health(self) -> Mapping[str, str]:
        """What the server says of its quorum; empty when it is not ready."""
        trust = ssl.create_default_context(cafile=str(self.key / "ca.crt"))
        try:
            with urllib.request.urlopen(
                f"{self.endpoint}/minio/health/cluster", context=trust, timeout=5
            ) as answer:
                return {name.lower(): value for name, value in answer.headers.items()}
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return {}

    def _credentials(self, name: str, access_key: str, secret_key: str, prefix: str = "") -> Credentials:
        return Credentials(self.endpoint, self.region, name, prefix, access_key, secret_key)


@contextmanager
def minio_server(folder: Path, config: ObjectStore, **environment: str) -> Iterator[MinioServer]:
    """MinIO with a profile's settings, where only the volumes are folders of one machine, for as long as the body runs."""
    assert MINIO.built, "minio is not built: `make up` first"
    pair = AUTHORITY.server("object-store/server", ("127.0.0.1",))
    certificates, key = folder / "certificates", folder / "key"
    for into, files in {
        certificates: {"public.crt": pair.certificate, "private.key": pair.private_key},
        key: {"access_key": settings.ROOT_USER, "secret_key": ROOT_PASSWORD, "ca.crt": AUTHORITY.bundle},
    }.items():
        into.mkdir(parents=True)
        for name, content in files.items():
            (into / name).write_text(content)
    (folder / "config.env").write_text(settings.settings(config, ROOT_PASSWORD))
    drives = tuple(folder / f"drive-{number}" for number in range(config.servers))
    port = _free_port()
    server = MinioServer(f"https://127.0.0.1:{port}", config.region, drives, key)
    command: list[str | Path] = [
        MINIO.path,
        "server",
        "--certs-dir",
        certificates,
        "--address",
        f"127.0.0.1:{port}",
        *drives,
    ]
    own = {
        **environment,
        "MINIO_CONFIG_ENV_FILE": str(folder / "config.env"),
        "MINIO_CI_CD": "on",  # drives may share this machine's only disk
        "HOME": str(folder),
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **own})
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not server.health():
            said = (folder / "log").read_text()[-2000:]
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)
        yield server
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
