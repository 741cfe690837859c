"""Declares what Flink's applications need, in each tenant's namespace, and the session clusters that tenants ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Service, ServiceAccount, ServicePortArgs, ServiceSpecArgs
from pulumi_kubernetes.rbac.v1 import ClusterRole, PolicyRuleArgs, RoleBinding, RoleRefArgs

from modules.compute.flink import admission, config, image, jobs
from modules.compute.flink.config import ACCOUNT, REST_PORT, SESSION, FlinkSession
from modules.data.store import StoreContext
from modules.kit import accounts, labels, mutation, names
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject

ROLE: Final = "longhouse:tenant-flink"
_LEADS: Final = PolicyRuleArgs(
    api_groups=[""],
    resources=["configmaps"],
    verbs=["get", "list", "watch", "create", "update", "patch", "delete"],
)
"""Who leads, and where its last state is, stand in ConfigMaps (Flink, "Kubernetes HA Services": the account that it needs)."""


class Flink(Component):
    """Once for all: how a Job becomes an application. In each tenant's namespace: an account for its pods, and the session cluster that the
    tenant asks for."""

    AREA = "compute"
    COMPONENT = "flink"

    def __init__(
        self,
        name: str,
        config: config.Flink,
        *,
        context: StoreContext,
        tenants: Mapping[str, FlinkSession | None],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are those with a bucket, and the session cluster of each."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._context, self._config = context, config
        self._image = image.image(context.cluster.images)
        if context.shared:
            ClusterRole(ROLE, metadata=self.meta(ROLE), rules=[_LEADS], opts=self.child())
            policy = self._admission("MutatingAdmissionPolicy", admission.mutating(config, self._image), [])
            self._admission("MutatingAdmissionPolicyBinding", admission.binding(), [policy])
        for tenant in context.here(tenants):
            account = self._declare_account(tenant)
            if (session := tenants[tenant]) is not None:
                self._declare_session(tenant, session, account)
        self.register_outputs({})

    def _admission(
        self, kind: str, spec: Mapping[str, object], depends_on: list[pulumi.Resource]
    ) -> CustomObject:
        return CustomObject(
            f"{admission.NAME}-{kind}",
            mutation.API_VERSION,
            kind,
            self.meta(admission.NAME),
            {"spec": spec},
            opts=self.child(pulumi.ResourceOptions(depends_on=depends_on)),
        )

    def _declare_account(self, tenant: str) -> RoleBinding:
        namespace, whose = names.namespace(tenant), {labels.TENANT: tenant}
        account = ServiceAccount(
            f"{tenant}-{ACCOUNT}",
            metadata=self.meta(ACCOUNT, namespace=namespace, extra_labels=whose),
            automount_service_account_token=True,
            opts=self.child(pulumi.ResourceOptions(depends_on=[self._context.homes[tenant]])),
        )
        return RoleBinding(
            f"{tenant}-{ACCOUNT}",
            metadata=self.meta(ACCOUNT, namespace=namespace, extra_labels=whose),
            role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="ClusterRole", name=ROLE),
            subjects=[accounts.subject(namespace, ACCOUNT)],
            opts=self.child(pulumi.ResourceOptions(depends_on=[account])),
        )

    def _declare_session(self, tenant: str, session: FlinkSession, account: RoleBinding) -> None:
        namespace, whose = names.namespace(tenant), {labels.TENANT: tenant}
        CustomObject(
            f"{tenant}-{SESSION}",
            "batch/v1",
            "Job",
            self.meta(
                SESSION,
                namespace=namespace,
                extra_labels={**whose, labels.QUEUE: names.DEFAULT_QUEUE},
                # It ends when somebody ends it, and starts when its queue has room.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            {"spec": jobs.session(self._config, session, self._image)},
            opts=self.child(pulumi.ResourceOptions(depends_on=[account], delete_before_replace=True)),
        )
        Service(
            f"{tenant}-{SESSION}",
            metadata=self.meta(
                SESSION, namespace=namespace, extra_labels=whose, annotations={"pulumi.com/skipAwait": "true"}
            ),
            spec=ServiceSpecArgs(
                selector={
                    "batch.kubernetes.io/job-name": SESSION,
                    "batch.kubernetes.io/job-completion-index": "0",
                },
                ports=[ServicePortArgs(name="rest", port=REST_PORT)],
            ),
            opts=self.child(pulumi.ResourceOptions(depends_on=[account])),
        )
