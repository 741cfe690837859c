"""CustomResourceDefinitions: that no version goes while something is kept or written in it.

The API server keeps each object in one stored version, serves several, and forgets nothing: an object stored in a version that is gone
cannot be read any more (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/,
"Upgrade existing objects to a new stored version").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from policies.gate import Gate
from policies.plan import Finding
from policies.resource import CUSTOM_RESOURCE_DEFINITION, Record, Resource, items, record, records
from policies.rule import Op, Severity, Step

VERSIONS = Gate(
    id="LH-P-003",
    title="No version of a kind goes while it is in use, and none is stored in another before its objects are rewritten",
    reason="Objects stored in a version that is gone cannot be read any more, and neither Helm nor Pulumi looks.",
    fix="Do the migration that the message names in a change of its own, then waive this one.",
    looks_at="CustomResourceDefinitions of the plan against those of the last state, or a cluster's",
)


@dataclass(frozen=True)
class Definition:
    """A CRD as far as its versions go."""

    name: str
    kind: str
    plural: str
    group: str
    scope: str
    served: tuple[str, ...]
    stored: str
    kept: tuple[str, ...]
    """Versions in which objects may still be stored: a cluster says so in the status, elsewhere it is the stored one."""


@dataclass(frozen=True)
class Change:
    """What happens to one kind's versions."""

    old: Definition | None
    new: Definition | None


def definition(props: Record) -> Definition:
    """The definition, from an object of either a plan or a cluster."""
    spec = record(props.get("spec"))
    versions = records(spec.get("versions"))
    names = record(spec.get("names"))
    stored = next((str(each.get("name")) for each in versions if each.get("storage")), "")
    kept = tuple(map(str, items(record(props.get("status")).get("storedVersions")))) or (stored,)
    return Definition(
        name=str(record(props.get("metadata")).get("name")),
        kind=str(names.get("kind")),
        plural=str(names.get("plural")),
        group=str(spec.get("group")),
        scope=str(spec.get("scope")),
        served=tuple(str(each.get("name")) for each in versions if each.get("served")),
        stored=stored,
        kept=kept,
    )


def of_cluster(document: Record) -> dict[str, Definition]:
    """What a cluster has, from `kubectl get crds -o json`."""
    found = map(definition, records(document.get("items")))
    return {each.name: each for each in found}


def changes(steps: Iterable[Step], cluster: Mapping[str, Definition] | None = None) -> list[Change]:
    """Every kind whose versions, scope or presence the plan changes. What a cluster has goes before what the state says."""
    found = []
    for step in steps:
        if step.resource.kind != CUSTOM_RESOURCE_DEFINITION:
            continue
        new = definition(step.new.props) if step.new is not None else None
        old = definition(step.old.props) if step.old is not None else None
        if cluster is not None:
            old = cluster.get((new or old or _NONE).name)
        if old is None or new is None or _versions(old) != _versions(new):
            found.append(Change(old, new))
    return found


_NONE = Definition("", "", "", "", "", (), "", ())


def _versions(each: Definition) -> tuple[object, ...]:
    return sorted(each.served), each.stored, each.scope, set(each.kept) <= set(each.served)


def dangers(steps: Sequence[Step], cluster: Mapping[str, Definition] | None = None) -> Iterator[Finding]:
    """What would strand objects, each with the migration to do first. That a CRD goes altogether is LH-S-001's to say."""
    used = set(_used(steps))
    for change in changes(steps, cluster):
        old, new = change.old, change.new
        if old is None or new is None:
            continue
        subject = f"CustomResourceDefinition {new.name}"
        if old.stored != new.stored:
            yield VERSIONS.finding(subject, f"would store {old.stored} as {new.stored}. {_rewrite(old, new)}")
        if old.scope != new.scope:
            yield VERSIONS.finding(
                subject,
                f"would become {new.scope}, and was {old.scope}: no object can follow; export them, and make them anew as another kind",
            )
        for version in sorted({*old.served, *old.kept} - set(new.served)):
            if version in old.kept and old.stored == new.stored:
                yield VERSIONS.finding(
                    subject,
                    f"would no longer serve {version}, in which objects are stored. {_rewrite(old, new)}",
                )
            elif (new.group, version, new.kind) in used:
                yield VERSIONS.finding(
                    subject,
                    f"would no longer serve {version}, in which {new.kind}s are declared here: declare them as {new.stored} first",
                )
            elif version not in old.kept:
                yield replace(
                    VERSIONS.finding(
                        subject,
                        f"would no longer serve {version}, which nothing here uses: see that no tenant's manifests do",
                    ),
                    severity=Severity.WARNING,
                )


def _rewrite(old: Definition, new: Definition) -> str:
    whole = f"{new.plural}.{new.group}"
    return (
        f"First serve {new.stored} beside {old.stored}; rewrite every object (`kubectl get {whole} --all-namespaces -o json | kubectl "
        f"replace -f -`); then take {old.stored} out of the status (`kubectl patch crd {new.name} --subresource=status --type=merge "
        f'-p \'{{"status":{{"storedVersions":["{new.stored}"]}}}}\'`)'
    )


def _used(steps: Iterable[Step]) -> Iterator[tuple[str, str, str]]:
    """Group, version and kind of every object that stays or is still there."""
    for step in steps:
        for side in (step.old, step.new):
            if side is not None and not (side is step.old and step.op is Op.DELETE):
                yield _identity(side)


def _identity(resource: Resource) -> tuple[str, str, str]:
    _, api, kind = resource.type.split(":", 2)
    group, _, version = api.partition("/")
    return group, version, kind.removesuffix("Patch")
