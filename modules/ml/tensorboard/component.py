"""Declares a TensorBoard, closed, in the namespace of each tenant that has a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import ConfigMap, PodTemplateSpecArgs, ServiceAccount
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import ClusterRole, PolicyRuleArgs, RoleBinding, RoleRefArgs

from modules.data.store import StoreContext
from modules.kit import accounts, labels, names, pods, server
from modules.kit.component import Component
from modules.ml.tensorboard import board, config
from modules.ml.tensorboard.config import NAME

ROLE: Final = "longhouse:tenant-tensorboard"
SETTINGS: Final = "tensorboard-program"
_ENDS: Final = PolicyRuleArgs(
    api_groups=["apps"], resources=["deployments/scale"], resource_names=[NAME], verbs=["patch"]
)
"""What a TensorBoard may do: end itself."""


class TensorBoard(Component):
    """Once for all, what a TensorBoard may do. In each tenant's namespace: a Deployment of none, its account, and its program.

    How many there are, none or one, is not the platform's to say once it is there: who opens it says one, and it says none itself
    (`stacks/tensorboard.py`).
    """

    AREA = "ml"
    COMPONENT = "tensorboard"

    def __init__(
        self,
        name: str,
        config: config.TensorBoard,
        *,
        context: StoreContext,
        tenants: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are those with a bucket, and its name."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context = config, context
        if context.shared:
            ClusterRole(ROLE, metadata=self.meta(ROLE), rules=[_ENDS], opts=self.child())
        for tenant in context.here(tenants):
            self._declare_tenant(tenant, tenants[tenant])
        self.register_outputs({})

    def _declare_tenant(self, tenant: str, bucket: str) -> None:
        inside = self.child(pulumi.ResourceOptions(depends_on=[self._context.homes[tenant]]))
        pod = board.pod(self._config, bucket, self._context.cluster.images)
        program = ConfigMap(
            f"{tenant}-{SETTINGS}", metadata=self._whose(SETTINGS, tenant), data=dict(pod.files), opts=inside
        )
        account = ServiceAccount(
            f"{tenant}-{NAME}",
            metadata=self._whose(NAME, tenant),
            automount_service_account_token=True,
            opts=inside,
        )
        bound = RoleBinding(
            f"{tenant}-{NAME}",
            metadata=self._whose(NAME, tenant),
            role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="ClusterRole", name=ROLE),
            subjects=[accounts.subject(names.namespace(tenant), NAME)],
            opts=self.child(pulumi.ResourceOptions(depends_on=[account])),
        )
        selector = {server.NAME: NAME}
        Deployment(
            f"{tenant}-{NAME}",
            # There is nothing to wait for.
            metadata=self._whose(NAME, tenant, {"pulumi.com/skipAwait": "true"}),
            spec=DeploymentSpecArgs(
                replicas=0,
                strategy=DeploymentStrategyArgs(type="Recreate"),
                selector=LabelSelectorArgs(match_labels=selector),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels={**self.labels, labels.TENANT: tenant, **selector},
                        annotations={pods.SETTINGS: pod.settings_hash},
                    ),
                    spec=pods.spec(
                        pod,
                        settings=SETTINGS,
                        secret_names={each.name: each.existing or "" for each in pod.secrets},
                    ),
                ),
            ),
            opts=self.child(
                pulumi.ResourceOptions(depends_on=[program, bound], ignore_changes=["spec.replicas"])
            ),
        )

    def _whose(self, name: str, tenant: str, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
        """Metadata of an object in the tenant's namespace."""
        return self.meta(
            name,
            namespace=names.namespace(tenant),
            extra_labels={labels.TENANT: tenant},
            annotations=annotations,
        )
