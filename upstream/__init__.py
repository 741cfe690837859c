"""Third-party operators: what is pinned, and where its verified source is.

One folder a part, holding a ``go.mod`` with one ``tool`` line and the ``go.sum`` that pins every hash. The same pin
serves the part's chart, its CRDs, the image reference that a profile runs, and the sandbox's own build of it. To move
a part to another version, run ``go get -tool <package>@<version>`` in its folder.

Needs the ``go`` command, which downloads a module once and checks it against the hash in ``go.sum``.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOM = Path(__file__).parent


class UpstreamError(Exception):
    """A part is not pinned, or its pinned module could not be downloaded and verified."""


@dataclass(frozen=True)
class Part:
    """One pinned third-party part.

    ``module`` is the Go module path, ``version`` its tag with the leading ``v``, ``package`` the main package
    that is the operator's program, ``folder`` where the pin stands.
    """

    name: str
    module: str
    version: str
    package: str
    folder: Path

    @property
    def directory(self) -> Path:
        """The module's verified source, downloaded when it is not in Go's module cache yet."""
        return module_directory(self.folder, self.module)

    def chart(self, path: str) -> Path:
        """The folder of the Helm chart that the module ships at ``path``.

        Raises UpstreamError when the pinned version has no chart there.
        """
        chart = self.directory / path
        if not (chart / "Chart.yaml").is_file():
            raise UpstreamError(
                f"{self.module}@{self.version} has no chart at {path}: look in {self.directory}"
            )
        return chart


@cache
def part(name: str) -> Part:
    """The part pinned in ``upstream/<name>/go.mod``.

    Raises UpstreamError for a name without a pin, naming those there are.
    """
    folder = ROOM / name
    try:
        text = (folder / "go.mod").read_text()
    except FileNotFoundError:
        known = ", ".join(sorted(path.parent.name for path in ROOM.glob("*/go.mod")))
        raise UpstreamError(f"nothing is pinned as {name!r}: upstream/ has {known}") from None
    package = re.search(r"^tool (\S+)$", text, re.MULTILINE)
    if package is None:
        raise UpstreamError(f"{folder / 'go.mod'} has no single 'tool' line: add one with `go get -tool`")
    for module, version in re.findall(r"^(?:require )?\s*(\S+) (v\S+)", text, re.MULTILINE):
        if package[1] == module or package[1].startswith(f"{module}/"):
            return Part(name, module, version, package[1], folder)
    raise UpstreamError(f"{folder / 'go.mod'} requires no module that holds {package[1]}")


@cache
def module_directory(folder: Path, module: str) -> Path:
    """The verified source of ``module`` at the version that ``folder/go.mod`` pins, downloaded when it is not in Go's
    module cache yet.

    Raises UpstreamError when it can't be had or does not match its hash.
    """
    try:
        done = subprocess.run(
            ["go", "mod", "download", "-json", module],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise UpstreamError(
            "the `go` command is missing: install Go, or run through `make`, which brings it"
        ) from None
    answer = json.loads(done.stdout or "{}")
    if done.returncode != 0 or "Dir" not in answer:
        raise UpstreamError(f"could not download {module}: {answer.get('Error') or done.stderr.strip()}")
    return Path(answer["Dir"])
