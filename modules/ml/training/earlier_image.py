"""The image that TFJobs and MPIJobs may run in: PyPI's TensorFlow, Debian's Open MPI with a server of SSH for a user without rights, and the platform's own
library. It is the platform's own, and no operator names it: a job does.

What SSH needs is as in upstream's base images (mpi-operator, `build/base`): a user `mpiuser` with the number 1000, port 2222, and the job's key in that user's
home, by `sshAuthMountPath: /var/lib/mpi/.ssh`. Other than there, a server is known by that key before anything is said to it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import upstream
from modules.kit import clients
from modules.ml.training.image import LIBRARY, WEBHDFS

PIN: Final = "earlier"
"""Folder of upstream/ that pins its Python packages."""

LIBRARIES: Final = upstream.ROOM / PIN / "requirements.lock"
PACKAGES: Final = (
    "libkrb5-3",
    "openmpi-bin",
    "openssh-client",
    "openssh-server",
    "python3",
    "python3-gssapi",
    "python3-mpi4py",
    "tini",
)
"""Debian's packages."""

_FILES: Final = Path(__file__).parent / "files"
PASSWD: Final = _FILES / "passwd"
"""Users: SSH knows nobody who has no name."""

SSH: Final = (_FILES / "ssh_config", _FILES / "sshd_config")
"""How jobs' workers log in to each other, for `/etc/ssh`."""

SSH_FOLDER: Final = "/var/lib/mpi/.ssh"
"""Where a job has its key put."""


def image(registry: str | None = None) -> str:
    """Reference of the image: its tag is a hash of what is in it. ``registry`` is where its owner pushed it."""
    parts = [each.read_bytes() for each in (LIBRARIES, LIBRARY, WEBHDFS, PASSWD, *SSH)]
    content = b"".join([*parts, repr(PACKAGES).encode()])
    return f"{registry or clients.REPOSITORY}/earlier:{hashlib.sha256(content).hexdigest()[:12]}"
