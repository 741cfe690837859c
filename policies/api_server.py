"""An API server by itself, for seconds: what it takes and refuses is what every cluster does.

etcd and the API server alone: no node, no controller, no scheduler. It listens on this machine only, and nothing of it is left behind.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_HOST = "127.0.0.1"
_START_SECONDS = 90.0
_LOG = "api-server.log"


class ApiServerError(Exception):
    """No API server could be started; the message says why."""


@dataclass(frozen=True)
class Programs:
    """What it takes."""

    etcd: Path
    kube_apiserver: Path
    kubectl: Path

    @classmethod
    def on_path(cls) -> Programs:
        """Those on PATH. Raises ApiServerError for one that is not."""
        names = ("etcd", "kube-apiserver", "kubectl")
        found = {name: shutil.which(name) for name in names}
        if missing := [name for name, path in found.items() if path is None]:
            raise ApiServerError(
                f"{', '.join(missing)}: not on PATH; `python -m sandbox pulumi` builds what a preview takes"
            )
        return cls(*(Path(str(found[name])) for name in names))


@dataclass(frozen=True)
class ApiServer:
    """A running API server, called through kubectl."""

    folder: Path
    kubectl_program: Path
    kubeconfig: Path
    port: int
    token: str

    def wait(self) -> None:
        """Return when it answers. Raises ApiServerError when it does not."""
        deadline = time.monotonic() + _START_SECONDS
        while self.kubectl("get", "--raw=/readyz").returncode != 0:
            if time.monotonic() > deadline:
                said = (self.folder / _LOG).read_text()[-2000:]
                raise ApiServerError(f"the API server did not start in {_START_SECONDS:.0f} s\n{said}")
            time.sleep(0.3)

    def kubectl(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever comes of it."""
        command = [str(self.kubectl_program), f"--kubeconfig={self.kubeconfig}", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, input=stdin)

    def established(self) -> None:
        """Return when every kind is served. Raises ApiServerError when one is not."""
        deadline = time.monotonic() + _START_SECONDS
        # kubectl does not wait for a kind that has no conditions yet: that is an error at once.
        wait = ("wait", "--for=condition=Established", "crds", "--all", "--timeout=30s")
        while (done := self.kubectl(*wait)).returncode != 0:
            if time.monotonic() > deadline:
                raise ApiServerError(f"kinds are not served: {done.stderr.strip()}")
            time.sleep(0.3)

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

    def try_to_create(self, body: Mapping[str, Any], *, strict: bool = False) -> Answer:
        """Ask for the object without making it; strictly, a field that its kind does not know is refused too."""
        return self._post(body, f"?dryRun=All{'&fieldValidation=Strict' if strict else ''}")

    def create(self, body: Mapping[str, Any]) -> Answer:
        """Make the object."""
        return self._post(body, "")

    def serves(self, version: str, kind: str) -> bool:
        """Whether there are objects of the kind."""
        return kind in self._kinds(version)

    def _post(self, body: Mapping[str, Any], how: str) -> Answer:
        status, answer, warnings = self._request("POST", f"{self._path(body)}{how}", body)
        return Answer(status, str(answer.get("message", "")) if status >= 400 else "", warnings)

    def _path(self, body: Mapping[str, Any]) -> str:
        version, kind = body["apiVersion"], body["kind"]
        name, namespaced = self._kinds(version)[kind]
        home = body["metadata"].get("namespace", "default")
        return f"{_root(version)}/namespaces/{home}/{name}" if namespaced else f"{_root(version)}/{name}"

    def _kinds(self, version: str) -> Mapping[str, tuple[str, bool]]:
        if version not in self.kinds:
            status, answer, _ = self._request("GET", _root(version))
            listed = answer["resources"] if status == 200 else ()
            self.kinds[version] = {
                each["kind"]: (each["name"], each["namespaced"]) for each in listed if "/" not in each["name"]
            }
        return self.kinds[version]

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any], tuple[str, ...]]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        found = json.loads(text) if is_json else {"message": text.decode()}
        warnings = tuple(_unquoted(each) for each in answer.headers.get_all("Warning") or ())
        return answer.status, found, warnings


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _unquoted(warning: str) -> str:
    """The text in `299 - "text"` (RFC 9111, 5.5)."""
    return re.sub(r"\\(.)", r"\1", warning.partition('"')[2].rpartition('"')[0])


@contextmanager
def started(folder: Path, programs: Programs) -> Iterator[ApiServer]:
    """An API server that keeps its files in ``folder``, for as long as the body runs: it may not answer yet."""
    client, peer, port = free_port(), free_port(), free_port()
    token = secrets.token_hex(16)
    tokens = folder / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{token},throw-away,throw-away,system:masters\n")
    key = folder / "accounts.key"
    key.touch(mode=0o600)
    key.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
    )
    with ExitStack() as running:
        running.enter_context(
            process(
                folder / "etcd.log", programs.etcd, f"--data-dir={folder / 'data'}", "--unsafe-no-fsync",
                f"--listen-client-urls=http://{_HOST}:{client}", f"--advertise-client-urls=http://{_HOST}:{client}",
                f"--listen-peer-urls=http://{_HOST}:{peer}",
            )
        )  # fmt: skip
        running.enter_context(
            process(
                folder / _LOG, programs.kube_apiserver, f"--etcd-servers=http://{_HOST}:{client}",
                f"--bind-address={_HOST}", f"--secure-port={port}", f"--cert-dir={folder}", "--authorization-mode=RBAC",
                "--allow-privileged=true",
                f"--token-auth-file={tokens}", "--service-account-issuer=https://throw-away.invalid",
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
                    "current-context": "throw-away",
                    "clusters": [{"name": "throw-away", "cluster": cluster}],
                    "users": [{"name": "throw-away", "user": {"token": token}}],
                    "contexts": [
                        {"name": "throw-away", "context": {"cluster": "throw-away", "user": "throw-away"}}
                    ],
                }
            )
        )
        yield ApiServer(folder, programs.kubectl, config, port, token)


_CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",
    "resourcequota-controller",
)
"""Those without which a quota, or an object that is deleted, never comes to its end."""


@contextmanager
def controllers(server: ApiServer, program: Path) -> Iterator[None]:
    """Kubernetes' own controllers beside it, as few as may be, for as long as the body runs."""
    words = ("--leader-elect=false", "--secure-port=0", f"--controllers={','.join(_CONTROLLERS)}")
    with process(server.folder / "controllers.log", program, f"--kubeconfig={server.kubeconfig}", *words):
        yield


@contextmanager
def process(log: Path, *command: str | Path) -> Iterator[int]:
    """A program that writes to a log of its own, for as long as the body runs; its process."""
    with log.open("w") as said:
        running = subprocess.Popen(
            [str(word) for word in command], stdout=said, stderr=said, env=os.environ, cwd=log.parent
        )
        try:
            yield running.pid
        finally:
            running.terminate()
            try:
                running.wait(timeout=20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def free_port() -> int:
    """One that nobody listens at on this machine's own address, for now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
