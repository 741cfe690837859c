"""The cluster's side of many tenants: Kueue's own program before an API server that holds all their objects, and jobs in every queue.

There are no nodes: what is measured is the queues and the API server, not work. Kueue's webhooks are taken away, since it runs beside the API
server and not in a pod.
"""

from __future__ import annotations

import json
import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import yaml

from bench.measured import Run, measure
from modules.foundation.queueing import kueue
from modules.kit import labels, names
from policies import api_server
from policies.api_server import ApiServer
from policies.footprint import held_mib
from profiles.load import load
from sandbox.images import KUEUE

_PATIENCE_SECONDS: Final = 1800.0
_METRICS_CERTIFICATE: Final = "kueue/metrics/certs"
"""Under /etc: Kueue takes it from nowhere else, and wants one when it is given certificates (cmd/kueue/main.go of v0.19)."""
_WITH_ETC: Final = (
    *("unshare", "--mount", "sh", "-c"),
    'mount -t overlay -o "lowerdir=$0:/etc" overlay /etc && exec "$@"',
)
"""Runs a program that finds a folder's files under /etc too, alone on this machine."""
_SINGLE: Final = ("GET", "POST", "PUT", "PATCH", "APPLY", "DELETE")
"""Verbs whose p99 Kubernetes bounds by a second (https://github.com/kubernetes/community/blob/master/sig-scalability/slos/api_call_latency.md)."""


@dataclass(frozen=True)
class Crowd:
    """What was seen of one cluster."""

    objects: int
    watches: int
    active: Run
    """Kueue, from its start until every ClusterQueue takes jobs."""
    admitted: Run
    """Jobs, from the first until Kueue has let in the last."""
    jobs: int
    waits: tuple[float, float]
    """Half of them, and 99 of 100, were let in within so many seconds, as whole seconds tell."""
    manager_mib: float
    calls: Mapping[str, float]
    """By verb, within how many seconds 99 of 100 calls were answered, as the server's own histogram tells."""


def crowd(server: ApiServer, objects: Sequence[Mapping[str, Any]], jobs: int) -> Crowd:
    """Let Kueue run before a server that has the objects, and give it so many jobs. Raises RuntimeError when it does not get on."""
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        _must(server, "delete", kind, "--all")
    homes = sorted({each["metadata"]["namespace"] for each in objects if each["kind"] == "LocalQueue"})
    with _manager(server, objects) as process:
        active = measure(
            f"{len(homes)} tenants' queues are open", lambda: _until(lambda: _all_active(server), process)
        )
        before = _calls(server)
        admitted = measure(f"{jobs} jobs are let in", lambda: _submit(server, homes, jobs, process))
        waits = sorted(_waits(server))
        counted = _calls(server)
        # The server counts its objects once a minute.
        _until(lambda: _stored(server) > 0, process)
        return Crowd(
            _stored(server),
            sum(_samples(server, "apiserver_longrunning_requests").values()),
            active,
            admitted,
            jobs,
            (waits[len(waits) // 2], waits[len(waits) * 99 // 100]),
            held_mib(process),
            {verb: _p99(before.get(verb, {}), counted[verb]) for verb in sorted(counted)},
        )


@contextmanager
def _manager(server: ApiServer, objects: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """Kueue, as the platform configures it but for what takes a cluster around it; its process."""
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
    asked = kueue.configuration(load("local-simulated").queueing)
    settings = {
        **asked,
        "featureGates": {**asked["featureGates"], "VisibilityOnDemand": False},
        "leaderElection": {"leaderElect": False},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": "0"},
        "webhook": {"port": api_server.free_port(), "certDir": str(folder)},
        "integrations": {"frameworks": ["batch/job"]},
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


def _all_active(server: ApiServer) -> bool:
    found = json.loads(_must(server, "get", "clusterqueues", "--output=json"))["items"]
    return all(_is(each, "Active") for each in found)


def _submit(server: ApiServer, homes: Sequence[str], jobs: int, process: int) -> None:
    asked = {"cpu": "1m", "memory": "1Mi"}
    container = {
        "name": "main",
        "image": "example.org/nothing:1.0.0",
        "resources": {"requests": asked, "limits": asked},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    with server.client() as client:
        for number in range(jobs):
            answer = client.create(
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "metadata": {
                        "name": f"job-{number}",
                        "namespace": homes[number % len(homes)],
                        "labels": {labels.QUEUE: names.DEFAULT_QUEUE},
                    },
                    "spec": {
                        "suspend": True,
                        "template": {"spec": pod},
                    },
                }
            )
            if answer.status >= 400:
                raise RuntimeError(answer.message)
    _until(lambda: len(list(_waits(server))) == jobs, process)


def _waits(server: ApiServer) -> Iterator[float]:
    """Seconds that each workload waited which was let in."""
    for each in json.loads(_must(server, "get", "workloads", "--all-namespaces", "--output=json"))["items"]:
        for condition in each.get("status", {}).get("conditions", ()):
            if condition["type"] == "Admitted" and condition["status"] == "True":
                began = datetime.fromisoformat(each["metadata"]["creationTimestamp"])
                yield (datetime.fromisoformat(condition["lastTransitionTime"]) - began).total_seconds()


def _is(found: Mapping[str, Any], condition: str) -> bool:
    return any(
        each["type"] == condition and each["status"] == "True"
        for each in found.get("status", {}).get("conditions", ())
    )


def _samples(server: ApiServer, metric: str) -> dict[str, int]:
    """A metric's values by its labels."""
    text = _must(server, "get", "--raw=/metrics")
    found = re.findall(rf"^{metric}{{(.*)}} (\S+)$", text, re.MULTILINE)
    return {labelled: int(float(value)) for labelled, value in found}


def _stored(server: ApiServer) -> int:
    return sum(_samples(server, "apiserver_resource_objects").values())


def _calls(server: ApiServer) -> dict[str, dict[float, int]]:
    """By verb, how many calls were answered within so many seconds."""
    found: dict[str, dict[float, int]] = {}
    for labelled, count in _samples(server, "apiserver_request_duration_seconds_bucket").items():
        told = dict(re.findall(r'(\w+)="([^"]*)"', labelled))
        verb = "LIST" if told["verb"] == "LIST" else "one object" if told["verb"] in _SINGLE else ""
        if verb and told["resource"]:
            bound = float(told["le"].replace("+Inf", "inf"))
            buckets = found.setdefault(verb, {})
            buckets[bound] = buckets.get(bound, 0) + count
    return found


def _p99(before: Mapping[float, int], after: Mapping[float, int]) -> float:
    counts = {bound: count - before.get(bound, 0) for bound, count in sorted(after.items())}
    most = max(counts.values())
    return next(bound for bound, count in counts.items() if count >= 0.99 * most)


def _until(done: Callable[[], bool], process: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        if not held_mib(process):
            raise RuntimeError("Kueue has ended")
        if time.monotonic() > deadline:
            raise RuntimeError(f"not done within {_PATIENCE_SECONDS:.0f} s")
        time.sleep(2)


def _must(server: ApiServer, *words: str) -> str:
    done = server.kubectl(*words)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout
