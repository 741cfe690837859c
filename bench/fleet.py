"""``python -m bench.fleet``: a fleet of N tenants, created, looked at again and changed, beside kubectl and Helm with the same objects.

``kubectl apply --server-side`` applies all of them, ``helm upgrade`` has them as one release. Each has an API server and Kubernetes' controllers of its own,
without nodes, and the platform has simulated nodes, and so no stores. Runs are of one session on one machine: ratios can be compared, seconds only where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table

from bench.control import Environment, apply, cluster, kinds
from bench.measured import Run, measure
from bench.queues import Crowd, crowd
from policies.api_server import Programs
from sandbox.golang import GoProgram

_OF_A_GROUP: Final = 15
_HELM: Final = GoProgram(
    "helm", Path(__file__).parent / "helm", "helm.sh/helm/v4", "helm.sh/helm/v4/cmd/helm", seconds=110
)


@dataclass(frozen=True)
class Place(Environment):
    """An environment with so many tenants."""

    tenants: int

    @property
    def groups(self) -> int:
        return max(1, -(-self.tenants // _OF_A_GROUP))

    def write(self, viewers: str = "readers", more: int = 0) -> None:
        """The profile, with so many tenants ``more``; the first one's people are ``viewers``."""
        record = {
            "owner": "a-team",
            "data_class": "internal",
            "burst": {"allowed": False},
            "quota": {"cpu": "300m", "memory": "1Gi", "storage": "5Gi", "pods": 20},
        }
        people = {"editor": ["writers"], "admin": ["leads"]}
        made = {
            f"tenant{number}": {**record, "groups": {"viewer": ["readers" if number else viewers], **people}}
            for number in range(self.tenants + more)
        }
        self.write_profile(
            {
                "description": "A fleet to measure.",
                "stacks": {"groups": self.groups},
                "node_pools": {"general": {"nodes": self.tenants + 1}},
                "tenants": made,
            }
        )


def main() -> int:
    """Measure, print a table for each number of tenants; 0 when every run did what it should."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--tenants", type=int, nargs="+", default=[10, 50, 100, 300, 1000])
    parser.add_argument("--jobs", type=int, default=2, help="how many each tenant queues (default: 2)")
    arguments = parser.parse_args()
    for number in arguments.tenants:
        with tempfile.TemporaryDirectory(prefix="longhouse-bench-") as name:
            _bench(number, number * arguments.jobs, Path(name))
    return 0


def _bench(number: int, jobs: int, folder: Path) -> None:
    programs = Programs.on_path()
    for each in ("fleet", "kubectl", "helm"):
        (folder / each).mkdir()
    with cluster(folder / "fleet", programs) as server:
        place = Place(folder, server, number)
        place.prepare()
        try:
            place.write()
            runs = [
                measure("create", lambda: place.fleet("up")),
                measure("no change", lambda: place.fleet("up")),
                measure("no change, every stack looked at", lambda: place.fleet("up", "--every")),
                measure("no change, preview of every stack", lambda: place.fleet("preview", "--every")),
            ]
            for what, viewers, more in (
                ("change one tenant", "others", 0),
                ("one tenant more", "others", 1),
                ("one tenant less", "others", 0),
            ):
                place.write(viewers, more)
                runs.append(measure(what, lambda: place.fleet("up")))
            objects = list(place.objects())
            states = sum(place.states.values())
        finally:
            place.forget(place.groups)
    title = f"{number} tenants in {place.groups} groups, {len(objects)} objects, {states:.1f} MB of states"
    with cluster(folder / "kubectl", programs) as server:
        least = [measure(what, lambda: apply(server, objects)) for what in ("create", "no change")]
        _print(title, runs, least, _release(folder / "helm", programs, objects))
        if jobs:
            _tell(crowd(server, objects, jobs))


def _release(folder: Path, programs: Programs, objects: Sequence[Mapping[str, Any]]) -> list[Run | str]:
    """Helm's runs, before a server of its own; instead of one that Helm refuses, its words."""
    helm = _HELM.build()
    chart = folder / "chart"
    (chart / "crds").mkdir(parents=True)
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v2", "name": "fleet", "version": "1.0.0"})
    )
    of_kinds, others = kinds(objects)
    # Helm would look for templates in what is text to it.
    written = "\n---\n".join(json.dumps(each) for each in others).replace("{{", '{{ "{{" }}')
    (chart / "templates" / "objects.yaml").write_text(written)
    (chart / "crds" / "kinds.yaml").write_text("\n---\n".join(json.dumps(each) for each in of_kinds))
    found: list[Run | str] = []
    with cluster(folder, programs) as server:
        env = {**os.environ, "KUBECONFIG": str(server.kubeconfig), "HELM_CACHE_HOME": str(folder / "cache")}
        words = (
            helm,
            "upgrade",
            "--install",
            "fleet",
            chart,
            "--namespace=default",
            "--server-side=true",
            "--take-ownership",
            "--force-conflicts",
        )
        for what in ("create", "no change"):
            said: list[str] = []

            def run(said: list[str] = said) -> None:
                done = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
                if done.returncode != 0:
                    said.append(done.stderr.strip().splitlines()[-1])

            seen = measure(what, run)
            found.append(f"{what}: {said[0][-200:]}" if said else seen)
    return found


def _print(title: str, runs: Sequence[Run], least: Sequence[Run], release: Sequence[Run | str]) -> None:
    table = Table("run", "time", "of processors", "peak memory", "times kubectl's", title=title)
    bound = {each.what: each.seconds for each in least}
    rows = [(each.what, each, each.seconds / bound.get(each.what, bound["no change"])) for each in runs]
    rows += [(f"kubectl apply: {each.what}", each, 1.0) for each in least]
    helm = [each for each in release if isinstance(each, Run)]
    rows += [(f"helm upgrade: {each.what}", each, each.seconds / bound[each.what]) for each in helm]
    for what, each, ratio in rows:
        table.add_row(
            what, f"{each.seconds:.1f} s", f"{each.busy:.1f} s", f"{each.peak_mib:,.0f} MiB", f"{ratio:.1f}"
        )
    console = Console(soft_wrap=True)
    console.print(table)
    for refused in release:
        if isinstance(refused, str):
            console.print(f"helm upgrade, {refused}", markup=False)


def _tell(seen: Crowd) -> None:
    busy = seen.admitted
    half, most = seen.waits
    said = [
        f"the cluster then has {seen.objects} objects and {seen.watches} watches",
        f"{seen.active.what} {seen.active.seconds:.0f} s after Kueue has started",
        f"{busy.what} in {busy.seconds:.0f} s, {seen.jobs / busy.seconds:.0f} a second; half of them within {half:.0f} s, 99 of 100 within {most:.0f} s",
        f"meanwhile 99 of 100 calls were answered within: {', '.join(f'{verb} {bound:g} s' for verb, bound in seen.calls.items())}",
        f"Kueue holds {seen.manager_mib:,.0f} MiB",
    ]
    Console(soft_wrap=True).print(*said, sep="\n", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
