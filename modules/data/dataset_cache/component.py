"""Declares the cache on every node of the pools with a fast disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import pulumi
from pulumi_kubernetes.apps.v1 import DaemonSet, DaemonSetSpecArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    EphemeralVolumeSourceArgs,
    Namespace,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeClaimTemplateArgs,
    PodTemplateSpecArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    TolerationArgs,
    VolumeArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import NetworkPolicy, NetworkPolicySpecArgs

from modules.data.dataset_cache import config, image, settings
from modules.data.dataset_cache.config import HOST, NAME, PORT
from modules.data.object_store.config import ObjectStore
from modules.data.store import StoreContext
from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool
from modules.kit import labels, names, network_policies, pods, server
from modules.kit.component import Component
from modules.kit.operator_namespace import POD_SECURITY
from modules.kit.pods import Container, Pod, Probe, SecretFiles

_DISK: Final = "disk"
_TLS: Final = "tls"
_ALIVE: Final = Probe(path="/alive", port=PORT, scheme="HTTPS")


class DatasetCache(Component):
    """A cache on each node with a fast disk, which serves the pods of that node and no others.

    It holds no key of anybody's: what a caller may read, the store says to the caller's own signed URL, at each read. Nothing of it is in the stack of a
    group of tenants.
    """

    AREA = "data"
    COMPONENT = "dataset-cache"

    def __init__(
        self,
        name: str,
        config: config.DatasetCache,
        *,
        context: StoreContext,
        store: ObjectStore,
        tenants: Sequence[str],
        pools: Sequence[NodePool],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are those with a bucket, ``pools`` those with a fast disk."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context, self._store = config, context, store
        if context.shared:
            self._declare(tenants, pools)
        self.register_outputs({})

    def _declare(self, tenants: Sequence[str], pools: Sequence[NodePool]) -> None:
        home = Namespace(NAME, metadata=self.meta(NAME, extra_labels=POD_SECURITY), opts=self.child())
        inside = self.child(pulumi.ResourceOptions(depends_on=[home]))
        for grant, spec in self._grants(tenants).items():
            NetworkPolicy(
                f"{NAME}-{grant}", metadata=self.meta(grant, namespace=NAME), spec=spec, opts=inside
            )
        pod = self._pod()
        parts: list[pulumi.Resource] = [
            ConfigMap(
                f"{NAME}-settings",
                metadata=self.meta("settings", namespace=NAME),
                data=dict(pod.files),
                opts=inside,
            )
        ]
        secret_names, secrets = server.declare_secrets(self, NAME, NAME, pod, inside)
        selector = {server.NAME: NAME}
        # Nodes come and go: a deployment waits for none of them.
        unawaited = {"pulumi.com/skipAwait": "true"}
        Service(
            NAME,
            metadata=self.meta(NAME, namespace=NAME, annotations=unawaited),
            spec=ServiceSpecArgs(
                selector=selector,
                # Copies stay where the work is that reads them: a tenant's data goes no farther than its work may.
                internal_traffic_policy="Local",
                ports=[ServicePortArgs(name="https", port=PORT, target_port=PORT)],
            ),
            opts=inside,
        )
        template = pods.spec(pod, settings="settings", secret_names=secret_names, disk=(_DISK, settings.DISK))
        template.volumes = [*cast("list[VolumeArgs]", template.volumes), self._disk()]
        template.node_selector = {labels.LOCAL_SSD: "true"}
        template.tolerations = [
            TolerationArgs(key=taint.key, operator="Equal", value=taint.value, effect=taint.effect)
            for taint in sorted({taint for pool in pools for taint in placement.taints(pool)})
        ]
        DaemonSet(
            NAME,
            metadata=self.meta(NAME, namespace=NAME, annotations=unawaited),
            spec=DaemonSetSpecArgs(
                selector=LabelSelectorArgs(match_labels=selector),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels={**self.labels, **selector}, annotations={pods.SETTINGS: pod.settings_hash}
                    ),
                    spec=template,
                ),
            ),
            opts=self.child(pulumi.ResourceOptions(depends_on=[home, *parts, *secrets])),
        )

    def _grants(self, tenants: Sequence[str]) -> dict[str, NetworkPolicySpecArgs]:
        return {
            "default-deny": network_policies.deny_all(),
            "allow-dns": network_policies.allow_dns(),
            "allow-store": network_policies.allow_reach(self._store.reach, self._context.cluster),
            "allow-clients": network_policies.together(
                *(network_policies.allow_from(names.namespace(each), [PORT], "TCP") for each in tenants)
            ),
        }

    def _pod(self) -> Pod:
        context = self._context
        pair = context.authority.server(f"{NAME}/server", (HOST,))
        certificate = {
            "tls.crt": pair.certificate,
            "tls.key": pair.private_key,
            "ca.crt": context.authority.bundle,
        }
        container = Container(
            NAME,
            image.image(context.cluster.images),
            ("/bin/sh", f"{settings.SETTINGS}/start.sh"),
            cpu=self._config.cpu,
            memory=self._config.memory,
            ports={"https": PORT},
            readiness=_ALIVE,
            liveness=_ALIVE,
        )
        return Pod(
            containers=(container,),
            files=settings.files(self._config, settings.store(self._store)),
            files_path=settings.SETTINGS,
            secrets=(SecretFiles(_TLS, settings.CERTIFICATE, certificate),),
            user=image.USER,
        )

    def _disk(self) -> VolumeArgs:
        """A volume of the node's own, which goes with the pod: nothing in it is anybody's only copy."""
        return VolumeArgs(
            name=_DISK,
            ephemeral=EphemeralVolumeSourceArgs(
                volume_claim_template=PersistentVolumeClaimTemplateArgs(
                    metadata=ObjectMetaArgs(labels=self.labels),
                    spec=PersistentVolumeClaimSpecArgs(
                        access_modes=["ReadWriteOnce"],
                        storage_class_name=self._config.storage_class,
                        resources=VolumeResourceRequirementsArgs(requests={"storage": self._config.size}),
                    ),
                )
            ),
        )
