"""Declares Spark's operator, and in each tenant's namespace what its applications need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PodTemplateSpecArgs,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
)
from pulumi_kubernetes.helm.v4 import Chart
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import ClusterRole, PolicyRuleArgs, RoleBinding, RoleRefArgs

from modules.compute.spark import admission, config, connect, defaults, elastic, history, image, operator
from modules.compute.spark.config import ACCOUNT, DEFAULTS, NAMESPACE, SparkShare
from modules.compute.spark.defaults import Bucket, Stores
from modules.data.store import StoreContext
from modules.kit import accounts, charts, labels, mutation, names, pods, server
from modules.kit.cluster import WebhookFailure
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject
from modules.kit.operator_namespace import OperatorNamespace
from modules.kit.server import Scrape
from upstream import part

OPERATOR_ROLE: Final = "longhouse:tenant-spark-operator"
DRIVER_ROLE: Final = "longhouse:tenant-spark-driver"
_DRIVES: Final = PolicyRuleArgs(
    api_groups=[""],
    resources=["configmaps", "persistentvolumeclaims", "pods", "services"],
    verbs=["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
)
"""What a driver does in its namespace (Spark, "Running on Kubernetes": RBAC; the chart's own role for it)."""

_NOT_AWAITED: Final = {"pulumi.com/skipAwait": "true"}
"""On what runs in a tenant's queue: it starts when there is room."""


class Spark(Component):
    """The operator, which works in tenants' namespaces and in no other; in each of those an account for drivers, the defaults, and the
    servers that the tenant asks for.

    A stack that declares the part of a group of tenants has the latter of them only; nothing of the operator's names a tenant.
    """

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
        shares: Mapping[str, SparkShare],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are the stores of each, ``shares`` what each has of Spark. ``webhooks`` says whether requests may pass when the operator
        does not answer."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._context = context
        ready = self._declare_shared(config, webhooks) if context.shared else []
        for tenant in context.here(tenants):
            self._declare_tenant(tenant, tenants[tenant], shares.get(tenant, SparkShare()), ready)
        self.register_outputs({"namespace": NAMESPACE})

    def _declare_shared(self, config: config.Spark, webhooks: WebhookFailure) -> list[pulumi.Resource]:
        """The operator, the roles that it and drivers have with tenants, and what the API server sees to."""
        context = self._context
        namespace = OperatorNamespace(
            NAMESPACE,
            NAMESPACE,
            owner=context.owner,
            api_server=context.cluster.api_server,
            ports=[operator.WEBHOOK_PORT, operator.METRICS_PORT],
            opts=self.child(),
        )
        pin = part(operator.PART)
        chart = charts.layered(
            self,
            operator.RELEASE,
            pin.chart(operator.CHART),
            namespace,
            operator.values(config, pin.version),
            adjust=operator.adjustment(webhooks),
            wait=webhooks is WebhookFailure.FAIL,
        )
        self._declare_metrics(namespace)
        roles = {
            DRIVER_ROLE: [_DRIVES],
            OPERATOR_ROLE: [rule.policy for rule in operator.WORKS],
        }
        return [
            *(
                ClusterRole(role, metadata=self.meta(role), rules=rules, opts=self.child())
                for role, rules in roles.items()
            ),
            *self._declare_admission(config, chart),
        ]

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
        completed = admission.mutating(
            image.version(), image.image(self._context.cluster.images), config.pod_memory
        )
        bound: list[pulumi.Resource] = []
        for name, kind, policy, binding in (
            (admission.NAME, "MutatingAdmissionPolicy", completed, admission.mutating_binding()),
            (
                admission.NAME,
                "ValidatingAdmissionPolicy",
                admission.validating(),
                admission.validating_binding(),
            ),
            (elastic.NAME, "MutatingAdmissionPolicy", elastic.mutating(), elastic.binding()),
        ):
            declared = self._admission(name, kind, policy, [chart])
            bound.append(self._admission(name, f"{kind}Binding", binding, [declared]))
        return bound

    def _admission(
        self, name: str, kind: str, spec: Mapping[str, object], depends_on: list[pulumi.Resource]
    ) -> CustomObject:
        return CustomObject(
            f"{name}-{kind}",
            mutation.API_VERSION,
            kind,
            self.meta(name),
            {"spec": spec},
            opts=self.child(pulumi.ResourceOptions(depends_on=depends_on)),
        )

    def _declare_tenant(
        self, tenant: str, stores: Stores, share: SparkShare, after: list[pulumi.Resource]
    ) -> None:
        inside = self.child(pulumi.ResourceOptions(depends_on=[self._context.homes[tenant]]))
        namespace = names.namespace(tenant)
        account = ServiceAccount(
            f"{tenant}-{ACCOUNT}",
            metadata=self._whose(ACCOUNT, tenant),
            automount_service_account_token=True,
            opts=inside,
        )
        bound = self.child(pulumi.ResourceOptions(depends_on=[account, *after]))
        bindings = [
            RoleBinding(
                f"{tenant}-{name}",
                metadata=self._whose(name, tenant),
                role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="ClusterRole", name=role),
                subjects=[subject],
                opts=bound,
            )
            for name, role, subject in (
                (ACCOUNT, DRIVER_ROLE, accounts.subject(namespace, ACCOUNT)),
                (NAMESPACE, OPERATOR_ROLE, accounts.subject(NAMESPACE, operator.CONTROLLER)),
            )
        ]
        settings = ConfigMap(
            f"{tenant}-{DEFAULTS}",
            metadata=self._whose(DEFAULTS, tenant),
            data=defaults.settings(stores),
            opts=inside,
        )
        if share.history and stores.bucket:
            self._declare_history(tenant, share.history, stores.bucket, inside)
        if share.connect:
            self._declare_connect(tenant, share.connect, stores, [settings, *bindings])

    def _declare_history(
        self, tenant: str, config: config.History, bucket: Bucket, opts: pulumi.ResourceOptions
    ) -> None:
        pod = history.pod(config, bucket, self._context.cluster.images)
        selector = {server.NAME: history.NAME}
        Deployment(
            f"{tenant}-{history.NAME}",
            metadata=self._whose(history.NAME, tenant, _NOT_AWAITED),
            spec=DeploymentSpecArgs(
                replicas=1,
                # Two at a time would wait for room twice.
                strategy=DeploymentStrategyArgs(type="Recreate"),
                selector=LabelSelectorArgs(match_labels=selector),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels={**self.labels, labels.TENANT: tenant, **selector}),
                    spec=pods.spec(
                        pod,
                        settings="",
                        secret_names={each.name: each.existing or "" for each in pod.secrets},
                    ),
                ),
            ),
            opts=opts,
        )
        self._declare_service(tenant, history.NAME, selector, {"http": history.PORT}, opts)

    def _declare_connect(
        self, tenant: str, config: config.Connect, stores: Stores, after: list[pulumi.Resource]
    ) -> None:
        """Its application depends on the operator, and on what the API server asks of an application."""
        opts = self.child(pulumi.ResourceOptions(depends_on=after))
        CustomObject(
            f"{tenant}-{connect.NAME}",
            connect.API_VERSION,
            "SparkApplication",
            self._whose(connect.NAME, tenant),
            {"spec": connect.spec(config, stores, self._context.cluster.images)},
            opts=opts,
        )
        self._declare_service(tenant, connect.NAME, connect.selector(), {"grpc": connect.PORT}, opts)

    def _declare_service(
        self,
        tenant: str,
        name: str,
        selector: Mapping[str, str],
        ports: Mapping[str, int],
        opts: pulumi.ResourceOptions,
    ) -> None:
        Service(
            f"{tenant}-{name}",
            metadata=self._whose(name, tenant, _NOT_AWAITED),
            spec=ServiceSpecArgs(
                selector=selector,
                ports=[
                    ServicePortArgs(name=port, port=number, target_port=number)
                    for port, number in ports.items()
                ],
            ),
            opts=opts,
        )

    def _whose(self, name: str, tenant: str, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
        """Metadata of an object in the tenant's namespace."""
        return self.meta(
            name,
            namespace=names.namespace(tenant),
            extra_labels={labels.TENANT: tenant},
            annotations=annotations,
        )
