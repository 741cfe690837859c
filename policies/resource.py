"""Declared resources as plain data, with the few readings that rules share.

Everything fails closed. A value that is only known once it is deployed reads as `UNKNOWN`: a string that no rule allows. A value of the
wrong shape reads as an empty record or as a list of one, so that it lacks whatever a rule asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from modules.kit import labels, names

UNKNOWN: Final = "(known only once deployed)"
"""Stands for a value that a preview cannot know."""

Record = Mapping[str, Any]

CUSTOM_RESOURCE_DEFINITION: Final = "apiextensions.k8s.io/CustomResourceDefinition"
LIMIT_RANGE: Final = "core/LimitRange"
NAMESPACE: Final = "core/Namespace"
NETWORK_POLICY: Final = "networking.k8s.io/NetworkPolicy"
RESOURCE_QUOTA: Final = "core/ResourceQuota"

_POD_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "core/Pod": (),
    "core/PodTemplate": ("template",),
    "core/ReplicationController": ("spec", "template"),
    "apps/DaemonSet": ("spec", "template"),
    "apps/Deployment": ("spec", "template"),
    "apps/ReplicaSet": ("spec", "template"),
    "apps/StatefulSet": ("spec", "template"),
    "batch/CronJob": ("spec", "jobTemplate", "spec", "template"),
    "batch/Job": ("spec", "template"),
}
"""Where Kubernetes' own workload kinds keep their pod template."""

_NO_OBJECTS: Final = frozenset({"helm.sh", "kustomize", "yaml"})
"""Groups of the Pulumi provider whose types render objects and are none themselves; what they render is registered too."""


def record(value: object) -> Record:
    """The value as a record; an empty one when it is none."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> tuple[Any, ...]:
    """The value as a list: none when absent, a list of one when it is no list."""
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(value)
    return (value,)


def records(value: object) -> tuple[Record, ...]:
    """The value as a list of records."""
    return tuple(record(item) for item in items(value))


def at(value: object, *path: str) -> Any:
    """What lies at the path; None when it does not exist, `UNKNOWN` when something on the way there is not known."""
    for key in path:
        if value == UNKNOWN:
            return UNKNOWN
        value = record(value).get(key)
    return value


@dataclass(frozen=True)
class Container:
    """A container of a pod, of whichever list."""

    where: str
    """The pod's place in its resource, then the container's kind and name: begins every message about it."""
    ephemeral: bool
    body: Record

    @property
    def security(self) -> Record:
        """Its own security context."""
        return record(self.body.get("securityContext"))


@dataclass(frozen=True)
class Pod:
    """A pod, or the template of one."""

    where: str
    """Its place in a resource that can hold several, with a colon and a space; empty for Kubernetes' own workload kinds."""
    metadata: Record
    spec: Record

    @property
    def security(self) -> Record:
        """The pod's own security context."""
        return record(self.spec.get("securityContext"))

    @property
    def linux(self) -> bool:
        """Whether it runs on Linux: some fields cannot be set on Windows."""
        return bool(at(self.spec, "os", "name") != "windows")

    @property
    def containers(self) -> tuple[Container, ...]:
        """Init, ordinary and ephemeral containers, in this order."""
        return tuple(
            Container(
                f"{self.where}{title} {body.get('name') or number}", title.startswith("ephemeral"), body
            )
            for title, key in (
                ("init container", "initContainers"),
                ("container", "containers"),
                ("ephemeral container", "ephemeralContainers"),
            )
            for number, body in enumerate(records(self.spec.get(key)))
        )

    @property
    def volumes(self) -> tuple[tuple[str, Record], ...]:
        """Each volume, after the words that begin every message about it."""
        return tuple(
            (f"{self.where}volume {volume.get('name') or number}", volume)
            for number, volume in enumerate(records(self.spec.get("volumes")))
        )


