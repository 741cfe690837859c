"""How GPUs are shared, said in the words of the two programs that do it.

- NVIDIA's device plugin advertises a GPU several times for time-slicing; one document per pool, chosen by the node's label
  `nvidia.com/device-plugin.config` (https://github.com/NVIDIA/k8s-device-plugin#configuration-option-details).
- NVIDIA's MIG manager cuts GPUs into slices; one layout per pool, chosen by the node's label `nvidia.com/mig.config`
  (https://github.com/NVIDIA/mig-parted).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import yaml

from modules.foundation.gpu_pools.config import Mig, NodePool, TimeSlicing
from modules.foundation.gpu_pools.placement import GPU_RESOURCE

DEVICE_PLUGIN: Final = "device-plugin-configs"
"""ConfigMap of the device plugin's documents."""

MIG_MANAGER: Final = "mig-layouts"
"""ConfigMap of the MIG manager's layouts."""

WHOLE: Final = "all-disabled"
"""The layout of GPUs that are not cut, which nodes have that choose none."""


def device_plugin(pools: Iterable[NodePool]) -> dict[str, str]:
    """The device plugin's documents: pool -> YAML. Pools whose GPUs are given out whole need none.

    A turn on a time-sliced GPU is a resource of its own, and a pod that asks for two would get no more than with one, so such a request is
    refused.
    """
    found: dict[str, dict[str, Any]] = {}
    for pool in pools:
        sharing = pool.gpu.sharing if pool.gpu else None
        if isinstance(sharing, TimeSlicing):
            turns = {"name": GPU_RESOURCE, "replicas": sharing.replicas}
            found[pool.name] = {
                "version": "v1",
                "sharing": {
                    "timeSlicing": {
                        "renameByDefault": True,
                        "failRequestsGreaterThanOne": True,
                        "resources": [turns],
                    }
                },
            }
        elif isinstance(sharing, Mig):
            found[pool.name] = {"version": "v1", "flags": {"migStrategy": "mixed"}}
    return {name: yaml.safe_dump(document, sort_keys=True) for name, document in found.items()}


def mig_layouts(pools: Iterable[NodePool]) -> str | None:
    """The MIG manager's layouts as one YAML document, keyed by pool, and that of all other nodes; None when no pool is cut."""
    layouts: dict[str, list[dict[str, Any]]] = {
        pool.name: [{"devices": "all", "mig-enabled": True, "mig-devices": dict(pool.gpu.sharing.layout)}]
        for pool in pools
        if pool.gpu is not None and isinstance(pool.gpu.sharing, Mig)
    }
    if not layouts:
        return None
    layouts[WHOLE] = [{"devices": "all", "mig-enabled": False}]
    return yaml.safe_dump({"version": "v1", "mig-configs": layouts}, sort_keys=True)
