"""Declares the operators of training, the runtimes, and in each tenant's namespace what its jobs need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PodTemplateSpecArgs,
    Secret,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    Role,
    RoleBinding,
    RoleRefArgs,
)

from modules.data.store import StoreContext
from modules.foundation.queueing.kueue import SETTLE_SECONDS
from modules.kit import accounts, labels, mutation, names, pods, server
from modules.kit.cluster import WebhookFailure
from modules.kit.component import Component
from modules.kit.crds import Crds
from modules.kit.custom_object import CustomObject
from modules.kit.operator_namespace import OperatorNamespace
from modules.kit.server import Scrape
from modules.ml.training import admission, config, defaults, earlier, image, operators, runtimes
from modules.ml.training.config import DEFAULTS, TrainingShare
from modules.ml.training.defaults import Stores
from modules.ml.training.operators import Operator

FRAMEWORK: Final = "trainer.kubeflow.org/framework"
"""Label of a runtime, by which Kubeflow's own client finds it."""


def role(operator: Operator) -> str:
    """Name of the ClusterRole with what an operator may do in a tenant's namespace."""
    return f"longhouse:tenant-{operator.name}"


class Training(Component):
    """The operators, which work in tenants' namespaces and in no other; the runtimes; in each tenant's namespace the operators' rights, and what
    its jobs get unasked.

    A stack that declares the part of a group of tenants has the latter of them only; nothing of the operators' names a tenant.
    """

    AREA = "ml"
    COMPONENT = "training"

    def __init__(
        self,
        name: str,
        config: config.Training,
        *,
        context: StoreContext,
        webhooks: WebhookFailure,
        tenants: Mapping[str, Stores],
        shares: Mapping[str, TrainingShare],
        pools: Mapping[str, Mapping[str, str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are the stores of each, ``shares`` how its jobs are set up, ``pools`` the variables of pods that run in a pool: how NCCL
        finds its way there. ``webhooks`` says whether requests may pass when an operator does not answer."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._context, self._config, self._webhooks = context, config, webhooks
        self._operators = (*operators.operators(config), *self._earlier())
        roles = self._declare_shared(pools) if context.shared else []
        for tenant in context.here(tenants):
            self._declare_tenant(
                tenant, defaults.environment(tenants[tenant], shares.get(tenant, TrainingShare())), roles
            )
        self.register_outputs({"runtimes": sorted(runtimes.runtimes(config, context.cluster.images))})

    def _earlier(self) -> tuple[Operator, ...]:
        if not self._config.earlier_kinds:
            return ()
        return earlier.operators(self._config, image.image(self._context.cluster.images))

    def _declare_shared(self, pools: Mapping[str, Mapping[str, str]]) -> list[pulumi.Resource]:
        """Operators, runtimes, and what the API server sees to. Gives the roles that the operators have with tenants."""
        after: list[pulumi.Resource] = []
        for operator in self._operators:
            after.append(self._declare_operator(operator, after))
        for name, spec in runtimes.runtimes(self._config, self._context.cluster.images).items():
            CustomObject(
                f"runtime-{name}",
                runtimes.API_VERSION,
                runtimes.KIND,
                self.meta(name, extra_labels={FRAMEWORK: name}),
                {"spec": spec},
                opts=self._after(*after),
            )
        for name, (spec, binding) in admission.policies(pools).items():
            policy = self._admission(name, "MutatingAdmissionPolicy", spec, [])
            self._admission(name, "MutatingAdmissionPolicyBinding", binding, [policy])
        return [
            ClusterRole(
                role(each),
                metadata=self.meta(role(each)),
                rules=[rule.policy for rule in each.writes],
                opts=self.child(),
            )
            for each in self._operators
        ]

    def _declare_operator(self, operator: Operator, before: list[pulumi.Resource]) -> pulumi.Resource:
        """One operator, after those that its kinds build on. Gives what has to be there before its resources are."""
        context, name = self._context, operator.name
        kinds = Crds(f"{name}-kinds", operator.kinds, owner=self.owner, opts=self.child())
        home = OperatorNamespace(
            name,
            name,
            owner=self.owner,
            api_server=context.cluster.api_server,
            ports=[
                port
                for port in operator.container.ports.values()
                if port in (operators.API_SERVER_CALLS, operators.METRICS_PORT)
            ],
            opts=self.child(),
        )
        runs = self._declare_pods(operator, [home, kinds, *before, *self._declare_rights(operator, home)])
        if not operator.webhooks:
            return runs
        # Whoever declares a job next needs all of them: the last one stands for them.
        hooks: list[pulumi.Resource] = [runs]
        for hook in operator.hooks(context.authority.bundle, self._webhooks):
            hooks.append(
                CustomObject(
                    f"{name}-{hook['kind']}",
                    hook["apiVersion"],
                    hook["kind"],
                    self.meta(hook["name"]),
                    {"webhooks": hook["webhooks"]},
                    opts=self._after(*hooks),
                )
            )
        return hooks[-1]

    def _declare_rights(self, operator: Operator, home: OperatorNamespace) -> list[pulumi.Resource]:
        """Its account, what it may do in its own namespace, and what in all of the cluster."""
        name = operator.name
        inside = self._after(home)
        account = ServiceAccount(
            name, metadata=self.meta(name, namespace=name), automount_service_account_token=True, opts=inside
        )
        own = Role(
            name,
            metadata=self.meta(name, namespace=name),
            rules=[rule.policy for rule in operator.own],
            opts=inside,
        )
        everywhere = ClusterRole(
            f"{name}-everywhere",
            metadata=self.meta(name),
            rules=[rule.policy for rule in operator.reads],
            opts=self.child(),
        )
        subjects = [accounts.subject(name, name)]
        return [
            RoleBinding(
                name,
                metadata=self.meta(name, namespace=name),
                role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="Role", name=name),
                subjects=subjects,
                opts=self._after(account, own),
            ),
            ClusterRoleBinding(
                name,
                metadata=self.meta(name),
                role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="ClusterRole", name=name),
                subjects=subjects,
                opts=self._after(account, everywhere),
            ),
        ]

    def _declare_pods(self, operator: Operator, before: list[pulumi.Resource]) -> Deployment:
        name, selector = operator.name, {server.NAME: operator.name}
        pod = operator.pod(self._certificate(operator))
        after = self._after(*before)
        parts: list[pulumi.Resource] = []
        if pod.files:
            parts.append(
                ConfigMap(
                    f"{name}-settings",
                    metadata=self.meta("settings", namespace=name),
                    data=dict(pod.files),
                    opts=after,
                )
            )
        secret_names, secrets = server.declare_secrets(self, name, name, pod, after)
        if operator.secret:
            # The operator fills it.
            secrets.append(
                Secret(operator.secret, metadata=self.meta(operator.secret, namespace=name), opts=after)
            )
        if operator.webhooks:
            parts.append(self._declare_service(operator, selector, after))
        if self._config.replicas > 1:
            PodDisruptionBudget(
                name,
                metadata=self.meta(name, namespace=name),
                spec=PodDisruptionBudgetSpecArgs(
                    max_unavailable=1, selector=LabelSelectorArgs(match_labels=selector)
                ),
                opts=after,
            )
        if (
            operators.METRICS_PORT in operator.container.ports.values()
            and server.METRICS in operator.container.ports
        ):
            server.monitor(self, name, name, selector, Scrape(), self._after(*self._context.after(*before)))
        unawaited = {"pulumi.com/skipAwait": "true"} if self._webhooks is WebhookFailure.IGNORE else None
        return Deployment(
            name,
            metadata=self.meta(name, namespace=name, annotations=unawaited),
            spec=DeploymentSpecArgs(
                replicas=self._config.replicas,
                min_ready_seconds=SETTLE_SECONDS if operator.webhooks else None,
                selector=LabelSelectorArgs(match_labels=selector),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels={**self.labels, **selector}, annotations={pods.SETTINGS: pod.settings_hash}
                    ),
                    spec=pods.spec(pod, settings="settings", secret_names=secret_names),
                ),
            ),
            opts=self._after(*before, *parts, *secrets),
        )

    def _declare_service(
        self, operator: Operator, selector: Mapping[str, str], after: pulumi.ResourceOptions
    ) -> Service:
        """No pod is ready yet when it is made: the Deployment is awaited, not this."""
        port = operators.API_SERVER_CALLS
        return Service(
            f"{operator.name}-{operators.SERVICE}",
            metadata=self.meta(
                operators.SERVICE, namespace=operator.name, annotations={"pulumi.com/skipAwait": "true"}
            ),
            spec=ServiceSpecArgs(
                selector=selector, ports=[ServicePortArgs(name="webhook", port=port, target_port=port)]
            ),
            opts=after,
        )

    def _certificate(self, operator: Operator) -> Mapping[str, str]:
        if not operator.certified:
            return {}
        pair = self._context.authority.server(f"{operator.name}/webhook", (operator.server_name,))
        return {"tls.crt": pair.certificate, "tls.key": pair.private_key}

    def _admission(
        self, name: str, kind: str, spec: Mapping[str, object], depends_on: list[pulumi.Resource]
    ) -> CustomObject:
        return CustomObject(
            f"{name}-{kind}",
            mutation.API_VERSION,
            kind,
            self.meta(name),
            {"spec": spec},
            opts=self._after(*depends_on),
        )

    def _declare_tenant(
        self, tenant: str, environment: Mapping[str, str], roles: list[pulumi.Resource]
    ) -> None:
        namespace, whose = names.namespace(tenant), {labels.TENANT: tenant}
        home = self._context.homes[tenant]
        ConfigMap(
            f"{tenant}-{DEFAULTS}",
            metadata=self.meta(DEFAULTS, namespace=namespace, extra_labels=whose),
            data=dict(environment),
            opts=self._after(home),
        )
        for operator in self._operators:
            RoleBinding(
                f"{tenant}-{operator.name}",
                metadata=self.meta(operator.name, namespace=namespace, extra_labels=whose),
                role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="ClusterRole", name=role(operator)),
                subjects=[accounts.subject(operator.name, operator.name)],
                opts=self._after(home, *roles),
            )

    def _after(self, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return self.child(pulumi.ResourceOptions(depends_on=list(resources)))
