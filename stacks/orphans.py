"""Objects of the platform that no state knows of, and those that a state knows of and the cluster has not.

Every object of the platform carries a label. A run that is killed may leave some that its state lacks; what the profile still names
the next run takes over, since server-side apply makes no difference between creating and updating. The rest is found here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modules.kit.labels import MANAGED_BY, PLATFORM
from stacks.leases import Kubectl

Key = tuple[str, str]
"""Kind with its API group, and name with its namespace: `("Role.rbac.authorization.k8s.io", "tenant-atlas/reader")`."""

_COPIES: Final = ("endpoints", "endpointslices")
"""Kinds that controllers make, with the labels of what they are made from."""

_CORE: Final = "core"

_VOLUMES: Final = ("PersistentVolume", "PersistentVolumeClaim")


@dataclass(frozen=True)
class Labelled:
    """An object that carries the platform's label."""

    kind: str
    group: str
    namespace: str
    name: str
    created: str
    """By the cluster's own clock (RFC 3339)."""

    passing: bool
    """Whether another object owns it, or it is being deleted."""

    @property
    def key(self) -> Key:
        """As states name it."""
        return f"{self.kind}.{self.group}", "/".join(part for part in (self.namespace, self.name) if part)

    @property
    def reference(self) -> tuple[str, ...]:
        """As kubectl names it."""
        kind = self.kind if self.group == _CORE else f"{self.kind}.{self.group}"
        return (kind, self.name, *((f"--namespace={self.namespace}",) if self.namespace else ()))

    @property
    def of_an_operator(self) -> bool:
        """Whether its kind is no part of Kubernetes (whose groups have no domain, or its own)."""
        return "." in self.group and not self.group.endswith(".k8s.io")

    def __str__(self) -> str:
        return " ".join(self.key)


def labelled(kubectl: Kubectl) -> tuple[Labelled, ...]:
    """All of them."""
    kinds = kubectl("api-resources", "--verbs=list,delete", "--output=name").split()
    asked = ",".join(kind for kind in kinds if kind.partition(".")[0] not in _COPIES)
    said = kubectl("get", asked, "--all-namespaces", f"--selector={MANAGED_BY}={PLATFORM}", "--output=json")
    return tuple(_labelled(each) for each in json.loads(said)["items"])


def _labelled(item: Mapping[str, Any]) -> Labelled:
    meta = item["metadata"]
    passing = bool(meta.get("ownerReferences") or meta.get("deletionTimestamp"))
    group = item["apiVersion"].rpartition("/")[0] or _CORE
    return Labelled(
        item["kind"], group, meta.get("namespace", ""), meta["name"], meta["creationTimestamp"], passing
    )


def orphans(found: Iterable[Labelled], declared: Iterable[Key]) -> list[Labelled]:
    """Those that no state lists and nothing owns."""
    known = set(declared)
    return [each for each in found if each.key not in known and not each.passing]


def left(found: Iterable[Labelled], declared: Iterable[Key], since: str) -> list[Labelled]:
    """What runs that began at ``since`` or later made and never wrote down. Volumes stay: nothing that holds data is taken away unasked."""
    return [each for each in orphans(found, declared) if each.created >= since and each.kind not in _VOLUMES]


def delete(gone: Iterable[Labelled], kubectl: Kubectl) -> None:
    """Delete objects, those of operators' own kinds first and to their end: an operator may go with the rest, and only it lets go of them."""
    everything = tuple(gone)
    for wait in (True, False):
        for each in everything:
            if each.of_an_operator is wait:
                kubectl(
                    "delete",
                    *each.reference,
                    "--ignore-not-found",
                    f"--wait={str(wait).lower()}",
                    "--timeout=60s",
                )
