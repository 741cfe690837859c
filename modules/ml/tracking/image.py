"""The image of MLflow's server: PyPI's packages on Debian's Python, without what the server does not import. The platform's own, as training's is."""

from __future__ import annotations

import hashlib
from typing import Final

import upstream
from modules.kit import clients

PIN: Final = "tracking"
"""Folder of upstream/ that pins its Python packages."""

LIBRARIES: Final = upstream.ROOM / PIN / "requirements.lock"
PACKAGES: Final = ("ca-certificates", "python3")
"""Debian's packages."""


def image(registry: str | None = None) -> str:
    """Reference of the image: its tag is a hash of what is in it. ``registry`` is where its owner pushed it."""
    content = LIBRARIES.read_bytes() + repr(PACKAGES).encode()
    return f"{registry or clients.REPOSITORY}/tracking:{hashlib.sha256(content).hexdigest()[:12]}"
