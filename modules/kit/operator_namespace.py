"""The namespace of an operator: restricted pods, and no traffic but what an operator needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from modules.kit import network_policies
from modules.kit.cluster import ApiServer
from modules.kit.component import Component

POD_SECURITY: Final[Mapping[str, str]] = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
}
"""Labels that hold a namespace's pods to the Pod Security Standard `restricted`
(https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted)."""

PRIVILEGED: Final[Mapping[str, str]] = {"pod-security.kubernetes.io/enforce": "privileged"}


class OperatorNamespace(Component):
    """A namespace in which one operator lives. Offers its ``name``.

    Its pods may ask DNS and call the API server; others may call them at the named ports only.
    """

    AREA = "kit"
    COMPONENT = "operator-namespace"

    def __init__(
        self,
        name: str,
        namespace: str,
        *,
        owner: str,
        api_server: ApiServer,
        ports: Sequence[int],
        reaches_into_nodes: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``namespace`` is its name in the cluster, ``ports`` where the API server and others call the
        operator. ``reaches_into_nodes`` is for what drives devices: its pods are held to no standard."""
        super().__init__(name, owner=owner, opts=opts)
        self.name = namespace
        held = PRIVILEGED if reaches_into_nodes else POD_SECURITY
        home = Namespace(name, metadata=self.meta(namespace, extra_labels=held), opts=self.child())
        inside = self.child(pulumi.ResourceOptions(depends_on=[home]))
        policies = {
            "default-deny": network_policies.deny_all(),
            "allow-dns": network_policies.allow_dns(),
            "allow-api-server": network_policies.allow_api_server(api_server),
        }
        if ports:
            policies["allow-callers"] = network_policies.allow_ports(ports)
        for grant, spec in policies.items():
            NetworkPolicy(
                f"{name}-{grant}", metadata=self.meta(grant, namespace=namespace), spec=spec, opts=inside
            )
        self.register_outputs({"namespace": namespace})
