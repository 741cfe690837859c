"""Keys of a profile that are fixed at the first deployment: what is marked so in the models, compared with the profile as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policies.gate import Gate
from policies.plan import Finding
from profiles.model import Profile
from profiles.problems import dotted, shown
from profiles.schema import immutable_keys

FIXED = Gate(
    id="LH-P-002",
    title="What is fixed at the first deployment stays as it is",
    reason="The objects made from such a key cannot follow it: they would be replaced, or stay as they are and be told otherwise.",
    fix="Put the old value back; to move, declare the new thing beside the old one under another name.",
    looks_at="the profile against the profile as it was, at the keys that docs/reference/profile.md calls fixed",
)

_ABSENT = object()


def changed(old: Profile, new: Profile) -> Iterator[Finding]:
    """A finding for each fixed key with another value. A record that is new or gone has nothing to keep."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for pattern in sorted(immutable_keys()):
        for key, value in _at(before, pattern, ()):
            now = _value(after, key)
            if now is not _ABSENT and now != value:
                yield FIXED.finding(
                    f"Profile {new.name}", f"{dotted(key)} was {shown(value)} and would be {shown(now)}"
                )


def _at(data: Any, pattern: tuple[str, ...], key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of the data that the pattern names, with its value; `*` stands for any."""
    if not pattern:
        yield key, data
    elif isinstance(data, dict):
        for name in data if pattern[0] == "*" else [pattern[0]] if pattern[0] in data else []:
            yield from _at(data[name], pattern[1:], (*key, name))


def _value(data: Any, key: tuple[str, ...]) -> Any:
    for name in key:
        if not isinstance(data, dict) or name not in data:
            return _ABSENT
        data = data[name]
    return data
