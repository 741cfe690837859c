"""How defaults get into a job: the API server completes its pods itself, in CEL, whichever operator makes them
(https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/).

Pods, and not the kinds that people write: one rule for all of those, and nothing that an operator would set back. What a queue counts is in none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from modules.data.store import BINDING_PATH
from modules.kit import labels
from modules.kit.mutation import RESTRICTED_CONTAINER, RESTRICTED_POD, Dynamic, absent, add, cel, patch
from modules.ml.training.config import DEFAULTS
from modules.ml.training.defaults import BINDINGS, PER_JOB
from modules.ml.training.image import USER

NAME: Final = "longhouse-training"
JOBSET: Final = "jobset.sigs.k8s.io/jobset-name"
"""Label of the pods of a JobSet, and so of a TrainJob: its name."""

EARLIER: Final = "training.kubeflow.org/job-name"
"""The same of the kinds of before."""

_KINDS: Final = ("containers", "initContainers")
_JOB: Final = (
    f"object.metadata.labels[?{cel(JOBSET)}].orValue(object.metadata.labels[?{cel(EARLIER)}].orValue(''))"
)
_POOL: Final = f"object.spec.?nodeSelector[?{cel(labels.POOL)}].orValue('')"


def mutating(pools: Mapping[str, Mapping[str, str]]) -> Mapping[str, Any]:
    """`spec` of the MutatingAdmissionPolicy. What a pod says itself stays.

    ``pools`` are variables of the pods that run in a pool: how NCCL finds its way there. The queue has chosen the pool by then, and written it into the pod.
    """
    return {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {
            "namespaceSelector": {"matchExpressions": [{"key": labels.TENANT, "operator": "Exists"}]},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
        },
        "matchConditions": [{"name": "trains", "expression": f"has(object.metadata.labels) && {_JOB} != ''"}],
        "variables": [
            {"name": "unasked", "expression": _environment(pools)},
            *({"name": kind, "expression": f"object.spec.?{kind}.orValue([])"} for kind in _KINDS),
        ],
        "mutations": [
            patch(absent("/spec/securityContext", {})),
            patch(*_pod()),
            patch(_volumes()),
            *(patch(_each(kind)) for kind in _KINDS),
        ],
    }


def binding() -> Mapping[str, Any]:
    """`spec` of its binding: each namespace's own ConfigMap is the parameter."""
    return {"policyName": NAME, "paramRef": {"name": DEFAULTS, "parameterNotFoundAction": "Deny"}}


def _pod() -> Sequence[str]:
    user = {"runAsUser": USER, "runAsGroup": USER, "fsGroup": USER}
    return [
        absent(f"/spec/securityContext/{key}", value) for key, value in {**RESTRICTED_POD, **user}.items()
    ]


def _environment(pools: Mapping[str, Mapping[str, str]]) -> str:
    """The tenant's variables and those of the pool, a list as a container has it. Each job's own places are below its name."""
    value = f"key in {cel(list(PER_JOB))} ? params.data[key] + '/' + {_JOB} : params.data[key]"
    tenants = f'params.data.map(key, {{"name": dyn(key), "value": dyn({value})}})'
    known = {
        pool: [{"name": name, "value": value} for name, value in sorted(found.items())]
        for pool, found in sorted(pools.items())
        if found
    }
    return f"{tenants} + {cel(known)}[?{_POOL}].orValue([])" if known else tenants


def _volumes() -> str:
    """Secrets that the tenant may lack: what is not there is an empty folder."""
    wanted = [{"name": each, "secret": {"secretName": each, "optional": True}} for each in BINDINGS]
    own = "object.spec.?volumes.orValue([])"
    return add("/spec/volumes", Dynamic(f"{own} + {_unless_named(wanted, own)}"))


def _each(kind: str) -> str:
    """What every container of a kind gets: variables and folders that it has not, and a security context if it has none."""
    found = f"variables.{kind}"
    mounts = [{"name": each, "mountPath": f"{BINDING_PATH}/{each}", "readOnly": True} for each in BINDINGS]
    one = f"{found}[n]"
    environment, mounted = f"{one}.?env.orValue([])", f"{one}.?volumeMounts.orValue([])"
    operations = (
        _set(kind, "env", f"variables.unasked.filter(new, !{environment}.exists(old, old.name == new.name)) + {environment}"),
        _set(kind, "volumeMounts", f"{mounted} + {_unless_named(mounts, mounted)}"),
        f"(has({one}.securityContext) ? [] : {_set(kind, 'securityContext', cel(RESTRICTED_CONTAINER))})",
    )  # fmt: skip
    return f"lists.range({found}.size()).map(n, {' + '.join(operations)}).flatten()"


def _unless_named(wanted: list[dict[str, Any]], own: str) -> str:
    return f"{cel(wanted)}.filter(new, !{own}.exists(old, old.name == new.name))"


def _set(kind: str, field: str, value: str) -> str:
    return f'[JSONPatch{{op: "add", path: "/spec/{kind}/" + string(n) + "/{field}", value: {value}}}]'
