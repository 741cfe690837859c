"""``python -m bench.fleet``: a fleet of N tenants, created, looked at again and changed, beside ``kubectl apply --server-side`` of the same objects.

Both have an API server of their own, without nodes, and the platform with simulated nodes, and so without stores. Runs are of one session on one machine:
ratios can be compared, seconds only where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table

from modules.kit.parts import StackName, group_of
from policies import api_server
from policies.api_server import ApiServer, Programs
from profiles.load import DIRECTORY
from sandbox.places import CHECKOUT
from sandbox.platform import install_provider
from stacks.deploy import config_file

_PROFILE: Final = "local-bench"
_PLATFORM: Final = f"{_PROFILE}-current"
_OF_A_GROUP: Final = 25
_SECRET: Final = "4dabf18193072939515e22adb298388d"
"""Key of a secret in a state (Pulumi's resource.SigKey)."""


@dataclass(frozen=True)
class Run:
    """One measured run: its seconds by the clock and on the processors."""

    what: str
    seconds: float
    busy: float


@dataclass(frozen=True)
class Place:
    """A cluster, profiles and a Pulumi home of the bench's own."""

    folder: Path
    server: ApiServer
    tenants: int

    @property
    def groups(self) -> int:
        return max(2, -(-self.tenants // _OF_A_GROUP))

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

    def write(self, viewers: str = "readers") -> None:
        """The profile; the first tenant's people are ``viewers``."""
        record = {
            "owner": "a-team",
            "data_class": "internal",
            "burst": {"allowed": False},
            "quota": {"cpu": "300m", "memory": "1Gi", "storage": "5Gi", "pods": 20},
        }
        people = {"editor": ["writers"], "admin": ["leads"]}
        made = {
            f"tenant{number}": {**record, "groups": {"viewer": ["readers" if number else viewers], **people}}
            for number in range(self.tenants)
        }
        profile = {
            "extends": "local-simulated",
            "description": "A fleet to measure.",
            "stacks": {"groups": self.groups},
            "node_pools": {"general": {"nodes": self.tenants}},
            "tenants": {"atlas": None, "borealis": None, **made},
        }
        (self.folder / "profiles" / f"{_PROFILE}.yaml").write_text(yaml.safe_dump(profile))

    def fleet(self, *words: str) -> None:
        command = [sys.executable, "-m", "stacks.fleet", *words, f"--profile={_PROFILE}", "--yes"]
        subprocess.run(command, check=True, env=self.environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL)

    def objects(self) -> Iterator[dict[str, Any]]:
        """Every object of the cluster that a state holds, as it was declared."""
        env = {
            **self.environment,
            "PULUMI_BACKEND_URL": f"file://{self.folder}/data/longhouse/state",
            "PULUMI_CONFIG_PASSPHRASE_FILE": f"{self.folder}/data/longhouse/passphrase",
        }
        for group in (None, *range(1, self.groups + 1)):
            words = [
                "pulumi",
                "stack",
                "export",
                "--show-secrets",
                "--stack",
                str(StackName(_PLATFORM, group)),
            ]
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
    parser.add_argument("--tenants", type=int, nargs="+", default=[10, 50, 100])
    for number in parser.parse_args().tenants:
        with tempfile.TemporaryDirectory(prefix="longhouse-bench-") as name:
            _bench(number, Path(name))
    return 0


def _bench(number: int, folder: Path) -> None:
    programs = Programs.on_path()
    manager = shutil.which("kube-controller-manager")
    assert manager, "kube-controller-manager is not on PATH: `python -m sandbox pulumi` says where it is"
    shutil.copytree(DIRECTORY, folder / "profiles", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    install_provider(folder / "pulumi")
    for each in ("fleet", "kubectl"):
        (folder / each).mkdir()
    with (
        api_server.started(folder / "fleet", programs) as server,
        api_server.controllers(server, Path(manager)),
    ):
        server.wait()
        place = Place(folder, server, number)
        one = StackName(_PLATFORM, group_of("tenant0", place.groups))
        try:
            place.write()
            runs = [
                _measure("create", lambda: place.fleet("up")),
                _measure("no change", lambda: place.fleet("up")),
            ]
            place.write("others")
            runs.append(_measure("change one tenant, look at all", lambda: place.fleet("up")))
            place.write()
            runs.append(
                _measure("change one tenant, its stack only", lambda: place.fleet("up", f"--only={one}"))
            )
            objects = list(place.objects())
        finally:
            for group in (None, *range(1, place.groups + 1)):
                config_file(str(StackName(_PLATFORM, group))).unlink(missing_ok=True)
    with api_server.started(folder / "kubectl", programs) as server:
        server.wait()
        least = [_measure(what, lambda: _apply(server, objects)) for what in ("create", "no change")]
    _print(number, len(objects), runs, least)


def _apply(server: ApiServer, objects: Sequence[Mapping[str, Any]]) -> None:
    """Kinds first, then namespaces, then the rest."""
    kinds = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
    homes = [each for each in objects if each["kind"] == "Namespace"]
    rest = [each for each in objects if each not in kinds and each not in homes]
    for part in (kinds, homes, rest):
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": part})
        done = server.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=stdin)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        if part is kinds:
            server.established()


def _measure(what: str, run: Callable[[], object]) -> Run:
    before, begun = _busy(), monotonic()
    run()
    return Run(what, monotonic() - begun, _busy() - before)


def _busy() -> float:
    """Seconds on processors of what was started and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _print(tenants: int, objects: int, runs: Sequence[Run], least: Sequence[Run]) -> None:
    table = Table(
        "run", "time", "of processors", "times kubectl's", title=f"{tenants} tenants, {objects} objects"
    )
    bound = {each.what: each.seconds for each in least}
    for each in runs:
        ratio = each.seconds / bound.get(each.what, bound["no change"])
        table.add_row(each.what, f"{each.seconds:.1f} s", f"{each.busy:.1f} s", f"{ratio:.1f}")
    for each in least:
        table.add_row(f"kubectl apply: {each.what}", f"{each.seconds:.1f} s", f"{each.busy:.1f} s", "1")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
