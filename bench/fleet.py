"""``python -m bench.fleet``: a fleet of N tenants, created, looked at again and changed, beside kubectl and Helm with the same objects.

``kubectl apply --server-side`` applies all of them, ``helm upgrade`` has them as one release. Each has an API server and Kubernetes' controllers of its own,
without nodes, and the platform has simulated nodes, and so no stores. Runs are of one session on one machine: ratios can be compared, seconds only where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table

from bench.measured import Run, measure
from bench.queues import Crowd, crowd
from modules.kit.parts import StackName
from policies import api_server
from policies.api_server import ApiServer, Programs
from profiles.load import DIRECTORY
from sandbox.golang import GoProgram
from sandbox.places import CHECKOUT
from sandbox.platform import install_provider
from stacks.deploy import config_file

_PROFILE: Final = "local-bench"
_PLATFORM: Final = f"{_PROFILE}-current"
_OF_A_GROUP: Final = 15
_HELM: Final = GoProgram(
    "helm", Path(__file__).parent / "helm", "helm.sh/helm/v4", "helm.sh/helm/v4/cmd/helm", seconds=110
)
_SECRET: Final = "4dabf18193072939515e22adb298388d"
"""Key of a secret in a state (Pulumi's resource.SigKey)."""


@dataclass(frozen=True)
class Place:
    """A cluster, profiles and a Pulumi home of the bench's own."""

    folder: Path
    server: ApiServer
    tenants: int

    @property
    def groups(self) -> int:
        return max(1, -(-self.tenants // _OF_A_GROUP))

    @property
    def environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        return {
            **mine,
            "KUBECONFIG": str(self.server.kubeconfig),
            "LONGHOUSE_PROFILES": str(self.folder / "profiles"),
            "PULUMI_HOME": str(self.folder / "pulumi"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_STATE_HOME": str(self.folder / "logs"),
        }

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
        profile = {
            "extends": "local-simulated",
            "description": "A fleet to measure.",
            "stacks": {"groups": self.groups},
            "cluster": {"pod_cidr": "10.128.0.0/12"},
            "node_pools": {"general": {"nodes": self.tenants + 1}},
            "tenants": {"atlas": None, "borealis": None, **made},
        }
        (self.folder / "profiles" / f"{_PROFILE}.yaml").write_text(yaml.safe_dump(profile))

    def fleet(self, *words: str) -> None:
        command = [sys.executable, "-m", "stacks.fleet", *words, f"--profile={_PROFILE}", "--yes"]
        subprocess.run(command, check=True, env=self.environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL)

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
    shutil.copytree(DIRECTORY, folder / "profiles", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    install_provider(folder / "pulumi")
    for each in ("fleet", "kubectl", "helm"):
        (folder / each).mkdir()
    with _cluster(folder / "fleet", programs) as server:
        place = Place(folder, server, number)
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
            for group in (None, *range(1, place.groups + 1)):
                config_file(str(StackName(_PLATFORM, group))).unlink(missing_ok=True)
    title = f"{number} tenants in {place.groups} groups, {len(objects)} objects, {states:.1f} MB of states"
    with _cluster(folder / "kubectl", programs) as server:
        least = [measure(what, lambda: _apply(server, objects)) for what in ("create", "no change")]
        _print(title, runs, least, _release(folder / "helm", programs, objects))
        if jobs:
            _tell(crowd(server, objects, jobs))


@contextmanager
def _cluster(folder: Path, programs: Programs) -> Iterator[ApiServer]:
    manager = shutil.which("kube-controller-manager")
    assert manager, "kube-controller-manager is not on PATH: `python -m sandbox pulumi` says where it is"
    with (
        api_server.started(folder, programs) as server,
        api_server.controllers(server, Path(manager)),
    ):
        server.wait()
        yield server


def _apply(server: ApiServer, objects: Sequence[Mapping[str, Any]]) -> None:
    """Kinds first, then namespaces, then the rest."""
    kinds, others = _kinds(objects)
    homes = [each for each in others if each["kind"] == "Namespace"]
    rest = [each for each in others if each["kind"] != "Namespace"]
    for part in (kinds, homes, rest):
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": part})
        done = server.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=stdin)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        if part is kinds:
            server.established()


def _release(folder: Path, programs: Programs, objects: Sequence[Mapping[str, Any]]) -> list[Run | str]:
    """Helm's runs, before a server of its own; instead of one that Helm refuses, its words."""
    helm = _HELM.build()
    chart = folder / "chart"
    (chart / "crds").mkdir(parents=True)
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v2", "name": "fleet", "version": "1.0.0"})
    )
    kinds, others = _kinds(objects)
    # Helm would look for templates in what is text to it.
    written = "\n---\n".join(json.dumps(each) for each in others).replace("{{", '{{ "{{" }}')
    (chart / "templates" / "objects.yaml").write_text(written)
    (chart / "crds" / "kinds.yaml").write_text("\n---\n".join(json.dumps(each) for each in kinds))
    found: list[Run | str] = []
    with _cluster(folder, programs) as server:
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


def _kinds(objects: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Those that define kinds, and the others."""
    kinds = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
    return kinds, [each for each in objects if each["kind"] != "CustomResourceDefinition"]


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
