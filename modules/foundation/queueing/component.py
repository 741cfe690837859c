"""Declares the queueing operator and what all tenants' queues draw from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.helm.v4 import Chart

from modules.foundation.certificates.authority import Authority
from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.queueing import config, kueue, shares
from modules.foundation.tenants.config import Tenant
from modules.kit import charts, names
from modules.kit.cluster import ApiServer, WebhookFailure
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject
from modules.kit.operator_namespace import OperatorNamespace
from upstream import part

_NOT_DECLARED_WITHOUT_PODS: Final = "APIService"
"""An API that the operator serves itself. Where its pods cannot run it is never there, and the API
server then refuses to finish deleting any namespace, since it cannot tell what is left in it."""


class Queueing(Component):
    """Kueue, a flavor per node pool, the cohort, and priorities.

    Offers ``cohort``, the last of it to be there and the first to go: whatever is queued depends on that
    one resource, and so on all of the operator. While namespaces of tenants are deleted, the operator is
    there to let go of their pods.
    """

    AREA = "foundation"
    COMPONENT = "queueing"

    def __init__(
        self,
        name: str,
        config: config.Queueing,
        *,
        owner: str,
        api_server: ApiServer,
        webhooks: WebhookFailure,
        authority: Authority,
        pools: Sequence[NodePool],
        tenants: Sequence[Tenant],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``webhooks`` says whether requests may pass when the operator does not answer, as where no pod
        can run.

        Raises SharingError when tenants are promised more than the pools have.
        """
        super().__init__(name, owner=owner, opts=opts)
        namespace = OperatorNamespace(
            names.KUEUE_NAMESPACE,
            names.KUEUE_NAMESPACE,
            owner=owner,
            api_server=api_server,
            ports=[kueue.WEBHOOK_PORT, kueue.VISIBILITY_PORT, kueue.METRICS_PORT],
            opts=self.child(),
        )
        operator = self._operator(config, namespace, webhooks, authority)
        after = pulumi.ResourceOptions(depends_on=[operator])
        for priority, value in config.priorities.items():
            self._custom("WorkloadPriorityClass", priority, {"value": value}, after)
        flavors = [self._flavor(shares.Flavor(pool), operator) for pool in pools]
        self.cohort = self._custom(
            "Cohort",
            names.COHORT,
            {"spec": shares.cohort(tenants, pools, config.reserved).spec},
            pulumi.ResourceOptions(depends_on=[operator, *flavors]),
        )
        self.register_outputs({"cohort": names.COHORT})

    def _operator(
        self,
        config: config.Queueing,
        namespace: OperatorNamespace,
        webhooks: WebhookFailure,
        authority: Authority,
    ) -> Chart:
        pin = part(kueue.PART)
        pods_run = webhooks is WebhookFailure.FAIL
        pair = authority.server("kueue/server", kueue.SERVER_NAMES)
        return charts.layered(
            self,
            kueue.RELEASE,
            pin.chart(kueue.CHART),
            namespace,
            kueue.values(config, pin.version),
            adjust=kueue.adjustment(pair, authority.bundle, webhooks, pulumi.Output.secret),
            leave_out=kueue.NOT_DECLARED if pods_run else (*kueue.NOT_DECLARED, _NOT_DECLARED_WITHOUT_PODS),
            wait=pods_run,
        )

    def _flavor(self, flavor: shares.Flavor, operator: pulumi.Resource) -> CustomObject:
        needed = [operator]
        if flavor.topology is not None:
            after = pulumi.ResourceOptions(depends_on=[operator])
            needed.append(self._custom("Topology", flavor.name, {"spec": flavor.topology}, after))
        return self._custom(
            "ResourceFlavor", flavor.name, {"spec": flavor.spec}, pulumi.ResourceOptions(depends_on=needed)
        )

    def _custom(
        self, kind: str, name: str, body: dict[str, object], opts: pulumi.ResourceOptions
    ) -> CustomObject:
        return CustomObject(name, shares.API_VERSION, kind, self.meta(name), body, opts=self.child(opts))
