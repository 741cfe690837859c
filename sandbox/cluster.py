"""The embedded cluster from start to end: what ``make up`` and ``make down`` do, in order."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from modules.foundation.gpu_pools import placement
from profiles.model import Profile
from sandbox import addons, control_plane, images, machine, namespaces, simulated, tools
from sandbox.control_plane import ControlPlane
from sandbox.golang import GoProgram
from sandbox.images import Image
from sandbox.kubectl import apply, kubectl
from sandbox.namespaces import Namespaces
from sandbox.node import CGROUP, RealNode
from sandbox.places import CACHE, INSTANCE, STATE
from sandbox.process import stop_strays
from sandbox.progress import Progress
from sandbox.shell import SandboxError

_NETWORK = STATE / "network.json"
"""The profile's description of the network that the running cluster was made with."""
_PLANE_TASK = "start the control plane"
_SIMULATED_TASK = "add the simulated nodes"
_NODE_TASK = "start the real node"
_DNS_HOST = 10
"""The tenth service address is DNS, as kubeadm has it."""
SIMULATED_PROFILE = "local-simulated"
"""The profile for a machine where no container can run."""


@dataclass(frozen=True)
class Cluster:
    """The embedded cluster for a profile; ``refusal`` says why it has no real node, None when it has one."""

    profile: Profile
    refusal: str | None

    @property
    def namespaces(self) -> Namespaces:
        """The node's namespaces, at the address that the profile gives the API server."""
        return Namespaces(self._address)

    @property
    def _address(self) -> IPv4Address:
        if self.refusal is not None:
            return IPv4Address("127.0.0.1")
        cluster = self.profile.cluster.api_server
        return IPv4Network(cluster.cidrs[0]).network_address

    @property
    def plane(self) -> ControlPlane:
        """The control plane."""
        cluster = self.profile.cluster
        return ControlPlane(
            address=self._address,
            port=cluster.api_server.port,
            pod_cidr=IPv4Network(cluster.pod_cidr),
            service_cidr=IPv4Network(cluster.service_cidr),
            real_node=self.refusal is None,
            enter=self.namespaces.enter if self.refusal is None else _stay,
        )

    @property
    def node(self) -> RealNode:
        """The real node: the first of the first pool at home that has no GPU."""
        pool = self._real_pool
        return RealNode(
            self.namespaces, self.plane, self._dns, images.PAUSE_IMAGE.reference,
            placement.labels(self.profile.node_pools[pool]) if pool else {},
        )  # fmt: skip

    @property
    def _real_pool(self) -> str | None:
        if self.refusal is not None:
            return None
        return next((pool.name for pool in placement.guaranteed(self.profile.node_pools.values())), None)

    @property
    def _dns(self) -> str:
        return str(IPv4Network(self.profile.cluster.service_cidr)[_DNS_HOST])

    @property
    def tools(self) -> tuple[tools.Tool, ...]:
        """The programs that it takes."""
        return tools.CONTROL_PLANE if self.refusal else (*tools.CONTROL_PLANE, *tools.REAL_NODE)

    @property
    def images(self) -> tuple[Image, ...]:
        """The images that its real node can run."""
        if self.refusal:
            return ()
        return (*images.NODE_IMAGES, *images.PLATFORM_IMAGES, *images.wanted(self.profile))

    @property
    def programs(self) -> tuple[GoProgram, ...]:
        """What must be built before it can start, the programs inside images included."""
        wanted = [program for image in images.wanted(self.profile) for program, _ in image.programs]
        inside = () if self.refusal else (*images.PROGRAMS, *wanted)
        return (
            *(tool.program for tool in tools.missing(self.tools)),
            *(program for program in inside if not program.built),
        )

    def expected(self) -> dict[str, float]:
        """The tasks of ``prepare`` and ``start`` and their seconds on a two-core machine."""
        packages = {"install packages": 40.0} if not self.refusal and machine.missing_packages() else {}
        builds = {f"build {program.name}": program.seconds for program in self.programs}
        unbuilt = {
            f"image {image.name}": image.seconds for image in self.images if not image.archive.exists()
        }
        starts = {_PLANE_TASK: 5.0, _SIMULATED_TASK: 2.0} | ({} if self.refusal else {_NODE_TASK: 12.0})
        return {**packages, **builds, **unbuilt, **starts}

    def prepare(self, progress: Progress) -> None:
        """Install and build whatever is missing on this machine."""
        if not self.refusal and (packages := machine.missing_packages()):
            with progress.task("install packages"):
                machine.install(packages)
        tools.build(self.programs, progress)
        for image in self.images:
            if not image.archive.exists():
                with progress.task(f"image {image.name}"):
                    image.build()

    def start(self, progress: Progress) -> None:
        """Start all of it on what is built, or do nothing where it runs already."""
        STATE.mkdir(parents=True, exist_ok=True)
        STATE.chmod(0o700)  # it holds the cluster's keys
        self._refuse_other_network()
        tools.link(self.tools)
        with progress.task(_PLANE_TASK):
            if self.refusal is None:
                self.namespaces.open(tools.PAUSE.program.path)
            self.plane.start()
        with progress.task(_SIMULATED_TASK):
            simulated.reconcile(simulated.nodes(tuple(self.profile.node_pools.values()), self._real_pool))
            simulated.start(self.plane.enter)
        if self.refusal is None:
            with progress.task(_NODE_TASK):
                self._join()

    def _refuse_other_network(self) -> None:
        wanted = self.profile.cluster.model_dump_json()
        if _NETWORK.exists() and _NETWORK.read_text() != wanted:
            raise SandboxError(
                f"profile {self.profile.name} describes another network (its `cluster:`) than the embedded cluster has: "
                "run `make down` first"
            )
        _NETWORK.write_text(wanted)

    def _join(self) -> None:
        node = self.node
        node.start_containerd()
        for image in self.images:
            node.import_image(image.archive, image.reference)
        node.join()
        apply([addons.storage_class(), *addons.dns(images.DNS_IMAGE.reference, self._dns)])
        kubectl("--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout=90s")


def stop() -> None:
    """Stop whatever runs of an embedded cluster and take away what it kept; caches stay."""
    if namespaces.FIRST.pid is not None:
        namespaces.close()
    else:
        simulated.KWOK.stop()
        control_plane.delete()
    stop_strays()
    machine.remove_cgroup(CGROUP)
    shutil.rmtree(STATE, ignore_errors=True)


def running() -> bool:
    """Whether an embedded cluster answers."""
    return control_plane.healthy()


@contextmanager
def exclusive() -> Iterator[None]:
    """Let no other run change the embedded cluster meanwhile.

    Raises SandboxError when one is at it.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{INSTANCE}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SandboxError(
                f"process {lock.read().strip()} is at work on the embedded cluster: let it end"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _stay(*command: str | Path) -> tuple[str, ...]:
    return tuple(str(word) for word in command)
