"""Each case file is refused, or taken, for the reason that it states, and for no other."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from profiles import rules
from profiles.load import load
from profiles.problems import ProfileError
from profiles.rules.finding import Rule
from tests.profiles.harness import Case, cases, told


def _name(case: Case) -> str:
    return case.file.stem


@pytest.mark.parametrize("case", cases("error"), ids=_name)
def test_a_wrong_profile_is_refused_for_exactly_the_stated_reasons(case: Case, directory: Path) -> None:
    case.place(directory)
    assert case.expected, "an error case must say what it expects"
    with pytest.raises(ProfileError) as refused:
        load(case.name, directory)
    problems = refused.value.problems
    for expected in case.expected:
        assert any(expected.describes(problem, directory) for problem in problems), (
            f"{expected} is not among\n{told(problems)}"
        )
    assert len(problems) == len(case.expected), f"more, or less, is told than expected:\n{told(problems)}"
    for problem in problems:
        assert problem.message, "the rule must be told"
        assert problem.remedy, "the way out must be told"
        lines = problem.file.read_text().splitlines() if problem.file.is_file() else []
        assert 1 <= problem.line <= len(lines) + 1, "the line must be one of the file"


@pytest.mark.parametrize("case", cases("happy"), ids=_name)
def test_a_right_profile_is_taken(case: Case, directory: Path) -> None:
    case.place(directory)
    assert load(case.name, directory).name == case.name


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_rule_refuses_a_case(rule: Rule) -> None:
    named = {expected.options.get("rule") for case in cases("error") for expected in case.expected}
    assert rule.__name__ in named, "a rule that no case breaks may refuse nothing"


def test_every_rule_is_in_force() -> None:
    written = {
        value
        for room in pkgutil.iter_modules(rules.__path__)
        for value in vars(importlib.import_module(f"{rules.__name__}.{room.name}")).values()
        if callable(value) and getattr(value, "__annotations__", {}).get("return") == "Iterator[Finding]"
    }
    assert written == set(rules.RULES), "a rule outside RULES is never asked"


def test_at_least_sixty_profiles_are_refused() -> None:
    assert len(cases("error")) >= 60


def test_a_problem_reads_as_place_value_rule_and_way_out(directory: Path) -> None:
    (directory / "local-x.yaml").write_text("extends: local\nnode_pools:\n  a100: {gpu: {count: -1}}\n")
    with pytest.raises(ProfileError) as refused:
        load("local-x", directory)
    head, place, rule, way_out = str(refused.value).replace("\n\n", "\n").splitlines()
    assert head == "profile local-x has 1 problem"
    assert place.endswith("local-x.yaml:3  node_pools.a100.gpu.count = -1")
    assert rule == "    must be at least 1"
    assert way_out == "    → write 1 or more"
    (problem,) = refused.value.problems
    assert problem.value == -1
