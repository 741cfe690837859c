"""What all stores have in common: what they are given, where they live, and how a tenant is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicySpecArgs,
)
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from modules.foundation.certificates.authority import Authority, KeyPair
from modules.kit import accounts, clients, labels, names, network_policies, pods, task
from modules.kit.cluster import Cluster
from modules.kit.component import Component, secret
from modules.kit.credentials import Credentials
from modules.kit.inside import retained
from modules.kit.operator_namespace import POD_SECURITY
from modules.kit.pods import SecretFiles

MONITORING_NAMESPACE: Final = "monitoring"
"""Namespace whose pods read every server's metrics."""

ACCESS_ACCOUNT: Final = "access"
"""Service account of the programs that reconcile access: it may write the list of what is retained, and nothing else."""

BINDING_PATH: Final = "/bindings"
"""Where a pod is expected to mount its bindings, one folder a store (Service Binding for Kubernetes 1.0, "Workload Projection":
``$SERVICE_BINDING_ROOT/<name>``)."""


@dataclass(frozen=True)
class Bucket:
    """A place in an object store, with the key that opens it. ``prefix`` ends in ``/`` or is empty; ``ca`` is None where
    public authorities vouch; ``namespace`` is where it runs; outside the cluster it is None, and ``cidrs`` are its addresses."""

    endpoint: str
    region: str
    name: str
    prefix: str
    access_key: str
    secret_key: str = field(repr=False)
    ca: str | None = None
    namespace: str | None = None
    port: int = 443
    cidrs: tuple[str, ...] = ()
    existing: str | None = None
    """Secret with all of this that somebody makes in the namespace of each store, where the platform cannot know the key."""

    def __post_init__(self) -> None:
        if self.namespace is None and not self.cidrs:  # a network policy to no peer is one to everywhere
            raise ValueError(f"bucket {self.name} has neither a namespace nor addresses")

    def files(self, name: str = "bucket", path: str = "/longhouse-bucket") -> SecretFiles:
        """Its description as the folder that ``modules.kit.inside.bucket`` opens."""
        if self.existing:
            return SecretFiles(name, path, existing=self.existing)
        facts = {
            "endpoint": self.endpoint,
            "region": self.region,
            "bucket": self.name,
            "prefix": self.prefix,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
        }
        return SecretFiles(name, path, {**facts, "ca.crt": self.ca} if self.ca else facts)


@dataclass(frozen=True)
class StoreContext:
    """What every store is given.

    ``homes`` are the tenants' namespaces as resources, ``delete_data`` those tenants that are gone and whose data may go too,
    ``monitors`` are the kinds PodMonitor and ServiceMonitor, None in a stack that declares no more of a store than what stands in
    the homes of its group of tenants. ``backups`` gives the place for the backups of a store, None where the environment has no object store.
    """

    owner: str
    cluster: Cluster
    credentials: Credentials
    authority: Authority
    homes: Mapping[str, pulumi.Resource]
    monitors: pulumi.Resource | None
    delete_data: frozenset[str] = frozenset()
    backups: Callable[[str], Bucket | None] = lambda store: None

    @property
    def shared(self) -> bool:
        """Whether what serves all tenants is declared here: servers, and who may use them."""
        return self.monitors is not None

    def here(self, tenants: Iterable[str]) -> tuple[str, ...]:
        """Those of them whose homes are in this stack."""
        return tuple(each for each in tenants if each in self.homes)

    def after(self, *others: pulumi.Resource) -> list[pulumi.Resource]:
        """What a server waits for that says where its metrics are."""
        return [*others, *([self.monitors] if self.monitors else [])]

    @property
    def image(self) -> str:
        """The platform's own image, in which programs run."""
        return clients.image(self.cluster.images)


