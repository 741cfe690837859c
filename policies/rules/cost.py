"""Cost: what goes on costing when nobody looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from policies.claim import forbid, over, require
from policies.expression import SPEC
from policies.resource import NAMESPACE, RESOURCE_QUOTA, Resource, at, record
from policies.rule import SEVERAL, Family, Fault, ResourceRule, Severity, StackRule

_CRON_JOB: Final = "batch/CronJob"
_MOST_RETRIES: Final = 10
_MOST_FINISHED: Final = 10
_BILLED: Final = ("services.loadbalancers", "services.nodeports")

_PILES_UP: Final = over(
    _CRON_JOB,
    forbid(
        ~SPEC["concurrencyPolicy"].among(("Forbid", "Replace")),
        "starts the next run beside one that still runs",
    ),
)
_ENDLESS: Final = over(
    _CRON_JOB,
    require(
        SPEC["jobTemplate", "spec", "activeDeadlineSeconds"].present,
        "may run for ever (no activeDeadlineSeconds)",
    ),
)
_RETRIES: Final = over(
    (_CRON_JOB, "batch/Job"),
    *(
        forbid(limit.more_than(_MOST_RETRIES), "tries again ", limit, " times")
        for limit in (SPEC["backoffLimit"], SPEC["jobTemplate", "spec", "backoffLimit"])
    ),
)
_FINISHED: Final = over(
    _CRON_JOB,
    *(
        forbid(SPEC[field].more_than(_MOST_FINISHED), "keeps ", SPEC[field], f" finished runs ({field})")
        for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    ),
)


def _billed(resources: Sequence[Resource]) -> Iterator[Fault]:
    for home in resources:
        if home.kind != NAMESPACE or home.tenant is None:
            continue
        hard = {
            str(key)
            for quota in resources
            if quota.kind == RESOURCE_QUOTA and quota.namespace == home.object_name
            for key in record(at(quota.props, "spec", "hard"))
        }
        for name in _BILLED:
            if hard and name not in hard:
                yield Fault(home, f"no ResourceQuota bounds {name}")


RULES: Final = (
    ResourceRule(
        id="LH-C-001",
        title="Runs of a CronJob do not pile up",
        reason="A run that hangs, and another every hour beside it, fills the tenant's quota overnight.",
        fix="Set concurrencyPolicy to Forbid or Replace.",
        severity=Severity.ERROR,
        family=Family.COST,
        references=("Kubernetes, CronJob: concurrency policy",),
        check=_PILES_UP,
    ),
    ResourceRule(
        id="LH-C-002",
        title="Every run of a CronJob ends",
        reason="Nobody waits for a run at night: one that hangs holds its machine until somebody looks.",
        fix="Set jobTemplate.spec.activeDeadlineSeconds.",
        severity=Severity.ERROR,
        family=Family.COST,
        references=("Kubernetes, Jobs: termination and cleanup",),
        check=_ENDLESS,
    ),
    ResourceRule(
        id="LH-C-003",
        title="No Job tries again and again",
        reason=f"What failed {_MOST_RETRIES} times fails the next time too, on the same GPUs.",
        fix=f"Set backoffLimit to at most {_MOST_RETRIES}.",
        severity=Severity.ERROR,
        family=Family.COST,
        references=("Kubernetes, Jobs: pod backoff failure policy",),
        check=_RETRIES,
    ),
    ResourceRule(
        id="LH-C-004",
        title="Finished runs are cleaned up",
        reason="Each finished run keeps its pods' objects, logs and volumes of their own.",
        fix=f"Set successfulJobsHistoryLimit and failedJobsHistoryLimit to at most {_MOST_FINISHED}.",
        severity=Severity.ERROR,
        family=Family.COST,
        check=_FINISHED,
    ),
    StackRule(
        id="LH-C-005",
        title="Every tenant's quota bounds what a cloud bills by the piece",
        reason="Each load balancer and each port of every node is paid for, or opened, from the moment that somebody writes a Service.",
        fix="Name services.loadbalancers and services.nodeports in the ResourceQuota, with 0 for none.",
        severity=Severity.ERROR,
        family=Family.COST,
        references=("Kubernetes, Resource Quotas: object count",),
        pull_request_only=SEVERAL,
        check=_billed,
    ),
)
