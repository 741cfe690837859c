"""How defaults get into a job: the API server completes its pods itself, in CEL, whichever operator makes them
(https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/).

Pods, and not the kinds that people write: one rule for all of those, and nothing that an operator would set back. What a queue counts is in none of it.
Only security contexts are needed one step before: a JobSet's Jobs are judged by them, and an MPIJob's launcher, and what a Job is refused for nobody tells who
wrote the JobSet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from modules.data.store import BINDING_PATH
from modules.kit import labels
from modules.kit.mutation import RESTRICTED_CONTAINER, RESTRICTED_POD, Dynamic, absent, add, cel, patch
from modules.ml.training.config import DEFAULTS
from modules.ml.training.defaults import BINDINGS, PER_JOB
from modules.ml.training.image import USER

NAME: Final = "longhouse-training"
OF_JOBS: Final = f"{NAME}-jobs"
JOBSET: Final = "jobset.sigs.k8s.io/jobset-name"
"""Label of the pods of a JobSet, and so of a TrainJob: its name."""

EARLIER: Final = "training.kubeflow.org/job-name"
"""The same of the kinds of before."""

_POD: Final = "/spec"
_TEMPLATE: Final = "/spec/template/spec"
"""Where a pod, and a Job, say what a pod is."""

_KINDS: Final = ("containers", "initContainers")
_JOB: Final = (
    f"object.metadata.labels[?{cel(JOBSET)}].orValue(object.metadata.labels[?{cel(EARLIER)}].orValue(''))"
)
_POOL: Final = f"object.spec.?nodeSelector[?{cel(labels.POOL)}].orValue('')"


def policies(
    pools: Mapping[str, Mapping[str, str]],
) -> Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """`spec` of each MutatingAdmissionPolicy and of its binding, by their name. What a pod says itself stays.

    ``pools`` are variables of the pods that run in a pool: how NCCL finds its way there. The queue has chosen the pool by then, and written it into the pod.
    """
    # Each namespace's own ConfigMap is the parameter.
    parameter = {"name": DEFAULTS, "parameterNotFoundAction": "Deny"}
    return {
        NAME: (_of_pods(pools), {"policyName": NAME, "paramRef": parameter}),
        OF_JOBS: (_of_jobs(), {"policyName": OF_JOBS}),
    }


def _of_pods(pools: Mapping[str, Mapping[str, str]]) -> Mapping[str, Any]:
    """Variables, folders, and security contexts."""
    return {
        **_policy("", "pods", f"{_JOB} != ''"),
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [{"name": "unasked", "expression": _environment(pools)}, *_containers(_POD)],
        "mutations": [
            *_restricted(_POD, {"runAsUser": USER, "runAsGroup": USER, "fsGroup": USER}),
            patch(_volumes()),
            *(patch(_each(kind)) for kind in _KINDS),
        ],
    }


def _of_jobs() -> Mapping[str, Any]:
    """Security contexts, for JobSets' Jobs, and for launchers of MPIJobs."""
    launches = 'object.metadata.?ownerReferences.orValue([]).exists(owner, owner.kind == "MPIJob")'
    return {
        **_policy("batch", "jobs", f"({cel(JOBSET)} in object.metadata.labels || {launches})"),
        "variables": _containers(_TEMPLATE),
        "mutations": _restricted(_TEMPLATE, {}),
    }


def _policy(group: str, resources: str, about: str) -> Mapping[str, Any]:
    """What both say alike. ``about`` is CEL that is true of objects of jobs, which have labels."""
    return {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "namespaceSelector": {"matchExpressions": [{"key": labels.TENANT, "operator": "Exists"}]},
            "resourceRules": [
                {
                    "apiGroups": [group],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": [resources],
                }
            ],
        },
        "matchConditions": [{"name": "trains", "expression": f"has(object.metadata.labels) && {about}"}],
    }


def _containers(root: str) -> list[Mapping[str, str]]:
    """Variables that are the pod's containers, a list for each kind of them."""
    found = f"object{root.replace('/', '.')}"
    return [{"name": kind, "expression": f"{found}.?{kind}.orValue([])"} for kind in _KINDS]


def _restricted(root: str, more: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Security contexts of the pod below ``root`` and of its containers, where they have none."""
    pod = {**RESTRICTED_POD, **more}
    return [
        patch(absent(f"{root}/securityContext", {})),
        patch(*(absent(f"{root}/securityContext/{key}", value) for key, value in pod.items())),
        *(patch(_secured(root, kind)) for kind in _KINDS),
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
    """What every container of a kind gets: variables and folders that it has not."""
    mounts = [{"name": each, "mountPath": f"{BINDING_PATH}/{each}", "readOnly": True} for each in BINDINGS]

    def operations(one: str) -> Sequence[str]:
        environment, mounted = f"{one}.?env.orValue([])", f"{one}.?volumeMounts.orValue([])"
        unasked = f"variables.unasked.filter(new, !{environment}.exists(old, old.name == new.name))"
        return (
            _set(_POD, kind, "env", f"{unasked} + {environment}"),
            _set(_POD, kind, "volumeMounts", f"{mounted} + {_unless_named(mounts, mounted)}"),
        )

    return _of_each(kind, operations)


def _secured(root: str, kind: str) -> str:
    """A security context for every container of a kind that has none."""
    return _of_each(
        kind,
        lambda one: (
            f"(has({one}.securityContext) ? [] : {_set(root, kind, 'securityContext', cel(RESTRICTED_CONTAINER))})",
        ),
    )


def _of_each(kind: str, operations: Callable[[str], Sequence[str]]) -> str:
    """Operations on every container of a kind, the n-th."""
    found = f"variables.{kind}"
    return f"lists.range({found}.size()).map(n, {' + '.join(operations(f'{found}[n]'))}).flatten()"


def _unless_named(wanted: list[dict[str, Any]], own: str) -> str:
    return f"{cel(wanted)}.filter(new, !{own}.exists(old, old.name == new.name))"


def _set(root: str, kind: str, field: str, value: str) -> str:
    return f'[JSONPatch{{op: "add", path: "{root}/{kind}/" + string(n) + "/{field}", value: {value}}}]'
