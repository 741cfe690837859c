"""Container images, built from package registries and cached as OCI archives.

Each carries the reference of the upstream image that it stands for, so what is deployed is the same here and on a
cluster that pulls from upstream; its layout keeps to upstream's documented paths.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sandbox import machine, tools
from sandbox.golang import GoProgram
from sandbox.places import CACHE
from sandbox.shell import run
from upstream import Part, part


@dataclass(frozen=True)
class Image:
    """An image to build: programs at their paths, on top of Debian packages if any are named, else on nothing.

    ``user`` is the numeric user and group that it runs as.
    """

    reference: str
    programs: tuple[tuple[GoProgram, str], ...] = ()
    packages: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    user: str = "65532:65532"
    seconds: float = 5.0

    @property
    def name(self) -> str:
        """The last part of the reference, for people."""
        return self.reference.rpartition("/")[2].partition("@")[0]

    @property
    def archive(self) -> Path:
        """Where the cache holds the built image."""
        return CACHE / "images" / f"{self.name.replace(':', '-')}-{self._key()}.tar"

    def build(self) -> Path:
        """Build it with buildah, or find it in the cache."""
        if self.archive.exists():
            return self.archive
        self.archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.archive.parent, prefix=".building-") as scratch:
            base = Path(scratch) / "base.tar"
            if self.packages:
                run(
                    "mmdebstrap", "--variant=minbase", f"--include={','.join(self.packages)}",
                    "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                    machine.codename(), base,
                )  # fmt: skip
            self._buildah(Path(scratch), base if self.packages else None)
        return self.archive

    def _buildah(self, scratch: Path, base: Path | None) -> None:
        env = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        store = ("--root", f"{scratch}/store", "--runroot", f"{scratch}/run", "--storage-driver", "vfs")

        def buildah(*words: str | Path) -> str:
            return run("buildah", *store, *words, env=env).strip()

        container = buildah("from", "scratch")
        if base is not None:
            buildah("add", "--quiet", container, base, "/")
        for program, path in self.programs:
            buildah("copy", "--quiet", "--chmod", "0755", container, program.path, path)
        settings = ["--user", self.user, "--entrypoint", str(list(self.entrypoint)).replace("'", '"')]
        buildah("config", *settings, container)
        buildah("commit", "--quiet", "--disable-compression", container, "image")
        partial = scratch / "image.tar"
        buildah("push", "--quiet", "image", f"oci-archive:{partial}:{self.reference}")
        partial.rename(self.archive)

    def _key(self) -> str:
        facts = [self.reference, self.packages, self.entrypoint, self.user]
        facts += [(str(program.directory.name), path) for program, path in self.programs]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def operator(upstream_part: Part, seconds: float) -> GoProgram:
    """The program of a pinned operator."""
    return GoProgram(
        upstream_part.name, upstream_part.folder, upstream_part.module, upstream_part.package, seconds=seconds
    )


KUEUE = operator(part("kueue"), seconds=160)
COREDNS = GoProgram(
    "coredns", tools.PINS / "coredns", "github.com/coredns/coredns", "github.com/coredns/coredns", seconds=80
)

PAUSE_IMAGE = Image(
    "registry.k8s.io/pause:3.10",
    ((tools.PAUSE.program, "/pause"),),
    entrypoint=("/pause",),
    user="65535:65535",
)
DNS_IMAGE = Image(
    f"registry.k8s.io/coredns/coredns:{COREDNS.version}",
    ((COREDNS, "/coredns"),),
    entrypoint=("/coredns",),
    user="0:0",
)
KUEUE_IMAGE = Image(
    f"registry.k8s.io/kueue/kueue:{KUEUE.version}", ((KUEUE, "/manager"),), entrypoint=("/manager",)
)
PYTHON_IMAGE = Image(
    "docker.io/library/python:3.11-slim-bookworm", packages=("python3-minimal", "libpython3-stdlib"), entrypoint=(),
    seconds=40,
)  # fmt: skip
"""Python and a shell: what the live checks run in pods."""

NODE_IMAGES = (PAUSE_IMAGE, DNS_IMAGE)
PLATFORM_IMAGES = (KUEUE_IMAGE, PYTHON_IMAGE)
PROGRAMS = (KUEUE, COREDNS)
