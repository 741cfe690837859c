"""How a Job becomes a Flink application: the API server completes those of tenants that say that they are one, in CEL, before Kueue counts them
(https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from modules.compute.flink import jobs
from modules.compute.flink.config import Flink
from modules.kit import labels
from modules.kit.mutation import Dynamic, absent, add, cel, patch

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
            patch(
                *_fields("/spec", {**jobs.settings(), "completions": Dynamic(_PODS), "parallelism": Dynamic(_PODS)})
            ),
            patch(*_fields("/spec/template/spec", jobs.pod()), _more(_SPEC, "volumes", jobs.volumes(Dynamic("object.metadata.name")))),
            patch(
                *_fields("/spec/template/spec/containers/0", jobs.container()),
                _more(_MAIN, "env", environment),
                _more(_MAIN, "volumeMounts", jobs.mounts()),
            ),
            patch(
                _absent("image", image),
                *(_absent(f"resources.{kind}", size) for kind in ("requests", "limits")),
                add("/spec/template/spec/containers/0/name", jobs.CONTAINER),
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


def _fields(path: str, values: Mapping[str, Any]) -> Iterable[str]:
    return (add(f"{path}/{key}", value) for key, value in values.items())


def _absent(field: str, value: object) -> str:
    """A field of the container that gets a value where it has none."""
    return absent("/spec/template/spec/containers/0/" + field.replace(".", "/"), value)


def _more(place: str, field: str, values: list[dict[str, Any]]) -> str:
    """Elements that join those that a list has."""
    path = "/" + place.removeprefix("object.").replace(".", "/").replace("[0]", "/0") + f"/{field}"
    return add(path, Dynamic(f"{place}.?{field}.orValue([]) + {cel(values)}"))
