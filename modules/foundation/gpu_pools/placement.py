"""What follows from a pool's record: labels, taints and resources of its nodes, and which pods can land there.

Keys and resource names are those of NVIDIA's own components, so that real nodes with the GPU operator (or the device plugin and GPU
feature discovery) and simulated ones look the same to a pod:

- labels: https://github.com/NVIDIA/k8s-device-plugin/blob/main/docs/gpu-feature-discovery/README.md
- resources and sharing: https://github.com/NVIDIA/k8s-device-plugin#shared-access-to-gpus ; MIG strategy `mixed`,
  https://docs.nvidia.com/datacenter/cloud-native/kubernetes/mig-k8s.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from modules.foundation.gpu_pools.config import Exclusive, Gpu, Mig, Nccl, NodePool, Site, TimeSlicing
from modules.kit import labels as keys
from modules.kit import quantities

GPU_RESOURCE: Final = "nvidia.com/gpu"
SHARED_RESOURCE: Final = f"{GPU_RESOURCE}.shared"
"""A turn on a GPU, as the device plugin names it that is told `renameByDefault`: nobody gets it who asks for a whole one."""

MIG_RESOURCE_PREFIX: Final = "nvidia.com/mig-"
DEVICE_PLUGIN_LABEL: Final = "nvidia.com/device-plugin.config"
MIG_LABEL: Final = "nvidia.com/mig.config"
"""Labels by which NVIDIA's device plugin and MIG manager know which of their documents is a node's."""

DRIVER_LABEL: Final = "nvidia.com/cuda.driver-version.full"


class Taint(NamedTuple):
    """What keeps pods off a node that do not tolerate it."""

    key: str
    value: str
    effect: str


GPU_TAINT: Final = Taint(GPU_RESOURCE, "present", "NoSchedule")
"""On nodes with GPUs, however they are shared: the key that NVIDIA's programs tolerate. A tenant's pod gets the toleration with its flavor."""

CLOUD_TAINT: Final = Taint(keys.SITE, Site.CLOUD.value, "NoSchedule")
"""On cloud nodes: without a queue's admission, which adds the toleration, nothing leaves home."""


@dataclass(frozen=True)
class Product:
    """A GPU product as its vendor publishes it."""

    memory_gb: int
    """Memory that the vendor names, in GB; what a driver reports in GiB is never more."""

    slices: Mapping[str, int]
    """MIG profile -> the most of them that one GPU can be cut into. Empty for a product without MIG."""


_A100_40GB: Final = {
    "1g.5gb": 7, "1g.5gb+me": 1, "1g.10gb": 4, "2g.10gb": 3, "3g.20gb": 2, "4g.20gb": 1, "7g.40gb": 1,
}  # fmt: skip
_80GB: Final = {
    "1g.10gb": 7, "1g.10gb+me": 1, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1,
}  # fmt: skip
_A30: Final = {"1g.6gb": 4, "1g.6gb+me": 1, "2g.12gb": 2, "2g.12gb+me": 1, "4g.24gb": 1}

PRODUCTS: Final[Mapping[str, Product]] = {
    "NVIDIA-A100-SXM4-40GB": Product(40, _A100_40GB),
    "NVIDIA-A100-PCIE-40GB": Product(40, _A100_40GB),
    "NVIDIA-A100-SXM4-80GB": Product(80, _80GB),
    "NVIDIA-A100-80GB-PCIe": Product(80, _80GB),
    "NVIDIA-A30": Product(24, _A30),
    "NVIDIA-H100-80GB-HBM3": Product(80, _80GB),
    "NVIDIA-H100-PCIe": Product(80, _80GB),
    "NVIDIA-A10": Product(24, {}),
    "NVIDIA-A10G": Product(24, {}),
    "NVIDIA-L4": Product(24, {}),
    "NVIDIA-L40S": Product(48, {}),
    "Tesla-T4": Product(16, {}),
    "Tesla-V100-SXM2-16GB": Product(16, {}),
    "Tesla-V100-SXM2-32GB": Product(32, {}),
}
"""Products by the label that GPU feature discovery gives them; a product that is not listed is taken as its record describes it.

MIG profiles and the number of instances: NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles", columns "Profile Name" and "Number of
Instances Available" (https://docs.nvidia.com/datacenter/tesla/mig-user-guide/supported-mig-profiles.html); which products have MIG at
all: same guide, "Supported GPUs".
"""


def mig_fault(gpu: Gpu) -> str | None:
    """Why the GPU cannot be cut as its record says, or None. None too for a product that is not listed, of which nothing is known."""
    if not isinstance(gpu.sharing, Mig) or gpu.product not in PRODUCTS:
        return None
    slices = PRODUCTS[gpu.product].slices
    if not slices:
        return f"{gpu.product} has no MIG"
    for profile, count in gpu.sharing.layout.items():
        if profile not in slices:
            return f"{gpu.product} has no slice {profile}; it has {', '.join(slices)}"
        if count > slices[profile]:
            return f"{gpu.product} can be cut into at most {slices[profile]} of {profile}"
    return None


def gpu_resource(pool: NodePool) -> str | None:
    """Name of the resource that a pod asks for to get a GPU, or a share of one, of the pool; None for a pool without GPUs."""
    if pool.gpu is None:
        return None
    if isinstance(pool.gpu.sharing, Mig):
        (profile,) = pool.gpu.sharing.layout
        return MIG_RESOURCE_PREFIX + profile.replace("+", ".")
    return SHARED_RESOURCE if isinstance(pool.gpu.sharing, TimeSlicing) else GPU_RESOURCE


