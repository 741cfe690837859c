"""The profile as the rest of the platform sees it: typed, complete, frozen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modules.compute.flink.config import Flink
from modules.compute.spark.config import Spark
from modules.data.cassandra.config import Cassandra
from modules.data.dataset_cache.config import DatasetCache
from modules.data.hdfs.config import Hdfs
from modules.data.kafka.config import Kafka
from modules.data.mysql.config import MySql
from modules.data.object_store.config import ObjectStore
from modules.foundation.admission.config import Admission
from modules.foundation.certificates.config import Certificates
from modules.foundation.gpu_pools.config import GpuPrograms, Karpenter, NodePool
from modules.foundation.queueing.config import Queueing
from modules.foundation.tenants.config import Departed, Tenant
from modules.kit.cluster import Cluster, Identity
from modules.kit.model import FILLED, FrozenMap, Model
from modules.kit.names import DnsLabel, LabelValue, PoolName, TenantName
from modules.kit.network import Reach
from modules.kit.parts import Part, Stacks
from modules.ml.tensorboard.config import TensorBoard
from modules.ml.tracking.config import Tracking
from modules.ml.training.config import Training
from modules.ml.tuning.config import Engine, Tuning

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

    stacks: Stacks | None = None
    """How the environment is cut into stacks; null for one that holds everything, which is right for up to some dozens of tenants."""

    admission: Admission = Admission()
    """How requests are admitted to the cluster."""

    identity: Identity = Identity()
    """Who people are to the cluster."""

    node_pools: Annotated[FrozenMap[PoolName, NodePool], Field(min_length=1)]
    """Node pools by name: machines that are alike, where they stand, and the GPUs in them."""

    gpu_programs: GpuPrograms | None = None
    """NVIDIA's programs on nodes with GPUs; null where there are none, or the cloud brings them."""

    karpenter: Karpenter | None = None
    """Karpenter, for elastic pools that name their `instance_types`; null where nodes are made by other means."""

    queueing: Queueing
    """How work waits, shares and gives way."""

    certificates: Certificates = Certificates()
    """Who signs what servers inside the cluster present."""

    hdfs: Hdfs | None = None
    """HDFS; null where the environment has none."""

    kafka: Kafka | None = None
    """Kafka; null where the environment has none."""

    cassandra: Cassandra | None = None
    """Cassandra; null where the environment has none."""

    object_store: ObjectStore | None = None
    """The object store; null where the environment has none, and then no store is backed up."""

    dataset_cache: DatasetCache | None = None
    """Copies of what is read from the object store, on nodes' own fast disks; null where there are none."""

    mysql: MySql | None = None
    """MySQL; null where the environment has none."""

    spark: Spark | None = None
    """Spark; null where the environment has none. Needs Kubernetes 1.36 or newer."""

    flink: Flink | None = None
    """Flink; null where the environment has none. Needs Kubernetes 1.36 or newer, and works for tenants that have a bucket."""

    training: Training | None = None
    """Training on many machines at once; null where the environment has none. Needs Kubernetes 1.36 or newer."""

    tensorboard: TensorBoard | None = None
    """TensorBoard over what training jobs log, for each tenant that has a bucket; null where the environment has none."""

    tuning: Tuning | None = None
    """Tuning studies; null where the environment has none. With engine `optuna` they work for tenants that have a schema of MySQL."""

    tracking: Tracking | None = None
    """Tracking of experiments and models; null where the environment has none. Needs MySQL, and works for tenants that have a bucket."""

    tenants: FrozenMap[TenantName, Tenant] = Field(default_factory=dict)
    """Tenants of this environment by name. Each stands in a file of its own; here only what differs in this environment, `{}` for nothing."""

    departed: FrozenMap[TenantName, Departed] = Field(default_factory=dict)
    """Tenants that are gone and whose data the stores may delete, by name. A tenant that is merely removed loses its access, and its data is kept."""

    @property
    def is_local(self) -> bool:
        """Whether the profile is for the embedded cluster on one machine, where some safety rules cannot hold."""
        return self.name == "local" or self.name.startswith("local-")

    def part(self, group: int | None = None) -> Part:
        """What of it the platform's stack declares, or that of a group."""
        return Part.of(self.stacks, self.tenants, group)

    @property
    def backed_up(self) -> dict[str, str]:
        """Stores whose backups go to the object store, and their namespaces."""
        stores = {
            "hdfs": self.hdfs,
            "kafka": self.kafka,
            "cassandra": self.cassandra,
            "mysql": self.mysql,
        }
        return {name: store.reach.namespace or name for name, store in stores.items() if store}

    @property
    def tuned(self) -> tuple[str, ...]:
        """Tenants whose studies the platform itself runs: they have a schema to keep them in."""
        if self.tuning is None or self.tuning.engine is not Engine.OPTUNA or self.mysql is None:
            return ()
        return tuple(name for name, tenant in self.tenants.items() if tenant.data.mysql)

    @property
    def logged(self) -> dict[str, str]:
        """Tenants that have a TensorBoard, and the buckets in which it looks."""
        if self.tensorboard is None or self.training is None or self.object_store is None:
            return {}
        return {
            name: self.object_store.bucket(name)
            for name, tenant in self.tenants.items()
            if tenant.data.object_store
        }

    @property
    def cached(self) -> tuple[NodePool, ...]:
        """Pools whose nodes keep copies of datasets."""
        if self.dataset_cache is None:
            return ()
        return tuple(pool for pool in self.node_pools.values() if pool.local_ssd)

    @property
    def tracked(self) -> tuple[str, ...]:
        """Tenants with a workspace: they have a bucket for its artifacts."""
        if self.tracking is None or self.mysql is None or self.object_store is None:
            return ()
        return tuple(name for name, tenant in self.tenants.items() if tenant.data.object_store)

    def reaches(self, tenant: Tenant) -> tuple[Reach, ...]:
        """Where the tenant's pods call the stores that it has."""
        data = tenant.data
        pairs: tuple[
            tuple[Cassandra | DatasetCache | Hdfs | Kafka | MySql | ObjectStore | None, Model | None], ...
        ] = (
            (self.hdfs, data.hdfs),
            (self.kafka, data.kafka),
            (self.cassandra, data.cassandra),
            (self.object_store, data.object_store),
            (self.dataset_cache, data.object_store),
            (self.mysql, data.mysql),
        )
        stores = tuple(store.reach for store, share in pairs if store and share)
        return (*stores, self.tracking.reach) if self.tracking and tenant.name in self.tracked else stores
