"""The image lock: every image that some environment runs, one a line, and its digest where one is known.

A tag can be pushed again; a digest is the content itself. Where the lock gives one, what is declared carries it (`name:tag@digest`, of
which the container runtime takes the digest: https://kubernetes.io/docs/concepts/containers/images/#image-names).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parent.parent.parent / "images.lock"

Lock = Mapping[str, str | None]
"""Image, by name and tag, to its digest; None where none is known."""

_LINE: Final = re.compile(r"(?P<image>[^\s@#]+)(?:\s+(?P<digest>sha256:[0-9a-f]{64}))?")
_REST: Final = r"[\w.@:/-]"
"""What would make another reference of it, before it or behind."""


class LockError(Exception):
    """The lock cannot be read; the message names the line and what to write."""


def parse(text: str, name: str = FILE.name) -> dict[str, str | None]:
    """The lock from its text. Raises LockError for a line that is no image, and for one that stands twice."""
    found: dict[str, str | None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        match = _LINE.fullmatch(content)
        if match is None:
            raise LockError(
                f"{name}:{number}: {content!r} is no image: write `name:tag`, or `name:tag sha256:<64 hexadecimal digits>`"
            )
        if match["image"] in found:
            raise LockError(f"{name}:{number}: {match['image']} stands twice: keep the line that is right")
        found[match["image"]] = match["digest"]
    return found


def read(file: Path = FILE) -> dict[str, str | None]:
    """The lock as it is committed; empty where there is none. Raises LockError."""
    return parse(file.read_text(), file.name) if file.is_file() else {}


def pinned(value: Any, lock: Lock) -> Any:
    """Plain data with the digest behind each image that the lock has one for, wherever in a text it stands.

    What is not plain data, such as a value that is only known later, is left as it is.
    """
    known = {image: digest for image, digest in lock.items() if digest is not None}
    if not known:
        return value
    longest_first = "|".join(re.escape(image) for image in sorted(known, key=len, reverse=True))
    pattern = re.compile(rf"(?<!{_REST})(?:{longest_first})(?!{_REST})")
    return _pinned(value, pattern, known)


def _pinned(value: Any, pattern: re.Pattern[str], known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(lambda match: f"{match[0]}@{known[match[0]]}", value)
    if isinstance(value, Mapping):
        return {key: _pinned(inner, pattern, known) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_pinned(inner, pattern, known) for inner in value]
    return value
