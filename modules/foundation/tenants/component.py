"""Declares a tenant, and once for all of them what its people may do."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.core.v1 import (
    LimitRange,
    LimitRangeItemArgs,
    LimitRangeSpecArgs,
    Namespace,
    ResourceQuota,
    ResourceQuotaSpecArgs,
    ServiceAccount,
)
from pulumi_kubernetes.networking.v1 import NetworkPolicy, NetworkPolicySpecArgs
from pulumi_kubernetes.rbac.v1 import ClusterRole, PolicyRuleArgs, RoleBinding, RoleRefArgs, SubjectArgs

from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.queueing import shares
from modules.foundation.queueing.config import Queueing
from modules.foundation.tenants import access, config, limits, offers
from modules.foundation.tenants.access import Role
from modules.kit import labels, names, network_policies
from modules.kit.cluster import Cluster, Identity
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject
from modules.kit.network import Reach
from modules.kit.operator_namespace import POD_SECURITY

_RBAC = "rbac.authorization.k8s.io"


class TenantRoles(Component):
    """The roles that tenants' people are bound to, declared once for all tenants."""

    AREA = "foundation"
    COMPONENT = "tenants"

    def __init__(self, name: str, *, owner: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, owner=owner, opts=opts)
        for role, grants in access.GRANTS.items():
            ClusterRole(
                role.cluster_role,
                metadata=self.meta(role.cluster_role),
                rules=[
                    PolicyRuleArgs(
                        api_groups=[grant.group], resources=list(grant.resources), verbs=list(grant.verbs)
                    )
                    for grant in grants
                ],
                opts=self.child(),
            )
        self.register_outputs({})


