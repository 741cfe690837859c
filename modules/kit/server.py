"""A server that the platform runs itself: pods with names and volumes of their own, one restarted at a time.

What every store needs in the same way, declared in one place: settings, secrets, a StatefulSet that restarts only when its own
settings changed, a Service that gives each pod a name, a disruption budget, and where its metrics are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    RollingUpdateStatefulSetStrategyArgs,
    StatefulSet,
    StatefulSetSpecArgs,
    StatefulSetUpdateStrategyArgs,
)
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PersistentVolumeClaimArgs,
    PersistentVolumeClaimSpecArgs,
    PodTemplateSpecArgs,
    Secret,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    TopologySpreadConstraintArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from modules.kit import pods
from modules.kit.component import Component, secret
from modules.kit.custom_object import CustomObject
from modules.kit.pods import Pod

NAME: Final = "app.kubernetes.io/name"
METRICS: Final = "metrics"
"""Name of the port that every server offers its metrics at."""

_DISK: Final = "data"
_START_MINUTES: Final = 15


@dataclass(frozen=True)
class Disk:
    """A volume of each pod. A volume outlives its pod, and its StatefulSet too."""

    size: str
    path: str
    storage_class: str | None = None


@dataclass(frozen=True)
class Scrape:
    """How the metrics of a server are read, where that is not plain HTTP at /metrics.

    ``port`` names the port that they are read at. ``token`` is a key of a Secret (name, key) that holds a bearer token, ``ca`` one that
    holds the authorities to trust; ``server_name`` is what the certificate says.
    """

    path: str = "/metrics"
    scheme: str = "http"
    port: str = METRICS
    token: tuple[str, str] | None = None
    ca: tuple[str, str] | None = None
    server_name: str | None = None


@dataclass(frozen=True)
class Server:
    """One kind of server: ``replicas`` pods, named ``<name>-0`` upwards.

    Each pod is reached at ``<name>-<number>.<name>.<namespace>.svc``, before it is ready too where ``names_before_ready``
    (servers that find each other to become ready). ``service`` names a second Service, which leads to ready pods only.
    ``together`` starts all pods at once, for servers that wait for each other. ``update_at_once`` also restarts them at once, for
    servers that refuse to work beside one with other settings; it needs Kubernetes 1.35, and before it deleting the pods by hand. ``spread`` are node labels over whose values the
    pods are spread, the first of them strictly.
    """

    name: str
    namespace: str
    pod: Pod
    replicas: int = 1
    disk: Disk | None = None
    service: str | None = None
    service_ports: Mapping[str, int] = field(default_factory=dict)
    names_before_ready: bool = False
    together: bool = False
    update_at_once: bool = False
    spread: Sequence[str] = ()
    scrape: Scrape | None = Scrape()

    @property
    def ports(self) -> dict[str, int]:
        """Every port of every container, by name."""
        return {name: port for each in self.pod.containers for name, port in each.ports.items()}


def declare(component: Component, server: Server, depends_on: Sequence[pulumi.Resource] = ()) -> StatefulSet:
    """Declare a server as children of the store that it belongs to. Gives the StatefulSet, which stands for all of it.

    Depends on the namespace being among ``depends_on``.
    """
    inside = component.child(pulumi.ResourceOptions(depends_on=list(depends_on)))
    parts: list[pulumi.Resource] = []
    if server.pod.files:
        parts.append(
            ConfigMap(
                f"{server.namespace}-{server.name}-settings",
                metadata=component.meta(f"{server.name}-settings", namespace=server.namespace),
                data=dict(server.pod.files),
                opts=inside,
            )
        )
    names, secrets = declare_secrets(component, server.namespace, server.name, server.pod, inside)
    selector = {NAME: server.name}
    parts += [*secrets, *_services(component, server, selector, inside)]
    PodDisruptionBudget(
        f"{server.namespace}-{server.name}",
        metadata=component.meta(server.name, namespace=server.namespace),
        spec=PodDisruptionBudgetSpecArgs(
            max_unavailable=1, selector=LabelSelectorArgs(match_labels=selector)
        ),
        opts=inside,
    )
    if server.scrape and server.scrape.port in server.ports:
        monitor(component, server.namespace, server.name, selector, server.scrape, inside)
    return StatefulSet(
        f"{server.namespace}-{server.name}",
        metadata=component.meta(server.name, namespace=server.namespace),
        spec=_stateful_set(component, server, names, selector),
        opts=component.child(
            pulumi.ResourceOptions(
                depends_on=[*depends_on, *parts],
                custom_timeouts=pulumi.CustomTimeouts(
                    create=f"{_START_MINUTES}m", update=f"{_START_MINUTES}m"
                ),
            )
        ),
    )


def declare_secrets(
    component: Component, namespace: str, owner: str, pod: Pod, opts: pulumi.ResourceOptions
) -> tuple[dict[str, str], list[Secret]]:
    """The Secrets of a pod's own secret files: their names by the names that the pod has for them, and the resources."""
    names = {each.name: each.existing or f"{owner}-{each.name}" for each in pod.secrets}
    declared = [
        Secret(
            f"{namespace}-{names[each.name]}",
            metadata=component.meta(names[each.name], namespace=namespace),
            string_data={name: secret(content) for name, content in each.files.items()} or None,
            data=pods.encoded(each.binary),
            opts=opts,
        )
        for each in pod.secrets
        if each.existing is None
    ]
    return names, declared


