"""How defaults get into an application, and what keeps an application to what it was queued for.

The API server does both itself, in CEL (https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/), before any
webhook is asked: Kueue counts an application as it stands after that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from modules.compute.spark import elastic
from modules.compute.spark.config import ACCOUNT, DEFAULTS
from modules.kit import labels, names
from modules.kit.mutation import RESTRICTED_CONTAINER, RESTRICTED_POD, Dynamic, absent, add, patch

NAME: Final = "longhouse-spark"
GROUP: Final = "sparkoperator.k8s.io"
_ROLES: Final = ("driver", "executor")

UNCOUNTED: Final = (
    r"^spark[.]((driver|executor)[.](cores|memory|memoryOverhead.*|minMemoryOverhead|instances|pyspark[.]memory|resource[.].*)"
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


_KEPT: Final = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": labels.SPOT, "operator": "NotIn", "values": ["true"]}]}
            ]
        }
    }
}
"""Where a driver is put that does not say so: off spot nodes. An application goes on without an executor, and begins again without its driver."""

_OWN_QUEUE: Final = (
    f"object.metadata[?'labels'][?{json.dumps(labels.QUEUE)}].orValue({json.dumps(names.DEFAULT_QUEUE)})"
)
_SETTINGS: Final = "object.spec.?sparkConf.orValue({})"
_ELASTIC: Final = {
    "expression": (
        f"!{elastic.asked(_SETTINGS)} || (!has(object.spec.executor.instances)"
        f" && {_SETTINGS}[?{json.dumps(elastic.MARK)}].orValue('') == 'true'"
        f" && {_SETTINGS}[?{json.dumps(elastic.QUEUE)}].orValue('') == {_OWN_QUEUE})"
    ),
    "message": (
        f"an application with {elastic.ASKED} has executors as it needs them, each of which waits in its own queue: leave spec.executor.instances "
        "out (spark.dynamicAllocation.maxExecutors bounds them), and do not change whether it is one, or its queue, once it is there"
    ),
}
_OTHERWISE: Final = {
    "expression": "!object.spec.?dynamicAllocation.enabled.orValue(false)",
    "message": f'the queue does not read spec.dynamicAllocation: say {elastic.ASKED}: "true" in spec.sparkConf',
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
            patch(_places()),
            patch(_settings()),
            patch(elastic.added("object.spec.sparkConf", Dynamic(_OWN_QUEUE))),
            *(patch(_size(role, memory)) for role in _ROLES),
            patch(_kind(version, image)),
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
        "validations": [_COUNTED, _OTHERWISE, _ELASTIC, *map(_as_counted, _ROLES)],
    }


def validating_binding() -> Mapping[str, Any]:
    """`spec` of its binding."""
    return {"policyName": NAME, "validationActions": ["Deny"]}


def _absent(field: str, value: object) -> str:
    """A field of `spec` that gets a value where it has none."""
    return absent("/spec/" + field.replace(".", "/"), value)


def _places() -> str:
    return " + ".join(_absent(field, {}) for field in (*_ROLES, "sparkConf"))


def _settings() -> str:
    return (
        "params.data.filter(key, !(key in object.spec.sparkConf)).map(key, "
        'JSONPatch{op: "add", path: "/spec/sparkConf/" + jsonpatch.escapeKey(key), value: params.data[key]})'
    )


def _size(role: str, memory: str) -> str:
    spec = f"object.spec.{role}"
    cores = Dynamic(
        f"(has({spec}.coreRequest) ? {spec}.coreRequest : has({spec}.cores) ? string({spec}.cores) : '1')"
    )
    most = Dynamic(f"(has({spec}.memory) ? {spec}.memory : {json.dumps(memory)})")
    parts = [
        _absent(f"{role}.coreRequest", cores),
        _absent(f"{role}.coreLimit", cores),
        _absent(f"{role}.memory", memory),
        add(f"/spec/{role}/memoryLimit", most),
        add(f"/spec/{role}/memoryOverhead", "0"),
        _absent(f"{role}.podSecurityContext", RESTRICTED_POD),
        _absent(f"{role}.securityContext", RESTRICTED_CONTAINER),
    ]
    own = (
        f"({elastic.asked('object.spec.sparkConf')} ? [] : {_absent('executor.instances', 1)})"
        if role == "executor"
        else " + ".join((_absent("driver.serviceAccount", ACCOUNT), _absent("driver.affinity", _KEPT)))
    )
    return " + ".join([*parts, own])


def _kind(version: str, image: str) -> str:
    known = {"type": "Python", "mode": "cluster", "sparkVersion": version, "image": image}
    return " + ".join(_absent(field, value) for field, value in known.items())
