"""`python -m policies`: judge a stack's preview, list the rules, write their page."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from modules.kit import image_lock
from policies import cost, images, prices, waivers
from policies.catalogue import RULES
from policies.table import PAGE, page
from policies.throwaway import charts
from profiles import load as profiles
from profiles.problems import ProfileError
from stacks import interrupts

_LOG_WIDTH = 180


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exits 0 when all is well, 1 when a rule is broken or a page is stale, 2 when there is no telling."""
    interrupts.let_children_hear()
    parser = argparse.ArgumentParser(prog="python -m policies", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    preview = commands.add_parser("preview", help="judge what `pulumi up` would do to a stack")
    preview.add_argument("--stack", required=True, help="the stack, as in Pulumi.<stack>.yaml")
    preview.add_argument("--json", action="store_true", help="print one JSON document")
    pull = commands.add_parser("pr", help="write the report of a change, for a pull request")
    pull.add_argument("--stack", required=True, help="the stack, as in Pulumi.<stack>.yaml")
    pull.add_argument("--base", help="the commit to compare with")
    pull.add_argument(
        "--crds", type=Path, help="what a cluster has: the output of `kubectl get crds -o json`"
    )
    pull.add_argument("--out", type=Path, required=True, help="where to write it")
    commands.add_parser("rules", help="list the rules")
    locked = commands.add_parser("images", help="the image lock, from what every profile renders")
    mode = locked.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help=f"write {image_lock.FILE.name}")
    mode.add_argument("--check", action="store_true", help="fail when an image is missing, or no longer runs")
    commands.add_parser("waivers", help="list the waivers, and say what is wrong with them")
    costs = commands.add_parser("cost", help="what each tenant's quota costs in a month, against its budget")
    costs.add_argument("--profile", required=True)
    schemas = commands.add_parser("schema", help="the JSON Schemas of waivers and prices")
    mode = schemas.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write them")
    mode.add_argument("--check", action="store_true", help="fail when one is stale")
    table = commands.add_parser("table", help="the rules' page of documentation")
    mode = table.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    mode.add_argument("--check", action="store_true", help="fail when it is stale")
    given = parser.parse_args(arguments)
    if given.command == "preview":
        return _preview(given.stack, given.json)
    if given.command == "pr":
        return _pull_request(given.stack, given.base, given.crds, given.out)
    if given.command == "images":
        return _images(given.write)
    if given.command == "waivers":
        return _waivers()
    if given.command == "cost":
        return _cost(given.profile)
    if given.command == "schema":
        return _schema(given.write)
    return _rules() if given.command == "rules" else _table(given.write)


def _preview(stack: str, as_json: bool) -> int:
    from policies import report  # Pulumi takes a second to import; the other commands do without it.
    from policies.preview import PreviewError, run

    progress = Console(stderr=True)
    waiting = progress.status(f"previewing {stack}") if progress.is_terminal else nullcontext()
    try:
        with waiting as status:
            found = run(
                stack, lambda seen: status.update(f"previewing {stack}: {seen} resources") if status else None
            )
    except PreviewError as error:
        progress.print(Text(f"{stack}: {error}", "bold red"))
        return 2
    except KeyboardInterrupt:
        progress.print(f"{stack}: interrupted, so nothing is decided")
        return 130
    if as_json:
        print(report.as_json(found))
    else:
        report.show(found, _console())
    return found.plan.exit_code


def _pull_request(stack: str, base: str | None, crds: Path | None, out: Path) -> int:
    from policies import pull_request, report
    from policies.crds import of_cluster
    from policies.preview import PreviewError

    try:
        cluster = of_cluster(json.loads(crds.read_text())) if crds else None
        found = pull_request.review(stack, lambda seen: None, base or None, cluster)
        text = pull_request.markdown(found)
    except PreviewError as error:
        out.write_text(pull_request.failed(stack, str(error)))
        print(f"{stack}: {error}", file=sys.stderr)
        return 2
    out.write_text(text)
    print(f"{report.verdict(found.preview)}; the report is {out}")
    return found.preview.plan.exit_code


