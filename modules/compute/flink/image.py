"""The image that JobManagers and TaskManagers run in: Flink, its connectors, and what starts them. The platform's own, as Spark's is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import upstream
from modules.kit import clients
from upstream import maven

PIN: Final = "flink"
"""Folder of upstream/ that pins all of it."""

ENTRYPOINT: Final = Path(__file__).parent / "files" / "entrypoint.sh"
RELEASE: Final = upstream.ROOM / PIN / "flink.lock"
HOME: Final = "/opt/flink"
START: Final = "/opt/entrypoint.sh"
USER: Final = 65534
"""One that Debian has a name for: Hadoop's client asks for it."""


def version() -> str:
    """Flink's."""
    return maven.version(PIN)


def image(registry: str | None = None) -> str:
    """Reference of the image: its tag is the version and a hash of what is in it. ``registry`` is where its owner pushed it."""
    content = ENTRYPOINT.read_bytes() + RELEASE.read_bytes() + maven.lock_text(PIN).encode()
    return f"{registry or clients.REPOSITORY}/flink:{version()}-{hashlib.sha256(content).hexdigest()[:12]}"
