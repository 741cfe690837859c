"""``python -m bench.gpus``: tenants of different weights who all want more GPUs than there are, in the platform's queues and, in the same run, without.

Nodes are simulated, so no program runs; the API server, the scheduler, the controllers and Kueue do. Every tenant submits as many jobs as every other,
in turn; each takes whole nodes for a fixed time. Its exit code is 1 where the queues did not share by weight, or left GPUs ungiven while work waited.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import control, fairness
from bench.control import PROFILE, Environment, Followed
from bench.fairness import Sighting, Span
from modules.foundation.gpu_pools import placement
from modules.kit import labels, names
from policies.api_server import ApiServer, Programs
from policies.footprint import held_mib
from profiles.load import load
from profiles.model import Profile
from sandbox import simulated
from sandbox.progress import Progress
from stacks import interrupts

_POOL: Final = "a100"
_WEIGHTS: Final = (1, 2, 3, 4)
"""Tenants' weights, in turn."""
_QUOTA_NODES: Final = 1
"""Nodes that a tenant of weight 1 is promised, of what its weight entitles it to; one of weight 2 twice as many."""
_JOB_LABEL: Final = "batch.kubernetes.io/job-name"
_RUNTIME: Final = "longhouse.dev/simulated-runtime"
_DEPLOY: Final = "deploy the platform"
_DEPLOY_SECONDS: Final = 40.0
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Load:
    """How much of everything."""

    nodes: int
    tenants: int
    jobs: int
    pods: int
    """Of each job; each takes a whole node."""
    seconds: int
    """That each job runs."""

    @property
    def weights(self) -> dict[str, int]:
        return {f"tenant{number}": _WEIGHTS[number % len(_WEIGHTS)] for number in range(self.tenants)}

    @property
    def fault(self) -> str:
        """Why shares by weight would not be whole jobs, which no queue can cut, or nothing would be left to borrow; empty when neither is so."""
        step = sum(self.weights.values()) * max(2 * _QUOTA_NODES, self.pods)
        if self.nodes % step == 0:
            return ""
        return f"{self.nodes} nodes cannot be shared by the weights of {self.tenants} tenants in jobs of {self.pods}: take a multiple of {step}"

    @property
    def expected_seconds(self) -> float:
        return 1.2 * self.jobs * self.pods / self.nodes * self.seconds + self.jobs / 40 + 20

    def profile(self) -> dict[str, Any]:
        """The bench's profile."""
        quota = {
            "cpu": "300m",
            "memory": "1Gi",
            "storage": "5Gi",
            "pods": 2 * self.pods * (-(-self.jobs // self.tenants)),
        }
        gpus = load("local-simulated").node_pools[_POOL].gpu
        assert gpus
        return {
            "description": "GPUs to share.",
            "node_pools": {
                "general": {"nodes": self.tenants + 1},
                _POOL: {"nodes": self.nodes},
                "cloud-l4": None,
            },
            "tenants": {
                name: {
                    "owner": "a-team",
                    "data_class": "internal",
                    "burst": {"allowed": False},
                    "quota": {
                        **quota,
                        "gpus": {_POOL: _QUOTA_NODES * gpus.count * weight},
                        "weight": weight,
                    },
                    "groups": {"viewer": ["readers"], "editor": ["writers"], "admin": ["leads"]},
                }
                for name, weight in self.weights.items()
            },
        }


@dataclass(frozen=True)
class Seen:
    """What was seen of one way to run the jobs. Parts are of the GPUs' time while work waited, times are in seconds."""

    contended_seconds: float
    """For how long every tenant was waiting."""
    shares: Mapping[str, float]
    """Of the GPUs' time in which every tenant was waiting, by tenant."""
    ungiven: float
    """Part for which GPUs were nobody's, as the queues see it; where there is none, as the scheduler does."""
    idle: float
    """Part for which GPUs had no pod."""
    between_jobs: float
    """Time for which a GPU stood without a pod between two jobs."""
    waited_for: float
    """Part for which GPUs were held by jobs that did not have all of theirs."""
    taken: int
    """How often GPUs were taken from a job that was not done."""
    lost: float
    """What those jobs had until then, as a part of all that was held."""
    wait_p50: float
    wait_p99: float
    """From a job's submission until all its pods had a node."""
    admitted_a_second: float
    """Jobs let in, in the busiest ten seconds."""
    bound_a_second: float
    """Pods that the scheduler gave a node, in the busiest ten seconds."""
    seconds: float
    """From the first submission until all was done."""
    manager_mib: float
    """Held by Kueue at the end."""


def main() -> int:
    """Measure, print tables; 0 when the queues did what is promised, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpus", description=__doc__)
    parser.add_argument("--nodes", type=int, default=200, help="with eight GPUs each (default: 200)")
    parser.add_argument("--tenants", type=int, default=20, help="default: 20")
    parser.add_argument("--jobs", type=int, default=2000, help="of all tenants together (default: 2000)")
    parser.add_argument("--pods", type=int, default=2, help="of each job, each on a node (default: 2)")
    parser.add_argument("--seconds", type=int, default=30, help="that each job runs (default: 30)")
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    arguments = parser.parse_args()
    asked = Load(arguments.nodes, arguments.tenants, arguments.jobs, arguments.pods, arguments.seconds)
    if asked.fault:
        parser.error(asked.fault)
    # Whoever ends it, nothing that it has started is left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupts.let_children_hear()
    try:
        with tempfile.TemporaryDirectory(prefix="longhouse-bench-") as name:
            return _bench(asked, Path(name), arguments.json)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what it had started has ended\n")
        return 130


def _bench(asked: Load, folder: Path, file: Path | None) -> int:
    programs = Programs.on_path()
    for each in ("queued", "plain"):
        (folder / each).mkdir()
    queued, plain = (f"{asked.jobs} jobs {how} queues" for how in ("with", "without"))
    told = Progress({_DEPLOY: _DEPLOY_SECONDS, queued: asked.expected_seconds, plain: asked.expected_seconds})
    with control.cluster(folder / "queued", programs, schedules=True) as server:
        place = Environment(folder, server)
        place.prepare()
        place.write_profile(asked.profile())
        profile = load(PROFILE, place.profiles)
        try:
            with told.task(_DEPLOY):
                place.fleet("up")
                objects = list(place.objects())
        finally:
            place.forget()
        with told.task(queued), control.queues_manager(server, objects, profile.queueing) as kueue:
            control.until(lambda: control.queues_are_open(server), kueue)
            with_queues = _run(server, profile, asked, told, queued, kueue)
    with control.cluster(folder / "plain", programs, schedules=True) as server, told.task(plain):
        control.apply(server, objects)
        for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
            control.must(server, "delete", kind, "--all")
        without = _run(server, profile, asked, told, plain, None)
    wanted = entitled(profile)
    found = fairness.faults(
        wanted, with_queues.shares, with_queues.ungiven, with_queues.contended_seconds / asked.seconds
    )
    _print(asked, wanted, with_queues, without)
    if file:
        figures = {
            "load": asdict(asked),
            "processors": os.cpu_count(),
            "entitled": wanted,
            "queued": asdict(with_queues),
            "plain": asdict(without),
            "faults": found,
        }
        file.write_text(json.dumps(figures, indent=1))
    for fault in found:
        sys.stderr.write(f"{fault}\n")
    return 1 if found else 0


def _run(
    server: ApiServer, profile: Profile, asked: Load, told: Progress, task: str, kueue: int | None
) -> Seen:
    """Submit all jobs, see all of them end. Without a Kueue the jobs' label says nothing to anybody."""
    pools = list(profile.node_pools.values())
    with ExitStack() as running:
        running.enter_context(control.nodes(server, simulated.nodes(pools, None)))
        pods = running.enter_context(control.followed(server, "/api/v1/pods", pod, _JOB_LABEL))
        workloads = (
            running.enter_context(
                control.followed(server, "/apis/kueue.x-k8s.io/v1beta2/workloads", workload)
            )
            if kueue is not None
            else None
        )
        begun = time.monotonic()
        submitted = _submit(server, asked, queued=kueue is not None)
        _until_done(asked, pods, workloads, told, task, kueue)
        ended = time.monotonic()
        return _judge(
            asked,
            placement.gpu_capacity(profile.node_pools[_POOL]),
            submitted,
            pods.seen,
            workloads.seen if workloads else None,
            ended - begun,
            held_mib(kueue) if kueue is not None else 0.0,
        )


def _submit(server: ApiServer, asked: Load, *, queued: bool) -> dict[str, float]:
    """When each job was taken, by namespace and name."""
    tenants = list(asked.weights)
    found = {}
    with server.client() as client:
        for number in range(asked.jobs):
            home, name = names.namespace(tenants[number % len(tenants)]), f"job-{number}"
            answer = client.create(job(asked, home, name, queued=queued))
            if answer.status >= 400:
                raise RuntimeError(answer.message)
            found[f"{home}/{name}"] = time.monotonic()
    return found


def job(asked: Load, home: str, name: str, *, queued: bool) -> dict[str, Any]:
    """One that takes whole nodes for its time; where it is queued it is made suspended, as Kueue's webhook would make it."""
    gpus = load("local-simulated").node_pools[_POOL].gpu
    assert gpus
    wanted = {"cpu": "1", "memory": "1Gi", placement.GPU_RESOURCE: str(gpus.count)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": home,
            "labels": {labels.QUEUE: names.GPU_QUEUE},
        },
        "spec": {
            "suspend": queued,
            "parallelism": asked.pods,
            "completions": asked.pods,
            "template": {
                "metadata": {"annotations": {_RUNTIME: f"{asked.seconds}s"}},
                "spec": {
                    "restartPolicy": "Never",
                    # The queue adds it by itself.
                    "tolerations": [{"key": placement.GPU_TAINT.key, "operator": "Exists"}],
                    "containers": [
                        {
                            "name": "main",
                            "image": "example.org/nothing:1.0.0",
                            "resources": {"requests": wanted, "limits": wanted},
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                },
            },
        },
    }


def pod(at: float, event: Mapping[str, Any]) -> Sighting:
    """What an event says of a pod: it holds GPUs from when it has a node until it ends."""
    found = event["object"]
    meta, phase = found["metadata"], found["status"].get("phase")
    over = event["type"] == "DELETED" or phase in ("Succeeded", "Failed")
    return Sighting(
        at,
        meta["uid"],
        meta["namespace"],
        f"{meta['namespace']}/{meta['labels'][_JOB_LABEL]}",
        "nodeName" in found["spec"] and not over,
        phase == "Succeeded",
    )


def workload(at: float, event: Mapping[str, Any]) -> Sighting:
    """What an event says of a job's Workload: it holds GPUs from when quota is reserved for it until it is finished, or the quota taken back."""
    found = event["object"]
    meta = found["metadata"]
    (owner,) = meta["ownerReferences"]
    done = control.holds(found, "Finished")
    return Sighting(
        at,
        meta["uid"],
        meta["namespace"],
        f"{meta['namespace']}/{owner['name']}",
        control.holds(found, "QuotaReserved") and not done and event["type"] != "DELETED",
        done,
    )


def _until_done(
    asked: Load,
    pods: Followed[Sighting],
    workloads: Followed[Sighting] | None,
    told: Progress,
    task: str,
    kueue: int | None,
) -> None:
    """Return when all pods have ended well and no job holds GPUs. Raises RuntimeError when nothing goes on."""
    followed = [each for each in (pods, workloads) if each]
    looked = [0] * len(followed)
    done: set[str] = set()
    holding: set[str] = set()
    patience = 120 + 10 * asked.seconds
    last = time.monotonic()
    while len(done) < asked.jobs * asked.pods or holding:
        time.sleep(_LOOK_SECONDS)
        for number, each in enumerate(followed):
            fresh = each.seen[looked[number] :]
            looked[number] += len(fresh)
            for sighting in fresh:
                last = sighting.at
                (holding.add if sighting.holds else holding.discard)(sighting.name)
                if each is pods and sighting.done:
                    done.add(sighting.name)
            if each.ended:
                raise RuntimeError("the API server tells no more of what it holds")
        told.note(task, f"{len(done)} of {asked.jobs * asked.pods} pods are done")
        if kueue is not None and not held_mib(kueue):
            raise RuntimeError("Kueue has ended")
        if time.monotonic() - last > patience:
            raise RuntimeError(
                f"nothing happened for {patience} s, and {len(done)} of {asked.jobs * asked.pods} pods are done"
            )


def _judge(
    asked: Load,
    gpus: int,
    submitted: Mapping[str, float],
    pods: Sequence[Sighting],
    workloads: Sequence[Sighting] | None,
    seconds: float,
    manager_mib: float,
) -> Seen:
    a_node = gpus // asked.nodes
    on_nodes = fairness.spans(pods, a_node)
    given = on_nodes if workloads is None else fairness.spans(workloads, a_node * asked.pods)
    all_wait = fairness.contended(given, submitted, asked.seconds)
    one_waits = fairness.crowded(given, submitted)
    whole = _whole(on_nodes)
    waits = [at - submitted[job] for job, at in whole.items()]
    admitted = whole.values() if workloads is None else [span.begun for span in given]
    taken, lost = fairness.lost(given)
    shares = fairness.shares(on_nodes, all_wait)
    return Seen(
        contended_seconds=all_wait.seconds,
        shares={tenant: shares.get(names.namespace(tenant), 0.0) for tenant in asked.weights},
        ungiven=fairness.idle(given, one_waits, gpus),
        idle=fairness.idle(on_nodes, one_waits, gpus),
        between_jobs=fairness.between_jobs(on_nodes, one_waits, gpus),
        waited_for=fairness.waited_for(on_nodes, one_waits, gpus),
        taken=taken,
        lost=lost,
        wait_p50=fairness.centile(waits, 50),
        wait_p99=fairness.centile(waits, 99),
        admitted_a_second=fairness.busiest(admitted),
        bound_a_second=fairness.busiest(span.begun for span in on_nodes),
        seconds=seconds,
        manager_mib=manager_mib,
    )


def _whole(held: Sequence[Span]) -> dict[str, float]:
    """When each job had all its pods on nodes, in the attempt that was its last."""
    found: dict[str, float] = {}
    for span in held:
        if span.done:
            found[span.job] = max(span.begun, found.get(span.job, span.begun))
    return found


def entitled(profile: Profile) -> dict[str, float]:
    """By the profile as the platform reads it."""
    return fairness.entitled(
        {name: tenant.quota.gpus[_POOL] for name, tenant in profile.tenants.items()},
        {name: tenant.quota.weight for name, tenant in profile.tenants.items()},
        placement.gpu_capacity(profile.node_pools[_POOL]),
    )


def _print(asked: Load, wanted: Mapping[str, float], queued: Seen, plain: Seen) -> None:
    console = Console(soft_wrap=True, highlight=False)
    by_weight = Table(
        "weight", "tenants", "entitled to", "with queues", "without",
        title=f"Shares of the GPUs' time while all {asked.tenants} tenants waited, from the least to the most",
    )  # fmt: skip
    for weight in sorted(set(asked.weights.values())):
        those = [name for name, own in asked.weights.items() if own == weight]
        by_weight.add_row(
            str(weight), str(len(those)), *(_range([part[name] for name in those]) for part in (wanted, queued.shares, plain.shares))
        )  # fmt: skip
    console.print(by_weight)
    table = Table(
        "", "with queues", "without",
        title=f"{asked.jobs} jobs of {asked.pods} whole nodes for {asked.seconds} s each, {asked.nodes} nodes",
    )  # fmt: skip
    rows: tuple[tuple[str, str, str], ...] = (
        ("contended for", "contended_seconds", "{:.0f} s"),
        ("GPUs given to nobody while work waited", "ungiven", "{:.1%}"),
        ("GPUs without a pod while work waited", "idle", "{:.1%}"),
        ("a GPU without a pod between two jobs", "between_jobs", "{:.1f} s"),
        ("GPUs held by jobs that wait for the rest of theirs", "waited_for", "{:.2%}"),
        ("jobs that had their GPUs taken", "taken", "{}"),
        ("GPU time lost by that", "lost", "{:.2%}"),
        ("a job waits, half of them at most", "wait_p50", "{:.0f} s"),
        ("a job waits, 99 of 100 at most", "wait_p99", "{:.0f} s"),
        ("jobs let in, at best", "admitted_a_second", "{:.1f} a second"),
        ("pods given a node, at best", "bound_a_second", "{:.1f} a second"),
        ("all done after", "seconds", "{:.0f} s"),
        ("memory of Kueue", "manager_mib", "{:.0f} MiB"),
    )
    for what, field, shape in rows:
        table.add_row(what, *(shape.format(getattr(each, field)) for each in (queued, plain)))
    console.print(table)
    console.print(f"{os.cpu_count()} cores; {os.getloadavg()[2]:.1f} programs wanted them, over 15 minutes")


def _range(parts: Sequence[float]) -> str:
    least, most = f"{min(parts):.2%}", f"{max(parts):.2%}"
    return least if least == most else f"{least} to {most}"


if __name__ == "__main__":
    sys.exit(main())
