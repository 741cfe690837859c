"""The one real node: containerd, kubelet, kube-proxy, a network for pods, network policies and local volumes.

Everything is configured in files below the sandbox's state and runs in the node's own namespaces. Pods reach each
other, Services, DNS and the API server, and nothing beyond the node: there is no route to any other network.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import tomli_w
import yaml

from modules.kit.labels import PREFIX
from sandbox import control_plane, machine
from sandbox.control_plane import ControlPlane
from sandbox.namespaces import Namespaces
from sandbox.places import BIN, INSTANCE, KUBECONFIG, LOGS, STATE
from sandbox.process import Process
from sandbox.shell import run, succeeds, wait_until

NAME = "longhouse"
"""The node's name."""
_HOME = STATE / "node"
_SOCKET = "/run/containerd/containerd.sock"
CGROUP = INSTANCE
"""The control group, at the top of each hierarchy, that holds the node's pods."""
_POD_PREFIX = 24
"""The real node takes the first /24 of the pods' range, 254 pods; kubelet's own limit is 110."""


@dataclass(frozen=True)
class RealNode:
    """The real node of ``plane``, in ``namespaces``, with ``labels`` from the pool that it stands for."""

    namespaces: Namespaces
    plane: ControlPlane
    dns: str
    pause_image: str
    labels: Mapping[str, str]

    def start_containerd(self) -> None:
        """Start the container runtime, unless it runs."""
        machine.make_cgroup(CGROUP)
        self._write("containerd.toml", tomli_w.dumps(self._containerd()))
        cni = self.plane.pod_cidr
        network = next(cni.subnets(new_prefix=max(_POD_PREFIX, cni.prefixlen)))
        self._write("cni/10-longhouse.conflist", json.dumps(_pod_network(network)))
        self._ensure("containerd", f"--config={_HOME}/containerd.toml")
        wait_until("containerd answers", self._containerd_answers, 30, Process("containerd").log)

    def import_image(self, archive: Path, reference: str) -> None:
        """Give containerd an image from an OCI archive, unless it has that very one."""
        marker = _HOME / "images" / archive.name
        if marker.exists():
            return
        self.namespaces.run(BIN / "ctr", f"--address={_SOCKET}", "--namespace=k8s.io", "images", "import",
                            f"--index-name={reference}", archive)  # fmt: skip
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()

    def join(self) -> None:
        """Start kubelet, kube-proxy, policy enforcement and volumes, and wait until the node is ready."""
        self._write_kubeconfig()
        self._write("kubelet.yaml", yaml.safe_dump(self._kubelet()))
        self._write("kube-proxy.yaml", yaml.safe_dump(self._kube_proxy()))
        labels = ",".join(f"{key}={value}" for key, value in sorted(self.labels.items()))
        volumes = _HOME / "volumes"
        volumes.mkdir(exist_ok=True)
        kubeconfig = f"--kubeconfig={_HOME}/kubeconfig"
        self._ensure(
            "kubelet", f"--config={_HOME}/kubelet.yaml", kubeconfig, f"--root-dir={_HOME}/kubelet",
            f"--hostname-override={NAME}", f"--node-ip={self.namespaces.address}", f"--node-labels={labels}",
        )  # fmt: skip
        wait_until("the node is ready", self.ready, 90, Process("kubelet").log)
        self._label()
        self._ensure("kube-proxy", f"--config={_HOME}/kube-proxy.yaml")
        self._ensure(
            "kube-router", kubeconfig, f"--hostname-override={NAME}", f"--service-cluster-ip-range={self.plane.service_cidr}",
            "--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--run-loadbalancer=false",
        )  # fmt: skip
        self._ensure("local-storage", kubeconfig, f"--root={volumes}")
        for name, port in (("kube-proxy", 10256), ("kube-router", 20244)):
            wait_until(f"{name} answers", partial(self._listens, port), 60, Process(name).log)

    def ready(self) -> bool:
        """Whether the API server holds the node for ready."""
        return succeeds(
            BIN / "kubectl", f"--kubeconfig={KUBECONFIG}", "wait", "--for=condition=Ready",
            f"node/{NAME}", "--timeout=1s",
        )  # fmt: skip

    def _label(self) -> None:
        """Give the node its pool's labels again: kubelet sets them when the node is new and never after."""
        kubectl = (BIN / "kubectl", f"--kubeconfig={KUBECONFIG}")
        there = json.loads(run(*kubectl, "get", "node", NAME, "--output=jsonpath={.metadata.labels}"))
        gone = [f"{key}-" for key in there if key.startswith(PREFIX) and key not in self.labels]
        given = [f"{key}={value}" for key, value in sorted(self.labels.items())]
        run(*kubectl, "label", "node", NAME, "--overwrite", *given, *gone)

    def _ensure(self, name: str, *arguments: str) -> None:
        # The node's own PATH: containerd finds its shim and runc there, kube-proxy and kube-router iptables and ipset.
        path = os.pathsep.join(
            [str(BIN), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        )
        env = {"PATH": path, "HOME": str(_HOME), "NODE_NAME": NAME}
        Process(name).ensure(self.namespaces.enter(BIN / name, *arguments), env)

    def _listens(self, port: int) -> bool:
        return succeeds(*self.namespaces.enter("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"))

    def _containerd_answers(self) -> bool:
        return succeeds(
            *self.namespaces.enter(BIN / "ctr", f"--address={_SOCKET}", "--timeout=2s", "version")
        )

    @staticmethod
    def _write(name: str, text: str) -> None:
        path = _HOME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _write_kubeconfig(self) -> None:
        certificate, key = self.plane.client_certificate
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        server = f"https://{self.plane.address}:{self.plane.port}"
        self._write(
            "kubeconfig", yaml.safe_dump(control_plane.kubeconfig(server, self.plane.authority, user))
        )

    def _containerd(self) -> dict[str, object]:
        runc = {
            "runtime_type": "io.containerd.runc.v2",
            "options": {"BinaryName": str(machine.find("runc")), "SystemdCgroup": False},
        }
        return {
            "version": 3,
            "root": str(_HOME / "containerd"),
            "state": "/run/containerd",
            "grpc": {"address": _SOCKET},
            "plugins": {
                "io.containerd.cri.v1.images": {
                    "snapshotter": machine.snapshotter(),
                    "pinned_images": {"sandbox": self.pause_image},
                },
                "io.containerd.cri.v1.runtime": {
                    # Lowering a pod's OOM score takes a capability that a container or a small VM may lack.
                    "restrict_oom_score_adj": True,
                    "containerd": {"runtimes": {"runc": runc}},
                    "cni": {"bin_dirs": [str(machine.CNI_PLUGINS)], "conf_dir": str(_HOME / "cni")},
                },
            },
        }

    def _kubelet(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{_SOCKET}",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.plane.authority)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "localStorageCapacityIsolation": False,
            # Each node its own: a kubelet clears away logs of pods that it does not know, those of a node beside it too.
            "podLogsDir": str(LOGS / "pods"),
            "clusterDNS": [self.dns],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "serializeImagePulls": False,
            "shutdownGracePeriod": "0s",
            # Images come from the sandbox alone and cannot be pulled again: none is ever collected.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi"},
        }

    def _kube_proxy(self) -> dict[str, object]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(_HOME / "kubeconfig")},
            "clusterCIDR": str(self.plane.pod_cidr),
            "hostnameOverride": NAME,
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            # The conntrack table belongs to the whole machine: it is not ours to size.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpCloseWaitTimeout": "0s",
                "tcpEstablishedTimeout": "0s",
            },
        }


def _pod_network(network: IPv4Network) -> dict[str, object]:
    return {
        "cniVersion": "1.0.0",
        "name": "longhouse",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": str(network)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
        ],
    }
