"""What Pulumi keeps in a backend of files, on a disk or in an S3 bucket: stacks' states, and the locks of who is at work on them.

Read without Pulumi, which reads every state whole to list them. A process that is killed never gives its lock back, and every later run is refused. Whether
the holder still lives can be told for this machine only; a lock of another is its users' to judge.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlparse

import boto3
from botocore.config import Config

_LOCKS: Final = ".pulumi/locks/organization"
_STATES: Final = ".pulumi/stacks"
_STATE: Final = re.compile(r"(.+)\.json(\.gz)?")
"""A state's file is named after its stack; beside it are others, such as `.json.bak`."""
_HOLDERS: Final = ("pulumi", "python")
"""What the programs are called that are at work on a stack: the engine, and Longhouse's own."""


@dataclass(frozen=True)
class Lock:
    """Who it is, and since when."""

    user: str
    host: str
    process: int
    since: str
    """RFC 3339."""

    @property
    def ours(self) -> bool:
        """Whether it was taken on this machine."""
        return self.host == socket.gethostname()

    @property
    def stale(self) -> bool:
        """Whether its holder is surely gone: no process has its number, or one does that can't be it."""
        return self.ours and not _program(self.process).startswith(_HOLDERS)

    @property
    def own(self) -> bool:
        """Whether this process holds it."""
        return self.ours and self.process == os.getpid()

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.process}, since {self.since}"


def _program(process: int) -> str:
    """What a process runs; nothing once it has ended, also while its parent has not yet asked how."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return ""
    return Path(os.fsdecode(command.partition(b"\0")[0])).name


@dataclass(frozen=True)
class File:
    """One of a backend's files."""

    name: str
    version: str
    """Another one once the file has been written again."""

    read: Callable[[], str]


def locks(backend: str, project: str, stack: str) -> tuple[Lock, ...]:
    """The locks of a stack; none for a backend that has them elsewhere. Raises botocore's errors when a bucket does not answer."""
    there = _files(backend, f"{_LOCKS}/{project}/{stack}/")
    return tuple(_lock(json.loads(each.read())) for each in there if each.name.endswith(".json"))


def states(backend: str, project: str) -> Mapping[str, str] | None:
    """By stack, the version of its state; None for a backend that has them elsewhere. Raises as ``locks`` does."""
    if urlparse(backend).scheme not in _SCHEMES:
        return None
    found = ((_STATE.fullmatch(each.name), each) for each in _files(backend, f"{_STATES}/{project}/"))
    return {match[1]: each.version for match, each in found if match}


def _lock(held: dict[str, Any]) -> Lock:
    return Lock(held["username"], held["hostname"], int(held["pid"]), str(held.get("timestamp", "?")))


def _files(backend: str, folder: str) -> Iterator[File]:
    read = _SCHEMES.get(urlparse(backend).scheme)
    return read(backend, folder) if read else iter(())


def _on_disk(backend: str, folder: str) -> Iterator[File]:
    for path in sorted((Path(urlparse(backend).path) / folder).glob("*.json*")):
        facts = path.stat()
        yield File(path.name, f"{facts.st_mtime_ns}-{facts.st_ino}", path.read_text)


def _in_bucket(backend: str, folder: str) -> Iterator[File]:
    """As Pulumi opens it: credentials and region of the AWS SDK's own, the rest in the URL's query."""
    url = urlparse(backend)
    client = _client({key: values[-1] for key, values in parse_qs(url.query).items()})
    prefix = "/".join(part for part in (url.path.strip("/"), folder) if part)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=url.netloc, Prefix=prefix):
        for each in page.get("Contents", []):

            def read(key: str = each["Key"]) -> str:
                return str(client.get_object(Bucket=url.netloc, Key=key)["Body"].read().decode())

            version = f"{each['LastModified'].isoformat()}-{each['ETag'].strip(chr(34))}"
            yield File(each["Key"].rpartition("/")[2], version, read)


_SCHEMES: Final[Mapping[str, Callable[[str, str], Iterator[File]]]] = {"file": _on_disk, "s3": _in_bucket}


def _client(query: dict[str, str]) -> Any:
    endpoint = query.get("endpoint")
    if endpoint and "://" not in endpoint:
        endpoint = f"{'http' if query.get('disableSSL') == 'true' else 'https'}://{endpoint}"
    paths = "true" in (query.get("s3ForcePathStyle"), query.get("use_path_style"))
    return boto3.Session(profile_name=query.get("profile")).client(
        "s3",
        region_name=query.get("region"),
        endpoint_url=endpoint,
        config=Config(s3={"addressing_style": "path"} if paths else {}),
    )
