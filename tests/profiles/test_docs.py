"""What the pages for people show is what the loader takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from profiles.load import load
from profiles.problems import ProfileError

DOCS = Path(__file__).parents[2] / "docs"


def examples(page: str) -> list[str]:
    """The YAML examples of a page."""
    return re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_new_environment_of_the_page_loads(directory: Path) -> None:
    (example,) = examples("profiles.md")
    (directory / "second.yaml").write_text(example)
    second = load("second", directory)
    assert "h100" not in second.node_pools
    assert "caldera" not in second.tenants


def test_the_new_tenant_of_the_page_fits_the_shipped_machines(directory: Path) -> None:
    record, mention = examples("tenants.md")
    (directory / "tenants" / "fjord.yaml").write_text(record)
    (directory / "onprem-x.yaml").write_text("extends: onprem\n" + mention)
    assert load("onprem-x", directory).tenants["fjord"].owner == "fjord-team"


def test_the_problem_that_the_page_shows_is_the_one_that_is_told(directory: Path) -> None:
    local = directory / "local.yaml"
    local.write_text(local.read_text().replace("count: 8", "count: -1"))
    with pytest.raises(ProfileError) as refused:
        load("local", directory)
    shown = re.search(
        r"^    profiles/local.yaml:(\d+)  (.*)\n        (.*)\n        → (.*)$",
        (DOCS / "profiles.md").read_text(),
        re.MULTILINE,
    )
    (problem,) = refused.value.problems
    told = (str(problem.line), f"{problem.key} = {problem.value}", problem.message, problem.remedy)
    assert shown is not None
    assert shown.groups() == told