def _stateful_set(
    component: Component, server: Server, secret_names: Mapping[str, str], selector: Mapping[str, str]
) -> StatefulSetSpecArgs:
    pod = pods.spec(
        server.pod,
        settings=f"{server.name}-settings",
        secret_names=secret_names,
        disk=(_DISK, server.disk.path) if server.disk else None,
    )
    pod.topology_spread_constraints = [
        TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway" if number else "DoNotSchedule",
            label_selector=LabelSelectorArgs(match_labels=selector),
        )
        for number, key in enumerate(server.spread)
    ] or None
    return StatefulSetSpecArgs(
        service_name=server.name,
        replicas=server.replicas,
        pod_management_policy="Parallel" if server.together else "OrderedReady",
        update_strategy=_ALL_AT_ONCE if server.update_at_once and server.replicas > 1 else None,
        selector=LabelSelectorArgs(match_labels=selector),
        template=PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(
                labels={**component.labels, **selector},
                annotations={pods.SETTINGS: server.pod.settings_hash},
            ),
            spec=pod,
        ),
        volume_claim_templates=[_claim(server.disk)] if server.disk else None,
    )


_ALL_AT_ONCE: Final = StatefulSetUpdateStrategyArgs(
    type="RollingUpdate", rolling_update=RollingUpdateStatefulSetStrategyArgs(max_unavailable="100%")
)


def _claim(disk: Disk) -> PersistentVolumeClaimArgs:
    return PersistentVolumeClaimArgs(
        metadata=ObjectMetaArgs(name=_DISK),
        spec=PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=disk.storage_class,
            resources=VolumeResourceRequirementsArgs(requests={"storage": disk.size}),
        ),
    )


def _services(
    component: Component, server: Server, selector: Mapping[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    headless = Service(
        f"{server.namespace}-{server.name}",
        metadata=component.meta(server.name, namespace=server.namespace),
        spec=ServiceSpecArgs(
            cluster_ip="None",
            selector=selector,
            publish_not_ready_addresses=server.names_before_ready,
            ports=_ports(server.ports),
        ),
        opts=opts,
    )
    if server.service is None:
        return [headless]
    ready = Service(
        f"{server.namespace}-{server.service}",
        # No pod is ready yet when it is made: the StatefulSet is awaited, not this.
        metadata=component.meta(
            server.service, namespace=server.namespace, annotations={"pulumi.com/skipAwait": "true"}
        ),
        spec=ServiceSpecArgs(selector=selector, ports=_ports(server.service_ports)),
        opts=opts,
    )
    return [headless, ready]


def _ports(ports: Mapping[str, int]) -> list[ServicePortArgs]:
    return [ServicePortArgs(name=name, port=port, target_port=port) for name, port in ports.items()]


def monitor(
    component: Component,
    namespace: str,
    name: str,
    selector: Mapping[str, str],
    scrape: Scrape,
    opts: pulumi.ResourceOptions,
) -> CustomObject:
    """Where the metrics of some pods are: those of a server, or those that an operator makes. Depends on the kind PodMonitor."""
    endpoint: dict[str, object] = {"port": scrape.port, "path": scrape.path, "scheme": scrape.scheme}
    if scrape.token:
        secret_name, key = scrape.token
        endpoint["authorization"] = {"credentials": {"name": secret_name, "key": key}}
    trust: dict[str, object] = {"serverName": scrape.server_name} if scrape.server_name else {}
    if scrape.ca:
        trust["ca"] = {"secret": {"name": scrape.ca[0], "key": scrape.ca[1]}}
    if trust:
        endpoint["tlsConfig"] = trust
    return CustomObject(
        f"{namespace}-{name}",
        "monitoring.coreos.com/v1",
        "PodMonitor",
        component.meta(name, namespace=namespace),
        {"spec": {"selector": {"matchLabels": dict(selector)}, "podMetricsEndpoints": [endpoint]}},
        opts=opts,
    )
