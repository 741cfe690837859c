"""Small pools, tenants and stores to declare things for, each with only what a test says about it."""

from __future__ import annotations

from typing import Any

from pulumi_kubernetes.core.v1 import Namespace

from modules.data.kafka.config import Kafka, KafkaEngine, KafkaShare, Topic
from modules.data.store import Bucket, StoreContext
from modules.foundation.certificates.authority import Authority
from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.tenants.config import Tenant
from modules.kit import names
from modules.kit.cluster import ApiServer, Cluster
from modules.kit.credentials import Credentials

A100 = {"product": "NVIDIA-A100-SXM4-80GB", "count": 8, "memory": "80Gi"}
L4 = {"product": "NVIDIA-L4", "count": 4, "memory": "24Gi"}


def pool(name: str, **fields: Any) -> NodePool:
    """A pool at home with one node of 16 cores, unless said otherwise."""
    return NodePool(**{"name": name, "site": "home", "nodes": 1, "cpu": "16", "memory": "64Gi", **fields})


def cloud_pool(name: str, **fields: Any) -> NodePool:
    """A pool in the cloud's region eu-central-1, unless said otherwise."""
    return pool(name, **{"site": "cloud", "region": "eu-central-1", **fields})


def tenant(name: str = "atlas", *, quota: dict[str, Any] | None = None, **fields: Any) -> Tenant:
    """A tenant with a small quota and no rights beyond it, unless said otherwise."""
    return Tenant(
        **{
            "name": name,
            "owner": f"{name}-team",
            "quota": {"cpu": "4", "memory": "8Gi", "storage": "20Gi", "pods": 50, **(quota or {})},
            **fields,
        }
    )


GENERAL = pool("general")
GPUS = pool("a100", nodes=2, cpu="32", memory="256Gi", gpu=A100)
CLOUD = cloud_pool("cloud-cpu", nodes=4)
CLOUD_GPUS = cloud_pool("cloud-l4", nodes=4, cpu="24", memory="96Gi", spot=True, gpu=L4)
POOLS = (GENERAL, GPUS, CLOUD, CLOUD_GPUS)
MAY_BURST = {"allowed": True, "regions": ["eu-central-1"]}

CREDENTIALS = Credentials(bytes(range(32)))
AUTHORITY = Authority(CREDENTIALS)
CLUSTER = Cluster(
    pod_cidr="10.88.0.0/16",
    service_cidr="10.96.0.0/16",
    api_server=ApiServer(cidrs=("172.30.255.1/32",), port=6443),
)
BACKUPS = Bucket(
    endpoint="https://object-store.object-store.svc:9000",
    region="home",
    name="backups",
    prefix="store/",
    access_key="backup-store",
    secret_key="not-a-secret",
    ca=AUTHORITY.bundle,
    namespace="object-store",
    port=9000,
)

KAFKA = Kafka(
    engine=KafkaEngine.PLAIN,
    brokers=1,
    replication=1,
    min_in_sync=1,
    partitions=60,
    cpu="100m",
    memory="768Mi",
    disk="4Gi",
)
KAFKA_SHARE = KafkaShare(topics={"events": Topic(partitions=3, retention_bytes="8Mi")}, create_topics=True)


def store_context(*tenants: str, backups: Bucket | None = BACKUPS, **fields: Any) -> StoreContext:
    """What a store is given, for these tenants. To be called in the program, since it declares their namespaces."""
    return StoreContext(
        **{
            "owner": "us",
            "cluster": CLUSTER,
            "credentials": CREDENTIALS,
            "authority": AUTHORITY,
            "homes": {
                name: Namespace(f"home-{name}", metadata={"name": names.namespace(name)}) for name in tenants
            },
            "monitors": Namespace("monitors", metadata={"name": "stands-for-the-monitors"}),
            "backups": lambda store: backups,
            **fields,
        }
    )


def unknown_values(values: dict[str, Any], known: dict[str, Any], where: str = "") -> list[str]:
    """Values that the chart's own do not have. Free-form maps (resources, security contexts) end the comparison."""
    found = []
    for key, value in values.items():
        path = f"{where}.{key}"
        if key not in known:
            found.append(path)
        elif (
            isinstance(value, dict)
            and isinstance(known[key], dict)
            and not key.endswith(("resources", "Context"))
        ):
            found += unknown_values(value, known[key], path)
    return found
