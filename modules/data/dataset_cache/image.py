"""The image of the cache: Debian's nginx. The platform's own, so that Debian's fixes come with the next one."""

from __future__ import annotations

import hashlib
from typing import Final

from modules.kit import clients

PACKAGES: Final = ("ca-certificates", "nginx")
USER: Final = 65532


def image(registry: str | None = None) -> str:
    """Reference of the image: its tag is a hash of what is in it. ``registry`` is where its owner pushed it."""
    tag = hashlib.sha256(repr(PACKAGES).encode()).hexdigest()[:12]
    return f"{registry or clients.REPOSITORY}/dataset-cache:{tag}"
