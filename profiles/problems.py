"""What is wrong with a profile, so that whoever wrote it can mend it: where, what, and the way out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar, Final

Key = tuple[str | int, ...]
"""Path to a value from the root of the profile: names of keys, numbers of list items from 0."""

_SHOWN = 80


class Missing(Enum):
    """Stands for the value of a key that is not there."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


def dotted(key: Key) -> str:
    """The path as text: `tenants.atlas.network.egress[0].cidr`; a name that itself holds a dot is quoted in brackets."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part or not part.isprintable() or not part:
            text += f"[{json.dumps(part)}]"
        else:
            text += f".{part}" if text else part
    return text


def shown(value: object) -> str:
    """The value as it may stand in YAML, cut to one short line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if one is close."""
    candidates = sorted(known)
    by_folded = {name.lower().replace("-", "_"): name for name in candidates}
    close = difflib.get_close_matches(word.lower().replace("-", "_")[:100], list(by_folded), n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    file: Path
    """File that has to be changed."""

    line: int
    """Line in it, from 1."""

    key: str
    """Key at fault, from the root of the profile; empty when the file as a whole is."""

    value: object
    """What stands there; MISSING when nothing does."""

    message: str
    """The rule, as a predicate of the value."""

    remedy: str
    """What to write instead."""

    rule: str = ""
    """Name of the cross-field rule that refused it; empty when the value is wrong by itself."""

    def __str__(self) -> str:
        what = self.key if self.value is MISSING else f"{self.key} = {shown(self.value)}"
        return (
            f"{near(self.file)}:{self.line}  {what}".rstrip() + f"\n    {self.message}\n    → {self.remedy}"
        )


class ProfileError(Exception):
    """A profile that cannot be used, with everything that is wrong with it."""

    what: ClassVar = "profile"

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        self.name = name
        self.problems = tuple(problems)
        super().__init__(name, self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{self.what} {self.name} has {count} problem{'' if count == 1 else 's'}"
        return "\n\n".join([head, *map(str, self.problems)])


def near(file: Path) -> Path:
    """The file as seen from the working directory, where it lies below that."""
    try:
        return file.relative_to(Path.cwd())
    except ValueError:
        return file
