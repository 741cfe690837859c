"""Servers that are published as jars: what is pinned, and where the verified jars are.

One folder a server, holding a ``pom.xml`` whose first dependency is the server itself, and ``artifacts.lock``, the SHA-256
of every jar that it draws. To move a server to another version, change it in the ``pom.xml`` and run
``python -m upstream lock <name>``.

Needs the ``mvn`` command, which brings its own way to a repository; what it downloads is taken only when the hash agrees.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from upstream import ROOM, UpstreamError

COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longhouse" / "maven"

_POM: Final = {"pom": "http://maven.apache.org/POM/4.0.0"}


def version(name: str) -> str:
    """The pinned version of a server: that of the first dependency in its ``pom.xml``.

    Raises UpstreamError for a name without a pin, naming those there are.
    """
    root = ElementTree.parse(_pom(name)).getroot()
    found = root.find("pom:dependencies/pom:dependency/pom:version", _POM)
    if found is None or not found.text:
        raise UpstreamError(f"{_pom(name)} names no version of its first dependency")
    if not found.text.startswith("${"):
        return found.text
    value = root.find(f"pom:properties/pom:{found.text[2:-1]}", _POM)
    if value is None or not value.text:
        raise UpstreamError(f"{_pom(name)} does not define {found.text}")
    return value.text


@cache
def jars(name: str) -> tuple[Path, ...]:
    """Every jar of a server, verified, sorted by name; downloaded when the cache does not hold them yet.

    Raises UpstreamError when one can't be had, does not match its hash, or is not in the lock.
    """
    lock = _read(_lock(name))
    kept = CACHE / f"{name}-{_key(name)}"
    if not kept.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".fetching-") as scratch:
            found = _fetch(name, Path(scratch))
            _compare(name, lock, found)
            try:
                Path(scratch).rename(kept)
            except OSError:
                if not kept.is_dir():  # another process was first
                    raise
            Path(scratch).mkdir(exist_ok=True)
    return tuple(sorted(kept / jar for jar in lock))


def lock_text(name: str) -> str:
    """The names and hashes of a server's jars, as the lock has them; nothing is downloaded.

    Raises UpstreamError for a name without a pin.
    """
    _pom(name)
    return _lock(name).read_text()


def lock(name: str) -> int:
    """Resolve a server's jars and write their hashes beside its pin; gives their number."""
    with tempfile.TemporaryDirectory() as scratch:
        found = _fetch(name, Path(scratch))
    _lock(name).write_text("".join(f"{digest}  {jar}\n" for jar, digest in sorted(found.items())))
    return len(found)


def _fetch(name: str, into: Path) -> dict[str, str]:
    if shutil.which("mvn") is None:
        raise UpstreamError("the `mvn` command is missing: install Maven (Debian: apt-get install maven)")
    words = ["mvn", "--batch-mode", "--quiet", f"--file={_pom(name)}", COPY, f"-DoutputDirectory={into}"]
    done = subprocess.run(
        [*words, "-DincludeScope=runtime"], capture_output=True, text=True, check=False, cwd=into
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise UpstreamError(f"could not download the jars of {name}: " + "\n".join(said[-8:]))
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in into.glob("*.jar")}


def _compare(name: str, lock: dict[str, str], found: dict[str, str]) -> None:
    faults = [f"{jar} has another hash" for jar in sorted(lock.keys() & found) if lock[jar] != found[jar]]
    faults += [f"{jar} was not downloaded" for jar in sorted(lock.keys() - found)]
    faults += [f"{jar} is not locked" for jar in sorted(found.keys() - lock)]
    if faults:
        raise UpstreamError(
            f"the jars of {name} are not those of {_lock(name).relative_to(ROOM.parent)}: {'; '.join(faults[:5])}. "
            f"Where the pin was moved on purpose, run `python -m upstream lock {name}`"
        )


def _read(path: Path) -> dict[str, str]:
    pairs = (line.split() for line in path.read_text().splitlines())
    return {jar: digest for digest, jar in pairs}


def _key(name: str) -> str:
    return hashlib.sha256(_pom(name).read_bytes() + _lock(name).read_bytes()).hexdigest()[:16]


def _pom(name: str) -> Path:
    path = ROOM / name / "pom.xml"
    if not path.is_file():
        known = ", ".join(sorted(each.parent.name for each in ROOM.glob("*/pom.xml"))) or "none"
        raise UpstreamError(f"no jars are pinned as {name!r}: upstream/ has {known}")
    return path


def _lock(name: str) -> Path:
    return ROOM / name / "artifacts.lock"
