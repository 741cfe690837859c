"""An operator that upstream writes for one kind of store, run in that store's namespace and for no other.

Its kinds and its roles are upstream's own, read from the module that is pinned; its pod is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
import yaml
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from modules.data.store import StoreContext
from modules.kit import accounts, network_policies, server
from modules.kit.component import Component
from modules.kit.crds import Crds
from modules.kit.pods import Container, Pod
from modules.kit.server import Server

NAME: Final = "operator"
"""Name of the server, and of the account that it runs under."""

RESTRICTED: Final[dict[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Security context of the containers that an operator makes, as its resource spells it (Pod Security Standards, "Restricted")."""

_USER: Final = 65532
"""User of images without a system in them, as operators' are."""


def pod_security(user: int) -> dict[str, Any]:
    """Security context of the pods that an operator makes, all of whose files belong to ``user``."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@dataclass(frozen=True)
class StoreOperator:
    """One operator: the ``source`` of its module, where in it its CustomResourceDefinitions and its roles are, and the container
    that runs in ``namespace``."""

    source: Path
    crds: str
    roles: str
    namespace: str
    container: Container

    @property
    def server(self) -> Server:
        """The one pod that it is."""
        pod = Pod(containers=(self.container,), user=_USER, service_account=NAME)
        return Server(name=NAME, namespace=self.namespace, pod=pod)

    @property
    def crd_files(self) -> list[Path]:
        """Upstream's files of the kinds that it serves."""
        return sorted((self.source / self.crds).glob("*.yaml"))

    def rules(self, kind: str) -> list[dict[str, Any]]:
        """What upstream's own Role, or ClusterRole, lets it do."""
        documents = yaml.safe_load_all((self.source / self.roles).read_text())
        found: list[dict[str, Any]] = next(each["rules"] for each in documents if each["kind"] == kind)
        return found


def declare(
    component: Component,
    operator: StoreOperator,
    context: StoreContext,
    depends_on: Sequence[pulumi.Resource],
) -> list[pulumi.Resource]:
    """Declare an operator below the store that it looks after. What comes back has to be there before its resources are.

    Depends on the store's namespace being among ``depends_on``.
    """
    namespace = operator.namespace
    kinds = Crds(f"{namespace}-kinds", operator.crd_files, owner=component.owner, opts=component.child())
    bound = accounts.declare(component, namespace, NAME, accounts.rules(operator.rules("Role")), depends_on)
    calls = NetworkPolicy(
        f"{namespace}-operator-to-api-server",
        metadata=component.meta("operator-to-api-server", namespace=namespace),
        spec=network_policies.only(
            network_policies.allow_api_server(context.cluster.api_server), {server.NAME: NAME}
        ),
        opts=component.child(pulumi.ResourceOptions(depends_on=list(depends_on))),
    )
    runs = server.declare(component, operator.server, context.after(*depends_on, kinds, bound, calls))
    return [kinds, runs]
