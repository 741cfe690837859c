"""Pods without a cluster, for as long as a test runs: a server as its pod would run it, and its neighbours.

Each pod is namespaces of its own (mounts, network, host name, processes) on a network that nothing else is on. In them each
container finds what Kubernetes would give it: its image read-only, settings, secrets, folders and disk at their paths, its user, its
host name, and the names of all other pods. So servers take their settings as they are rendered: no port, path or address is changed.

What is not there: limits of memory and processor, network policies, a kubelet that starts anything again.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Final

from modules.kit.pods import TMP, Container, Pod, Probe
from modules.kit.server import Server
from sandbox import images
from sandbox.shell import run

_NETWORK: Final = "10.123.45"
_SWITCH: Final = "switch"
_KEEP: Final = ("sleep", "infinity")
_SECRET: Final = 0o440
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STEP_SECONDS: Final = 240.0
_AT_ONCE: Final = 2
_HASTE: Final = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"}
"""Java compiles no more than it must for the minute that a server lives; it changes no setting of the server."""


@dataclass(frozen=True)
class Unpacked:
    """File systems of images by reference, each unpacked once; to be thrown away with ``folder``."""

    folder: Path
    more: tuple[images.Image, ...] = ()
    """What there is beside the platform's images."""

    def root(self, reference: str) -> Path:
        """The file system of an image."""
        known = {
            each.reference.removeprefix("docker.io/"): each for each in (*images.PLATFORM_IMAGES, *self.more)
        }
        image = known[reference.removeprefix("docker.io/")]
        root = self.folder / image.archive.stem
        if root.exists():
            return root
        layout = self.folder / f"{root.name}.layout"
        with tarfile.open(image.build()) as archive:
            archive.extractall(layout, filter="data")
        root.mkdir()
        for layer in _layers(layout):
            run("tar", "--extract", "--same-owner", f"--directory={root}", f"--file={layer}")
        shutil.rmtree(layout)
        return root


