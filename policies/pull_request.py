"""One report of a change, for the people who have to say yes to it: Markdown, as a comment on a pull request takes it.

Text that the change itself brings (names, messages) is quoted as code wherever it stands, so that it can mention nobody and draw nothing.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from modules.kit.parts import StackName
from policies import api_server, base_state, dry_run, preview, report
from policies.api_server import ApiServer
from policies.cost import Bill, bills, over_budget
from policies.crds import Change as KindChange
from policies.crds import Definition, changes
from policies.dry_run import Asked
from policies.footprint import footprint
from policies.images import images
from policies.isolation.matrix import Matrix, proof
from policies.plan import Change, Finding, Plan, totals
from policies.preview import Preview
from policies.prices import read
from policies.resource import Resource
from policies.rule import Op, Severity
from policies.stays import broken, exports
from policies.waivers import Waived
from profiles.load import load
from profiles.model import Profile
from profiles.problems import ProfileError

MARK: Final = "<!-- longhouse: report -->"
"""First line of every report, by which programs know it."""

LONGEST: Final = 60_000
"""Characters: a comment on GitHub holds 65,536."""

_LISTED: Final = 100
_SHOWN_OPS: Final = (Op.CREATE, Op.UPDATE, Op.REPLACE, Op.DELETE)


@dataclass(frozen=True)
class Review:
    """All that is said of a change."""

    preview: Preview
    base: str
    """What it was compared with, in words."""
    currency: str
    bills: Mapping[str, Bill]
    before: Mapping[str, Bill] | None
    """What quotas cost before; None where nobody knows."""
    matrix: Matrix | None
    """None where the preview failed."""
    asked: Asked | None
    """What a throw-away API server said; None where the preview failed."""
    images_before: frozenset[str]
    images_after: frozenset[str]
    kinds: tuple[KindChange, ...]
    seconds: float
    peak_mib: float


def review(
    stack: str,
    tell: Callable[[int], None],
    base: str | None = None,
    cluster: Mapping[str, Definition] | None = None,
    project: Path = preview.CHECKOUT,
) -> Review:
    """Preview a stack of the project and judge it by everything there is.

    `base` names the commit to compare with: its profiles, and where there is no state, what it declares. Raises `PreviewError` when
    there is no telling.
    """
    began = time.monotonic()
    try:
        prices, profile = read(), load(StackName.of(stack).platform, project / "profiles")
        commit = base_state.commit(base, project) if base else None
    except (ProfileError, base_state.BaseError) as error:
        raise preview.PreviewError(str(error)) from error
    old = _before(commit, stack, project) if commit else None
    after = bills(profile, prices)
    proofs: list[Matrix] = []
    asked: list[Asked] = []
    with ExitStack() as running:
        held = running.enter_context(footprint())
        server = running.enter_context(_api_server())  # It starts while the engine previews.

        def gates(plan: Plan) -> Iterable[Finding]:
            declared = [step.new for step in plan.steps if step.new is not None]
            proofs.append(proof([*declared, *_elsewhere(stack, profile, project)], profile))
            asked.append(dry_run.ask(server, declared))
            said = {each.subject for each in plan.findings}
            return (
                *proofs[0].findings,
                *(each for each in asked[0].findings if each.subject not in said),  # By a rule already.
                *over_budget(after, prices.currency),
                *(broken(exports(old), exports(profile)) if old is not None else ()),
            )

        try:
            found = preview.run(stack, tell, project, base=commit, cluster=cluster, gates=gates)
        except api_server.ApiServerError as error:
            raise preview.PreviewError(str(error)) from error
    return Review(
        preview=found,
        base=_compared(found, commit),
        currency=prices.currency,
        bills=after,
        before=bills(old, prices) if old is not None else None,
        matrix=proofs[0] if proofs else None,
        asked=asked[0] if asked else None,
        images_before=image_names(found.plan, before=True),
        images_after=image_names(found.plan),
        kinds=tuple(changes(found.plan.steps, cluster)),
        seconds=time.monotonic() - began,
        peak_mib=held.peak_mib,
    )


def _elsewhere(stack: str, profile: Profile, project: Path) -> Iterator[Resource]:
    """What the other stacks of an environment declare: who reaches whom shows in all of them together only."""
    if profile.stacks is None:
        return
    name = StackName.of(stack)
    groups = (group for group in range(1, profile.stacks.groups + 1) if profile.part(group).tenants)
    for each in (StackName(name.platform), *(StackName(name.platform, group) for group in groups)):
        if each != name:
            yield from preview.rendered(str(each), project)


@contextmanager
def _api_server() -> Iterator[ApiServer]:
    """A throw-away API server that may still be starting."""
    try:
        programs = api_server.Programs.on_path()
    except api_server.ApiServerError as error:
        raise preview.PreviewError(str(error)) from error
    with (
        tempfile.TemporaryDirectory(prefix="longhouse-api-server-") as folder,
        api_server.started(Path(folder), programs) as started,
    ):
        yield started


def _compared(found: Preview, commit: str | None) -> str:
    if found.throw_away is None:
        return "the stack's own state"
    if commit is not None:
        return f"what commit {commit[:12]} declares"
    return "nothing, so everything reads as new"


def _before(commit: str, stack: str, project: Path) -> Profile | None:
    """The profile as the commit has it; None where the commit has none that today's models can read."""
    with tempfile.TemporaryDirectory(prefix="longhouse-base-") as name:
        source = Path(name) / "source"
        base_state.checkout(commit, source, project)
        try:
            return load(StackName.of(stack).platform, source / "profiles")
        except ProfileError:
            return None