def fractional(pool: NodePool) -> bool:
    """Whether what the pool gives out are shares of GPUs."""
    return pool.gpu is not None and not isinstance(pool.gpu.sharing, Exclusive)


def shares_per_node(pool: NodePool) -> int:
    """How many GPUs, or shares of GPUs where they are shared, one node of the pool gives out."""
    if pool.gpu is None:
        return 0
    sharing = pool.gpu.sharing
    if isinstance(sharing, TimeSlicing):
        return pool.gpu.count * sharing.replicas
    if isinstance(sharing, Mig):
        return pool.gpu.count * sum(sharing.layout.values())
    return pool.gpu.count


def gpu_capacity(pool: NodePool) -> int:
    """How many GPUs, or shares of them, all nodes of the pool give out."""
    return pool.nodes * shares_per_node(pool)


def cpu_capacity(pool: NodePool) -> Decimal:
    """Cores of all nodes of the pool."""
    return pool.nodes * quantities.cores(pool.cpu)


def memory_capacity(pool: NodePool) -> int:
    """Bytes of memory of all nodes of the pool."""
    return pool.nodes * quantities.bytes_of(pool.memory)


def allocatable(pool: NodePool) -> dict[str, str]:
    """Resources that one node of the pool offers: resource name -> quantity."""
    resources = {"cpu": pool.cpu, "memory": pool.memory, "pods": str(pool.pods)}
    resource = gpu_resource(pool)
    if resource is not None:
        resources[resource] = str(shares_per_node(pool))
    return resources


def labels(pool: NodePool) -> dict[str, str]:
    """Labels of the pool's nodes: ours by pool, site and region, those that its record gives them, and those that GPU feature discovery would
    find. Where a node is in the network (`topology`) is not among them: that differs from node to node."""
    found = {keys.POOL: pool.name, keys.SITE: pool.site.value, **pool.node_labels}
    if pool.region is not None:
        found[keys.REGION] = pool.region
        found["topology.kubernetes.io/region"] = pool.region
    if pool.spot:
        found[keys.SPOT] = "true"
    if pool.local_ssd is not None:
        found[keys.LOCAL_SSD] = "true"
    if pool.gpu is None:
        return found
    sharing = pool.gpu.sharing
    # The whole GPUs of a node that are cut into slices are not given out: discovery says 0 of them.
    replicas = sharing.replicas if isinstance(sharing, TimeSlicing) else int(not isinstance(sharing, Mig))
    known = PRODUCTS.get(pool.gpu.product)
    found["nvidia.com/gpu.present"] = "true"
    found["nvidia.com/gpu.product"] = pool.gpu.product
    found["nvidia.com/gpu.count"] = str(pool.gpu.count)
    found["nvidia.com/gpu.memory"] = str(quantities.bytes_of(pool.gpu.memory) // 2**20)
    found["nvidia.com/gpu.replicas"] = str(replicas)
    found["nvidia.com/gpu.sharing-strategy"] = "time-slicing" if isinstance(sharing, TimeSlicing) else "none"
    found["nvidia.com/mig.capable"] = (
        "true" if isinstance(sharing, Mig) or (known and known.slices) else "false"
    )
    if pool.gpu.driver is not None:
        found[DRIVER_LABEL] = pool.gpu.driver
    if fractional(pool):
        found[DEVICE_PLUGIN_LABEL] = pool.name
    if isinstance(sharing, Mig):
        found[MIG_LABEL] = pool.name
        found["nvidia.com/mig.strategy"] = "mixed"
        resource = gpu_resource(pool)
        found[f"{resource}.count"] = str(shares_per_node(pool))
    return found


def taints(pool: NodePool) -> tuple[Taint, ...]:
    """What keeps pods off the pool's nodes that were not meant for them."""
    found = []
    if pool.gpu is not None:
        found.append(GPU_TAINT)
    if pool.site is Site.CLOUD:
        found.append(CLOUD_TAINT)
    return tuple(found)


def nccl_environment(nccl: Nccl) -> dict[str, str]:
    """Environment of a container whose processes use NCCL on nodes of a pool: variable -> value."""
    found = {"NCCL_SOCKET_IFNAME": nccl.interface, "NCCL_IB_DISABLE": "0" if nccl.infiniband else "1"}
    return {**found, "NCCL_IB_HCA": ",".join(nccl.adapters)} if nccl.adapters else found


def elastic(pool: NodePool) -> bool:
    """Whether Karpenter makes the pool's nodes: the record says which machines, and that none are kept."""
    return bool(pool.instance_types) and pool.min_nodes == 0


def home(pools: Iterable[NodePool]) -> tuple[NodePool, ...]:
    """Pools that stand at home."""
    return tuple(pool for pool in pools if pool.site is Site.HOME)


def general(pools: Iterable[NodePool]) -> tuple[NodePool, ...]:
    """Pools without GPUs."""
    return tuple(pool for pool in pools if pool.gpu is None)


def guaranteed(pools: Iterable[NodePool]) -> tuple[NodePool, ...]:
    """Pools without GPUs on which quotas of cores and memory stand: those at home, or, in an environment with none, those in the cloud.

    In an environment with both, cloud room comes on top of what is promised: it may not be there when it is wanted.
    """
    without_gpus = general(pools)
    return home(without_gpus) or without_gpus


def reachable(pool: NodePool, *, may_burst: bool, regions: Iterable[str]) -> bool:
    """Whether work that may burst, or not, to the regions can run in the pool."""
    return pool.site is Site.HOME or (may_burst and pool.region in set(regions))
