"""What a page, such as a store's, tells its reader to write: the checks run it as it stands."""

from __future__ import annotations

import re

from sandbox.places import CHECKOUT


def examples(name: str, kind: str, *, room: str = "stores") -> list[str]:
    """The page's blocks of a kind, such as ``python``, in their order. ``room`` is the folder of docs/ that it stands in."""
    page = (CHECKOUT / "docs" / room / f"{name}.md").read_text()
    found = re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found, f"the page of {name} has no {kind}"
    return found
