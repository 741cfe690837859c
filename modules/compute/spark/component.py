"""Declares Spark's operator, and in each tenant's namespace what its applications need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, ServiceAccount
from pulumi_kubernetes.helm.v4 import Chart
from pulumi_kubernetes.rbac.v1 import ClusterRole, PolicyRuleArgs, RoleBinding, RoleRefArgs

from modules.compute.spark import admission, config, defaults, image, operator
from modules.compute.spark.config import ACCOUNT, DEFAULTS, NAMESPACE
from modules.compute.spark.defaults import Stores
from modules.data.store import StoreContext
from modules.kit import accounts, charts, labels, names, server
from modules.kit.cluster import WebhookFailure
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject
from modules.kit.operator_namespace import OperatorNamespace
from modules.kit.server import Scrape
from upstream import part

DRIVER_ROLE: Final = "longhouse:tenant-spark-driver"
_DRIVES: Final = PolicyRuleArgs(
    api_groups=[""],
    resources=["configmaps", "persistentvolumeclaims", "pods", "services"],
    verbs=["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
)
"""What a driver does in its namespace (Spark, "Running on Kubernetes": RBAC; the chart's own role for it)."""


class Spark(Component):
    """The operator, which sees the tenants' namespaces and no other; in each of those an account for drivers and the defaults."""

    AREA = "compute"
    COMPONENT = "spark"

    def __init__(
        self,
        name: str,
        config: config.Spark,
        *,
        context: StoreContext,
        webhooks: WebhookFailure,
        tenants: Mapping[str, Stores],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are the stores of each. ``webhooks`` says whether requests may pass when the operator does not answer."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._context = context
        namespace = OperatorNamespace(
            NAMESPACE,
            NAMESPACE,
            owner=context.owner,
            api_server=context.cluster.api_server,
            ports=[operator.WEBHOOK_PORT, operator.METRICS_PORT],
            opts=self.child(),
        )
        chart = self._operator(config, namespace, webhooks, sorted(tenants))
        self._declare_metrics(namespace)
        policies = self._declare_admission(config, chart)
        role = ClusterRole(DRIVER_ROLE, metadata=self.meta(DRIVER_ROLE), rules=[_DRIVES], opts=self.child())
        for tenant, stores in tenants.items():
            self._declare_tenant(tenant, stores, [role, *policies])
        self.register_outputs({"namespace": NAMESPACE})

    def _operator(
        self,
        config: config.Spark,
        namespace: OperatorNamespace,
        webhooks: WebhookFailure,
        tenants: list[str],
    ) -> Chart:
        pin = part(operator.PART)
        homes = {names.namespace(tenant): tenant for tenant in tenants}
        return charts.layered(
            self,
            operator.RELEASE,
            pin.chart(operator.CHART),
            namespace,
            operator.values(config, pin.version, list(homes)),
            adjust=operator.adjustment(webhooks, homes),
            wait=webhooks is WebhookFailure.FAIL,
            depends_on=[self._context.homes[tenant] for tenant in tenants],
        )

    def _declare_metrics(self, namespace: OperatorNamespace) -> None:
        server.monitor(
            self,
            NAMESPACE,
            operator.RELEASE,
            operator.SELECTOR,
            Scrape(),
            self.child(pulumi.ResourceOptions(depends_on=self._context.after(namespace))),
        )

    def _declare_admission(self, config: config.Spark, chart: Chart) -> list[pulumi.Resource]:
        specs = {
            "MutatingAdmissionPolicy": (
                admission.mutating(
                    image.version(), image.image(self._context.cluster.images), config.pod_memory
                ),
                admission.mutating_binding(),
            ),
            "ValidatingAdmissionPolicy": (admission.validating(), admission.validating_binding()),
        }
        bound: list[pulumi.Resource] = []
        for kind, (policy, binding) in specs.items():
            declared = self._admission(kind, policy, [chart])
            bound.append(self._admission(f"{kind}Binding", binding, [declared]))
        return bound

    def _admission(
        self, kind: str, spec: Mapping[str, object], depends_on: list[pulumi.Resource]
    ) -> CustomObject:
        return CustomObject(
            f"{admission.NAME}-{kind}",
            admission.API_VERSION,
            kind,
            self.meta(admission.NAME),
            {"spec": spec},
            opts=self.child(pulumi.ResourceOptions(depends_on=depends_on)),
        )

    def _declare_tenant(self, tenant: str, stores: Stores, after: list[pulumi.Resource]) -> None:
        namespace = names.namespace(tenant)
        whose = {labels.TENANT: tenant}
        inside = self.child(pulumi.ResourceOptions(depends_on=[self._context.homes[tenant]]))
        account = ServiceAccount(
            f"{tenant}-{ACCOUNT}",
            metadata=self.meta(ACCOUNT, namespace=namespace, extra_labels=whose),
            automount_service_account_token=True,
            opts=inside,
        )
        RoleBinding(
            f"{tenant}-{ACCOUNT}",
            metadata=self.meta(ACCOUNT, namespace=namespace, extra_labels=whose),
            role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="ClusterRole", name=DRIVER_ROLE),
            subjects=[accounts.subject(namespace, ACCOUNT)],
            opts=self.child(pulumi.ResourceOptions(depends_on=[account, *after])),
        )
        ConfigMap(
            f"{tenant}-{DEFAULTS}",
            metadata=self.meta(DEFAULTS, namespace=namespace, extra_labels=whose),
            data=defaults.settings(stores),
            opts=inside,
        )
