"""Pools whose nodes Karpenter rents when work waits for them and gives back when none does
(https://karpenter.sh/docs/concepts/nodepools/)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import Karpenter, NodePool

API_VERSION: Final = "karpenter.sh/v1"
KIND: Final = "NodePool"
PART: Final = "karpenter"
"""Name of the pin in upstream/, from whose kinds the objects are checked."""

CAPACITY_TYPE: Final = "karpenter.sh/capacity-type"
INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
REGION: Final = "topology.kubernetes.io/region"


def node_pool(pool: NodePool, karpenter: Karpenter) -> Mapping[str, Any]:
    """`spec` of the NodePool of an elastic pool.

    Labels that Karpenter's cloud or NVIDIA's programs give a node are requirements or left to them. Nodes go only when they are empty: what
    runs on a GPU was queued for it, and is not moved to save a machine.
    """
    node_class = karpenter.node_class
    labels = placement.labels(pool)
    return {
        "template": {
            "metadata": {"labels": {key: value for key, value in labels.items() if not _found(key)}},
            "spec": {
                "nodeClassRef": {
                    "group": node_class.group,
                    "kind": node_class.kind,
                    "name": node_class.name,
                },
                "requirements": [
                    _one_of(CAPACITY_TYPE, "spot" if pool.spot else "on-demand"),
                    _one_of(INSTANCE_TYPE, *pool.instance_types),
                    *([_one_of(REGION, pool.region)] if pool.region else ()),
                ],
                "taints": [taint._asdict() for taint in placement.taints(pool)],
            },
        },
        "limits": {"nodes": str(pool.nodes)},
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": f"{karpenter.idle_minutes}m",
        },
    }


def _found(key: str) -> bool:
    """Whether a label is one that the cloud or NVIDIA's programs find."""
    return key == REGION or key.startswith("nvidia.com/")


def _one_of(key: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(values)}