class StoreNamespace(Component):
    """The namespace of one store. Offers its ``name``.

    Its pods may talk to each other and ask DNS. Tenants that have the store may call it at the client ports; nobody else may
    call in but what reads metrics. Programs in it may call the API server and the bucket of the backups.
    """

    AREA = "data"
    COMPONENT = "store-namespace"

    def __init__(
        self,
        name: str,
        *,
        context: StoreContext,
        client_ports: Sequence[int],
        tenants: Sequence[str],
        metrics_ports: Sequence[int] = (),
        callers: Sequence[str] = (),
        backups: Bucket | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are those that have the store, ``callers`` other namespaces that may use it as they do."""
        super().__init__(name, owner=context.owner, opts=opts)
        self.name = name
        home = Namespace(name, metadata=self.meta(name, extra_labels=POD_SECURITY), opts=self.child())
        self._inside = self.child(pulumi.ResourceOptions(depends_on=[home]))
        self._policy("default-deny", network_policies.deny_all())
        self._policy(
            "allow-basics",
            network_policies.together(network_policies.allow_dns(), network_policies.allow_within()),
        )
        namespaces = [*map(names.namespace, tenants), *callers]
        if namespaces and client_ports:
            self._policy("allow-clients", _from(namespaces, client_ports))
        if metrics_ports:
            self._policy("allow-metrics", _from([MONITORING_NAMESPACE], metrics_ports))
        self._policy(
            "programs-to-api-server",
            programs_only(network_policies.allow_api_server(context.cluster.api_server)),
        )
        if backups is not None and backups.namespace != name:
            self._policy("programs-to-backups", programs_only(_to_bucket(backups)))
        self._declare_account(home)
        self.register_outputs({"namespace": name})

    def _policy(self, name: str, spec: NetworkPolicySpecArgs) -> None:
        NetworkPolicy(
            f"{self.name}-{name}", metadata=self.meta(name, namespace=self.name), spec=spec, opts=self._inside
        )

    def _declare_account(self, home: Namespace) -> None:
        """The list of what is retained, and the account that may write it."""
        name = retained.NAME
        ConfigMap(
            f"{self.name}-{name}",
            metadata=self.meta(name, namespace=self.name, extra_labels={labels.RETAINED: self.name}),
            opts=self._inside,
        )
        accounts.declare(self, self.name, ACCESS_ACCOUNT, [may_list_retained()], [home])


def may_list_retained() -> PolicyRuleArgs:
    """What an account has to be allowed whose program writes the list of what is retained."""
    return PolicyRuleArgs(
        api_groups=[""], resources=["configmaps"], resource_names=[retained.NAME], verbs=["get", "patch"]
    )


def binding(
    component: Component,
    tenant: str,
    store: str,
    facts: Mapping[str, str],
    context: StoreContext,
    binary: Mapping[str, bytes] | None = None,
) -> Secret:
    """The Secret named after the store in the tenant's namespace: all that a client needs, one file a key.

    ``binary`` are files that are no text.
    """
    meta = component.meta(store, namespace=names.namespace(tenant), extra_labels={labels.TENANT: tenant})
    return _binding(component, tenant, store, facts, meta, context.homes[tenant], binary)


def service_binding(
    component: Component,
    service: str,
    namespace: str,
    store: str,
    facts: Mapping[str, str],
    home: pulumi.Resource,
) -> Secret:
    """The same for a service of the platform itself, in its ``namespace``, which is the resource ``home``."""
    return _binding(component, service, store, facts, component.meta(store, namespace=namespace), home)


def _binding(
    component: Component,
    whose: str,
    store: str,
    facts: Mapping[str, str],
    meta: ObjectMetaArgs,
    home: pulumi.Resource,
    binary: Mapping[str, bytes] | None = None,
) -> Secret:
    """Keys that mean the same everywhere are the well-known ones of Service Binding for Kubernetes 1.0 ("Well-known Secret
    Entries": type, provider, host, port, uri, username, password, certificates)."""
    return Secret(
        f"{whose}-{store}-binding",
        metadata=meta,
        type=f"servicebinding.io/{store}",
        string_data={key: secret(value) for key, value in {"type": store, **facts}.items()},
        data=pods.encoded(binary or {}),
        opts=component.child(pulumi.ResourceOptions(depends_on=[home])),
    )


def named_secret(
    component: Component,
    home: StoreNamespace,
    name: str,
    files: Mapping[str, str],
    kind: str = "Opaque",
) -> Secret:
    """A Secret of the store's namespace that an operator's resource refers to by its name."""
    return Secret(
        f"{home.name}-{name}",
        metadata=component.meta(name, namespace=home.name),
        type=kind,
        string_data={key: secret(value) for key, value in files.items()},
        opts=component.child(pulumi.ResourceOptions(depends_on=[home])),
    )


def tenant_secret(
    component: Component,
    tenant: str,
    namespace: str,
    name: str,
    files: Mapping[str, str],
    depends_on: Sequence[pulumi.Resource],
) -> Secret:
    """A Secret of the store's namespace that belongs to one tenant, and goes with it."""
    return Secret(
        f"{namespace}-{name}",
        metadata=component.meta(name, namespace=namespace, extra_labels={labels.TENANT: tenant}),
        string_data={key: secret(value) for key, value in files.items()},
        type="Opaque",
        opts=component.child(pulumi.ResourceOptions(depends_on=list(depends_on))),
    )


def named_key_pair(
    component: Component, home: StoreNamespace, name: str, pair: KeyPair, authority: str
) -> Secret:
    """The same for a certificate with its key, and ``authority``, who signed it, beside them."""
    files = {"tls.crt": pair.certificate, "tls.key": pair.private_key, "ca.crt": authority}
    return named_secret(component, home, name, files, "kubernetes.io/tls")


def _from(namespaces: Sequence[str], ports: Sequence[int]) -> NetworkPolicySpecArgs:
    return NetworkPolicySpecArgs(
        pod_selector=network_policies.all_pods(),
        policy_types=[network_policies.INGRESS],
        ingress=[
            NetworkPolicyIngressRuleArgs(
                from_=[network_policies.in_namespace(each) for each in namespaces],
                ports=network_policies.ports(ports),
            )
        ],
    )


def programs_only(spec: NetworkPolicySpecArgs) -> NetworkPolicySpecArgs:
    """The grant for pods that run a program, instead of for all."""
    return network_policies.only_having(spec, task.PROGRAM)


def _to_bucket(bucket: Bucket) -> NetworkPolicySpecArgs:
    """To where the bucket runs: pods of its namespace, or its addresses outside the cluster."""
    peers = (
        [network_policies.in_namespace(bucket.namespace)]
        if bucket.namespace
        else [NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=cidr)) for cidr in bucket.cidrs]
    )
    return NetworkPolicySpecArgs(
        pod_selector=network_policies.all_pods(),
        policy_types=[network_policies.EGRESS],
        egress=[NetworkPolicyEgressRuleArgs(to=peers, ports=network_policies.ports([bucket.port]))],
    )