def image_names(plan: Plan, *, before: bool = False) -> frozenset[str]:
    """Every image that the plan's objects name, or named before."""
    sides = (step.old if before else step.new for step in plan.steps)
    return frozenset(each.image for side in sides if side is not None for each in images(side))


def markdown(found: Review) -> str:
    """The report."""
    plan = found.preview.plan
    parts = [
        MARK,
        f"## {_code(report.verdict(found.preview))}",
        f"Compared with {_code(found.base)}.",
        _risk(found),
    ]
    if plan.errors:
        parts += ["### Errors", *(_block(error) for error in plan.errors)]
    else:
        parts += [
            "### Changes", _changes(plan),
            "### Rules and gates", _findings(plan.findings), _waivers(found.preview.waived, found.preview.notices), _asked(found.asked),
            "### Cost", _cost(found),
            "### Isolation", _isolation(found.matrix),
            "### Images", _image_changes(found),
            "### Kinds", _kinds(found.kinds),
        ]  # fmt: skip
    parts.append(f"<sub>{found.seconds:.0f} s, at most {found.peak_mib:,.0f} MiB</sub>")
    text = "\n\n".join(part for part in parts if part) + "\n"
    return text if len(text) <= LONGEST else _cut(text)


def failed(stack: str, said: str) -> str:
    """The report of a change of which nothing can be told."""
    return f"{MARK}\n\n## {_code(stack)}: no preview, so nothing is decided\n\n{_block(said)}\n"


def _cut(text: str) -> str:
    note = "\n\n… cut here: the whole report is the job's artifact.\n"
    kept = text[: LONGEST - len(note)].rpartition("\n")[0]
    return kept + "\n</details>" * (kept.count("<details>") - kept.count("</details>")) + note


def _risk(found: Review) -> str:
    """High where something is refused, waived, destroyed or stored otherwise; medium where what runs changes; else low."""
    plan = found.preview.plan
    gone = plan.count(Op.DELETE) + plan.count(Op.REPLACE)
    reasons = [
        (3, plan.refused, "something is refused"),
        (3, bool(plan.errors), "nothing could be decided"),
        (3, bool(found.preview.waived), "a waiver lets something be destroyed"),
        (3, gone > 0, f"{gone} deleted or replaced"),
        (3, any(each.old and each.new and each.old.stored != each.new.stored for each in found.kinds), "a kind is stored otherwise"),
        (2, plan.count(Op.UPDATE) > 0, f"{plan.count(Op.UPDATE)} changed in place"),
        (2, bool(found.images_before - found.images_after), "other images run"),
        (1, plan.count(Op.CREATE) > 0, f"{plan.count(Op.CREATE)} new"),
    ]  # fmt: skip
    holding = [(level, why) for level, holds, why in reasons if holds]
    worst = max((level for level, _ in holding), default=0)
    said = "; ".join(why for level, why in holding if level == worst) or "nothing changes"
    return f"**Risk: {('none', 'low', 'medium', 'high')[worst]}** ({said})"


def _changes(plan: Plan) -> str:
    touched = [change for change in plan.changes if change.op is not Op.SAME]
    if not touched:
        return "None."
    rows = [
        (_code(component), _code(tenant), *(str(counts[op]) if counts[op] else "" for op in _SHOWN_OPS))
        for (component, tenant), counts in totals(touched).items()
    ]
    table = _table(("component", "tenant", *(op.value for op in _SHOWN_OPS)), rows)
    return f"{table}\n\n{_details('every object', _objects(touched))}"


