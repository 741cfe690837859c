"""Node pools: machines that are alike, where they stand, and the GPUs in them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from modules.kit.model import FILLED, IMMUTABLE, FrozenMap, Model
from modules.kit.names import DnsLabel, LabelValue, PoolName
from modules.kit.quantities import Cpu, Memory

MigProfile = Annotated[
    str,
    Field(
        pattern=r"^[1-9]g\.[1-9][0-9]{0,2}gb(\+me)?$",
        json_schema_extra={"format": "mig-profile", "examples": ["1g.10gb"]},
    ),
]
"""NVIDIA's name of a GPU slice: compute slices, then memory, then media extensions, as in `1g.10gb`."""

LabelKey = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=316,
        json_schema_extra={"examples": ["topology.example.com/rack"]},
    ),
]
"""Key of a node's label, with the domain of whoever gives it (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/)."""

NodeLabelValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]
"""Value of a node's label."""

InterfaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]{0,14}$")]
"""Name of a network interface as Linux has it, or the beginning that several have in common."""


class Site(StrEnum):
    """Where a pool stands. Not a region: home has none."""

    HOME = "home"
    CLOUD = "cloud"


class Exclusive(Model):
    """Each GPU belongs to one pod at a time."""

    mode: Literal["none"]
    """`none`: a GPU is given out whole."""


class TimeSlicing(Model):
    """Several pods take turns on a GPU. They share its memory without a fence, so it suits exploration, not training. What a pod asks for is
    `nvidia.com/gpu.shared`, another resource than a whole GPU."""

    mode: Literal["time-slicing"]
    """`time-slicing`: pods take turns on a GPU, with no fence between their memory."""

    replicas: Annotated[
        int,
        Field(
            ge=2,
            le=48,
            json_schema_extra={"remedy": "write 2 or more, or sharing: {mode: none} for whole GPUs"},
        ),
    ]
    """How many pods take turns on one GPU."""


class Mig(Model):
    """Each GPU is cut in hardware into slices with compute and memory of their own (NVIDIA Multi-Instance GPU).

    One size of slice per pool: a quota counts slices of a pool, and with two sizes in it the count would say nothing. Two sizes are two pools.
    """

    mode: Literal["mig"]
    """`mig`: a GPU is cut in hardware, compute and memory fenced."""

    layout: Annotated[
        FrozenMap[MigProfile, Annotated[int, Field(ge=1, le=7)]], Field(min_length=1, max_length=1)
    ]
    """Slice profile and how many of it each GPU is cut into, as in `{1g.10gb: 7}`. One profile: a second size of slice is a second pool."""


Sharing = Annotated[Exclusive | TimeSlicing | Mig, Field(discriminator="mode")]
"""How a GPU is shared, by its `mode`."""


class Gpu(Model):
    """The GPUs of one node."""

    product: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]
    """Product as GPU feature discovery labels it (`nvidia.com/gpu.product`), such as `NVIDIA-A100-SXM4-80GB`."""

    count: Annotated[int, Field(ge=1, le=16)]
    """GPUs per node, counted as hardware, before any sharing."""

    memory: Memory
    """Memory of one whole GPU."""

    sharing: Sharing = Exclusive(mode="none")
    """How a GPU is shared: whole (`none`), in turns (`time-slicing`) or cut in hardware (`mig`)."""

    driver: (
        Annotated[str, Field(pattern=r"^[1-9][0-9]{2}(\.[0-9]{1,3}){1,2}$", examples=["580.95.05"])] | None
    ) = None
    """Version of NVIDIA's driver that the nodes must run, as GPU feature discovery labels it; null takes what is there."""


class Nccl(Model):
    """How processes of one job on several nodes of a pool find each other: settings of NVIDIA's NCCL
    (https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html)."""

    interface: InterfaceName
    """Network interface that processes meet over, by its name or the beginning of it, such as `eth0` or `ib`."""

    infiniband: bool = False
    """Whether the nodes have InfiniBand or RoCE for NCCL to use."""

    adapters: tuple[Annotated[str, Field(pattern=r"^[a-z0-9_]+(:[0-9]+)?$", examples=["mlx5_0"])], ...] = ()
    """InfiniBand adapters to use, such as `mlx5_0`, or `mlx5_0:1` with the port; none named means all."""


