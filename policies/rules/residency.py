"""Residency: that data and work stay where they may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from modules.kit import labels
from policies.claim import forbid, over, require
from policies.expression import LABELS, META, SPEC, TENANTS
from policies.resource import NAMESPACE, Resource, at, record, records
from policies.rule import SEVERAL, Family, Fault, ResourceRule, Severity, StackRule

_HOME: Final = "home"
_RESTRICTED: Final = "restricted"
_CLASSES: Final = ("public", "internal", _RESTRICTED)
_FLAVOR: Final = "kueue.x-k8s.io/ResourceFlavor"
_QUEUE: Final = "kueue.x-k8s.io/ClusterQueue"
_SITE: Final = SPEC["nodeLabels", labels.SITE]

_SITES: Final = over(
    _FLAVOR,
    require(_SITE.filled, f"does not say where it stands by the label {labels.SITE}"),
    forbid(
        _SITE.filled & ~_SITE.eq(_HOME) & ~SPEC["nodeLabels", labels.REGION].filled,
        f"is away from home and does not say where by the label {labels.REGION}",
    ),
)

_SAYS_CLASS: Final = over(
    NAMESPACE,
    require(
        LABELS[labels.DATA_CLASS].among(_CLASSES),
        f"does not say how far its data may go by the label {labels.DATA_CLASS}",
    ),
    where=META["name"].matches(TENANTS),
)


def _sites(resources: Sequence[Resource]) -> dict[str, str]:
    """Where each flavor stands."""
    return {
        each.object_name: str(record(at(each.props, "spec", "nodeLabels")).get(labels.SITE))
        for each in resources
        if each.kind == _FLAVOR
    }


def _flavors(queue: Resource) -> Iterator[list[str]]:
    """The flavors of each group of a queue, in the order in which they are tried."""
    for group in records(at(queue.props, "spec", "resourceGroups")):
        yield [str(flavor.get("name")) for flavor in records(group.get("flavors"))]


def _home_first(resources: Sequence[Resource]) -> Iterator[Fault]:
    sites = _sites(resources)
    for queue in resources:
        if queue.kind == _QUEUE:
            for flavors in _flavors(queue):
                away = [flavor for flavor in flavors if sites.get(flavor, _HOME) != _HOME]
                for flavor in flavors[flavors.index(away[0]) :] if away else ():
                    if flavor not in away:
                        yield Fault(queue, f"tries {flavor}, which stands at home, after one that does not")


def _stays_home(resources: Sequence[Resource]) -> Iterator[Fault]:
    sites = _sites(resources)
    fenced = {
        home.tenant
        for home in resources
        if home.kind == NAMESPACE
        and home.tenant
        and home.labels.get(labels.DATA_CLASS) not in ("public", "internal")
    }
    for queue in resources:
        if queue.kind == _QUEUE and queue.owning_tenant in fenced:
            for flavor in (flavor for flavors in _flavors(queue) for flavor in flavors):
                if sites.get(flavor, _HOME) != _HOME:
                    yield Fault(
                        queue,
                        f"takes the work of {queue.owning_tenant}, whose data is restricted, to {sites[flavor]} ({flavor})",
                    )


RULES: Final = (
    ResourceRule(
        id="LH-R-001",
        title="Every flavor says where its nodes stand",
        reason="Whether a tenant's work may go somewhere is decided by this label; a flavor without it is everywhere.",
        fix=f"Name {labels.SITE}, and away from home {labels.REGION}, among nodeLabels.",
        severity=Severity.ERROR,
        family=Family.RESIDENCY,
        check=_SITES,
    ),
    ResourceRule(
        id="LH-R-002",
        title="Every tenant's namespace says how far its data may go",
        reason="What copies, bursts or backs up looks there; data of no class is nobody's to hold back.",
        fix=f"Label it {labels.DATA_CLASS}: public, internal or restricted.",
        severity=Severity.ERROR,
        family=Family.RESIDENCY,
        check=_SAYS_CLASS,
    ),
    StackRule(
        id="LH-R-003",
        title="Work stays at home as long as there is room",
        reason="Kueue tries flavors in order: one that comes before home sends work, and what it reads, to a cloud that nobody needs yet.",
        fix="List the flavors of home first.",
        severity=Severity.ERROR,
        family=Family.RESIDENCY,
        pull_request_only=SEVERAL,
        check=_home_first,
    ),
    StackRule(
        id="LH-R-004",
        title="Restricted data never leaves home",
        reason="Work takes its data along: into another country, under another law.",
        fix="Take the flavors away from home out of the tenant's queues.",
        severity=Severity.ERROR,
        family=Family.RESIDENCY,
        pull_request_only=SEVERAL,
        check=_stays_home,
    ),
)
