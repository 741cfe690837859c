"""The cluster's side of many tenants: Kueue's own program before an API server that holds all their objects, and jobs in every queue.

There are no nodes: what is measured is the queues and the API server, not work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bench.control import must, queues_are_open, queues_manager, until
from bench.measured import Run, measure
from modules.kit import labels, names
from policies.api_server import ApiServer
from policies.footprint import held_mib
from profiles.load import load

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
    homes = sorted({each["metadata"]["namespace"] for each in objects if each["kind"] == "LocalQueue"})
    with queues_manager(server, objects, load("local-simulated").queueing) as process:
        active = measure(
            f"{len(homes)} tenants' queues are open", lambda: until(lambda: queues_are_open(server), process)
        )
        before = _calls(server)
        admitted = measure(f"{jobs} jobs are let in", lambda: _submit(server, homes, jobs, process))
        waits = sorted(_waits(server))
        counted = _calls(server)
        # The server counts once a minute, kind by kind.
        until(lambda: _stored(server) >= len(objects), process)
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
    until(lambda: len(list(_waits(server))) == jobs, process)


def _waits(server: ApiServer) -> Iterator[float]:
    """Seconds that each workload waited which was let in."""
    for each in json.loads(must(server, "get", "workloads", "--all-namespaces", "--output=json"))["items"]:
        for condition in each.get("status", {}).get("conditions", ()):
            if condition["type"] == "Admitted" and condition["status"] == "True":
                began = datetime.fromisoformat(each["metadata"]["creationTimestamp"])
                yield (datetime.fromisoformat(condition["lastTransitionTime"]) - began).total_seconds()


def _samples(server: ApiServer, metric: str) -> dict[str, int]:
    """A metric's values by its labels."""
    text = must(server, "get", "--raw=/metrics")
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
