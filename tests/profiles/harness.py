"""Profiles written for a test: a case file, or text, placed beside the shipped profiles."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from profiles.load import DIRECTORY
from profiles.problems import MISSING, Problem

CASES = Path(__file__).parent / "cases"
_NEXT_FILE = re.compile(r"^--- # (\S+)$")


@dataclass(frozen=True)
class Expected:
    """One problem that a case must have."""

    key: str
    message: str
    options: dict[str, str]

    def describes(self, problem: Problem, directory: Path) -> bool:
        """Whether the problem is the one meant."""
        where = {
            "line": str(problem.line),
            "rule": problem.rule,
            "file": str(problem.file.relative_to(directory)),
        }
        exact = all(where[name] == value for name, value in self.options.items() if name in where)
        remedy = self.options.get("remedy", "")
        return (
            exact and problem.key == self.key and self.message in problem.message and remedy in problem.remedy
        )


@dataclass(frozen=True)
class Case:
    """A profile with what must be said of it.

    The file `<profile>.<happy|error>.<what>.yaml` is the profile as it stands. Comments `# expect: KEY | MESSAGE [| NAME=VALUE ...]` state each problem, where
    NAME is line, file, remedy or rule. Text after a line `--- # FILE` is another file, at the same line numbers.
    """

    file: Path

    @property
    def name(self) -> str:
        """Name of the profile: local cases stay local ones."""
        return f"{self.file.name.partition('.')[0]}-case"

    @property
    def expected(self) -> list[Expected]:
        """The problems that it must have."""
        found = []
        for line in self.file.read_text().splitlines():
            if line.startswith("# expect: "):
                key, message, *options = (
                    part.strip() for part in line.removeprefix("# expect:").split(" | ")
                )
                found.append(Expected(key, message, dict(option.split("=", 1) for option in options)))
        return found

    def place(self, directory: Path) -> None:
        """Write the case's files beside the shipped profiles."""
        texts: dict[str, list[str]] = {f"{self.name}.yaml": []}
        current = f"{self.name}.yaml"
        for number, line in enumerate(self.file.read_text().splitlines()):
            if match := _NEXT_FILE.match(line):
                current = match.group(1)
                texts[current] = [""] * (number + 1)
            else:
                texts[current].append(line)
        for name, lines in texts.items():
            (directory / name).write_text("\n".join(lines) + "\n")


def place_shipped(directory: Path) -> None:
    """Copy the shipped profiles and tenants to the directory."""
    for file in DIRECTORY.glob("**/*.yaml"):
        target = directory / file.relative_to(DIRECTORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def cases(outcome: str) -> list[Case]:
    """Case files with that outcome, `happy` or `error`."""
    return [Case(file) for file in sorted(CASES.glob(f"*.{outcome}.*.yaml"))]


def told(problems: tuple[Problem, ...]) -> str:
    """The problems, for a failing test's message."""
    return "\n".join(
        f"{each} [{each.rule}] {'' if each.value is MISSING else each.value!r}" for each in problems
    )
