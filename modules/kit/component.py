"""The base of every component: one noun, its children under it, its owner on every object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from modules.kit import labels

FIELD_MANAGER: Final = "longhouse"
"""Name under which server-side apply records whose a field is. Without it the provider draws a random
name for each object it creates, so that an object whose creation was recorded by the cluster but not by
Pulumi (a killed run) would keep fields that nobody owns any more."""

FIELD_MANAGER_ANNOTATION: Final = "pulumi.com/patchFieldManager"


class Component(pulumi.ComponentResource):
    """A component resource of type ``longhouse:<area>:<Noun>``, where the noun is the class's own name.

    A subclass names its ``AREA`` and its ``COMPONENT`` (the value of the component label), calls
    ``super().__init__`` first, gives each child ``self.child()`` and ``self.meta(...)``, and ends in
    ``register_outputs``.
    """

    AREA: ClassVar[str]
    COMPONENT: ClassVar[str]

    def __init__(
        self, name: str, *, owner: str, tenant: str | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """``owner`` answers for every object below; ``tenant`` is whose they are, None when they serve
        all."""
        super().__init__(f"longhouse:{self.AREA}:{type(self).__name__}", name, None, opts)
        self.owner = owner
        self.tenant = tenant

    @property
    def labels(self) -> dict[str, str]:
        """Labels that every object of this component carries."""
        if self.tenant is None:
            return labels.platform(self.COMPONENT, self.owner)
        return labels.tenant(self.tenant, self.COMPONENT, self.owner)

    def child(self, opts: pulumi.ResourceOptions | None = None) -> pulumi.ResourceOptions:
        """Options of a child: this component is its parent, and ``opts`` may add to that."""
        return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(parent=self))

    def meta(
        self,
        name: str,
        *,
        namespace: str | None = None,
        extra_labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> ObjectMetaArgs:
        """Metadata of a child. Its name is fixed: the platform refers to objects by name, so none is drawn.

        Raises ValueError when ``extra_labels`` would change who owns the object.
        """
        return ObjectMetaArgs(
            name=name,
            namespace=namespace,
            labels=owned(extra_labels or {}, self.labels),
            annotations={**(annotations or {}), FIELD_MANAGER_ANNOTATION: FIELD_MANAGER},
        )


def owned(own: Mapping[str, str], ownership: Mapping[str, str]) -> dict[str, str]:
    """Labels of an object: its own and those of its owner.

    Raises ValueError when its own would contradict the owner's.
    """
    contradictions = sorted(key for key in own.keys() & ownership.keys() if own[key] != ownership[key])
    if contradictions:
        raise ValueError(
            f"labels {', '.join(contradictions)} say who owns the object and cannot be set by hand"
        )
    return {**own, **ownership}


def secret(value: str) -> pulumi.Output[str]:
    """A derived credential as an output that state and logs hold encrypted only."""
    return pulumi.Output.secret(value)
