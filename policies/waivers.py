"""Waivers: what may be destroyed after all, for how long, and who said so.

One file a waiver below `profiles/waivers/`, so that two pull requests never meet in one file, each has its own history and reviewers, and one that
has served is deleted whole. A waiver lets one rule pass for one resource of one stack until its last day; it never lets a kind or a
pattern pass. One that is over, or that nothing needs, is told with every preview until its file is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from modules.kit.model import Model
from modules.kit.names import DnsLabel
from policies.catalogue import RULES
from policies.crds import VERSIONS
from policies.day import Day
from policies.plan import Finding, Plan
from policies.rule import PlanRule
from policies.stays import FIXED, KEPT
from profiles import schema, source
from profiles.problems import Problem, near
from profiles.structure import build, check

DIRECTORY: Final = Path(__file__).parent.parent / "profiles" / "waivers"
SCHEMA: Final = schema.DIRECTORY / "waiver.schema.json"

LONGEST: Final = timedelta(days=90)
"""A waiver is for a change that is about to be made; one for longer would be a rule switched off."""

WAIVABLE: Final = frozenset(
    (*(rule.id for rule in RULES if isinstance(rule, PlanRule)), FIXED.id, VERSIONS.id, KEPT.id)
)
"""Rules about what a change destroys. What is declared badly is no accident, and has exemptions in code."""


class Waiver(Model):
    """One rule does not hold for one resource of one stack, until a day."""

    stack: DnsLabel
    """Stack in whose plan it counts."""

    rule: Annotated[str, Field(pattern=r"^LH-[A-Z]-[0-9]{3}$", json_schema_extra={"examples": ["LH-S-001"]})]
    """Rule that lets it pass, by its id: one about what a change destroys."""

    resource: Annotated[
        str,
        Field(
            min_length=1,
            max_length=400,
            json_schema_extra={"examples": ["PersistentVolumeClaim tenant-atlas/home"]},
        ),
    ]
    """What it concerns, as the report names it: kind, namespace and name."""

    reason: Annotated[str, Field(min_length=10, max_length=400)]
    """Why nothing is lost, or why it may be."""

    approved_by: Annotated[str, Field(min_length=1, max_length=200)]
    """Who agreed: a person, other than whoever asks for it."""

    expires: Day
    """Last day on which it counts, at most 90 days ahead."""


@dataclass(frozen=True)
class Filed:
    """A waiver and the file it stands in."""

    waiver: Waiver
    file: Path

    def covers(self, finding: Finding) -> bool:
        """Whether it speaks of this fault."""
        return (self.waiver.rule, self.waiver.resource) == (finding.rule, finding.subject)


class WaiverError(Exception):
    """Waivers that cannot be used, with everything that is wrong with them. None counts then."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        return "\n\n".join(
            [f"waivers have {count} problem{'' if count == 1 else 's'}", *map(str, self.problems)]
        )


def read(today: date, directory: Path = DIRECTORY) -> tuple[Filed, ...]:
    """Every waiver, in order of their files' names; none where there is no such directory. Raises WaiverError."""
    filed: list[Filed] = []
    problems: list[Problem] = []
    for file in sorted(each for ending in ("*.yaml", "*.yml") for each in directory.glob(ending)):
        tree, wrong = source.read(file)
        if tree is not None:
            checked = check(source.plain(tree), Waiver, tree)
            waiver = build(checked, Waiver, tree, lambda data: data)
            wrong = [*wrong, *checked.problems]
            if waiver is not None and not wrong:
                filed.append(Filed(waiver, file))
                wrong = list(_judge(waiver, tree, today))
        problems += wrong
    if problems:
        raise WaiverError(problems)
    return tuple(filed)


def _judge(waiver: Waiver, tree: source.Tree, today: date) -> Iterator[Problem]:
    """What the schema cannot say."""

    def problem(key: str, value: str, message: str, remedy: str) -> Problem:
        origin = source.origin_of(tree, (key,))
        return Problem(origin.file, origin.line, key, value, message, remedy)

    if waiver.rule not in WAIVABLE:
        known = ", ".join(sorted(WAIVABLE))
        yield problem("rule", waiver.rule, "is no rule that can be waived", f"write one of {known}")
    last = today + LONGEST
    if waiver.expires > last:
        yield problem(
            "expires",
            str(waiver.expires),
            f"is more than {LONGEST.days} days ahead",
            f"write {last} or earlier",
        )


@dataclass(frozen=True)
class Waived:
    """A fault that somebody let pass."""

    finding: Finding
    filed: Filed


@dataclass(frozen=True)
class Judged:
    """A plan after waivers: the plan without what they let pass, that, and what there is to say of the waivers themselves."""

    plan: Plan
    waived: tuple[Waived, ...]
    notices: tuple[str, ...]


def apply(plan: Plan, filed: Sequence[Filed], stack: str, today: date, *, against_state: bool) -> Judged:
    """Let pass what the stack's waivers let pass. Without a state to compare with nothing is destroyed, and so no waiver called unused."""
    mine = [each for each in filed if each.waiver.stack == stack]
    valid = [each for each in mine if each.waiver.expires >= today]
    kept: list[Finding] = []
    waived: list[Waived] = []
    for finding in plan.findings:
        waiver = next((each for each in valid if each.covers(finding)), None)
        if waiver is None:
            kept.append(finding)
        else:
            waived.append(Waived(finding, waiver))
    used = {each.filed.file for each in waived}
    notices = [
        f"{near(each.file)}: expired on {each.waiver.expires}, so {each.waiver.resource} is no longer let pass: "
        "delete the file, or have it approved anew"
        for each in mine
        if each.waiver.expires < today
    ]
    notices += [
        f"{near(each.file)}: nothing needs it ({each.waiver.rule} has nothing to say of {each.waiver.resource}): delete the file"
        for each in valid
        if against_state and each.file not in used
    ]
    return Judged(replace(plan, findings=tuple(kept)), tuple(waived), tuple(notices))


def schema_text() -> str:
    """The JSON Schema that editors complete a waiver from."""
    return json.dumps(schema.for_files(Waiver), indent=2, ensure_ascii=False) + "\n"
