"""An API server by itself, for seconds: what it takes and refuses is what every cluster does.

etcd and the API server alone: no node, no controller, no scheduler. It listens on this machine only.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox import tools

_HOST = "127.0.0.1"
_START_SECONDS = 90.0


@dataclass(frozen=True)
class ApiServer:
    """A running API server, called through kubectl."""

    kubectl_program: Path
    kubeconfig: Path
    port: int
    token: str

    def kubectl(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever comes of it."""
        command = [str(self.kubectl_program), f"--kubeconfig={self.kubeconfig}", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, input=stdin)

    def create(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Create objects; an AssertionError with what was complained of when one is refused."""
        done = self.kubectl("create", "--filename=-", stdin=_list(objects))
        assert done.returncode == 0, done.stderr

    def refusals(self, objects: Iterable[Mapping[str, Any]]) -> str:
        """Why the API server would not take some of the objects, unknown fields included; empty when it would take all."""
        words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-")
        done = self.kubectl(*words, stdin=_list(objects))
        return "" if done.returncode == 0 else done.stderr.strip()

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A connection for many small requests, each of which takes milliseconds instead of a program's start."""
        unverified = ssl._create_unverified_context()
        with closing(http.client.HTTPSConnection(_HOST, self.port, context=unverified)) as connection:
            yield Client(connection, self.token)


@dataclass(frozen=True)
class Answer:
    """What the API server says to the creation of an object."""

    status: int
    message: str
    """Why it was refused; empty when it was not."""
    warnings: tuple[str, ...]


@dataclass
class Client:
    """Speaks to the API server without kubectl."""

    connection: http.client.HTTPSConnection
    token: str
    kinds: dict[str, dict[str, tuple[str, bool]]] = field(default_factory=dict)
    """API version -> kind -> its name in paths, and whether its objects live in namespaces."""

    def try_to_create(self, body: Mapping[str, Any]) -> Answer:
        """Ask for the object without making it."""
        status, answer, warnings = self._request("POST", f"{self._path(body)}?dryRun=All", body)
        return Answer(status, str(answer.get("message", "")) if status >= 400 else "", warnings)

    def _path(self, body: Mapping[str, Any]) -> str:
        version, kind = body["apiVersion"], body["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in self.kinds:
            listed = self._request("GET", root)[1]["resources"]
            self.kinds[version] = {
                each["kind"]: (each["name"], each["namespaced"]) for each in listed if "/" not in each["name"]
            }
        name, namespaced = self.kinds[version][kind]
        home = body["metadata"].get("namespace", "default")
        return f"{root}/namespaces/{home}/{name}" if namespaced else f"{root}/{name}"

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any], tuple[str, ...]]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        found = json.loads(answer.read())
        warnings = tuple(_unquoted(each) for each in answer.headers.get_all("Warning") or ())
        return answer.status, found, warnings


def _unquoted(warning: str) -> str:
    """The text in `299 - "text"` (RFC 9111, 5.5)."""
    return re.sub(r"\\(.)", r"\1", warning.partition('"')[2].rpartition('"')[0])


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """An API server that keeps its files in ``folder``, for as long as the body runs."""
    etcd = _program(tools.ETCD, "etcd", folder)
    kube_apiserver = _program(tools.KUBERNETES, "kube-apiserver", folder)
    kubectl = _program(tools.KUBERNETES, "kubectl", folder)
    client, peer, port = _free_port(), _free_port(), _free_port()
    token = secrets.token_hex(16)
    tokens = folder / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{token},tests,tests,system:masters\n")
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    with ExitStack() as running:
        running.enter_context(
            _process(
                folder / "etcd.log", etcd, f"--data-dir={folder / 'data'}", "--unsafe-no-fsync",
                f"--listen-client-urls=http://{_HOST}:{client}", f"--advertise-client-urls=http://{_HOST}:{client}",
                f"--listen-peer-urls=http://{_HOST}:{peer}",
            )
        )  # fmt: skip
        running.enter_context(
            _process(
                folder / "api-server.log", kube_apiserver, f"--etcd-servers=http://{_HOST}:{client}",
                f"--bind-address={_HOST}", f"--secure-port={port}", f"--cert-dir={folder}", "--authorization-mode=RBAC",
                "--allow-privileged=true",
                f"--token-auth-file={tokens}", "--service-account-issuer=https://tests.invalid",
                f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
                "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.96.0.0/16",
            )
        )  # fmt: skip
        config = folder / "kubeconfig"
        config.touch(mode=0o600)
        cluster = {"server": f"https://{_HOST}:{port}", "insecure-skip-tls-verify": True}
        config.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "tests",
                    "clusters": [{"name": "tests", "cluster": cluster}],
                    "users": [{"name": "tests", "user": {"token": token}}],
                    "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
                }
            )
        )
        server = ApiServer(kubectl, config, port, token)
        deadline = time.monotonic() + _START_SECONDS
        while server.kubectl("get", "--raw=/readyz").returncode != 0:
            assert time.monotonic() < deadline, (folder / "api-server.log").read_text()[-2000:]
            time.sleep(0.3)
        yield server


def _program(tool: tools.Tool, name: str, folder: Path) -> Path:
    """A program that the sandbox has built or found, under one of its names."""
    built = tool.on_path() or tool.program.path
    assert built.exists(), f"{name} is not built: `make up` first"
    link = folder / name
    link.symlink_to(built)
    return link


@contextmanager
def _process(log: Path, *command: str | Path) -> Iterator[None]:
    with log.open("w") as said:
        running = subprocess.Popen(
            [str(word) for word in command], stdout=said, stderr=said, env=os.environ, cwd=log.parent
        )
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(timeout=20)
            except subprocess.TimeoutExpired:
                running.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _list(objects: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
