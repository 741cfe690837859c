"""The profile as the rest of the platform sees it: typed, complete, frozen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modules.foundation.certificates.config import Certificates
from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.queueing.config import Queueing
from modules.foundation.tenants.config import Tenant
from modules.kit.cluster import Admission, Cluster, Identity
from modules.kit.model import FILLED, FrozenMap, Model
from modules.kit.names import DnsLabel, LabelValue, PoolName, TenantName

BASE = "base"
"""The profile that holds shared choices only: others extend it, nobody deploys it."""


class Profile(Model):
    """One environment: where the platform runs, on what, for whom."""

    name: Annotated[DnsLabel, Field(json_schema_extra=FILLED)]
    """Name of the profile: the name of its file."""

    description: Annotated[str, Field(min_length=1, max_length=400)]
    """What the environment is for, in a sentence."""

    owner: LabelValue
    """Team or person that answers for the platform here; also a label, so it holds no `@`."""

    cluster: Cluster
    """What the platform has to know of the cluster that it is deployed to."""

    admission: Admission = Admission()
    """How requests are admitted to the cluster."""

    identity: Identity = Identity()
    """Who people are to the cluster."""

    node_pools: Annotated[FrozenMap[PoolName, NodePool], Field(min_length=1)]
    """Node pools by name: machines that are alike, where they stand, and the GPUs in them."""

    queueing: Queueing
    """How work waits, shares and gives way."""

    certificates: Certificates = Certificates()
    """Who signs what servers inside the cluster present."""

    tenants: FrozenMap[TenantName, Tenant] = Field(default_factory=dict)
    """Tenants of this environment by name. Each stands in a file of its own; here only what differs in this environment, `{}` for nothing."""

    @property
    def is_local(self) -> bool:
        """Whether the profile is for the embedded cluster on one machine, where some safety rules cannot hold."""
        return self.name == "local" or self.name.startswith("local-")