class Tenant(Component):
    """All that one tenant may use: a fenced namespace, access to it, and its queues.

    Offers ``namespace``, its name, and ``home``, the resource. Taking a tenant away takes its access first (role bindings, then queues), then the
    namespace with everything in it; what fences running pods in (quota, limits, network policies) goes with
    the namespace and never before it. Data outlives the namespace where its volumes' StorageClass retains
    them.
    """

    AREA = "foundation"
    COMPONENT = "tenants"

    def __init__(
        self,
        name: str,
        config: config.Tenant,
        *,
        cluster: Cluster,
        identity: Identity,
        pools: Sequence[NodePool],
        queueing: Queueing,
        cohort: pulumi.Resource | None,
        reaches: Sequence[Reach] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``cohort`` is what the queues draw from; it stands for the queueing operator, which has to
        outlive the namespace, and is None where that is in another stack. ``reaches`` are the platform's services that the tenant's pods may call.

        Raises SharingError when the quota names what the tenant may not reach, ValueError when an exception
        would open the cluster's own network.
        """
        super().__init__(name, owner=config.owner, tenant=config.name, opts=opts)
        self._name = name
        self.namespace = names.namespace(config.name)
        after = [cohort] if cohort else []
        self.home = home = Namespace(
            self.namespace,
            metadata=self.meta(
                self.namespace,
                extra_labels={**POD_SECURITY, labels.DATA_CLASS: config.data_class.value},
                annotations=offers.offered(config, pools, queueing.budgeted),
            ),
            opts=self.child(pulumi.ResourceOptions(depends_on=after)),
        )
        self._access = self.child(pulumi.ResourceOptions(depends_on=[home]))
        self._inside = self.child(pulumi.ResourceOptions(depends_on=[home], deleted_with=home))
        self._declare_limits(config, pools)
        self._declare_network(config, cluster, reaches)
        self._declare_accounts()
        self._declare_access(config, identity)
        self._declare_queues(shares.queues(config, pools, queueing.preemption.within_tenant), after, home)
        self.register_outputs({"namespace": self.namespace})

    def _declare_limits(self, config: config.Tenant, pools: Sequence[NodePool]) -> None:
        ResourceQuota(
            f"{self._name}-quota",
            # Nothing waits for what is counted. The provider would, and gives up after a minute of a busy controller.
            metadata=self.meta(
                "quota", namespace=self.namespace, annotations={"pulumi.com/skipAwait": "true"}
            ),
            spec=ResourceQuotaSpecArgs(hard=limits.quota(config, pools)),
            opts=self._inside,
        )
        defaults = {"cpu": config.defaults.cpu, "memory": config.defaults.memory}
        node = limits.largest_node(config, pools)
        largest = {"cpu": node.cpu, "memory": node.memory}
        LimitRange(
            f"{self._name}-limits",
            metadata=self.meta("limits", namespace=self.namespace),
            spec=LimitRangeSpecArgs(
                limits=[
                    LimitRangeItemArgs(
                        type="Container", default=defaults, default_request=defaults, max=largest
                    ),
                    LimitRangeItemArgs(type="Pod", max=largest),
                    LimitRangeItemArgs(type="PersistentVolumeClaim", max={"storage": limits.storage(config)}),
                ]
            ),
            opts=self._inside,
        )

    def _declare_network(self, config: config.Tenant, cluster: Cluster, reaches: Sequence[Reach]) -> None:
        self._policy("default-deny", network_policies.deny_all())
        self._policy(
            "allow-basics",
            network_policies.together(
                network_policies.allow_dns(),
                network_policies.allow_api_server(cluster.api_server),
                network_policies.allow_within(),
            ),
        )
        for reach in reaches:
            self._policy(f"allow-{reach.name}", network_policies.allow_reach(reach, cluster))
        for out in config.network.egress:
            self._policy(
                f"egress-{out.name}",
                network_policies.allow_to(out.cidr, out.ports, out.protocol.value, cluster),
            )
        for into in config.network.ingress:
            self._policy(
                f"ingress-{into.name}",
                network_policies.allow_from(into.namespace, into.ports, into.protocol.value),
            )

    def _policy(self, name: str, spec: NetworkPolicySpecArgs) -> None:
        NetworkPolicy(
            f"{self._name}-{name}",
            metadata=self.meta(name, namespace=self.namespace),
            spec=spec,
            opts=self._inside,
        )

    def _declare_accounts(self) -> None:
        """One account for work that calls the API server; the one that pods get unasked gets no token."""
        ServiceAccount(
            f"{self._name}-{access.WORKLOAD_ACCOUNT}",
            metadata=self.meta(access.WORKLOAD_ACCOUNT, namespace=self.namespace),
            automount_service_account_token=True,
            opts=self._inside,
        )
        # Every namespace has this one from the start; declaring it takes it over.
        ServiceAccount(
            f"{self._name}-default",
            metadata=self.meta("default", namespace=self.namespace),
            automount_service_account_token=False,
            opts=self._inside,
        )

    def _declare_access(self, config: config.Tenant, identity: Identity) -> None:
        for role, groups in access.members(config.groups, identity.group_prefix).items():
            people = [SubjectArgs(kind="Group", api_group=_RBAC, name=group) for group in groups]
            self._bind(role.value, role, people)
        account = SubjectArgs(kind="ServiceAccount", name=access.WORKLOAD_ACCOUNT, namespace=self.namespace)
        self._bind(access.WORKLOAD_ACCOUNT, Role.VIEWER, [account])

    def _bind(self, name: str, role: Role, subjects: list[SubjectArgs]) -> None:
        RoleBinding(
            f"{self._name}-{name}-access",
            metadata=self.meta(name, namespace=self.namespace),
            role_ref=RoleRefArgs(api_group=_RBAC, kind="ClusterRole", name=role.cluster_role),
            subjects=subjects,
            opts=self._access,
        )

    def _declare_queues(self, queues: shares.Queues, after: list[pulumi.Resource], home: Namespace) -> None:
        shared = {
            queue.name: CustomObject(
                queue.name,
                shares.API_VERSION,
                "ClusterQueue",
                self.meta(queue.name),
                {"spec": queue.spec},
                opts=self.child(pulumi.ResourceOptions(depends_on=after)),
            )
            for queue in queues.cluster
        }
        for door in queues.local:
            CustomObject(
                f"{self._name}-{door.name}-queue",
                shares.API_VERSION,
                "LocalQueue",
                self.meta(door.name, namespace=door.namespace),
                {"spec": door.spec},
                opts=self.child(pulumi.ResourceOptions(depends_on=[home, shared[door.cluster_queue]])),
            )
