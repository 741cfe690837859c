"""The rules for residency."""

from __future__ import annotations

import pytest

from tests.policies.objects import Case, Edit, allowed, edited, expected, found, refused

_SITE = "spec/nodeLabels/longhouse.dev~site"
_CLASS = "metadata/labels/longhouse.dev~data-class"
_FLAVORS = "spec/resourceGroups/0/flavors"
_SHARE = [{"name": name, "nominalQuota": "1"} for name in ("cpu", "memory")]


def _flavors(*names: str) -> Edit:
    return Edit("queue", _FLAVORS, [{"name": name, "resources": _SHARE} for name in names])


CASES = (
    refused("LH-R-001", "a flavor nowhere", "ResourceFlavor general: does not say where it stands by the label longhouse.dev/site", Edit("flavor", _SITE)),
    refused(
        "LH-R-001", "a flavor in some cloud", "ResourceFlavor away: is away from home and does not say where by the label longhouse.dev/region",
        Edit("away", "spec/nodeLabels/longhouse.dev~region"),
    ),
    refused(
        "LH-R-002", "data of no class", "Namespace tenant-atlas: does not say how far its data may go by the label longhouse.dev/data-class",
        Edit("namespace", _CLASS), _flavors("general"),
    ),
    refused(
        "LH-R-002", "data of a class that there is not", "Namespace tenant-atlas: does not say how far its data may go by the label longhouse.dev/data-class",
        Edit("namespace", _CLASS, "secret"), _flavors("general"),
    ),
    allowed("public data", Edit("namespace", _CLASS, "public")),
    refused("LH-R-003", "away first", "ClusterQueue atlas-cpu: tries general, which stands at home, after one that does not", _flavors("away", "general")),
    allowed("away only", _flavors("away")),
    refused(
        "LH-R-004", "restricted data away", "ClusterQueue atlas-cpu: takes the work of atlas, whose data is restricted, to cloud (away)",
        Edit("namespace", _CLASS, "restricted"),
    ),
    allowed("restricted data at home", Edit("namespace", _CLASS, "restricted"), _flavors("general")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_data_and_work_stay_where_they_may_be(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)
