"""The rules as a page of documentation, made from the rules themselves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from policies.catalogue import RULES
from policies.exemptions import EXEMPTIONS
from policies.gate import Gate
from policies.gates import GATES
from policies.rule import Exemption, Rule

PAGE: Final = Path(__file__).parent.parent / "docs" / "policies.md"

_HEAD: Final = """\
# Policies

What may never be declared. `make preview STACK=...` judges what `pulumi up` would do by these rules, before anything is touched, and so
does every pull request. An error stops it; a warning does not. Rules that can be said of one object in CEL are enforced by the API server
too, by admission policies made from the same text ([why](decisions/rules-written-once.md)).

This page is generated from the rules (`python -m policies table --write`). [Pull requests](pull-requests.md) says how to let one thing pass.
"""

_WHERE: Final = """\
`make pr` holds a change to all of these, `make preview` to those on images and versions.
"""


def page(
    rules: Sequence[Rule] = RULES,
    exemptions: Sequence[Exemption] = EXEMPTIONS,
    gates: Sequence[Gate] = GATES,
) -> str:
    """The whole page."""
    parts = [_HEAD]
    for family, group in groupby(rules, key=lambda rule: rule.family):
        parts.append(f"## {family.value.capitalize()}\n")
        parts.append("| Rule | What holds | Why | What to do | Enforced in | Severity | Also asked for by |")
        parts.append("|---|---|---|---|---|---|---|")
        parts += [_row(_cells(rule)) for rule in group]
        parts.append("")
    parts.append("## The change as a whole\n")
    parts.append(_WHERE)
    parts.append("| Gate | What holds | Why | What to do | Looks at | Severity |")
    parts.append("|---|---|---|---|---|---|")
    parts += [
        _row((each.id, each.title, each.reason, each.fix, each.looks_at, each.severity.value))
        for each in gates
    ]
    parts.append("")
    parts.append("## Exemptions\n")
    if exemptions:
        parts.append("| Rule | Object | Type | Reason |")
        parts.append("|---|---|---|---|")
        parts += [_row((each.rule, _object(each), f"`{each.type}`", each.reason)) for each in exemptions]
    else:
        parts.append("There are none.")
    return "\n".join(parts) + "\n"


def _cells(rule: Rule) -> tuple[str, ...]:
    enforced = "pull request and cluster"
    if rule.pull_request_only:
        enforced = f"pull request. {rule.pull_request_only}"
    return (
        rule.id,
        rule.title,
        rule.reason,
        rule.fix,
        enforced,
        rule.severity.value,
        "; ".join(rule.references),
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def _object(exemption: Exemption) -> str:
    return f"{exemption.namespace}/{exemption.name}" if exemption.namespace else exemption.name
