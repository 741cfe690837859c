"""What benches run before an API server: the platform, deployed by its own command, Kueue's own program, and Kubernetes' own beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

import yaml

from modules.foundation.queueing import kueue
from modules.foundation.queueing.config import Queueing
from modules.kit.parts import StackName
from policies import api_server
from policies.api_server import ApiServer, Programs
from policies.footprint import held_mib
from profiles.load import DIRECTORY
from sandbox import simulated, tools
from sandbox.images import KUEUE
from sandbox.places import CHECKOUT
from sandbox.platform import install_provider
from stacks.deploy import config_file

PROFILE: Final = "local-bench"
_PLATFORM: Final = f"{PROFILE}-current"
_PATIENCE_SECONDS: Final = 1800.0
_SECRET: Final = "4dabf18193072939515e22adb298388d"
"""Key of a secret in a state (Pulumi's resource.SigKey)."""
_METRICS_CERTIFICATE: Final = "kueue/metrics/certs"
"""Under /etc: Kueue takes it from nowhere else, and wants one when it is given certificates (cmd/kueue/main.go of v0.19)."""
_WITH_ETC: Final = (
    *("unshare", "--mount", "sh", "-c"),
    'mount -t overlay -o "lowerdir=$0:/etc" overlay /etc && exec "$@"',
)
"""Runs a program that finds a folder's files under /etc too, alone on this machine."""
_CALLS: Final = 300
"""Calls a second that each of Kubernetes' own programs may make: by default they are so few (20 and 50) that they would be what is measured."""

T = TypeVar("T")


@dataclass(frozen=True)
class Environment:
    """A cluster, profiles and a Pulumi home of the bench's own."""

    folder: Path
    server: ApiServer

    @property
    def environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        return {
            **mine,
            "KUBECONFIG": str(self.server.kubeconfig),
            "LONGHOUSE_PROFILES": str(self.profiles),
            "PULUMI_HOME": str(self.folder / "pulumi"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_STATE_HOME": str(self.folder / "logs"),
        }

    @property
    def profiles(self) -> Path:
        """A copy of the shipped ones, with the bench's own beside them."""
        return self.folder / "profiles"

    def prepare(self) -> None:
        """Put what a deployment takes into the folder."""
        shutil.copytree(DIRECTORY, self.profiles, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        install_provider(self.folder / "pulumi")

    def write_profile(self, profile: Mapping[str, Any]) -> None:
        """Make this the bench's profile, on top of the simulated one and without its tenants."""
        whole = {
            "extends": "local-simulated",
            "cluster": {"pod_cidr": "10.128.0.0/12"},
            **profile,
            "tenants": {"atlas": None, "borealis": None, **profile["tenants"]},
        }
        (self.profiles / f"{PROFILE}.yaml").write_text(yaml.safe_dump(whole))

    def fleet(self, *words: str) -> None:
        command = [sys.executable, "-m", "stacks.fleet", *words, f"--profile={PROFILE}", "--yes"]
        subprocess.run(command, check=True, env=self.environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL)

    def forget(self, groups: int = 0) -> None:
        """Take away what a deployment leaves in the checkout."""
        for group in (None, *range(1, groups + 1)):
            config_file(str(StackName(_PLATFORM, group))).unlink(missing_ok=True)

    @property
    def states(self) -> dict[str, float]:
        """Size of each stack's state, in MB."""
        folder = self.folder / "data" / "longhouse" / "state" / ".pulumi" / "stacks"
        return {each.stem: each.stat().st_size / 1e6 for each in folder.rglob("*.json")}

    def objects(self) -> Iterator[dict[str, Any]]:
        """Every object of the cluster that a state holds, as it was declared."""
        env = {
            **self.environment,
            "PULUMI_BACKEND_URL": f"file://{self.folder}/data/longhouse/state",
            "PULUMI_CONFIG_PASSPHRASE_FILE": f"{self.folder}/data/longhouse/passphrase",
        }
        for stack in self.states:
            words = ["pulumi", "stack", "export", "--show-secrets", "--stack", stack]
            done = subprocess.run(words, check=True, capture_output=True, text=True, env=env, cwd=CHECKOUT)
            for each in json.loads(done.stdout)["deployment"]["resources"]:
                if each["type"].startswith("kubernetes:") and each.get("id"):
                    yield _plain(each["inputs"])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if _SECRET in value:
            return _plain(json.loads(value["plaintext"]))
        return {key: _plain(inner) for key, inner in value.items() if not key.startswith("__")}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


@contextmanager
def cluster(folder: Path, programs: Programs, *, schedules: bool = False) -> Iterator[ApiServer]:
    """An API server with as few of Kubernetes' controllers as may be; or, where pods shall be scheduled, with all of them and the scheduler."""
    with ExitStack() as running:
        server = running.enter_context(api_server.started(folder, programs))
        server.wait()
        manager = _on_path("kube-controller-manager")
        if not schedules:
            running.enter_context(api_server.controllers(server, manager))
            yield server
            return
        settings = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(server.kubeconfig), "qps": _CALLS, "burst": 2 * _CALLS},
            "leaderElection": {"leaderElect": False},
        }
        file = folder / "scheduler.yaml"
        file.write_text(yaml.safe_dump(settings))
        running.enter_context(
            api_server.process(
                folder / "controllers.log", manager, f"--kubeconfig={server.kubeconfig}", "--leader-elect=false",
                "--secure-port=0", f"--kube-api-qps={_CALLS}", f"--kube-api-burst={2 * _CALLS}",
            )
        )  # fmt: skip
        words = (_on_path("kube-scheduler"), f"--config={file}", "--secure-port=0")
        running.enter_context(api_server.process(folder / "scheduler.log", *words))
        yield server


def apply(server: ApiServer, objects: Sequence[Mapping[str, Any]]) -> None:
    """Kinds first, then namespaces, then the rest. Raises RuntimeError with what kubectl complains of."""
    of_kinds, others = kinds(objects)
    homes = [each for each in others if each["kind"] == "Namespace"]
    rest = [each for each in others if each["kind"] != "Namespace"]
    for part in (of_kinds, homes, rest):
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": part})
        must(server, "apply", "--server-side", "--force-conflicts", "--filename=-", stdin=stdin)
        if part is of_kinds:
            server.established()


def kinds(objects: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Those that define kinds, and the others."""
    found = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
    return found, [each for each in objects if each["kind"] != "CustomResourceDefinition"]


def must(server: ApiServer, *words: str, stdin: str | None = None) -> str:
    """What kubectl says. Raises RuntimeError with its complaint."""
    done = server.kubectl(*words, stdin=stdin)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


@contextmanager
def queues_manager(
    server: ApiServer,
    objects: Sequence[Mapping[str, Any]],
    config: Queueing,
    frameworks: Sequence[str] = ("batch/job",),
) -> Iterator[int]:
    """Kueue, as the platform configures it but for what takes a cluster around it; its process. ``frameworks`` are the kinds that it queues.

    Its webhooks are taken away, since it runs beside the API server and not in a pod.
    """
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        must(server, "delete", kind, "--all")
    folder = server.folder / "kueue"
    under = folder / "etc" / _METRICS_CERTIFICATE
    under.mkdir(parents=True)
    (secret,) = [
        each
        for each in objects
        if (each["kind"], each["metadata"]["name"]) == ("Secret", kueue.SERVER_SECRET)
    ]
    for name, text in secret["data"].items():
        for place in (folder, under):
            (place / name).write_bytes(b64decode(text))
    asked = kueue.configuration(config)
    settings = {
        **asked,
        "featureGates": {**asked["featureGates"], "VisibilityOnDemand": False},
        "leaderElection": {"leaderElect": False},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": "0"},
        "webhook": {"port": api_server.free_port(), "certDir": str(folder)},
        "integrations": {"frameworks": list(frameworks)},
    }
    file = folder / "configuration.yaml"
    file.write_text(yaml.safe_dump(settings))
    words = (f"--config={file}", f"--kubeconfig={server.kubeconfig}", "--zap-log-level=error")
    log = folder / "log"
    try:
        with api_server.process(log, *_WITH_ETC, folder / "etc", KUEUE.build(), *words) as process:
            yield process
    except RuntimeError as problem:
        raise RuntimeError(f"{problem}; its log: {log.read_text()[-2000:]}") from problem


def queues_are_open(server: ApiServer) -> bool:
    """Whether every ClusterQueue takes jobs."""
    found = json.loads(must(server, "get", "clusterqueues", "--output=json"))["items"]
    return all(holds(each, "Active") for each in found)


def holds(found: Mapping[str, Any], condition: str) -> bool:
    """Whether the object's status says that the condition is true."""
    return any(
        each["type"] == condition and each["status"] == "True"
        for each in found.get("status", {}).get("conditions", ())
    )


def until(done: Callable[[], bool], process: int, what: str = "Kueue") -> None:
    """Return when it is done. Raises RuntimeError when the process has ended before, or when it takes too long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        if not held_mib(process):
            raise RuntimeError(f"{what} has ended")
        if time.monotonic() > deadline:
            raise RuntimeError(f"not done within {_PATIENCE_SECONDS:.0f} s")
        time.sleep(2)


@contextmanager
def nodes(server: ApiServer, wanted: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """These simulated nodes, which are ready when the body runs. Raises RuntimeError when they do not become so."""
    kwok = tools.KWOK.on_path() or tools.KWOK.program.build()
    whole = {"apiVersion": "v1", "kind": "List", "items": wanted}
    must(server, "create", "--filename=-", stdin=json.dumps(whole))
    words = simulated.command(kwok, server.kubeconfig)
    with api_server.process(server.folder / "kwok.log", *words) as process:
        until(lambda: _all_ready(server), process, "kwok")
        yield


def _all_ready(server: ApiServer) -> bool:
    found = json.loads(must(server, "get", "nodes", "--output=json"))["items"]
    return all(
        holds(each, "Ready")
        and not any(
            taint["key"].startswith("node.kubernetes.io/") for taint in each["spec"].get("taints", ())
        )
        for each in found
    )


def _on_path(name: str) -> Path:
    found = shutil.which(name)
    assert found, f"{name} is not on PATH: `python -m sandbox pulumi` says where it is"
    return Path(found)


@dataclass
class Followed(Generic[T]):
    """What became of some objects, in the order in which it was seen."""

    seen: list[T] = field(default_factory=list)
    ended: bool = False
    """Whether the API server tells no more of them."""


@contextmanager
def followed(
    server: ApiServer, path: str, look: Callable[[float, Mapping[str, Any]], T], selector: str = ""
) -> Iterator[Followed[T]]:
    """A kind's objects whose labels fit, for as long as the body runs: ``look`` is given the time (`time.monotonic`) and each of the API server's events."""
    found: Followed[T] = Followed()

    def listen() -> None:
        with server.client() as client:
            head = {"Authorization": f"Bearer {client.token}"}
            asked = urlencode({"watch": "true", "timeoutSeconds": 100_000, "labelSelector": selector})
            client.connection.request("GET", f"{path}?{asked}", headers=head)
            answer = client.connection.getresponse()
            try:
                for line in answer:
                    found.seen.append(look(time.monotonic(), json.loads(line)))
            except (OSError, HTTPException):  # The API server has ended.
                pass
            finally:
                found.ended = True

    # The connection ends with the API server, and the thread with it.
    threading.Thread(target=listen, daemon=True).start()
    yield found
