"""`python -m profiles`: check, show and compare profiles, and write what is generated from their models."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from modules.foundation.gpu_pools import placement
from profiles import reference, schema
from profiles.load import DIRECTORY, load, names, origins
from profiles.model import Profile
from profiles.problems import MISSING, Key, Problem, ProfileError, dotted, near, shown


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when something is wrong, 2 when the command itself is."""
    chosen = _parser().parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except ProfileError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m profiles",
        description="Check, show and compare profiles. Needs no cluster and no Pulumi.",
    )
    parser.add_argument(
        "--directory", type=Path, default=DIRECTORY, help="where the profiles are (default: the shipped ones)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser(
        "check", help="say whether profiles are right, or everything that is wrong with them"
    )
    check.add_argument("names", nargs="*", metavar="NAME", help="profiles to check (default: all)")
    check.add_argument("--json", action="store_true", help="print the problems as JSON, for programs")
    check.set_defaults(run=_check)

    show = commands.add_parser("show", help="print a profile as it is after merging, with defaults")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--origin", action="store_true", help="say at each key which file and line set it")
    show.set_defaults(run=_show)

    diff = commands.add_parser("diff", help="print the keys in which two profiles differ")
    diff.add_argument("one", metavar="A")
    diff.add_argument("other", metavar="B")
    diff.set_defaults(run=_diff)

    for name, what, files in (
        ("schema", "the JSON Schemas that editors complete from", schema.files),
        ("reference", "the reference pages of all keys", reference.files),
    ):
        generated = commands.add_parser(name, help=f"write {what}, or check that they are up to date")
        how = generated.add_mutually_exclusive_group(required=True)
        how.add_argument("--write", action="store_true", help="write the files")
        how.add_argument(
            "--check", action="store_true", help="fail when a file is not as it would be written"
        )
        generated.set_defaults(run=_generated, files=files)
    return parser


def _check(chosen: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]] = []
    problems: list[tuple[str, Problem]] = []
    for name in chosen.names or names(chosen.directory):
        try:
            rows.append((name, *_numbers(load(name, chosen.directory)), "ok"))
        except ProfileError as error:
            count = len(error.problems)
            rows.append((name, "", "", "", "", f"{count} problem{'' if count == 1 else 's'}"))
            problems += [(name, problem) for problem in error.problems]
    if chosen.json:
        print(json.dumps([_as_json(name, problem) for name, problem in problems], indent=2))
        return 1 if problems else 0
    print(_table(("PROFILE", "TENANTS", "NODES", "GPUS", "CLOUD GPUS", "STATE"), rows))
    seen: dict[str, list[str]] = {}
    for name, problem in problems:
        seen.setdefault(str(problem), []).append(name)
    for text, where in seen.items():
        print(f"\n{text}\n    (in {', '.join(where)})")
    return 1 if problems else 0


def _numbers(profile: Profile) -> tuple[str, str, str, str]:
    """Tenants, nodes, and GPUs as hardware, at home and in the cloud."""
    pools = tuple(profile.node_pools.values())
    home = placement.home(pools)
    gpus = {pool.name: pool.nodes * pool.gpu.count for pool in pools if pool.gpu}
    at_home = sum(gpus.get(pool.name, 0) for pool in home)
    nodes = sum(pool.nodes for pool in pools)
    return str(len(profile.tenants)), str(nodes), str(at_home), str(sum(gpus.values()) - at_home)


def _as_json(name: str, problem: Problem) -> dict[str, Any]:
    record = {
        "profile": name,
        "file": str(near(problem.file)),
        "line": problem.line,
        "key": problem.key,
        "message": problem.message,
        "remedy": problem.remedy,
        "rule": problem.rule,
    }
    return record if problem.value is MISSING else {**record, "value": problem.value}


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows in columns: names to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    last = len(head) - 1
    lines = []
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _show(chosen: argparse.Namespace) -> int:
    profile = load(chosen.name, chosen.directory)
    lines = list(_lines(written(profile)))
    if not chosen.origin:
        print("\n".join(text for text, _ in lines))
        return 0
    where = origins(chosen.name, chosen.directory)
    width = min(60, max(len(text) for text, _ in lines))
    for text, key in lines:
        origin = where.get(key)
        comment = f"{near(origin.file)}:{origin.line}" if origin else "default"
        print(f"{text.ljust(width)}  # {comment}")
    return 0


def written(profile: Profile) -> dict[str, Any]:
    """The profile as a file that extends nothing would have it: all keys, defaults too, and no names that are keys already."""
    data = profile.model_dump(mode="json", exclude={"name": True})
    for section in ("node_pools", "tenants"):
        for record in data[section].values():
            del record["name"]
    return data


def _lines(data: Mapping[str, Any], key: Key = ()) -> Iterator[tuple[str, Key]]:
    """Lines of YAML, each with the key that it sets."""
    indent = "  " * len(key)
    for name, value in data.items():
        here = (*key, name)
        if isinstance(value, dict) and value:
            yield f"{indent}{_scalar(name)}:", here
            yield from _lines(value, here)
        else:
            yield f"{indent}{_scalar(name)}: {_scalar(value)}", here


def _scalar(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("...").strip()


def _diff(chosen: argparse.Namespace) -> int:
    one, other = (dict(_flat(written(load(name, chosen.directory)))) for name in (chosen.one, chosen.other))
    changes = []
    for key in dict.fromkeys([*one, *other]):
        if key not in other:
            changes.append(("-", dotted(key), shown(one[key])))
        elif key not in one:
            changes.append(("+", dotted(key), shown(other[key])))
        elif one[key] != other[key]:
            changes.append(("~", dotted(key), f"{shown(one[key])} → {shown(other[key])}"))
    width = max((len(path) for _, path, _ in changes), default=0)
    for sign, path, text in changes:
        print(f"{sign} {path.ljust(width)}  {text}")
    kinds = [sign for sign, _, _ in changes]
    print(
        f"{chosen.one} → {chosen.other}: {kinds.count('+')} more, {kinds.count('-')} fewer, {kinds.count('~')} changed"
    )
    return 0


def _flat(data: Mapping[str, Any], key: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, (*key, name))
        else:
            yield (*key, name), value


def _generated(chosen: argparse.Namespace) -> int:
    stale = []
    for file, text in chosen.files().items():
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        if chosen.write:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(f"wrote {near(file)}")
        else:
            stale.append(file)
    for file in stale:
        print(f"{near(file)} is not as generated: run `make generated`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
