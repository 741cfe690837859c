"""The one image of the platform's own: every store's client library, on Debian's Python.

What runs inside the cluster on the platform's behalf runs in it (reconciling access, backups, preparing a server's files), and
so do the live checks. The sandbox builds it; a real cluster pulls it from the registry that the profile names.
"""

from __future__ import annotations

import hashlib
from typing import Final

import upstream

LOCK: Final = upstream.ROOM / "clients" / "requirements.lock"
_JARS: Final = upstream.ROOM / "clients" / "artifacts.lock"

REPOSITORY: Final = "longhouse"
"""Where the image is when the profile names no registry."""

PYTHON_PATH: Final = "/opt/longhouse/python"
"""Folder in the image that holds the Python packages."""

JMX_AGENT: Final = "/opt/longhouse/java"
"""Folder in the image that holds the JMX exporter's agent."""


def image(registry: str | None = None) -> str:
    """Reference of the image: its tag is a hash of what is in it. ``registry`` is where its owner pushed it, with the path."""
    tag = hashlib.sha256(LOCK.read_bytes() + _JARS.read_bytes()).hexdigest()[:12]
    return f"{registry or REPOSITORY}/clients:{tag}"
