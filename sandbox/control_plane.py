"""The control plane: etcd, API server, controller manager and scheduler, run by kwokctl."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import yaml

from sandbox import tools
from sandbox.places import BIN, INSTANCE, KUBECONFIG, STATE
from sandbox.shell import SandboxError, run, succeeds, wait_until

NAME = INSTANCE
"""The cluster's name, and its context in the kubeconfig."""
_KWOK_HOME = STATE / "kwok"
_CLUSTER = _KWOK_HOME / "clusters" / NAME
_SETTINGS = STATE / "kwokctl.yaml"


@dataclass(frozen=True)
class ControlPlane:
    """One control plane reached at ``address``:``port``.

    ``enter`` turns a command into the one that runs it where the control plane lives; ``real_node`` says whether a
    kubelet will join, whose logs and exec the API server must be able to reach.
    """

    address: IPv4Address
    port: int
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    real_node: bool
    enter: Callable[..., tuple[str, ...]]

    def start(self) -> None:
        """Create it, or start it again on the data it has."""
        if healthy():
            return
        if (_CLUSTER / "kwok.yaml").exists():
            # Ids of an earlier process namespace say nothing about this one.
            for stale in (_CLUSTER / "pids").glob("*"):
                stale.unlink()
            self._kwokctl("start", "cluster")
        else:
            if not self.real_node:
                self._refuse_taken_port()
            _SETTINGS.write_text(yaml.safe_dump(self._settings()))
            self._kwokctl("create", "cluster", f"--config={_SETTINGS}")
        self._write_kubeconfig()
        wait_until("the API server is ready", healthy, 90)

    @property
    def client_certificate(self) -> tuple[Path, Path]:
        """Certificate and key of the cluster's administrator."""
        return _CLUSTER / "pki" / "admin.crt", _CLUSTER / "pki" / "admin.key"

    @property
    def authority(self) -> Path:
        """The certificate of the cluster's authority."""
        return _CLUSTER / "pki" / "ca.crt"

    def _refuse_taken_port(self) -> None:
        with socket.socket() as probe:
            if probe.connect_ex((str(self.address), self.port)) == 0:
                raise SandboxError(
                    f"port {self.port} of this machine is taken: give the profile another cluster.api_server.port, "
                    "or stop what listens there"
                )

    def _kwokctl(self, *words: str) -> None:
        run(*self.enter(BIN / "kwokctl", f"--name={NAME}", *words), env=_env(), timeout=180)

    def _settings(self) -> dict[str, object]:
        certificate, key = self.client_certificate
        api_server = {
            "advertise-address": str(self.address),
            "service-cluster-ip-range": str(self.service_cidr),
        }
        if self.real_node:
            api_server |= {
                "kubelet-preferred-address-types": "InternalIP",
                "kubelet-client-certificate": str(certificate),
                "kubelet-client-key": str(key),
            }
        controllers = {
            "service-cluster-ip-range": str(self.service_cidr),
            "cluster-cidr": str(self.pod_cidr),
            "allocate-node-cidrs": "false",
        }
        return {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "options": {
                "runtime": "binary",
                "kubeVersion": tools.KUBERNETES.program.version,
                "securePort": True,
                "kubeAuthorization": True,
                "kubeAdmission": True,
                "kubeApiserverPort": self.port,
                "bindAddress": "0.0.0.0" if self.real_node else str(self.address),
                "kubeApiserverCertSANs": [
                    str(self.address),
                    str(self.service_cidr[1]),
                    "kubernetes.default.svc",
                    "kubernetes.default.svc.cluster.local",
                ],
                "disable": ["kwok-controller"],
                "etcdBinary": str(BIN / "etcd"),
                "kubeApiserverBinary": str(BIN / "kube-apiserver"),
                "kubeControllerManagerBinary": str(BIN / "kube-controller-manager"),
                "kubeSchedulerBinary": str(BIN / "kube-scheduler"),
                "kubectlBinary": str(BIN / "kubectl"),
            },
            "componentsPatches": [
                _patch("kube-apiserver", api_server),
                _patch("kube-controller-manager", controllers),
            ],
        }

    def _write_kubeconfig(self) -> None:
        certificate, key = self.client_certificate
        server = f"https://{self.address}:{self.port}"
        try:
            user = {"client-certificate": str(certificate), "client-key": str(key)}
            KUBECONFIG.touch(mode=0o600)
            KUBECONFIG.write_text(yaml.safe_dump(kubeconfig(server, self.authority, user)))
        except OSError as problem:
            raise SandboxError(f"could not write {KUBECONFIG}: {problem}") from None


def healthy() -> bool:
    """Whether the API server says it is ready."""
    return KUBECONFIG.exists() and succeeds(
        BIN / "kubectl", f"--kubeconfig={KUBECONFIG}", "--request-timeout=3s", "get", "--raw=/readyz"
    )


def delete() -> None:
    """Stop and delete a control plane that has no namespaces whose end would end it."""
    if _CLUSTER.exists():
        run(BIN / "kwokctl", f"--name={NAME}", "delete", "cluster", env=_env(), timeout=60)


def _env() -> dict[str, str]:
    return {**os.environ, "KWOK_WORKDIR": str(_KWOK_HOME), "KUBECONFIG": str(STATE / "kwokctl.kubeconfig")}


def kubeconfig(server: str, authority: Path, user: Mapping[str, str]) -> dict[str, object]:
    """A kubeconfig with one cluster, one user and one context, all called like the embedded cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "clusters": [{"name": NAME, "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": NAME, "user": dict(user)}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
    }


def _patch(component: str, arguments: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": component,
        "extraArgs": [{"key": key, "value": value} for key, value in arguments.items()],
    }
