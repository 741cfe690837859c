"""Objects that a killed deployment made and no state knows of.

The embedded cluster is deployed without a checkpoint after every step, which is several times faster: Pulumi's file
backend writes the whole state each time. A run that is killed leaves objects that the state lacks. Those that the
profile still wants are taken over by the next run, since server-side apply makes no difference between creating and
updating; what the profile has lost in between is found here, by the label that every object of the platform carries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from modules.kit.labels import MANAGED_BY, PLATFORM
from sandbox.kubectl import kubectl
from sandbox.places import PULUMI_HOME

_UNDER_WAY = PULUMI_HOME / "deployment-under-way"
_COPIES = ("endpoints", "endpointslices")
"""Kinds that controllers make, with the labels of what they are made from."""


def begin() -> bool:
    """Note that a deployment begins; true when an earlier one never ended."""
    cut_off = _UNDER_WAY.exists()
    _UNDER_WAY.touch()
    return cut_off


def end() -> None:
    """Note that the deployment ended."""
    _UNDER_WAY.unlink(missing_ok=True)


def sweep(declared: Iterable[tuple[str, str]]) -> list[str]:
    """Delete the platform's objects that are not among the ``declared`` ones: pairs of kind, with its API group, and
    name, with its namespace (``("Role.rbac.authorization.k8s.io", "tenant-atlas/reader")``).

    Returns what was deleted.
    """
    known = set(declared)
    kinds = kubectl("api-resources", "--verbs=list,delete", "--output=name").split()
    swept = ",".join(kind for kind in kinds if kind.partition(".")[0] not in _COPIES)
    listed = kubectl("get", swept, "--all-namespaces", f"--selector={MANAGED_BY}={PLATFORM}", "--output=json")
    deleted = []
    for item in json.loads(listed)["items"]:
        meta = item["metadata"]
        group = item["apiVersion"].rpartition("/")[0] or "core"
        namespace = meta.get("namespace")
        name = f"{namespace}/{meta['name']}" if namespace else meta["name"]
        kind = f"{item['kind']}.{group}"
        if (kind, name) in known or meta.get("ownerReferences") or meta.get("deletionTimestamp"):
            continue
        where = [f"--namespace={namespace}"] if namespace else []
        kubectl(
            "delete", kind.removesuffix(".core"), meta["name"], *where, "--ignore-not-found", "--wait=false"
        )
        deleted.append(f"{kind} {name}")
    return deleted
