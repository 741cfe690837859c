"""The platform: every component, in the order in which one needs the other. The only place where they
meet.

A stack declares all of it, or the part that it stands for: what serves all tenants, or the own objects of one group of them. No part asks another for
anything: names, addresses, credentials and certificates follow from the profile and the master secret, which all of them are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import pulumi
import pulumi_kubernetes as kubernetes

from modules.compute.flink.component import Flink
from modules.compute.spark.component import Spark
from modules.compute.spark.defaults import Bucket, Principal, Stores
from modules.data.cassandra.component import Cassandra
from modules.data.dataset_cache import config as dataset_cache
from modules.data.dataset_cache.component import DatasetCache
from modules.data.hdfs import places
from modules.data.hdfs.component import Hdfs
from modules.data.hdfs.config import EmbeddedKdc
from modules.data.kafka.component import Kafka
from modules.data.mysql.component import MySql
from modules.data.object_store.accounts import backup_bucket
from modules.data.object_store.component import ObjectStore
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.admission.component import Admission
from modules.foundation.certificates.authority import Authority
from modules.foundation.certificates.component import Certificates
from modules.foundation.gpu_pools.component import GpuPools
from modules.foundation.gpu_pools.placement import nccl_environment
from modules.foundation.queueing.component import Queueing
from modules.foundation.tenants import config
from modules.foundation.tenants.component import Tenant, TenantRoles
from modules.kit import image_lock
from modules.kit.crds import Crds
from modules.kit.credentials import Credentials
from modules.kit.parts import Part, StackName
from modules.ml.tensorboard.component import TensorBoard
from modules.ml.tracking import component as tracking
from modules.ml.tracking.component import Tracking
from modules.ml.tracking.config import FOLDER
from modules.ml.training import defaults as training
from modules.ml.training.component import Training
from modules.ml.tuning.component import Tuning
from policies.admission import admission_policies
from profiles.model import Profile
from upstream import part

REQUESTS_PER_SECOND = 200
"""How fast the provider may call the API server: its default of 50 is the bound on a platform of many
tenants."""


@dataclass(frozen=True)
class Platform:
    """What a deployed platform, or part of it, offers to those who look at its stack: names, nothing secret."""

    profile: str
    namespaces: Mapping[str, str]
    """Tenant -> its namespace."""


@dataclass(frozen=True)
class _Shared:
    """What components offer to others, in a stack that declares it."""

    cohort: pulumi.Resource
    monitors: pulumi.Resource


def platform(profile: Profile, credentials: Credentials, part: Part | None = None) -> Platform:
    """Declare a part of what the profile wants: by default that of the platform's own stack, which is all of it unless the profile has groups."""
    part = part or profile.part()
    # The sandbox builds its images itself: they have digests of their own. Tenants' own objects name none.
    if part.shared and not profile.is_local:
        pin_images(image_lock.read())
    on_cluster = pulumi.ResourceOptions(providers=[_cluster(profile)])
    authority = Authority(credentials)
    shared = _shared(profile, credentials, on_cluster) if part.shared else None
    declared = {
        name: Tenant(
            name,
            tenant,
            cluster=profile.cluster,
            identity=profile.identity,
            pools=tuple(profile.node_pools.values()),
            queueing=profile.queueing,
            cohort=shared.cohort if shared else None,
            reaches=profile.reaches(tenant),
            opts=on_cluster,
        )
        for name, tenant in profile.tenants.items()
        if name in part.tenants
    }
    context = StoreContext(
        owner=profile.owner,
        cluster=profile.cluster,
        credentials=credentials,
        authority=authority,
        homes={name: tenant.home for name, tenant in declared.items()},
        delete_data=frozenset(profile.departed),
        monitors=shared.monitors if shared else None,
    )
    _data(profile, context, on_cluster)
    if profile.spark is not None:
        Spark(
            "spark",
            profile.spark,
            context=context,
            webhooks=profile.admission.webhooks,
            tenants={name: _spark_stores(profile, tenant) for name, tenant in profile.tenants.items()},
            shares={name: tenant.spark for name, tenant in profile.tenants.items()},
            opts=on_cluster,
        )
    if profile.flink is not None:
        Flink(
            "flink",
            profile.flink,
            context=context,
            tenants={
                name: tenant.flink
                for name, tenant in profile.tenants.items()
                if profile.object_store and tenant.data.object_store
            },
            opts=on_cluster,
        )
    if profile.training is not None:
        Training(
            "training",
            profile.training,
            context=context,
            webhooks=profile.admission.webhooks,
            tenants={
                name: _training_stores(profile, tenant, authority) for name, tenant in profile.tenants.items()
            },
            shares={name: tenant.training for name, tenant in profile.tenants.items()},
            pools={
                pool.name: nccl_environment(pool.nccl)
                for pool in profile.node_pools.values()
                if pool.nccl is not None
            },
            opts=on_cluster,
        )
    if profile.tensorboard is not None:
        TensorBoard(
            "tensorboard", profile.tensorboard, context=context, tenants=profile.logged, opts=on_cluster
        )
    if profile.tuned:
        Tuning("tuning", context=context, tenants=profile.tuned, opts=on_cluster)
    return Platform(profile.name, {name: tenant.namespace for name, tenant in declared.items()})


