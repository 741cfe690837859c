"""Building a pinned Go program once: from a folder with go.mod and go.sum to a cached folder of files.

The cache key is a hash of everything that decides the result: the folder's files, the build flags and the Go version.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sandbox.cache import one_builder
from sandbox.places import CACHE
from sandbox.shell import run
from upstream import module_directory

# The compiler's own garbage collector runs less often: a fifth less time for memory that a build machine has.
_BUILD_SETTINGS = {"CGO_ENABLED": "0", "GOGC": "400", "GOFLAGS": "-buildvcs=false"}


@dataclass(frozen=True)
class GoProgram:
    """One program built from a pinned module.

    ``folder`` holds go.mod and go.sum, ``package`` is its main package, ``defines`` are linker variables, where
    ``{version}`` stands for the pinned version of ``module``. ``files`` maps a module to files that it ships and that
    the program wants beside it. ``seconds`` is what a cold build takes on two cores.
    """

    name: str
    folder: Path
    module: str
    package: str = "."
    defines: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seconds: float = 60.0

    @property
    def version(self) -> str:
        """The pinned version of the module, with the leading ``v``."""
        return required_version(self.folder, self.module)

    @property
    def directory(self) -> Path:
        """The folder of the cache that holds the built program, whether it is there yet or not."""
        return CACHE / "go" / f"{self.name}-{self._key()}"

    @property
    def path(self) -> Path:
        """The built program."""
        return self.directory / self.name

    @property
    def built(self) -> bool:
        """Whether the cache has it."""
        return self.path.exists()

    def build(self) -> Path:
        """Build it into the cache, or find it there; an interrupted build leaves nothing that looks finished."""
        with one_builder(self.directory):
            if not self.built:
                self._build()
        return self.path

    def _build(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.directory.parent, prefix=".building-") as scratch:
            flags = ["-s", "-w", *(f"-X={name}={value}" for name, value in self._defines().items())]
            run(
                "go", "build", "-trimpath", "-ldflags", " ".join(flags), "-o", f"{scratch}/{self.name}", self.package,
                cwd=self.folder, env={**os.environ, **_BUILD_SETTINGS},
            )  # fmt: skip
            for module, paths in self.files.items():
                source = module_directory(self.folder, module)
                for path in paths:
                    shutil.copy(source / path, scratch)
                    (Path(scratch) / Path(path).name).chmod(0o755)
            Path(scratch).chmod(0o755)
            Path(scratch).rename(self.directory)
            Path(scratch).mkdir()  # for TemporaryDirectory to take away

    def _defines(self) -> dict[str, str]:
        return {name: value.format(version=self.version) for name, value in self.defines.items()}

    def _key(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self.folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        digest.update(
            repr([self.package, sorted(self._defines().items()), sorted(self.files.items())]).encode()
        )
        digest.update(go_version().encode())
        return digest.hexdigest()[:16]


@cache
def go_version() -> str:
    """What ``go env GOVERSION`` says."""
    return run("go", "env", "GOVERSION").strip()


def required_version(folder: Path, module: str) -> str:
    """The version of ``module`` in ``folder/go.mod``."""
    text = (folder / "go.mod").read_text()
    match = re.search(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if match is None:
        raise LookupError(f"{folder / 'go.mod'} does not require {module}")
    return match[1]