def _rules() -> int:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("rule", "severity", "family", "what holds"):
        table.add_column(name, no_wrap=name != "what holds")
    for rule in RULES:
        table.add_row(rule.id, rule.severity.value, rule.family.value, rule.title)
    _console().print(table)
    return 0


def _images(write: bool) -> int:
    from policies.preview import PreviewError, rendered

    lock: dict[str, str | None] = {}
    found: dict[str, list[str]] = {}
    try:
        lock = image_lock.read()
        for profile in profiles.names():
            for each in (image for resource in rendered(profile) for image in images.images(resource)):
                found.setdefault(each.name, []).append(profile)
    except (PreviewError, image_lock.LockError) as error:
        print(error, file=sys.stderr)
        return 2
    for chart in charts.out_of_reach():
        kept = [name for name in lock if name.startswith(chart.images)]
        print(f"{chart.chart} {charts.OUT_OF_REACH}: {len(kept)} lines of its images stay", file=sys.stderr)
        found.update((name, []) for name in kept)
    text = images.lock_text(found, lock)
    if write:
        image_lock.FILE.write_text(text)
        print(f"wrote {image_lock.FILE.name}: {len(found)} images")
        return 0
    for name in sorted(found.keys() - lock.keys()):
        print(
            f"{name} is not in the lock, and runs in {', '.join(dict.fromkeys(found[name]))}", file=sys.stderr
        )
    for name in sorted(lock.keys() - found.keys()):
        print(f"{name} is in the lock, and no profile runs it", file=sys.stderr)
    if lock.keys() != found.keys():
        print("run `python -m policies images --write`", file=sys.stderr)
        return 1
    print(f"{image_lock.FILE.name} lists the {len(found)} images of {len(profiles.names())} profiles")
    return 0


def _waivers() -> int:
    try:
        filed = waivers.read(today := datetime.now(UTC).date())
    except waivers.WaiverError as error:
        print(error, file=sys.stderr)
        return 1
    for each in filed:
        state = "expired" if each.waiver.expires < today else "until"
        print(
            f"{each.waiver.stack}  {each.waiver.rule}  {each.waiver.resource}  {state} {each.waiver.expires}"
        )
    print(f"{len(filed)} waiver{'' if len(filed) == 1 else 's'}")
    return 0


def _cost(name: str) -> int:
    try:
        known = prices.read()
        bills = cost.bills(profiles.load(name), known)
    except ProfileError as error:
        print(error, file=sys.stderr)
        return 2
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("tenant", "place", "quota", f"{known.currency} a month", "budget"):
        table.add_column(
            column, justify="right" if column[-5:] in ("month", "udget") else "left", no_wrap=True
        )
    for bill in bills.values():
        for line in bill.lines:
            table.add_row(
                "", line.place, line.amount, "no price" if line.cost is None else f"{line.cost:,.0f}"
            )
        table.add_row(
            bill.tenant, "", "", f"{bill.total:,.0f}", "-" if bill.budget is None else f"{bill.budget:,.0f}"
        )
    _console().print(table)
    over = list(cost.over_budget(bills, known.currency))
    for finding in over:
        print(f"{finding.subject} {finding.message}", file=sys.stderr)
    return 1 if over else 0


def _schema(write: bool) -> int:
    stale = []
    for file, text in ((waivers.SCHEMA, waivers.schema_text()), (prices.SCHEMA, prices.schema_text())):
        if write:
            file.write_text(text)
            print(f"wrote {file.name}")
        elif not file.is_file() or file.read_text() != text:
            stale.append(file.name)
    for name in stale:
        print(f"{name} is stale: run `python -m policies schema --write`", file=sys.stderr)
    return 1 if stale else 0


def _console() -> Console:
    """As wide as the terminal; in a log, wide enough that nothing has to be broken."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _LOG_WIDTH)


def _table(write: bool) -> int:
    if write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page())
        print(f"wrote {PAGE.name}: {len(RULES)} rules")
        return 0
    if not PAGE.is_file() or PAGE.read_text() != page():
        print(
            f"{PAGE.name} does not say what the rules say: run `python -m policies table --write`",
            file=sys.stderr,
        )
        return 1
    print(f"{PAGE.name} says what the rules say: {len(RULES)} rules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