@dataclass(frozen=True)
class Resource:
    """A Kubernetes object as it is declared, its properties in Kubernetes' own spelling."""

    urn: str
    type: str
    """Pulumi's type token, such as `kubernetes:apps/v1:Deployment`."""
    name: str
    """Pulumi's name, unique in the stack."""
    props: Record
    home: Record | str = UNKNOWN
    """The namespace that the object lives in, as it is declared; `UNKNOWN` where it is not declared beside it."""

    @property
    def kind(self) -> str:
        """Group and kind without the version, such as `apps/Deployment`. The `...Patch` of a kind counts as that kind."""
        _, version, kind = self.type.split(":", 2)
        return f"{version.partition('/')[0]}/{kind.removesuffix('Patch')}"

    @property
    def metadata(self) -> Record:
        """The object's metadata."""
        return record(self.props.get("metadata"))

    @property
    def object_name(self) -> str:
        """The object's name in the cluster, or Pulumi's when Kubernetes or Pulumi is to invent one."""
        return str(self.metadata.get("name") or self.name)

    @property
    def namespace(self) -> str | None:
        """The namespace the object lives in; None when it has none, or leaves it to the provider."""
        value = self.metadata.get("namespace")
        return None if value is None else str(value)

    @property
    def labels(self) -> Record:
        """The object's labels."""
        return record(self.metadata.get("labels"))

    @property
    def subject(self) -> str:
        """How messages name the object: kind, namespace and name."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.rpartition('/')[2]} {place}{self.object_name}"

    @property
    def tenant(self) -> str | None:
        """The tenant in whose namespace the object lives, or whose namespace it is, by the namespace's name."""
        home = self.object_name if self.kind == NAMESPACE else self.namespace
        if home is None or not home.startswith(names.NAMESPACE_PREFIX):
            return None
        return home.removeprefix(names.NAMESPACE_PREFIX)

    @property
    def owning_tenant(self) -> str | None:
        """The tenant that the object says it belongs to, also where it lives in no tenant's namespace (a ClusterQueue); else `tenant`."""
        said = self.labels.get(labels.TENANT)
        return self.tenant if said is None else str(said)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that the object makes: of Kubernetes' own workload kinds, and of every pod template inside a custom resource."""
        path = _POD_TEMPLATES.get(self.kind)
        if path is not None:
            template = at(self.props, *path)
            return (Pod("", record(at(template, "metadata")), record(at(template, "spec"))),)
        if self.kind == CUSTOM_RESOURCE_DEFINITION:
            return ()
        return tuple(_templates(self.props, ""))


def _templates(value: object, path: str) -> Iterator[Pod]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            place = f"{path}.{key}" if path else str(key)
            spec = at(inner, "spec")
            if key == "template" and "containers" in record(spec):
                yield Pod(f"{place}: ", record(at(inner, "metadata")), record(spec))
            else:
                yield from _templates(inner, place)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, inner in enumerate(value):
            yield from _templates(inner, f"{path}[{number}]")


def kubernetes_resources(urn: str, type_token: str, name: str, props: Record) -> tuple[Resource, ...]:
    """The Kubernetes objects that one Pulumi resource declares: none for a component or another provider's, several for a `...List`."""
    package, _, rest = type_token.partition(":")
    if package != "kubernetes" or rest.partition("/")[0] in _NO_OBJECTS:
        return ()
    if not rest.endswith("List") or "items" not in props:
        return (Resource(urn, type_token, name, props),)
    kind = type_token.removesuffix("List")
    return tuple(
        Resource(urn, kind, f"{name}[{number}]", body) for number, body in enumerate(records(props["items"]))
    )


def at_home(resources: Sequence[Resource]) -> tuple[Resource, ...]:
    """The resources, each with the namespace that it lives in where that is among them."""
    homes = {each.object_name: each.props for each in resources if each.kind == NAMESPACE}
    return tuple(
        replace(each, home=homes[each.namespace]) if each.namespace in homes else each for each in resources
    )
