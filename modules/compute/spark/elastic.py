"""Applications whose executors come and go with the work (Spark's dynamic allocation), each through the tenant's queue.

Kueue counts an application with as many executors as it says, once, and takes whatever belongs to its driver for counted
(`FindAncestorJobManagedByKueue`: the owner that is marked as controller). So an elastic application says none, and the API server takes that
mark from its executors before Kueue is asked about them: each is queued as any other pod is, and still goes when its driver does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from modules.kit import labels, names
from modules.kit.mutation import Dynamic, add, cel, patch

NAME: Final = "longhouse-spark-elastic"
ASKED: Final = "spark.dynamicAllocation.enabled"
"""Spark's own setting, with which an application says that it is one."""

LABEL: Final = labels.PREFIX + "elastic"
_ON_EXECUTORS: Final = "spark.kubernetes.executor.label."
QUEUE: Final = _ON_EXECUTORS + labels.QUEUE
"""Setting that names the queue of its executors."""

MARK: Final = _ON_EXECUTORS + LABEL
"""Setting that lets its executors be known as such."""

_ALSO_ASKED: Final = ASKED.lower()
"""How the operator's 2.5 spells it, which else gives the application an executor that it does not ask for
(`isDynamicAllocationEnabled` in api/v1beta2/defaults.go)."""

DEFAULTS: Final = {
    # Executors that may wait at the same time: the namespace's ResourceQuota counts them as soon as they are there.
    "spark.kubernetes.allocation.maxPendingPods": "5",
    # Else whoever took part in an exchange of rows stays as long as the application does.
    "spark.dynamicAllocation.shuffleTracking.timeout": "600s",
}
"""What one gets that does not say so itself."""

_OWNERS: Final = 4
"""An executor has two: its driver, and its application."""


def settings(at_most: int) -> dict[str, str]:
    """Of an application of the platform's own, in the tenant's usual queue, with so many executors at most."""
    return {
        ASKED: "true",
        "spark.dynamicAllocation.maxExecutors": str(at_most),
        **DEFAULTS,
        _ALSO_ASKED: "true",
        MARK: "true",
        QUEUE: names.DEFAULT_QUEUE,
    }


def asked(conf: str) -> str:
    """In CEL, whether an application is elastic whose settings are at ``conf``."""
    return f"({conf}[?{json.dumps(ASKED)}].orValue('') == 'true')"


def added(conf: str, queue: Dynamic) -> str:
    """In CEL, what the settings at ``conf`` get; ``queue`` is the application's own."""
    always = " + ".join((add(_at(_ALSO_ASKED), "true"), add(_at(MARK), "true"), add(_at(QUEUE), queue)))
    absent = " + ".join(
        f"({json.dumps(name)} in {conf} ? [] : {add(_at(name), value)})" for name, value in DEFAULTS.items()
    )
    return f"({asked(conf)} ? {always} + {absent} : [])"


def _at(setting: str) -> str:
    return "/spec/sparkConf/" + setting.replace("~", "~0").replace("/", "~1")


def mutating() -> Mapping[str, Any]:
    """`spec` of the MutatingAdmissionPolicy on executors."""
    return {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "namespaceSelector": {"matchExpressions": [{"key": labels.TENANT, "operator": "Exists"}]},
            "objectSelector": {"matchLabels": {"spark-role": "executor", LABEL: "true"}},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
        },
        "mutations": [
            # What marks the pods of an application that was let in: Kueue starts none by itself that says to be part of another.
            patch(_unmarked("labels"), _unmarked("annotations")),
            patch(
                f"{list(range(_OWNERS))}.filter(n, n < object.metadata.?ownerReferences.orValue([]).size()).map(n, "
                'JSONPatch{op: "add", path: "/metadata/ownerReferences/" + string(n) + "/controller", value: false})'
            ),
        ],
    }


def _unmarked(field: str) -> str:
    marks = f"object.metadata.?{field}.orValue({{}}).filter(key, key.startsWith('kueue.x-k8s.io/') && key != {cel(labels.QUEUE)})"
    remove = f'JSONPatch{{op: "remove", path: "/metadata/{field}/" + jsonpatch.escapeKey(key)}}'
    return f"{marks}.map(key, {remove})"


def binding() -> Mapping[str, Any]:
    """`spec` of its binding."""
    return {"policyName": NAME}
