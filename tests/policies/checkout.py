"""A copy of this checkout for one real preview, with edits made to its profile and its program as a person makes them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from policies.preview import CHECKOUT
from policies.rules.storage import STATEFUL

_ROOMS: Final = ("modules", "policies", "profiles", "stacks", "upstream")
_FILES: Final = ("Pulumi.yaml", "images.lock")


@dataclass(frozen=True)
class Text:
    """Text that stands once in a file of the program, and what is to stand there instead."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Refusal:
    """A rule's word against one object or key; of the message a part."""

    rule: str
    subject: str
    message: str


@dataclass(frozen=True)
class Edit:
    """One small change, and what it is to be refused for."""

    title: str
    profile: Mapping[str, Any] = field(default_factory=dict)
    """What is written into the profile."""
    program: tuple[Text, ...] = ()
    """What is changed in files."""
    refused: tuple[Refusal, ...] = ()
    """Everything that it is refused for; nothing, where it loses nothing."""
    touches: tuple[str, ...] = ()
    """Objects that it makes, changes or takes away."""

    def __str__(self) -> str:
        return self.title


def deleted(*subjects: str) -> tuple[Refusal, ...]:
    """Objects that would be gone, and what with them."""
    return tuple(
        Refusal("LH-S-001", each, f"would be deleted, and with it {_holds(each)}") for each in subjects
    )


def replaced(*subjects: str) -> tuple[Refusal, ...]:
    """Objects that would be made anew."""
    return tuple(
        Refusal("LH-S-001", each, f"would be replaced, and with it {_holds(each)}") for each in subjects
    )


def _holds(subject: str) -> str:
    (held,) = [
        lost for kind, lost in STATEFUL.items() if kind.rpartition("/")[2] == subject.partition(" ")[0]
    ]
    return held


def scaled_down(subject: str, had: int, has: int) -> Refusal:
    """A server whose last pods would go."""
    return Refusal("LH-S-015", subject, f"would have {has} replicas instead of {had}")


def fixed(profile: str, *keys: str) -> tuple[Refusal, ...]:
    """Keys that volumes were made with."""
    return tuple(Refusal("LH-P-002", f"Profile {profile} {each}", " and would be ") for each in keys)


def kept(profile: str, *keys: str) -> tuple[Refusal, ...]:
    """Keys that say how much is kept."""
    return tuple(
        Refusal("LH-P-007", f"Profile {profile} {each}", "which deletes what is there") for each in keys
    )


def copied(into: Path) -> Path:
    """The copy as it is."""
    for room in _ROOMS:
        shutil.copytree(CHECKOUT / room, into / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(CHECKOUT / name, into / name)
    return into


def apply(into: Path, profile: str, edits: Iterable[Edit]) -> None:
    """Make all the edits. Raises AssertionError where one has no hold."""
    for each in edits:
        write(into / "profiles" / f"{profile}.yaml", each.profile)
        for text in each.program:
            file = into / text.file
            before = file.read_text()
            found = before.count(text.old)
            assert found == 1, f"{each}: {text.old!r} stands {found} times in {text.file}"
            file.write_text(before.replace(text.old, text.new))


def waive(into: Path, waivers: Mapping[str, Mapping[str, str]]) -> None:
    """File waivers."""
    folder = into / "profiles" / "waivers"
    folder.mkdir(exist_ok=True)
    for name, waiver in waivers.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(dict(waiver)))


def write(file: Path, changes: Mapping[str, Any]) -> None:
    """Put the changes over what the file says."""
    file.write_text(yaml.safe_dump(_merged(yaml.safe_load(file.read_text()), changes)))


def _merged(under: Any, over: Any) -> Any:
    if not isinstance(under, Mapping) or not isinstance(over, Mapping):
        return over
    return {**under, **{key: _merged(under.get(key), value) for key, value in over.items()}}
