"""MinIO by itself, for seconds: the program that the sandbox builds, with the settings that the platform renders."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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

    def health(self, *, without_it: bool = False) -> Mapping[str, str]:
        """What the server says of its quorum, or of that of the others without it; empty when there is none."""
        trust = ssl.create_default_context(cafile=str(self.key / "ca.crt"))
        try:
            with urllib.request.urlopen(
                f"{self.endpoint}/minio/health/cluster?maintenance={str(without_it).lower()}",
                context=trust,
                timeout=5,
            ) as answer:
                return {name.lower(): value for name, value in answer.headers.items()}
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return {}

    def _credentials(self, name: str, access_key: str, secret_key: str, prefix: str = "") -> Credentials:
        return Credentials(self.endpoint, self.region, name, prefix, access_key, secret_key)


@contextmanager
def minio_server(
    folder: Path, config: ObjectStore, *, host: str = "127.0.0.1", **environment: str
) -> Iterator[MinioServer]:
    """One MinIO with a profile's settings and a drive for each of its servers, for as long as the body runs. ``host`` is what it is called by."""
    drives = tuple(folder / f"drive-{number}" for number in range(config.servers))
    port = _free_port()
    _place_files(folder, config, host)
    server = MinioServer(f"https://{host}:{port}", config.region, drives, folder / "key")
    with _process(folder, 0, f"{host}:{port}", drives, environment) as process:
        _wait(server, process, folder / "log-0")
        yield server


@contextmanager
def minio_servers(
    folder: Path, config: ObjectStore
) -> Iterator[list[tuple[MinioServer, subprocess.Popen[bytes]]]]:
    """All of a profile's servers, each a process with one drive, for as long as the body runs. They form one set, as its pods do."""
    host = _own_address()
    ports = [_free_port() for _ in range(config.servers)]
    drives = [folder / f"drive-{number}" for number in range(config.servers)]
    places = [f"https://{host}:{port}{drive}" for port, drive in zip(ports, drives, strict=True)]
    _place_files(folder, config, host)
    trusted = {"SSL_CERT_FILE": str(folder / "key" / "ca.crt")}
    with ExitStack() as running:
        started = []
        for number, (port, drive) in enumerate(zip(ports, drives, strict=True)):
            process = running.enter_context(_process(folder, number, f"{host}:{port}", places, trusted))
            server = MinioServer(f"https://{host}:{port}", config.region, (drive,), folder / "key")
            started.append((server, process))
        for number, (server, process) in enumerate(started):
            _wait(server, process, folder / f"log-{number}")
        yield started


def _place_files(folder: Path, config: ObjectStore, host: str) -> None:
    pair = AUTHORITY.server("object-store/server", (host,))
    for into, files in {
        folder / "certificates": {"public.crt": pair.certificate, "private.key": pair.private_key},
        folder / "key": {
            "access_key": settings.ROOT_USER,
            "secret_key": ROOT_PASSWORD,
            "ca.crt": AUTHORITY.bundle,
        },
    }.items():
        into.mkdir(parents=True)
        for name, content in files.items():
            (into / name).write_text(content)
    (folder / "config.env").write_text(settings.settings(config, ROOT_PASSWORD))


@contextmanager
def _process(
    folder: Path, number: int, address: str, drives: Sequence[str | Path], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    command = [MINIO.build(), "server", "--certs-dir", folder / "certificates", "--address", address, *drives]
    own = {
        **environment,
        "MINIO_CONFIG_ENV_FILE": str(folder / "config.env"),
        "MINIO_CI_CD": "on",  # drives may share this machine's only disk
        "HOME": str(folder),
    }
    with (folder / f"log-{number}").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **own})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait(server: MinioServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not server.health():
        said = log.read_text()[-2000:]
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _own_address() -> str:
    """An address of this machine that is no loopback's: in a pod MinIO takes one of those for a name that does not resolve yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])
