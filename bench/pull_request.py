"""``python -m bench.pull_request``: how long `make pr` takes on the onprem profile with twenty tenants, and how much memory.

It is measured against the least that any check of a plan needs: the same stack rendered once by the engine, without rules, gates or a base.
The tenants are the shipped ones four times over, each with a quarter of what it has. Runs are of one session on one machine: ratios can be
compared, seconds only where nothing else runs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table

from bench.measured import Run, measure
from policies import preview, pull_request
from sandbox.places import CHECKOUT

_STACK: Final = "onprem"
_TIMES: Final = 4
_TABLES: Final = 5
"""Of Cassandra, for each that has it: who says nothing plans for too many to have four of."""
_SOURCES: Final = ("Pulumi.yaml", "images.lock", "modules", "policies", "profiles", "stacks", "upstream")


def main() -> int:
    """Measure, print a table; 0 when every run gave a verdict."""
    for name in (
        "PULUMI_BACKEND_URL",
        "PULUMI_ACCESS_TOKEN",
    ):  # Nobody's state: the commit before is compared with.
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="longhouse-bench-") as name:
        source = Path(name) / "checkout"
        tenants = _twenty(source)
        runs = [measure("rendered once, nothing checked", lambda: preview.rendered(_STACK, source))]
        _commit(source)
        _enlarge(source / "profiles" / "tenants" / f"{tenants[0]}.yaml")
        said: list[str] = []

        def review() -> None:
            found = pull_request.review(_STACK, lambda seen: None, "HEAD", project=source)
            said.append(pull_request.markdown(found))

        runs.append(measure("pr, the first of a base", review))
        runs.append(measure("pr, warm", review))
    print(said[-1].split("### Changes")[0])
    _print(runs, len(tenants))
    return 0


def _twenty(source: Path) -> list[str]:
    """A copy of the checkout with each tenant four times over; their names."""
    source.mkdir()
    for name in _SOURCES:
        copy: Any = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, source / name)
    file = source / "profiles" / f"{_STACK}.yaml"
    profile = yaml.safe_load(file.read_text())
    made: dict[str, Any] = {}
    for tenant, own in profile["tenants"].items():
        record = source / "profiles" / "tenants" / f"{tenant}.yaml"
        shared = yaml.safe_load(record.read_text())
        for number in range(_TIMES):
            name = f"{tenant}{number}"
            made[name] = _quarter(own)
            groups = {role: [f"{each}-{number}" for each in held] for role, held in shared["groups"].items()}
            one = {**shared, "groups": groups}
            one |= {key: _quarter(shared[key]) for key in ("quota", "data") if key in shared}
            if "cassandra" in one.get("data", {}):
                one["data"]["cassandra"]["tables"] = _TABLES
            record.with_stem(name).write_text(yaml.safe_dump(one))
    file.write_text(yaml.safe_dump({**profile, "tenants": made}))
    return list(made)


def _quarter(value: Any) -> Any:
    """Every amount in it, divided; at least one of each."""
    if isinstance(value, dict):
        return {key: _quarter(inner) for key, inner in value.items()}
    if isinstance(value, str) and (amount := re.fullmatch(r"(\d+)([A-Za-z]*)", value)):
        return f"{max(1, int(amount[1]) // _TIMES)}{amount[2]}"
    return max(1, value // _TIMES) if isinstance(value, int) and not isinstance(value, bool) else value


def _commit(source: Path) -> None:
    git = ["git", "-C", str(source), "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=before"]):
        subprocess.run([*git, *words], check=True)


def _enlarge(record: Path) -> None:
    tenant = yaml.safe_load(record.read_text())
    tenant["quota"]["pods"] += 1
    record.write_text(yaml.safe_dump(tenant))


def _print(runs: list[Run], tenants: int) -> None:
    least = runs[0]
    table = Table("run", "time", "of processors", "times the least", "peak memory")
    for run in runs:
        table.add_row(
            run.what,
            f"{run.seconds:.0f} s",
            f"{run.busy:.0f} s",
            f"{run.busy / least.busy:.2f}",
            f"{run.peak_mib:,.0f} MiB",
        )
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(
        f"{tenants} tenants; {os.cpu_count()} cores; processors' seconds are what the ratio is of, as they do not depend on who else runs"
    )


if __name__ == "__main__":
    sys.exit(main())
