"""How a Job becomes a Flink application: the API server completes those of tenants that say that they are one, in CEL, before Kueue counts them
(https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from modules.compute.flink import jobs
from modules.compute.flink.config import Flink
from modules.compute.flink.jobs import Dynamic
from modules.kit import labels

API_VERSION: Final = "admissionregistration.k8s.io/v1"
NAME: Final = "longhouse-flink"
ENGINE: Final = labels.PREFIX + "engine"
"""Label of a Job: what runs it."""

VALUE: Final = "flink"
_SPEC: Final = "object.spec.template.spec"
_MAIN: Final = f"{_SPEC}.containers[0]"
_PODS: Final = "(object.spec.?completions.orValue(1) < 2 ? 2 : object.spec.completions)"
"""A JobManager and at least one TaskManager."""


def mutating(config: Flink, image: str) -> Mapping[str, Any]:
    """`spec` of the MutatingAdmissionPolicy. What a Job says of its image, its size, its arguments and further containers stays."""
    size = {"cpu": config.pod_cpu, "memory": config.pod_memory}
    environment = jobs.environment(Dynamic(f"string({_PODS} - 1)"), config.checkpoint_seconds)
    return {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": constraints(),
        "mutations": [
            _patch(
                *_fields("/spec", {**jobs.settings(), "completions": Dynamic(_PODS), "parallelism": Dynamic(_PODS)})
            ),
            _patch(*_fields("/spec/template/spec", jobs.pod()), _more(_SPEC, "volumes", jobs.volumes(Dynamic("object.metadata.name")))),
            _patch(
                *_fields("/spec/template/spec/containers/0", jobs.container()),
                _more(_MAIN, "env", environment),
                _more(_MAIN, "volumeMounts", jobs.mounts()),
            ),
            _patch(
                _absent("image", image),
                *(_absent(f"resources.{kind}", size) for kind in ("requests", "limits")),
                _add("/spec/template/spec/containers/0/name", jobs.CONTAINER),
            ),
        ],
    }  # fmt: skip


def binding() -> Mapping[str, Any]:
    """`spec` of its binding."""
    return {"policyName": NAME}


def constraints() -> Mapping[str, Any]:
    """New Jobs in tenants' namespaces that say that they are Flink's."""
    return {
        "namespaceSelector": {"matchExpressions": [{"key": labels.TENANT, "operator": "Exists"}]},
        "objectSelector": {"matchLabels": {ENGINE: VALUE}},
        "resourceRules": [
            {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
        ],
    }


def _patch(*operations: str) -> Mapping[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": " + ".join(operations)}}


def _add(path: str, value: object) -> str:
    return f'[JSONPatch{{op: "add", path: {json.dumps(path)}, value: {cel(value)}}}]'


def _fields(path: str, values: Mapping[str, Any]) -> Iterable[str]:
    return (_add(f"{path}/{key}", value) for key, value in values.items())


def _absent(field: str, value: object) -> str:
    """A field of the container that gets a value where it has none."""
    path = "/spec/template/spec/containers/0/" + field.replace(".", "/")
    return f"(has({_MAIN}.{field}) ? [] : {_add(path, value)})"


def _more(place: str, field: str, values: list[dict[str, Any]]) -> str:
    """Elements that join those that a list has."""
    path = "/" + place.removeprefix("object.").replace(".", "/").replace("[0]", "/0") + f"/{field}"
    return _add(path, Dynamic(f"{place}.?{field}.orValue([]) + {cel(values)}"))


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
