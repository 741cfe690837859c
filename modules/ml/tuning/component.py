"""Declares what studies' drivers need, in the namespace of each tenant that has a schema of MySQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, ServiceAccount
from pulumi_kubernetes.rbac.v1 import ClusterRole, PolicyRuleArgs, RoleBinding, RoleRefArgs

from modules.data.store import StoreContext
from modules.kit import accounts, labels, names
from modules.kit.component import Component
from modules.ml.tuning import jobs
from modules.ml.tuning.config import ACCOUNT, PROGRAM

ROLE: Final = "longhouse:tenant-tuning"
_DRIVES: Final = (
    PolicyRuleArgs(api_groups=["batch"], resources=["jobs"], verbs=["create", "delete", "list"]),
    PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["list"]),
    PolicyRuleArgs(api_groups=[""], resources=["pods/log"], verbs=["get"]),
)
"""What a driver does in its namespace: it starts trials, looks what became of them, reads what they printed, and takes them away."""


class Tuning(Component):
    """Once for all, what a driver may do. In each tenant's namespace: the account of its drivers, and their program.

    A study itself is its owner's to submit (`stacks/study.py`).
    """

    AREA = "ml"
    COMPONENT = "tuning"

    def __init__(
        self,
        name: str,
        *,
        context: StoreContext,
        tenants: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are those with a schema, where their studies are kept."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._context = context
        if context.shared:
            ClusterRole(ROLE, metadata=self.meta(ROLE), rules=list(_DRIVES), opts=self.child())
        for tenant in context.here(tenants):
            self._declare_tenant(tenant)
        self.register_outputs({})

    def _declare_tenant(self, tenant: str) -> None:
        namespace, whose = names.namespace(tenant), {labels.TENANT: tenant}
        inside = self.child(pulumi.ResourceOptions(depends_on=[self._context.homes[tenant]]))
        ConfigMap(
            f"{tenant}-{PROGRAM}",
            metadata=self.meta(PROGRAM, namespace=namespace, extra_labels=whose),
            data=jobs.DRIVER.data,
            opts=inside,
        )
        account = ServiceAccount(
            f"{tenant}-{ACCOUNT}",
            metadata=self.meta(ACCOUNT, namespace=namespace, extra_labels=whose),
            automount_service_account_token=True,
            opts=inside,
        )
        RoleBinding(
            f"{tenant}-{ACCOUNT}",
            metadata=self.meta(ACCOUNT, namespace=namespace, extra_labels=whose),
            role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="ClusterRole", name=ROLE),
            subjects=[accounts.subject(namespace, ACCOUNT)],
            opts=self.child(pulumi.ResourceOptions(depends_on=[account])),
        )
