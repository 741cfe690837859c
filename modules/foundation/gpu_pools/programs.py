"""NVIDIA's programs on nodes with GPUs: which charts, where they go, and with what values.

They are installed with Helm beside the platform: two of the three charts are on no registry of modules, and all of them reach into the nodes, which
the platform's own pods never do. What they are told of pools is in two ConfigMaps that the platform keeps (`sharing`); each node says by its
labels which document is its (`placement`).

Values are those of NVIDIA's device plugin 0.18, GPU operator (deployments/gpu-operator/values.yaml) and DCGM exporter (deployment/values.yaml).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from modules.foundation.gpu_pools import placement, sharing
from modules.foundation.gpu_pools.config import GpuPrograms, NodePool, Program

PART: Final = "k8s-device-plugin"
"""Name of the pin in upstream/."""

NAMESPACES: Final = {Program.DEVICE_PLUGIN: "nvidia-device-plugin", Program.GPU_OPERATOR: "gpu-operator"}
METRICS_PORT: Final = 9400
"""Where the DCGM exporter is asked."""

GPU_OPERATOR_VERSION: Final = "v26.7.0"
DCGM_EXPORTER_VERSION: Final = "4.8.2"

TOLERATIONS: Final = [
    {"key": taint.key, "operator": "Exists", "effect": taint.effect}
    for taint in (placement.GPU_TAINT, placement.CLOUD_TAINT)
]
"""What keeps other work off nodes with GPUs."""


@dataclass(frozen=True)
class Release:
    """A chart to install."""

    name: str
    repository: str
    chart: str
    version: str
    values: dict[str, Any]


def namespace(programs: GpuPrograms | None) -> str:
    """Where the programs and what they are told stand."""
    return NAMESPACES[programs.program if programs else Program.DEVICE_PLUGIN]


def releases(
    programs: GpuPrograms, pools: Iterable[NodePool], device_plugin_version: str
) -> tuple[Release, ...]:
    """The charts, in the order in which they are installed. The version is a tag of the device plugin."""
    known = tuple(pools)
    if programs.program is Program.GPU_OPERATOR:
        return (
            Release(
                "gpu-operator",
                "https://helm.ngc.nvidia.com/nvidia",
                "gpu-operator",
                GPU_OPERATOR_VERSION,
                _gpu_operator(programs, known),
            ),
        )
    plugin = Release(
        "nvidia-device-plugin",
        "https://nvidia.github.io/k8s-device-plugin",
        "nvidia-device-plugin",
        device_plugin_version.removeprefix("v"),
        _device_plugin(known),
    )
    exporter = Release(
        "dcgm-exporter",
        "https://nvidia.github.io/dcgm-exporter/helm-charts",
        "dcgm-exporter",
        DCGM_EXPORTER_VERSION,
        {
            "tolerations": TOLERATIONS,
            "nodeSelector": {"nvidia.com/gpu.present": "true"},
            "serviceMonitor": {"enabled": True},
        },
    )
    return (plugin, exporter) if programs.metrics else (plugin,)


def _device_plugin(pools: Iterable[NodePool]) -> dict[str, Any]:
    """Nodes of pools that share nothing have no document, and the plugin's own defaults."""
    config = {"config": {"name": sharing.DEVICE_PLUGIN, "fallbackStrategies": ["empty"]}}
    return {
        **(config if any(map(placement.fractional, pools)) else {}),
        "tolerations": TOLERATIONS,
        "gfd": {"enabled": True},
        "nfd": {"worker": {"tolerations": TOLERATIONS}},
    }


def _gpu_operator(programs: GpuPrograms, pools: Iterable[NodePool]) -> dict[str, Any]:
    known = tuple(pools)
    drivers = [pool.gpu.driver for pool in known if pool.gpu and pool.gpu.driver]
    values: dict[str, Any] = {
        "daemonsets": {"tolerations": TOLERATIONS},
        "node-feature-discovery": {"worker": {"tolerations": TOLERATIONS}},
        "dcgmExporter": {"enabled": programs.metrics, "serviceMonitor": {"enabled": programs.metrics}},
    }
    if drivers:
        values["driver"] = {"version": drivers[0]}
    if any(map(placement.fractional, known)):
        values["devicePlugin"] = {"config": {"name": sharing.DEVICE_PLUGIN, "default": ""}}
    if sharing.mig_layouts(known) is not None:
        values["mig"] = {"strategy": "mixed"}
        values["migManager"] = {"config": {"name": sharing.MIG_MANAGER, "default": sharing.WHOLE}}
    return values
