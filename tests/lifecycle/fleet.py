"""An environment of the tests' own before a real API server, deployed by the command for all its stacks.

The platform is the real one with simulated nodes, and so without stores, but with Spark's objects. No pod runs, and every object is Kubernetes' own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from modules.kit.labels import TENANT
from modules.kit.names import namespace
from profiles.load import DIRECTORY
from sandbox import tools
from sandbox.platform import install_provider
from stacks.deploy import CHECKOUT, config_file
from tests.api_server import ApiServer, api_server, controllers

_PROFILE = "local-fleet"
_GOING_SECONDS = 120
PLATFORM = f"{_PROFILE}-current"
ONE, TWO = f"{PLATFORM}-tenants-1", f"{PLATFORM}-tenants-2"


@dataclass
class Environment:
    """A profile, a cluster, and the command."""

    server: ApiServer
    folder: Path
    env: dict[str, str]

    def write(self, groups: int | None, *tenants: str, viewers: str = "readers") -> None:
        """The profile with so many groups and those tenants."""
        record = {
            "owner": "a-team",
            "data_class": "internal",
            "burst": {"allowed": False},
            "quota": {"cpu": "300m", "memory": "1Gi", "storage": "5Gi", "pods": 20},
        }
        people = {"editor": ["writers"], "admin": ["leads"]}
        profile = {
            "extends": "local-simulated",
            "description": "A fleet.",
            "stacks": {"groups": groups} if groups else None,
            "spark": {},
            "node_pools": {"general": {"nodes": 8}},
            "tenants": {"atlas": None, "borealis": None}
            | {
                name: {**record, "groups": {"viewer": [viewers if name == "cobalt" else "readers"], **people}}
                for name in tenants
            },
        }
        (self.folder / "profiles" / f"{_PROFILE}.yaml").write_text(yaml.safe_dump(profile))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "stacks.fleet", *words, f"--profile={_PROFILE}"]

    def fleet(self, *words: str, code: int = 0) -> str:
        """What the command says."""
        done = subprocess.run(
            self.command(*words, *(("--yes",) if words[0] in ("up", "destroy") else ())),
            check=False, capture_output=True, text=True, cwd=CHECKOUT, env=self.env, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def pulumi(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Pulumi by hand, with the state that the command uses."""
        data = self.folder / "data" / "longhouse"
        state = {
            "PULUMI_BACKEND_URL": f"file://{data}/state",
            "PULUMI_CONFIG_PASSPHRASE_FILE": f"{data}/passphrase",
        }
        return subprocess.run(
            [str(self.folder / "bin" / "pulumi"), *words, "--non-interactive"], check=False, capture_output=True, text=True, cwd=CHECKOUT,
            env={**state, **self.env}, input=stdin,
        )  # fmt: skip

    def doctor(self, *words: str, code: int = 0) -> str:
        """What is wrong."""
        done = subprocess.run(
            [sys.executable, "-m", "stacks.doctor", *words, f"--profile={_PROFILE}"],
            check=False, capture_output=True, text=True, cwd=CHECKOUT, env=self.env, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout.partition("profile ")[2].partition("\n")[2].strip()

    def keep(self, *tenants: str) -> None:
        """Let tenants' people make something in their namespaces that holds data."""
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        for name in tenants:
            meta = {"name": "mine", "namespace": namespace(name), "labels": {"keeps": "data"}}
            self.server.create(
                [
                    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": claim},
                    {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"a": "b"}},
                ]
            )

    def uids(self, *tenants: str) -> dict[str, str]:
        """Every object that carries a tenant's label, and what tenants keep; by default of all tenants."""
        found: dict[str, str] = {}
        kinds = "namespaces,resourcequotas,networkpolicies,rolebindings,serviceaccounts,clusterqueues.kueue.x-k8s.io,localqueues.kueue.x-k8s.io"
        labelled = f"{TENANT} in ({','.join(tenants)})" if tenants else TENANT
        for selector, which in ((labelled, kinds), ("keeps", "persistentvolumeclaims,secrets")):
            done = self.server.kubectl(
                "get", which, "--all-namespaces", f"--selector={selector}", "--output=json"
            )
            assert done.returncode == 0, done.stderr
            for each in json.loads(done.stdout)["items"]:
                meta = each["metadata"]
                home = meta.get("namespace", "")
                if selector == labelled or not tenants or home in map(namespace, tenants):
                    found[f"{each['kind']} {home}/{meta['name']}"] = meta["uid"]
        return found

    def namespaces(self) -> set[str]:
        """Tenants' namespaces, once none is on its way out: the sweep after a killed run waits for none."""
        for _ in range(_GOING_SECONDS):
            done = self.server.kubectl(
                "get", "namespaces", f"--selector={TENANT}",
                "--output=jsonpath={range .items[*]}{.metadata.name} {.status.phase}{'\\n'}{end}",
            )  # fmt: skip
            found = dict(line.split() for line in done.stdout.splitlines())
            if "Terminating" not in found.values():
                break
            time.sleep(1)
        return set(found)


@contextmanager
def started(folder: Path) -> Iterator[Environment]:
    """An API server, a Pulumi home and profiles below the folder, for as long as the body runs."""
    shutil.copytree(DIRECTORY, folder / "profiles", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    install_provider(folder / "pulumi")
    tools.link((tools.PULUMI, tools.LANGUAGE_HOST), folder / "bin")
    (folder / "api").mkdir()
    (folder / "home").mkdir()
    with api_server(folder / "api") as server, controllers(server):
        programs = os.pathsep.join(
            (str(folder / "bin"), str(server.kubectl_program.parent), os.environ["PATH"])
        )
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")},
            "HOME": str(folder / "home"),
            # Else what upstream's charts come from would be downloaded again, into that home.
            "GOMODCACHE": subprocess.run(
                ["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True
            ).stdout.strip(),
            "KUBECONFIG": str(server.kubeconfig),
            "LONGHOUSE_PROFILES": str(folder / "profiles"),
            "PULUMI_HOME": str(folder / "pulumi"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "PATH": programs,
            "COLUMNS": "200",
        }  # fmt: skip
        yield Environment(server, folder, env)
    for stack in (PLATFORM, ONE, TWO):
        config_file(stack).unlink(missing_ok=True)


def kill_session(leader: int) -> None:
    """Everything that a command has started, at once: the engine gives its plugins process groups of their own."""
    found = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process) == leader:
                os.kill(process, signal.SIGKILL)