class LocalSsd(Model):
    """A fast disk in each node, gone with the node."""

    path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.-]+)+$", max_length=200, examples=["/mnt/scratch"])]
    """Where it is mounted on the node."""

    size: Memory
    """How much each node has."""


class NodePool(Model):
    """Nodes that are alike."""

    name: Annotated[PoolName, Field(json_schema_extra=FILLED)]
    """Name of the pool: the key of its record."""

    site: Annotated[Site, Field(json_schema_extra=IMMUTABLE)]
    """Where the pool stands: `home` (own machines) or `cloud` (rented, used when home is full and the tenant may burst)."""

    region: Annotated[LabelValue, Field(json_schema_extra=IMMUTABLE)] | None = None
    """Cloud region of the pool. Needed at site cloud, where residency depends on it; home has none."""

    spot: bool = False
    """Whether the nodes are spot (preemptible) ones, cheaper and taken away at short notice. Site cloud only."""

    nodes: Annotated[int, Field(ge=1, le=5000)]
    """Nodes of the pool; the most of them if `min_nodes` says that the pool is elastic."""

    min_nodes: Annotated[int, Field(ge=0, le=5000)] | None = None
    """Nodes kept when there is nothing to do, for a pool that an autoscaler grows and shrinks; null is a pool of fixed size. Site cloud only."""

    cpu: Cpu
    """Cores per node that pods may use (the node's allocatable, not its hardware)."""

    memory: Memory
    """Memory per node that pods may use (the node's allocatable, not its hardware)."""

    pods: Annotated[int, Field(ge=1, le=500)] = 110
    """Pods per node. The kubelet's own default is 110."""

    gpu: Gpu | None = None
    """GPUs of each node; null for a pool without. A pool with GPUs is kept free of other work by a taint."""

    node_labels: FrozenMap[LabelKey, NodeLabelValue] = Field(default_factory=dict)
    """Labels that the nodes have beside those that follow from the pool's other keys, such as features that node feature discovery finds."""

    topology: Annotated[tuple[LabelKey, ...], Field(max_length=16, json_schema_extra=IMMUTABLE)] = ()
    """Labels that say where in the network a node is, widest first, such as block, rack and `kubernetes.io/hostname`: work that asks for it is kept close together. None named means that it does not matter."""

    nccl: Nccl | None = None
    """How a job's processes on several nodes find each other; null leaves it to NCCL."""

    local_ssd: LocalSsd | None = None
    """Fast disk of each node; null for none."""

    instance_types: tuple[NodeLabelValue, ...] = ()
    """Kinds of machine that Karpenter may rent for the pool, as the cloud names them; none named leaves the pool to whoever else makes its nodes. Elastic pools that shrink to nothing only."""


class NodeClass(Model):
    """What of a cloud Karpenter needs to make a node: image, network, disk. The cloud's own operator serves the kind."""

    group: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", examples=["karpenter.k8s.aws"])]
    """API group of the kind."""

    kind: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", examples=["EC2NodeClass"])]
    """The kind."""

    name: DnsLabel
    """Name of the object that nodes are made by."""


class Karpenter(Model):
    """Karpenter, which rents nodes when pods wait for them and gives them back. The cluster has it, and the node class, from its cloud."""

    node_class: NodeClass
    """By what nodes are made."""

    idle_minutes: Annotated[int, Field(ge=1, le=1440)] = 10
    """How long a node may stand empty before it is given back."""


class Program(StrEnum):
    """Which of NVIDIA's programs make GPUs known to Kubernetes."""

    DEVICE_PLUGIN = "device-plugin"
    GPU_OPERATOR = "gpu-operator"


class GpuPrograms(Model):
    """NVIDIA's programs on nodes with GPUs. They are installed beside the platform, with values that `python -m stacks.gpu_programs` writes."""

    program: Program
    """`device-plugin`: the plugin and GPU feature discovery, on nodes that have a driver and the container toolkit. `gpu-operator`: all of it from one operator, the driver too."""

    metrics: bool = True
    """Whether the DCGM exporter runs, which measures what GPUs do."""
