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
from modules.kit.mutation import Dynamic, add, patch

NAME: Final = "longhouse-spark-elastic"
ASKED: Final = "spark.dynamicAllocation.enabled"
"""Spark's own setting, with which an application says that it is one."""

LABEL: Final = labels.PREFIX + "elastic"
_ON_EXECUTORS: Final = "spark.kubernetes.executor.label."
QUEUE: Final = _ON_EXECUTORS + labels.QUEUE
"""Setting that names the queue of its executors."""

MARK: Final = _ON_EXECUTORS + LABEL
"""Setting that lets its executors be known as such."""

PENDING: Final = "spark.kubernetes.allocation.maxPendingPods"
_AT_ONCE: Final = 5
"""Executors that may wait at the same time: the namespace's ResourceQuota counts them as soon as they are there."""


def settings(at_most: int) -> dict[str, str]:
    """Of an application of the platform's own, in the tenant's usual queue, with so many executors at most."""
    return {
        ASKED: "true",
        "spark.dynamicAllocation.maxExecutors": str(at_most),
        # Else whoever took part in an exchange of rows stays as long as the session does.
        "spark.dynamicAllocation.shuffleTracking.timeout": "600s",
        PENDING: str(_AT_ONCE),
        MARK: "true",
        QUEUE: names.DEFAULT_QUEUE,
    }


def asked(conf: str) -> str:
    """In CEL, whether an application is elastic whose settings are at ``conf``."""
    return f"({conf}[?{json.dumps(ASKED)}].orValue('') == 'true')"


def added(conf: str, queue: Dynamic) -> str:
    """In CEL, what the settings at ``conf`` get; ``queue`` is the application's own."""
    always = f"{add(_at(MARK), 'true')} + {add(_at(QUEUE), queue)}"
    pending = f"({json.dumps(PENDING)} in {conf} ? [] : {add(_at(PENDING), str(_AT_ONCE))})"
    return f"({asked(conf)} ? {always} + {pending} : [])"


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
            patch(
                "(object.metadata.?ownerReferences.orValue([]).size() == 0 ? [] : "
                f"{add('/metadata/ownerReferences/0/controller', value=False)})"
            )
        ],
    }


def binding() -> Mapping[str, Any]:
    """`spec` of its binding."""
    return {"policyName": NAME}
