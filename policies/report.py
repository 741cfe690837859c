"""A preview for people, and for programs."""

from __future__ import annotations

import json
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from policies.plan import Finding, Plan, totals
from policies.preview import Preview
from policies.rule import Op, Severity
from policies.waivers import Waived

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}
_OP_STYLES = {Op.CREATE: "green", Op.UPDATE: "yellow", Op.REPLACE: "bold red", Op.DELETE: "bold red"}


def show(preview: Preview, console: Console) -> None:
    """Print what would change, what the rules say, and the verdict as the last line."""
    plan = preview.plan
    if preview.throw_away is not None:
        console.print(
            Text(f"{preview.throw_away}: previewed against an empty state, so everything reads as new", "dim")
        )
        console.print()
    if plan.changes and not plan.errors:
        console.print(_changes(plan))
        console.print()
    for _, group in groupby(plan.findings, key=lambda finding: (finding.severity, finding.rule)):
        _show_rule(list(group), console)
    for exemption in plan.unused:
        console.print(
            Text(
                f"exemption no longer needed: {exemption.rule} for {exemption.name} ({exemption.type})",
                "yellow",
            )
        )
    for waived in preview.waived:
        console.print(Text(f"waived {waived.finding.rule}  {waived_text(waived)}", "yellow"))
    for notice in preview.notices:
        console.print(Text(notice, "yellow"))
    for error in plan.errors:
        console.print(Text(error, "red"))
    console.print(Text(verdict(preview), "bold red" if plan.exit_code else "bold green"))


def verdict(preview: Preview) -> str:
    """The whole result in a line."""
    plan = preview.plan
    if plan.errors:
        return f"{preview.stack}: the preview failed, so nothing is decided"
    changed = len(plan.changes) - plan.count(Op.SAME)
    said = f"{_number(changed, 'change')}, {plan.count(Op.SAME)} unchanged"
    worst = [finding for finding in plan.findings if finding.severity is Severity.ERROR]
    others = len(plan.findings) - len(worst)
    warned = f", {_number(others, 'warning')}" if others else ""
    if worst:
        rules = len({finding.rule for finding in worst})
        return f"{preview.stack}: refused, {_number(len(worst), 'violation')} of {_number(rules, 'rule')}{warned} ({said})"
    return f"{preview.stack}: allowed, no violation{warned} ({said})"


def waived_text(waived: Waived) -> str:
    """What passes, by whose word and until when."""
    waiver = waived.filed.waiver
    return (
        f"{waived.finding.subject} {waived.finding.message}: allowed by {waiver.approved_by} "
        f"until {waiver.expires} ({waiver.reason})"
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _changes(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("component")
    table.add_column("tenant")
    for op in (Op.CREATE, Op.UPDATE, Op.REPLACE, Op.DELETE, Op.SAME):
        table.add_column("unchanged" if op is Op.SAME else op.value, justify="right")
    for (component, tenant), counts in totals(plan.changes).items():
        cells = [
            Text(str(counts[op]) if counts[op] else "-", _OP_STYLES.get(op, "") if counts[op] else "dim")
            for op in (Op.CREATE, Op.UPDATE, Op.REPLACE, Op.DELETE, Op.SAME)
        ]
        table.add_row(component or "-", tenant or "-", *cells)
    return table


def _show_rule(findings: list[Finding], console: Console) -> None:
    first = findings[0]
    console.print(
        Text.assemble((first.severity.value, _STYLES[first.severity]), f" {first.rule}  {first.title}")
    )
    faults = Table.grid(padding=(0, 2))
    for finding in findings:
        faults.add_row("   ", Text(finding.subject), Text(finding.message))
    console.print(faults)
    if first.fix:
        remedy = Table.grid(padding=(0, 2))
        remedy.add_row("   ", Text("fix", "dim"), Text(first.fix))
        console.print(remedy)
    console.print()


def as_json(preview: Preview) -> str:
    """The same as one JSON document."""
    plan = preview.plan
    return json.dumps(
        {
            "stack": preview.stack,
            "result": ("allowed", "refused", "failed")[plan.exit_code],
            "throwAway": preview.throw_away,
            "changes": [
                {
                    "op": change.op.value,
                    "urn": change.urn,
                    "subject": change.subject,
                    "component": change.component,
                    "tenant": change.tenant,
                }
                for change in plan.changes
            ],
            "violations": [
                {
                    "rule": finding.rule,
                    "severity": finding.severity.value,
                    "subject": finding.subject,
                    "message": finding.message,
                    "fix": finding.fix,
                }
                for finding in plan.findings
            ],
            "unusedExemptions": [
                {"rule": each.rule, "type": each.type, "name": each.name} for each in plan.unused
            ],
            "waived": [
                {
                    "rule": each.finding.rule,
                    "subject": each.finding.subject,
                    "message": each.finding.message,
                    "approvedBy": each.filed.waiver.approved_by,
                    "expires": str(each.filed.waiver.expires),
                    "file": each.filed.file.name,
                }
                for each in preview.waived
            ],
            "notices": list(preview.notices),
            "errors": list(plan.errors),
        },
        indent=2,
    )