def _objects(touched: Sequence[Change]) -> list[str]:
    worst_first = sorted(touched, key=lambda each: (-list(Op).index(each.op), each.subject))
    lines = [f"- {each.op.value} {_code(each.subject)}" for each in worst_first[:_LISTED]]
    rest = Counter(each.op for each in worst_first[_LISTED:])
    return lines + (
        [f"- and {', '.join(f'{count} more to {op.value}' for op, count in rest.items())}"] if rest else []
    )


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "All kept."
    parts = []
    for _, group in groupby(findings, key=lambda each: (each.severity, each.rule)):
        each = list(group)
        icon = "🔴" if each[0].severity is Severity.ERROR else "🟡"
        lines = [f"- {_code(one.subject)} {_code(one.message)}" for one in each[:_LISTED]]
        more = [f"- and {len(each) - _LISTED} more"] if len(each) > _LISTED else []
        head = f"{icon} **{_code(each[0].rule)}** {_plain(each[0].title)}. {_plain(each[0].fix)}"
        parts.append("\n".join([head, "", *lines, *more]))
    return "\n\n".join(parts)


def _waivers(waived: Sequence[Waived], notices: Sequence[str]) -> str:
    return "\n".join(
        [
            *(f"- 🟠 waived: {_code(report.waived_text(each))}" for each in waived),
            *(f"- 🟡 {_code(each)}" for each in notices),
        ]
    )


def _asked(asked: Asked | None) -> str:
    if asked is None:
        return ""
    taken = asked.objects - asked.open - len(asked.findings)
    left = f"; {asked.open} could not be judged" if asked.open else ""
    return f"A throw-away API server with the plan's own kinds and admission policies took {taken} of {asked.objects} objects, with what controllers make of them{left}."


def _cost(found: Review) -> str:
    rows = []
    for name in sorted({*found.bills, *(found.before or {})}):
        bill, before = found.bills.get(name), (found.before or {}).get(name)
        now, was = bill.total if bill else 0.0, before.total if before else 0.0
        missing = any(line.cost is None for line in bill.lines) if bill else False
        rows.append(
            (
                _code(name),
                f"{now:,.0f}{' and what has no price' if missing else ''}",
                f"{now - was:+,.0f}"
                if found.before is not None and round(now - was)
                else ""
                if found.before is not None
                else "?",
                f"{bill.budget:,.0f}" if bill and bill.budget is not None else "none",
            )
        )
    now, was = (sum(each.total for each in side.values()) for side in (found.bills, found.before or {}))
    rows.append(("**all**", f"{now:,.0f}", f"{now - was:+,.0f}" if found.before is not None else "?", ""))
    return _table(("tenant", f"{found.currency} a month", "change", "budget"), rows)


def _isolation(matrix: Matrix | None) -> str:
    if matrix is None:
        return ""
    reached: dict[str, dict[str, list[str]]] = {tenant: {} for tenant in matrix.tenants}
    for each in matrix.reached:
        ports = reached.get(each.source, {}).setdefault(each.target.namespace, [])
        if str(each.way.ports) not in ports:
            ports.append(str(each.way.ports))
    crossing = len(matrix.findings)
    said = f"{crossing} crossings" if crossing else "no crossing"
    head = (
        f"{len(matrix.tenants)} tenants, {matrix.pairs} pairs of pods, {matrix.bindings} subjects of role bindings, "
        f"{matrix.grants} grants of stores: **{said}**."
    )
    places = sorted({place for ways in reached.values() for place in ways})
    if not places:
        return head
    rows = [
        (_code(tenant), *(_code(", ".join(ways[place])) if place in ways else "" for place in places))
        for tenant, ways in reached.items()
    ]
    return f"{head}\n\n{_details('who reaches what', [_table(('tenant', *map(_code, places)), rows)])}"


def _image_changes(found: Review) -> str:
    gone, new = found.images_before - found.images_after, found.images_after - found.images_before
    lines = [
        *(f"- no longer {_code(each)}" for each in sorted(gone)),
        *(f"- new {_code(each)}" for each in sorted(new)),
    ]
    return "\n".join(lines) or f"The same {len(found.images_after)}."


def _kinds(kinds: Sequence[KindChange]) -> str:
    lines = [
        f"- {_code(either.name)}: {_versions(each.old)} → {_versions(each.new)}"
        for each in kinds
        if (either := each.new or each.old) is not None
    ]
    return "\n".join(lines) or "The same."


def _versions(each: Definition | None) -> str:
    return _code(f"{', '.join(each.served)}, stored as {each.stored}") if each else "none"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _details(summary: str, lines: Sequence[str]) -> str:
    return "\n".join([f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"])


def _code(text: Any) -> str:
    """As a code span on one line: neither Markdown nor HTML nor a mention inside it means anything. A bar would end a table's cell."""
    shown = " ".join(str(text).replace("`", "'").replace("|", "¦").split())
    return f"`{shown}`" if shown else ""


def _plain(text: str) -> str:
    """Text of our own rules: only what would be taken for a tag is disarmed."""
    return text.replace("<", "&lt;").replace("|", "¦").rstrip(".")


def _block(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
