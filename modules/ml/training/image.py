"""The image of the runtimes `torch` and `xgboost`, and of the trials of studies: Debian's PyTorch, PyPI's XGBoost and Optuna, and the platform's
own library. The platform's own, as Spark's is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import upstream
from modules.kit import clients

PIN: Final = "training"
"""Folder of upstream/ that pins its Python packages."""

LIBRARIES: Final = upstream.ROOM / PIN / "requirements.lock"
PACKAGES: Final = (
    "libkrb5-3",
    "python3",
    "python3-gssapi",
    "python3-torch",
    "tini",
)
"""Debian's packages."""

_HERE: Final = Path(__file__).parent
LIBRARY: Final = _HERE / "inside" / "longhouse_training.py"
"""What a job's program may import, and what starts it."""

WEBHDFS: Final = _HERE.parents[1] / "data" / "hdfs" / "inside" / "webhdfs.py"
"""How the library speaks to HDFS."""

TORCHRUN: Final = _HERE / "files" / "torchrun"
"""PyTorch's launcher, made to work with Debian's Python."""

SITE: Final = "/usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks for packages that are not Debian's."""

USER: Final = 1000
"""User that it runs as, and pods of training do that name none."""


def image(registry: str | None = None) -> str:
    """Reference of the image: its tag is a hash of what is in it. ``registry`` is where its owner pushed it."""
    parts = [each.read_bytes() for each in (LIBRARIES, LIBRARY, WEBHDFS, TORCHRUN)]
    content = b"".join([*parts, repr(PACKAGES).encode()])
    return f"{registry or clients.REPOSITORY}/training:{hashlib.sha256(content).hexdigest()[:12]}"
