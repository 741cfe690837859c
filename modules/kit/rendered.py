"""Selects objects of a rendered chart by kind, as a post-renderer: manifests on standard input, the chosen
ones on standard output.

A program of its own, run by the provider between rendering and declaring: `rendered.py only KIND...` or
`rendered.py without KIND...`. It needs nothing but Python. Documents are cut at the lines that Helm puts
between them and never parsed: a chart's CRDs are megabytes of text, and what is handed on must be what
upstream wrote.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from enum import StrEnum

_BETWEEN = re.compile(r"^---[ \t]*$", re.MULTILINE)
_KIND = re.compile(r"""^kind:[ \t]*["']?([A-Za-z]+)""", re.MULTILINE)


class Selection(StrEnum):
    """Which objects are kept."""

    ONLY = "only"
    WITHOUT = "without"


def select(manifests: str, selection: Selection, kinds: Iterable[str]) -> str:
    """The manifests of which the kind is, or is not, among ``kinds``. Documents without a kind (blank
    ones, comments) are dropped."""
    chosen = set(kinds)
    kept = []
    for document in _BETWEEN.split(manifests):
        kind = _KIND.search(document)
        if kind is not None and (kind[1] in chosen) is (selection is Selection.ONLY):
            kept.append(document.strip("\n"))
    return "".join(f"---\n{document}\n" for document in kept)


if __name__ == "__main__":
    sys.stdout.write(select(sys.stdin.read(), Selection(sys.argv[1]), sys.argv[2:]))
