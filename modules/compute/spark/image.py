"""The image that drivers and executors run in: Spark, its connectors, and what starts them. The platform's own, as ``clients`` is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import upstream
from modules.kit import clients
from upstream import maven

PIN: Final = "spark"
"""Folder of upstream/ that pins all of it."""

_FILES: Final = Path(__file__).parent / "files"
ENTRYPOINT: Final = _FILES / "entrypoint.sh"
BESIDE: Final = (_FILES / "decom.sh", _FILES / "connect.py")
"""What stands beside the entry point: what Spark runs before an executor is stopped, and the program of a Spark Connect server."""
LIBRARIES: Final = upstream.ROOM / PIN / "requirements.lock"
RELEASE: Final = upstream.ROOM / PIN / "spark.lock"
HOME: Final = "/opt/spark"
ROOM: Final = "/opt"
"""Folder of the entry point and what stands beside it."""

START: Final = f"{ROOM}/{ENTRYPOINT.name}"
DECOMMISSION: Final = f"{ROOM}/decom.sh"
CONNECT: Final = f"{ROOM}/connect.py"
USER: Final = 185
"""User of upstream's own images, of Spark and of the operator."""


def version() -> str:
    """Spark's."""
    return maven.version(PIN)


def image(registry: str | None = None) -> str:
    """Reference of the image: its tag is the version and a hash of what is in it. ``registry`` is where its owner pushed it."""
    parts = [each.read_bytes() for each in (ENTRYPOINT, *BESIDE, LIBRARIES, RELEASE)]
    content = b"".join([*parts, maven.lock_text(PIN).encode()])
    return f"{registry or clients.REPOSITORY}/spark:{version()}-{hashlib.sha256(content).hexdigest()[:12]}"