def _shared(profile: Profile, credentials: Credentials, on_cluster: pulumi.ResourceOptions) -> _Shared:
    """What serves all tenants, but the stores."""
    pools = tuple(profile.node_pools.values())
    api_server = profile.cluster.api_server
    Admission("admission", profile.admission, admission_policies(), owner=profile.owner, opts=on_cluster)
    certificates = Certificates(
        "certificates",
        profile.certificates,
        owner=profile.owner,
        credentials=credentials,
        api_server=api_server,
        opts=on_cluster,
    )
    GpuPools(
        "gpu-pools",
        pools,
        owner=profile.owner,
        api_server=api_server,
        programs=profile.gpu_programs,
        karpenter=profile.karpenter,
        opts=on_cluster,
    )
    queueing = Queueing(
        "queueing",
        profile.queueing,
        owner=profile.owner,
        api_server=api_server,
        webhooks=profile.admission.webhooks,
        authority=certificates.authority,
        pools=pools,
        tenants=tuple(profile.tenants.values()),
        opts=on_cluster,
    )
    TenantRoles("tenant-roles", owner=profile.owner, opts=on_cluster)
    return _Shared(queueing.cohort, _monitors(profile, on_cluster))


def _data(profile: Profile, context: StoreContext, opts: pulumi.ResourceOptions) -> None:
    """Every store that the environment has, and what keeps its own in them."""
    tracked = profile.tracking if profile.tracked else None
    home = tracking.home(context, profile.tracked, opts) if tracked and context.shared else None
    declared = _stores(profile, context, home, opts)
    if tracked and profile.object_store and profile.mysql:
        Tracking(
            "tracking",
            tracked,
            context=context,
            store=profile.object_store,
            mysql=profile.mysql,
            tenants=profile.tracked,
            home=home,
            after=declared,
            opts=opts,
        )


