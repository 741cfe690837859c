"""Mutations that the API server does itself: JSON patches of a MutatingAdmissionPolicy, whose values are CEL
(https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

API_VERSION: Final = "admissionregistration.k8s.io/v1"

RESTRICTED_POD: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""Security context of a pod that somebody else makes (Pod Security Standards, "Restricted")."""

RESTRICTED_CONTAINER: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    **RESTRICTED_POD,
}
"""That of each of its containers."""


@dataclass(frozen=True)
class Dynamic:
    """A value that the API server works out."""

    cel: str


def patch(*operations: str) -> Mapping[str, object]:
    """One of a policy's `mutations`; the operations are lists in CEL."""
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": " + ".join(operations)}}


def add(path: str, value: object) -> str:
    """A list of one operation, which sets what is at ``path``."""
    return f'[JSONPatch{{op: "add", path: {json.dumps(path)}, value: {cel(value)}}}]'


def absent(path: str, value: object) -> str:
    """The same, where nothing is there yet but the place it goes to."""
    return f"(has(object{path.replace('/0', '[0]').replace('/', '.')}) ? [] : {add(path, value)})"


def cel(value: object) -> str:
    """Plain data as CEL writes it; the values of a map or list may be of several types only where each says so."""
    match value:
        case Dynamic():
            return value.cel
        case Mapping():
            return (
                "{" + ", ".join(f"{json.dumps(key)}: dyn({cel(inner)})" for key, inner in value.items()) + "}"
            )
        case list():
            return "[" + ", ".join(f"dyn({cel(inner)})" for inner in value) + "]"
        case _:
            return json.dumps(value)
