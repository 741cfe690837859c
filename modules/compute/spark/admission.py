"""How defaults get into an application, and what keeps an application to what it was queued for.

The API server does both itself, in CEL (https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/), before any
webhook is asked: Kueue counts an application as it stands after that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from modules.compute.spark.config import ACCOUNT, DEFAULTS
from modules.kit import labels

API_VERSION: Final = "admissionregistration.k8s.io/v1"
NAME: Final = "longhouse-spark"
GROUP: Final = "sparkoperator.k8s.io"
_ROLES: Final = ("driver", "executor")

_POD: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, **_POD}

UNCOUNTED: Final = (
    r"^spark[.](dynamicAllocation[.].*"
    r"|(driver|executor)[.](cores|memory|memoryOverhead.*|minMemoryOverhead|instances|pyspark[.]memory|resource[.].*)"
    r"|memory[.]offHeap[.].*"
    r"|kubernetes[.]((driver|executor)[.](request|limit)[.]cores|memoryOverheadFactor|(driver|executor)[.]podTemplate.*))$"
)
"""Settings that change how large an application is behind the back of the queue, which reads its fields."""

_COUNTED: Final = {
    "expression": f"!has(object.spec.sparkConf) || !object.spec.sparkConf.exists(key, key.matches({json.dumps(UNCOUNTED)}))",
    "messageExpression": (
        f"object.spec.sparkConf.filter(key, key.matches({json.dumps(UNCOUNTED)})).join(', ') + "
        "': the queue does not read sparkConf; say how large the application is in the fields of spec.driver and spec.executor'"
    ),
}


def _as_counted(role: str) -> Mapping[str, str]:
    """That a pod gets no more than its memory, and holds no container beside those that the queue reads."""
    spec = f"object.spec.{role}"
    template = f"{spec}.?template.?spec"
    return {
        "expression": (
            f"{spec}.?memoryOverhead.orValue('0') == '0' && {spec}.?memoryLimit == {spec}.?memory"
            f" && {template}.?containers.orValue([]).size() < 2 && {template}.?initContainers.orValue([]).size() == 0"
        ),
        "message": (
            f"spec.{role}: memory is all that the pod gets (leave memoryOverhead and memoryLimit out), and what runs beside Spark "
            "stands in sidecars and initContainers, which the queue reads, not in template"
        ),
    }


def constraints(*operations: str) -> Mapping[str, Any]:
    """Applications in tenants' namespaces."""
    return {
        "namespaceSelector": {"matchExpressions": [{"key": labels.TENANT, "operator": "Exists"}]},
        "resourceRules": [
            {
                "apiGroups": [GROUP],
                "apiVersions": ["v1beta2"],
                "operations": list(operations),
                "resources": ["sparkapplications"],
            }
        ],
    }


def mutating(version: str, image: str, memory: str) -> Mapping[str, Any]:
    """`spec` of the MutatingAdmissionPolicy. What an application says itself stays, but for overhead beside its memory: what it was
    queued for is all that it gets, and the image cuts the heap from it."""
    return {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": constraints("CREATE"),
        "mutations": [
            _patch(_places()),
            _patch(_settings()),
            *(_patch(_size(role, memory)) for role in _ROLES),
            _patch(_kind(version, image)),
        ],
    }


def mutating_binding() -> Mapping[str, Any]:
    """`spec` of its binding: each namespace's own ConfigMap is the parameter."""
    return {"policyName": NAME, "paramRef": {"name": DEFAULTS, "parameterNotFoundAction": "Deny"}}


def validating() -> Mapping[str, Any]:
    """`spec` of the ValidatingAdmissionPolicy."""
    return {
        "failurePolicy": "Fail",
        "matchConstraints": constraints("CREATE", "UPDATE"),
        "matchConditions": [{"name": "stays", "expression": "!has(object.metadata.deletionTimestamp)"}],
        "validations": [_COUNTED, *map(_as_counted, _ROLES)],
    }


def validating_binding() -> Mapping[str, Any]:
    """`spec` of its binding."""
    return {"policyName": NAME, "validationActions": ["Deny"]}


def _patch(*operations: str) -> Mapping[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": " + ".join(operations)}}


def _add(path: str, value: str) -> str:
    return f'JSONPatch{{op: "add", path: {json.dumps(path)}, value: {value}}}'


def _absent(field: str, value: str) -> str:
    """A field of `spec` that gets a value where it has none."""
    return f"(has(object.spec.{field}) ? [] : [{_add('/spec/' + field.replace('.', '/'), value)}])"


def _places() -> str:
    return " + ".join(_absent(field, "{}") for field in (*_ROLES, "sparkConf"))


def _settings() -> str:
    return (
        "params.data.filter(key, !(key in object.spec.sparkConf)).map(key, "
        'JSONPatch{op: "add", path: "/spec/sparkConf/" + jsonpatch.escapeKey(key), value: params.data[key]})'
    )


def _size(role: str, memory: str) -> str:
    spec = f"object.spec.{role}"
    cores = f"(has({spec}.coreRequest) ? {spec}.coreRequest : has({spec}.cores) ? string({spec}.cores) : '1')"
    most = f"(has({spec}.memory) ? {spec}.memory : {json.dumps(memory)})"
    parts = [
        _absent(f"{role}.coreRequest", cores),
        _absent(f"{role}.coreLimit", cores),
        _absent(f"{role}.memory", json.dumps(memory)),
        f"[{_add(f'/spec/{role}/memoryLimit', most)}]",
        f"[{_add(f'/spec/{role}/memoryOverhead', json.dumps('0'))}]",
        _absent(f"{role}.podSecurityContext", _cel(_POD)),
        _absent(f"{role}.securityContext", _cel(_CONTAINER)),
    ]
    own = (
        _absent("executor.instances", "1")
        if role == "executor"
        else _absent("driver.serviceAccount", json.dumps(ACCOUNT))
    )
    return " + ".join([*parts, own])


def _cel(value: object) -> str:
    """Plain data as CEL writes it; a map's values may be of several types only where each says so."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: dyn({_cel(inner)})" for key, inner in value.items()) + "}"
    return json.dumps(value)


def _kind(version: str, image: str) -> str:
    known = {"type": "Python", "mode": "cluster", "sparkVersion": version, "image": image}
    return " + ".join(_absent(field, json.dumps(value)) for field, value in known.items())
