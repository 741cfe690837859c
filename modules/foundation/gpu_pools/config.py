"""Node pools: machines that are alike, where they stand, and the GPUs in them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from modules.kit.model import FILLED, IMMUTABLE, FrozenMap, Model
from modules.kit.names import LabelValue, PoolName
from modules.kit.quantities import Cpu, Memory

MigProfile = Annotated[
    str,
    Field(
        pattern=r"^[1-9]g\.[1-9][0-9]{0,2}gb(\+me)?$",
        json_schema_extra={"format": "mig-profile", "examples": ["1g.10gb"]},
    ),
]
"""NVIDIA's name of a GPU slice: compute slices, then memory, then media extensions, as in `1g.10gb`."""


class Site(StrEnum):
    """Where a pool stands. Not a region: home has none."""

    HOME = "home"
    CLOUD = "cloud"


class Exclusive(Model):
    """Each GPU belongs to one pod at a time."""

    mode: Literal["none"]
    """`none`: a GPU is given out whole."""


class TimeSlicing(Model):
    """Several pods take turns on a GPU. They share its memory without a fence, so it suits exploration, not training."""

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