def _stores(
    profile: Profile,
    context: StoreContext,
    tracking_home: StoreNamespace | None,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """The object store first, which the others' backups go to. Gives what tracking waits for."""
    tenants = tuple(profile.tenants.values())
    declared: list[pulumi.Resource] = []
    services = {profile.tracking.database: tracking_home} if profile.tracking and tracking_home else {}
    if profile.object_store is not None:
        context = replace(
            context,
            backups=partial(backup_bucket, profile.object_store, context.credentials, context.authority),
        )
        declared.append(
            ObjectStore(
                "object-store",
                profile.object_store,
                context=context,
                tenants=tenants,
                writers=profile.backed_up,
                callers=[dataset_cache.NAME] if profile.dataset_cache else [],
                folders={FOLDER: tracking_home.name} if tracking_home else {},
                opts=opts,
            )
        )
        if profile.dataset_cache is not None:
            DatasetCache(
                "dataset-cache",
                profile.dataset_cache,
                context=context,
                store=profile.object_store,
                tenants=[each.name for each in tenants if each.data.object_store],
                pools=profile.cached,
                opts=opts,
            )
    if profile.hdfs is not None:
        Hdfs("hdfs", profile.hdfs, context=context, tenants=tenants, opts=opts)
    if profile.cassandra is not None:
        Cassandra("cassandra", profile.cassandra, context=context, tenants=tenants, opts=opts)
    if profile.kafka is not None:
        Kafka("kafka", profile.kafka, context=context, tenants=tenants, opts=opts)
    if profile.mysql is not None:
        declared.append(
            MySql("mysql", profile.mysql, context=context, tenants=tenants, services=services, opts=opts)
        )
    return declared


def _spark_stores(profile: Profile, tenant: config.Tenant) -> Stores:
    """Those of the tenant's stores that Spark is made ready for. A realm that is kept elsewhere gives its people keys of their own."""
    bucket, hdfs = profile.object_store, profile.hdfs
    return Stores(
        bucket=Bucket(bucket.bucket(tenant.name), bucket.endpoint, bucket.region, path_style=not bucket.given)
        if bucket and tenant.data.object_store
        else None,
        hdfs=Principal(tenant.name, hdfs.kerberos.realm)
        if hdfs and tenant.data.hdfs and isinstance(hdfs.kerberos.kdc, EmbeddedKdc)
        else None,
    )


def _training_stores(profile: Profile, tenant: config.Tenant, authority: Authority) -> training.Stores:
    """Those of the tenant's stores that training jobs are made ready for."""
    found = _spark_stores(profile, tenant)
    return training.Stores(
        bucket=found.bucket.name if found.bucket else None,
        home=f"{places.uri()}/tenants/{tenant.name}" if found.hdfs else None,
        tracked=tenant.name in profile.tracked,
        cache=training.Cache(dataset_cache.ENDPOINT, authority.bundle)
        if found.bucket and profile.cached
        else None,
    )


def _monitors(profile: Profile, opts: pulumi.ResourceOptions) -> Crds:
    """The kinds in which components say where their metrics are; whoever reads them comes later."""
    pin = part("prometheus-operator").directory / "example" / "prometheus-operator-crd"
    files = sorted(pin.glob("*_podmonitors.yaml")) + sorted(pin.glob("*_servicemonitors.yaml"))
    return Crds("monitors", files, owner=profile.owner, opts=opts)


def pin_images(lock: image_lock.Lock) -> None:
    """Let every object that is declared from here on name its images by the digests that the lock gives."""

    def pin(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
        return pulumi.ResourceTransformResult(image_lock.pinned(args.props, lock), args.opts)

    if any(lock.values()):
        pulumi.runtime.register_resource_transform(pin)


def _cluster(profile: Profile) -> kubernetes.Provider:
    """The cluster to deploy to: the profile's context if it names one, else the kubeconfig's current one.

    The platform's stack is the cluster's identity to Pulumi, so that a renamed context or another address of the same
    API server does not replace everything, nor a tenant that is taken over by another stack. ConfigMaps and Secrets are changed in place: the provider would
    replace them, and one with a fixed name is deleted first, under the pods that use it.
    """
    return kubernetes.Provider(
        "cluster",
        # Empty, not absent: else the path in KUBECONFIG, a fact of one machine, becomes part of the state.
        kubeconfig="",
        context=profile.cluster.context,
        cluster_identifier=StackName.of(pulumi.get_stack()).platform,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        kube_client_settings=kubernetes.KubeClientSettingsArgs(
            qps=REQUESTS_PER_SECOND, burst=2 * REQUESTS_PER_SECOND
        ),
    )
