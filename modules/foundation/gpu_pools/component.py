"""Declares what those who make the pools' nodes have to know of them: NVIDIA's programs, and Karpenter."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap

from modules.foundation.gpu_pools import karpenter as nodes
from modules.foundation.gpu_pools import placement, sharing
from modules.foundation.gpu_pools import programs as nvidia
from modules.foundation.gpu_pools.config import GpuPrograms, Karpenter, NodePool
from modules.kit.cluster import ApiServer
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject
from modules.kit.operator_namespace import OperatorNamespace


class GpuPools(Component):
    """How the GPUs of each pool are shared, as configuration for NVIDIA's device plugin and MIG manager; and a Karpenter NodePool for each pool
    whose nodes come and go.

    Pools whose GPUs are given out whole need nothing of the first; without any other pool nothing of it is declared.
    Labels and taints of nodes are not declared here: whoever makes the nodes sets them, from `placement`.
    """

    AREA = "foundation"
    COMPONENT = "gpu-pools"

    def __init__(
        self,
        name: str,
        pools: Sequence[NodePool],
        *,
        owner: str,
        api_server: ApiServer,
        programs: GpuPrograms | None = None,
        karpenter: Karpenter | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``programs`` are those of NVIDIA's that are to be installed, None where the cloud brings them. ``karpenter`` is None where nodes are
        made by hand, or by the cloud's own means."""
        super().__init__(name, owner=owner, opts=opts)
        documents = sharing.device_plugin(pools)
        layouts = sharing.mig_layouts(pools)
        if documents or programs:
            namespace = OperatorNamespace(
                nvidia.namespace(programs),
                nvidia.namespace(programs),
                owner=owner,
                api_server=api_server,
                ports=[nvidia.METRICS_PORT] if programs and programs.metrics else [],
                reaches_into_nodes=programs is not None,
                opts=self.child(),
            )
            after = self.child(pulumi.ResourceOptions(depends_on=[namespace]))
            if documents:
                self._config_map(sharing.DEVICE_PLUGIN, namespace, documents, after)
            if layouts is not None:
                self._config_map(sharing.MIG_MANAGER, namespace, {"config.yaml": layouts}, after)
        for pool in pools:
            if karpenter is None or not placement.elastic(pool):
                continue
            CustomObject(
                f"nodes-{pool.name}",
                nodes.API_VERSION,
                nodes.KIND,
                self.meta(pool.name),
                {"spec": nodes.node_pool(pool, karpenter)},
                opts=self.child(),
            )
        self.register_outputs({"shared": sorted(documents)})

    def _config_map(
        self, name: str, home: OperatorNamespace, data: dict[str, str], opts: pulumi.ResourceOptions
    ) -> None:
        ConfigMap(name, metadata=self.meta(name, namespace=home.name), data=data, opts=opts)