def _layers(layout: Path) -> list[Path]:
    """The layers of the one image in an OCI layout, lowest first."""

    def blob(digest: str) -> Path:
        return layout / "blobs" / digest.replace(":", "/")

    (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
    return [blob(each["digest"]) for each in json.loads(blob(manifest["digest"]).read_text())["layers"]]


@dataclass(frozen=True)
class _Namespaces:
    """Namespaces that end, with all that runs in them, when their holder is killed."""

    holder: subprocess.Popen[bytes]

    @cached_property
    def pid(self) -> int:
        """Their first process, once it has done all that it does before it sleeps."""
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        deadline = time.monotonic() + _STEP_SECONDS
        while True:
            assert self.holder.poll() is None, "the namespaces could not be made: see the log of the pod"
            assert time.monotonic() < deadline, "the namespaces were not made in time"
            first = children.read_text().split()
            if first and Path(f"/proc/{first[0]}/comm").read_text().strip() == _KEEP[0]:
                return int(first[0])
            time.sleep(0.02)

    def inside(self, *command: str | Path) -> tuple[str, ...]:
        """The command that runs a command in them."""
        into = ("nsenter", f"--target={self.pid}", "--mount", "--net", "--uts", "--ipc", "--pid", "--")
        return (*into, *map(str, command))


@dataclass
class BarePod:
    """One pod of a server. ``start`` it, then ask until it is ``ready``."""

    server: Server
    number: int
    address: str
    folder: Path
    namespaces: _Namespaces
    roots: Mapping[str, Path]
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its host name."""
        return _name(self.server, self.number)

    def start(self) -> BarePod:
        """Run what prepares the pod, one after the other to its end, then its containers."""
        for each in self.server.pod.prepare:
            with self._log(each.name).open("wb") as log:
                code = subprocess.run(
                    self._command(each, each.command), stdout=log, stderr=log, env=self._environment(each), check=False,
                    timeout=_STEP_SECONDS,
                ).returncode  # fmt: skip
            assert code == 0, f"{self.name}: {each.name} ended with {code}\n{self.said(each.name)}"
        for each in self.server.pod.containers:
            with self._log(each.name).open("wb") as log:
                self.started[each.name] = subprocess.Popen(
                    self._command(each, each.command), stdout=log, stderr=log, env=self._environment(each)
                )
        return self

    def ready(self, seconds: float) -> None:
        """Wait until every container's own readiness probe says yes; an AssertionError with what it said when one ends or is late."""
        deadline = time.monotonic() + seconds
        for each in self.server.pod.containers:
            while not (answer := self._asked(each))[0]:
                self.runs(each.name)
                said = f"{answer[1]}\n{self.said(each.name)}"
                assert time.monotonic() < deadline, f"{self.name}: {each.name} is not ready\n{said}"
                time.sleep(0.5)
            self.runs(each.name)

    def runs(self, container: str) -> None:
        """An AssertionError, with what it said, when a container has ended."""
        code = self.started[container].poll()
        assert code is None, f"{self.name}: {container} ended with {code}\n{self.said(container)}"

    def runs_now(self, container: Container, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """One more command in a container, to its end."""
        return subprocess.run(
            self._command(container, command), capture_output=True, text=True, check=False,
            timeout=_STEP_SECONDS, env=self._environment(container),
        )  # fmt: skip

    def says(self, container: str, pattern: str, seconds: float = 30.0) -> str:
        """The first text that a container wrote which matches; an AssertionError when it ends before or is late."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self._log(container).read_text(errors="replace"))) is None:
            self.runs(container)
            assert time.monotonic() < deadline, (
                f"{self.name}: {container} does not say {pattern!r}\n{self.said(container)}"
            )
            time.sleep(0.3)
        return found[0]

    def said(self, container: str, most: int = 4000) -> str:
        """What a container wrote last."""
        return self._log(container).read_text(errors="replace")[-most:]

    def _asked(self, container: Container) -> tuple[bool, str]:
        if container.readiness is None:
            return True, ""
        done = subprocess.run(
            self._question(container, container.readiness), capture_output=True, text=True, check=False,
            timeout=_STEP_SECONDS, env=self._environment(container),
        )  # fmt: skip
        return done.returncode == 0, done.stdout + done.stderr

    def _question(self, container: Container, probe: Probe) -> tuple[str, ...]:
        """As the kubelet asks it: in the container, or by HTTP with whatever certificate."""
        if probe.command:
            return self._command(container, probe.command)
        place = f"{probe.scheme.lower()}://{self.address}:{probe.port}{probe.path}"
        return self.namespaces.inside("curl", "--silent", "--show-error", "--fail", "--insecure", place)

    def _command(self, container: Container, command: Sequence[str]) -> tuple[str, ...]:
        user = self.server.pod.user
        root = self.roots[container.image]
        return self.namespaces.inside("chroot", f"--userspec={user}:{user}", "--groups=", root, *command)

    def _environment(self, container: Container) -> dict[str, str]:
        return {"PATH": _PATH, "HOME": "/", "HOSTNAME": self.name, **_HASTE, **container.environment}

    def _log(self, container: str) -> Path:
        return self.folder / f"{container}.log"


@contextmanager
def bare_pods(folder: Path, unpacked: Unpacked, servers: Sequence[Server]) -> Iterator[dict[str, BarePod]]:
    """A pod for each replica of each server, by host name: laid out, and not started yet. All end with the body."""
    places = [(server, number) for server in servers for number in range(server.replicas)]
    addresses = {_name(*place): f"{_NETWORK}.{number}" for number, place in enumerate(places, 10)}
    hosts = folder / "hosts"
    hosts.write_text(_hosts(servers, addresses))
    made: dict[str, BarePod] = {}
    with ExitStack() as stack:
        stack.callback(lambda: [each.wait() for pod in made.values() for each in pod.started.values()])
        switch = stack.enter_context(_namespaces(folder / f"{_SWITCH}.log", "exec sleep infinity"))
        _run(switch, "ip", "link", "add", _SWITCH, "type", "bridge")
        _run(switch, "ip", "link", "set", _SWITCH, "up")
        for server, number in places:
            name = _name(server, number)
            own = folder / name
            own.mkdir()
            roots = {each: unpacked.root(each) for each in _references(server.pod)}
            script = _layout(own, name, hosts, server, roots)
            inside = stack.enter_context(_namespaces(own / "namespaces.log", script))
            _connect(switch, inside, addresses[name], f"to-{len(made)}")
            made[name] = BarePod(server, number, addresses[name], own, inside, roots)
        yield made


def start(pods: Mapping[str, BarePod], seconds: float) -> None:
    """Start pods, and wait until all are ready. As in Kubernetes, those of a server that start ``together`` do, those of another one
    after the other; kinds of server follow each other in the order that is given, without waiting."""
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for together, group in groupby(pods.values(), lambda pod: pod.server.together):
            if together:
                list(pool.map(BarePod.start, group))
                continue
            for pod in group:
                pod.start().ready(deadline - time.monotonic())
    for pod in pods.values():
        pod.ready(deadline - time.monotonic())


def altered(server: Server, changes: Mapping[str, str]) -> Server:
    """A server with texts of its settings files and commands replaced: regular expression to replacement, each found at least once."""
    pod = server.pod
    for pattern, replacement in changes.items():
        count = 0

        def change(text: str, pattern: str = pattern, replacement: str = replacement) -> str:
            nonlocal count
            found, times = re.subn(pattern, replacement, text)
            count += times
            return found

        def told(each: Container, change: Callable[[str], str] = change) -> Container:
            return replace(each, command=tuple(map(change, each.command)))

        pod = replace(
            pod,
            files={name: change(text) for name, text in pod.files.items()},
            containers=tuple(map(told, pod.containers)),
            prepare=tuple(map(told, pod.prepare)),
        )
        assert count, f"{server.name} has nothing that is {pattern}"
    return replace(server, pod=pod)


def _name(server: Server, number: int) -> str:
    return f"{server.name}-{number}"


def _hosts(servers: Sequence[Server], addresses: Mapping[str, str]) -> str:
    """/etc/hosts of all pods, as the cluster's DNS would answer: each pod by its own name, then the Services, which lead to the
    first pod of a server."""
    lines = ["127.0.0.1 localhost"]
    for server in servers:
        for number in range(server.replicas):
            name = _name(server, number)
            whole = f"{name}.{server.name}.{server.namespace}.svc"
            lines.append(f"{addresses[name]} {whole}.cluster.local {whole} {name}")
    for server in servers:
        if server.service:
            whole = f"{server.service}.{server.namespace}.svc"
            lines.append(f"{addresses[_name(server, 0)]} {whole}.cluster.local {whole}")
    return "".join(f"{line}\n" for line in lines)


def _references(pod: Pod) -> list[str]:
    return sorted({each.image for each in (*pod.prepare, *pod.containers)})


def _layout(own: Path, name: str, hosts: Path, server: Server, roots: Mapping[str, Path]) -> str:
    """Write a pod's files, and give the script that mounts them into its images and then keeps its namespaces open."""
    pod = server.pod
    mounts: list[tuple[Path, str, bool]] = [(hosts, "/etc/hosts", False)]

    def folder(path: str, files: Mapping[str, bytes], mode: int, writable: bool = False) -> None:
        here = own / f"volume-{len(mounts)}"
        here.mkdir()
        for file, content in files.items():
            (here / file).parent.mkdir(parents=True, exist_ok=True)
            (here / file).write_bytes(content)
            (here / file).chmod(mode)
            os.chown(here / file, 0, pod.user)
        if writable:
            os.chown(here, pod.user, pod.user)
        mounts.append((here, path, writable))

    if pod.files:
        files = {pod.paths.get(name, name): text.encode() for name, text in pod.files.items()}
        folder(pod.files_path, files, 0o444)
    for each in pod.secrets:
        assert each.existing is None, f"secret {each.name} is kept by somebody else"
        texts = {name: text.encode() for name, text in each.files.items()}
        folder(each.path, {**texts, **each.binary}, _SECRET)
    for path in dict.fromkeys((TMP, *pod.scratch, *([server.disk.path] if server.disk else []))):
        folder(path, {}, 0, writable=True)
    script = ["set -eu"]
    for root in roots.values():
        script.append(shlex.join(["mount", "--bind", str(root), str(root)]))
        for here, path, writable in mounts:
            into = root / path.lstrip("/")
            if here.is_dir():
                into.mkdir(parents=True, exist_ok=True)
            elif not into.exists():
                into.parent.mkdir(parents=True, exist_ok=True)
                into.touch()
            script.append(shlex.join(["mount", "--bind", str(here), str(into)]))
            if not writable:
                script.append(shlex.join(["mount", "-o", "remount,bind,ro", str(into)]))
        for place in ("proc", "dev"):
            (root / place).mkdir(exist_ok=True)
        script += [
            shlex.join(["mount", "-t", "proc", "proc", f"{root}/proc"]),
            shlex.join(["mount", "--rbind", "/dev", f"{root}/dev"]),
            shlex.join(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", f"{root}/dev/shm"]),
            shlex.join(["mount", "-o", "remount,bind,ro", str(root)]),
        ]
    script += [f"hostname {name}", f"exec {shlex.join(_KEEP)}"]
    return "\n".join(script)


@contextmanager
def _namespaces(log: Path, script: str) -> Iterator[_Namespaces]:
    words = (
        *("setpriv", "--pdeathsig=KILL", "--"),  # nothing outlives the tests, however they end
        *("unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--mount-proc", "--fork", "--kill-child"),
    )
    with log.open("wb") as said:
        holder = subprocess.Popen([*words, "--", "bash", "-c", script], stdout=said, stderr=said)
    try:
        yield _Namespaces(holder)
    finally:
        holder.kill()
        holder.wait()


def _connect(switch: _Namespaces, pod: _Namespaces, address: str, port: str) -> None:
    run(
        *("ip", "link", "add", port, "netns", str(switch.pid), "type", "veth"),
        *("peer", "name", "eth0", "netns", str(pod.pid)),
    )
    _run(switch, "ip", "link", "set", port, "master", _SWITCH, "up")
    _run(pod, "ip", "address", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _run(pod, "ip", "link", "set", device, "up")


def _run(namespaces: _Namespaces, *command: str) -> None:
    run(*namespaces.inside(*command))
