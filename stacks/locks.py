"""Who is at work on a stack: the locks that Pulumi leaves in a backend of files, on a disk or in an S3 bucket.

A process that is killed never gives its lock back, and every later run is refused. Whether the holder still lives can be told for
this machine only; a lock of another is its users' to judge.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlparse

import boto3
from botocore.config import Config

_LOCKS: Final = ".pulumi/locks/organization"
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


def locks(backend: str, project: str, stack: str) -> tuple[Lock, ...]:
    """The locks of a stack; none for a backend that has them elsewhere. Raises botocore's errors when a bucket does not answer."""
    scheme = urlparse(backend).scheme
    where = f"{_LOCKS}/{project}/{stack}/"
    found = (
        _on_disk(backend, where) if scheme == "file" else _in_bucket(backend, where) if scheme == "s3" else ()
    )
    return tuple(_lock(json.loads(text)) for text in found)


def _lock(held: dict[str, Any]) -> Lock:
    return Lock(held["username"], held["hostname"], int(held["pid"]), str(held.get("timestamp", "?")))


def _on_disk(backend: str, where: str) -> Iterator[str]:
    for path in sorted((Path(urlparse(backend).path) / where).glob("*.json")):
        yield path.read_text()


def _in_bucket(backend: str, where: str) -> Iterator[str]:
    """As Pulumi opens it: credentials and region of the AWS SDK's own, the rest in the URL's query."""
    url = urlparse(backend)
    client = _client({key: values[-1] for key, values in parse_qs(url.query).items()})
    prefix = "/".join(part for part in (url.path.strip("/"), where) if part)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=url.netloc, Prefix=prefix):
        for each in page.get("Contents", []):
            yield client.get_object(Bucket=url.netloc, Key=each["Key"])["Body"].read().decode()


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
