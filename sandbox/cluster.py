"""The embedded cluster from start to end: what ``make up`` and ``make down`` do, in order."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from profiles.model import Profile

from sandbox import addons, images, machine, simulated, tools
from sandbox.control_plane import ControlPlane
from sandbox.images import Image
from sandbox.kubectl import apply, kubectl
from sandbox.namespaces import Namespaces
from sandbox.node import RealNode
from sandbox.places import STATE
from sandbox.progress import Progress

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
            simulated.placement.labels(self.profile.node_pools[pool]) if pool else {},
        )  # fmt: skip

    @property
    def _real_pool(self) -> str | None:
        if self.refusal is not None:
            return None
        ordinary = (pool for pool in self.profile.node_pools.values() if pool.gpu is None and pool.site == "home")
        return next((pool.name for pool in ordinary), None)

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
        return () if self.refusal else (*images.NODE_IMAGES, *images.PLATFORM_IMAGES)

    def start(self, progress: Progress) -> None:
        """Start all of it on what is built, or do nothing where it runs already."""
        STATE.mkdir(parents=True, exist_ok=True)
        tools.link(self.tools)
        if self.refusal is None:
            with progress.task("open the node's namespaces"):
                self.namespaces.open(tools.PAUSE.program.path)
        with progress.task("start the control plane"):
            self.plane.start()
        with progress.task("add the simulated nodes"):
            self._simulate()
        if self.refusal is None:
            with progress.task("start the real node"):
                self._join()

    def _simulate(self) -> None:
        wanted = simulated.nodes(tuple(self.profile.node_pools.values()), self._real_pool)
        simulated.reconcile(wanted)
        simulated.start(self.plane.enter)

    def _join(self) -> None:
        node = self.node
        node.start_containerd()
        for image in self.images:
            node.import_image(image.archive, image.reference)
        node.join()
        apply([addons.storage_class(), *addons.dns(images.DNS_IMAGE.reference, self._dns)])
        kubectl("--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout=90s")

    def stop(self) -> None:
        """Stop all of it and take away what it kept; caches stay."""
        if self.refusal is None:
            self.namespaces.close()
            machine.remove_cgroup("longhouse")
        else:
            simulated.KWOK.stop()
            self.plane.stop()
        shutil.rmtree(STATE, ignore_errors=True)


def _stay(*command: str | Path) -> tuple[str, ...]:
    return tuple(str(word) for word in command)
