"""Whatever stands in the files, the loader gives a profile or a ProfileError, never anything else."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from profiles.load import load
from profiles.problems import ProfileError

ROUNDS = 150
STRANGE: list[Any] = [
    None, True, 0, -1, 2**70, 1.5, "", " ", "null", "yes", "0x10", "1e999", "10.0.0.0/8", "::/0", "../../etc", "a" * 5000,
    "\u202e", "{{", "${HOME}", "'; drop", [], {}, [[]], {"a": {}}, [None], {"": ""}, "16GB", "8Gi", "2", "\U0001d7d9Gi", "mig",
]  # fmt: skip


def _paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else []
    return [path, *(found for key, value in inner for found in _paths(value, (*path, key)))]


def _mutated(data: Any, chance: random.Random) -> Any:
    """The data with one to four values, keys or items replaced, renamed, removed or moved."""
    for _ in range(chance.randint(1, 4)):
        paths = [path for path in _paths(data) if path]
        if not paths:
            return copy.deepcopy(chance.choice(STRANGE))
        *above, last = chance.choice(paths)
        holder = data
        for key in above:
            holder = holder[key]
        what = chance.randrange(4)
        if what == 0:
            holder[last] = copy.deepcopy(chance.choice(STRANGE))
        elif what == 1:
            del holder[last]
        elif what == 2 and isinstance(holder, dict):
            name = chance.choice([item for item in STRANGE if isinstance(item, (str, int))])
            holder[name] = holder.pop(last)
        else:
            source = data
            for key in chance.choice(paths):
                source = source[key]
            holder[last] = yaml.safe_load(yaml.safe_dump(source))
    return data


def _outcome(directory: Path) -> str:
    try:
        load("burst-x", directory)
    except ProfileError as refused:
        error = refused
    else:
        return "taken"
    assert error.problems
    assert all(problem.message and problem.remedy for problem in error.problems)
    assert str(error)
    return "refused"


@pytest.mark.parametrize("file", ["burst-x.yaml", "tenants/atlas.yaml"])
def test_mutated_values_are_taken_or_refused(file: str, directory: Path) -> None:
    chance = random.Random(20261121)
    (directory / "burst-x.yaml").write_text("extends: burst\n")
    whole = yaml.safe_load((directory / "onprem.yaml").read_text())
    sound = (
        {**whole, "extends": "burst"}
        if file == "burst-x.yaml"
        else yaml.safe_load((directory / file).read_text())
    )
    text = yaml.safe_dump(sound)
    outcomes = set()
    for _ in range(ROUNDS):
        (directory / file).write_text(
            yaml.safe_dump(_mutated(yaml.safe_load(text), chance), allow_unicode=True)
        )
        outcomes.add(_outcome(directory))
    assert outcomes == {"taken", "refused"}, "the mutations must reach both sides of the check"


def test_mutated_text_is_taken_or_refused(directory: Path) -> None:
    chance = random.Random(20261122)
    text = "extends: burst\n" + (directory / "onprem.yaml").read_text().partition("extends: base\n")[2]
    pieces = [
        *"{}[]:,&*!|>#%@`\"'-? \n\t\0",
        "<<: ",
        "---\n",
        "\x85",
        "&a ",
        "*a",
        "!!python/object:os.system ",
        "? ",
        "é",
    ]
    outcomes = set()
    for _ in range(ROUNDS):
        mutated = text
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(mutated))
            mutated = mutated[:at] + chance.choice(pieces) + mutated[at + chance.randint(0, 3) :]
        (directory / "burst-x.yaml").write_text(mutated, encoding="utf-8", newline="")
        outcomes.add(_outcome(directory))
    assert outcomes == {"taken", "refused"}, "the mutations must reach both sides of the check"


@pytest.mark.parametrize(
    "text",
    ["", "\n", "~", "# only a comment\n", "a" * 100_000, "[" * 5_000, "a: " * 2_000, "{a: " * 3_000, "- " * 3_000, "\ufeffextends: burst\n", "? [a, b]\n: c\n", "%YAML 9.9\n---\na: 1\n", "a: !!binary x\n", "a: !!set {b}\n", "<<: *nothing\n", "x: 0b_\n", "x: 1" + "0" * 5000 + "\n", "2026-11-21: x\n", "tenants: {atlas: {quota: {cpu: 2026-11-21}}}\n"],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_odd_files_are_taken_or_refused(text: str, directory: Path) -> None:
    (directory / "burst-x.yaml").write_text(text)
    _outcome(directory)


def test_a_directory_in_place_of_a_file_is_refused(directory: Path) -> None:
    (directory / "tenants" / "atlas.yaml").unlink()
    (directory / "tenants" / "atlas.yaml").mkdir()
    (directory / "burst-x.yaml").write_text("extends: burst\n")
    assert _outcome(directory) == "refused"
