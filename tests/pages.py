"""What a store's page tells its reader to write: the checks run it as it stands."""

from __future__ import annotations

import re

from sandbox.places import CHECKOUT


def examples(store: str, kind: str) -> list[str]:
    """The page's blocks of a kind, such as ``python``, in their order."""
    page = (CHECKOUT / "docs" / "stores" / f"{store}.md").read_text()
    found = re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found, f"the page of {store} has no {kind}"
    return found
