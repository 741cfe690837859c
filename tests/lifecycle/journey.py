"""An embedded cluster of the tests' own, which goes through everything that a person does to one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.places import BIN, CHECKOUT, INSTANCE, KUBECONFIG
from sandbox.platform import STACK, target

PROFILE = "local-full"
CORE = "local-core"
"""The local profile without its stores, which only the tests have: what is killed and started over again and again need not
wait for databases each time."""
STORES = ("hdfs", "kafka", "cassandra", "object_store", "mysql", "tuning", "tracking")
"""Keys of a profile that hold a store, or need one as studies and tracking do."""
_PASSING = (
    "events",
    "leases",
    "endpoints",
    "endpointslices",
    "componentstatuses",
    "ipaddresses",
    "apiservices",
)
"""Kinds whose objects come and go by themselves."""


@dataclass
class Journey:
    """One embedded cluster over the time of the tests, and what was seen of it on the way."""

    env: Mapping[str, str]
    machine_before: Mapping[str, Any]
    empty: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()

    @property
    def profiles(self) -> Path:
        """The tests' own copy of the shipped profiles."""
        return Path(self.env["LONGHOUSE_PROFILES"])

    def sandbox(self, *words: str) -> int:
        """Run the sandbox's command line to its end, showing what it says; its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "sandbox", *words], check=False, env=self.env, cwd=CHECKOUT
        ).returncode

    def sandbox_confined(self, *words: str) -> tuple[int, str]:
        """Run it as root in a locked-down container would: without the right to mount or to make namespaces. Its exit
        code and what it said."""
        confined = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
        done = subprocess.run(
            [*confined, sys.executable, "-m", "sandbox", *words],
            check=False, capture_output=True, text=True, env=self.env, cwd=CHECKOUT,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def sandbox_killing(
        self, *words: str, when: Callable[[], bool], whom: Callable[[int], int | None]
    ) -> int:
        """Run it, and kill the process that ``whom`` picks, given its id, as soon as ``when`` is true; its exit code."""
        running = subprocess.Popen([sys.executable, "-m", "sandbox", *words], env=self.env, cwd=CHECKOUT)
        try:
            while running.poll() is None:
                if when() and (victim := whom(running.pid)) is not None:
                    os.kill(victim, signal.SIGKILL)
                    return running.wait(timeout=120)
                time.sleep(0.05)
        finally:
            running.kill()
        pytest.fail(f"sandbox {' '.join(words)} ended before it could be killed")

    def pulumi(self, *words: str) -> str:
        """What the real Pulumi, run by hand as README says, printed; an AssertionError when it failed."""
        env = {**self.env, **target().environment}
        done = subprocess.run(
            [str(BIN / "pulumi"), "--non-interactive", "--color=never", *words, f"--stack={STACK}"],
            check=False, capture_output=True, text=True, env=env, cwd=CHECKOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kubectl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run kubectl on the tests' cluster, whatever comes of it."""
        command = [str(BIN / "kubectl"), f"--kubeconfig={KUBECONFIG}", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    def has(self, *words: str) -> bool:
        """Whether the cluster is there and `kubectl get` finds something."""
        return KUBECONFIG.exists() and bool(self.kubectl("get", "--output=name", *words).stdout.strip())

    def objects(self) -> frozenset[str]:
        """Every lasting object of the cluster, as ``kind/namespace/name``."""
        kinds = self.kubectl("api-resources", "--verbs=list", "--output=name").stdout.split()
        lasting = ",".join(kind for kind in kinds if kind.partition(".")[0] not in _PASSING)
        listed = self.kubectl("get", lasting, "--all-namespaces", "--ignore-not-found", "--output=json")
        assert listed.returncode == 0, listed.stderr
        return frozenset(
            f"{item['kind']}/{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"
            for item in json.loads(listed.stdout)["items"]
            if not _of_the_moment(item)
        )

    def state(self) -> Mapping[str, Any]:
        """The stack's state."""
        deployment: Mapping[str, Any] = json.loads(self.pulumi("stack", "export"))["deployment"]
        return deployment

    def ids(self) -> list[str]:
        """The cluster objects that the state holds, a provider's id each."""
        return sorted(
            f"{each['type']} {each['id']}"
            for each in self.state()["resources"]
            if each["type"].startswith("kubernetes:") and each.get("id")
        )


def _of_the_moment(item: Mapping[str, Any]) -> bool:
    """Whether an object belongs to another that may be made anew at any time, such as a Deployment's pod."""
    return bool(item["metadata"].get("ownerReferences"))


def machine_state() -> dict[str, Any]:
    """What a node could leave behind on this machine."""

    def lines(*command: str) -> list[str]:
        return sorted(
            subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()
        )

    return {
        "network devices": [line.split()[0] for line in lines("ip", "-brief", "link")],
        "addresses and routes": lines("ip", "route", "show", "table", "all"),
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        "firewall": [line for line in lines("iptables-save") if not line.startswith(("#", ":"))],
        "sets": lines("ipset", "list", "-name"),
        "control groups": [
            str(path) for path in Path("/sys/fs/cgroup").glob("**/*longhouse*") if path.is_dir()
        ],
        "processes": [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if _read(path).find(f"/{INSTANCE}/") >= 0
        ],
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
