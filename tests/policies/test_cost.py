"""The rules for what goes on costing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policies.objects import DROP, Case, Edit, allowed, edited, expected, found, refused

_BACKUP = "CronJob stores/backup: "
_HOME = "Namespace tenant-atlas: "


def _backup(path: str, value: Any = DROP) -> Edit:
    return Edit("backup", f"spec/{path}", value)


CASES = (
    refused("LH-C-001", "runs that pile up", _BACKUP + "starts the next run beside one that still runs", _backup("concurrencyPolicy", "Allow")),
    refused("LH-C-001", "left to Kubernetes, which lets runs pile up", _BACKUP + "starts the next run beside one that still runs", _backup("concurrencyPolicy")),
    allowed("a run that takes the last one's place", _backup("concurrencyPolicy", "Replace")),
    refused(
        "LH-C-002", "a run without end", _BACKUP + "may run for ever (no activeDeadlineSeconds)", _backup("jobTemplate/spec/activeDeadlineSeconds")
    ),
    refused("LH-C-003", "many retries", _BACKUP + "tries again 11 times", _backup("jobTemplate/spec/backoffLimit", 11)),
    allowed("some retries", _backup("jobTemplate/spec/backoffLimit", 10)),
    allowed("retries left to Kubernetes, which tries six times", _backup("jobTemplate/spec/backoffLimit")),
    refused(
        "LH-C-004", "a hundred finished runs", _BACKUP + "keeps 100 finished runs (successfulJobsHistoryLimit)", _backup("successfulJobsHistoryLimit", 100)
    ),
    refused("LH-C-004", "eleven failed runs", _BACKUP + "keeps 11 finished runs (failedJobsHistoryLimit)", _backup("failedJobsHistoryLimit", 11)),
    allowed("a few finished runs", _backup("failedJobsHistoryLimit", 3)),
    refused("LH-C-005", "load balancers unbounded", _HOME + "no ResourceQuota bounds services.loadbalancers", Edit("quota", "spec/hard/services.loadbalancers")),
    refused("LH-C-005", "node ports unbounded", _HOME + "no ResourceQuota bounds services.nodeports", Edit("quota", "spec/hard/services.nodeports")),
    allowed("some load balancers", Edit("quota", "spec/hard/services.loadbalancers", "2")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_goes_on_costing_unseen(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)
