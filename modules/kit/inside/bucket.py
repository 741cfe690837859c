"""The bucket that backups go to: what every store's backup program uses, whichever S3 it is.

::

    bucket = Bucket.mounted()                      # from the mounted credentials, one file a field
    stored = bucket.put("2026-11-21/users", pipe)  # a stream of any length; gives key, size, sha256
    with bucket.get(stored) as stream:             # reads like a file; a wrong byte raises at its end
        shutil.copyfileobj(stream, target)
    bucket.put_json("2026-11-21/manifest.json", {...});  bucket.get_json("2026-11-21/manifest.json")
    for each in bucket.objects("2026-11-21/"): ...  # key, size, by name; keys never hold the prefix
    bucket.snapshots()                             # ["2026-11-20", "2026-11-21"]: those with a manifest.json

Keys are relative to the prefix that the credentials are good for. A backup writes its parts below a name of
its own and ``manifest.json`` last, so that what has one is whole. Nothing here deletes: old backups are
the bucket's own lifecycle's to expire, and who writes backups may not destroy them. Every failure is a
BucketError that says what to do.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Protocol

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

MOUNT: Final = Path("/longhouse-bucket")
"""Where a pod finds the credentials: a file a field, and ``ca.crt`` where no public authority vouches."""

MANIFEST: Final = "manifest.json"

PART: Final = 16 * 2**20
"""Bytes of a part. A stream may have 10,000 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html),
so 160 GiB; one part and what is read ahead are what a transfer keeps in memory."""

_READ_AHEAD: Final = 2**20

_ATTEMPTS: Final = 8
"""A server that restarts is away for some seconds; the standard mode waits up to 20 s between attempts."""

_REPORT_SECONDS: Final = 5.0


class Readable(Protocol):
    """What can be stored: a file, a pipe, a response's body."""

    def read(self, size: int, /) -> bytes | None: ...


class BucketError(Exception):
    """The bucket cannot be used as asked; the text says why and what to do."""


@dataclass(frozen=True)
class Credentials:
    """Where the bucket is and how to get in. ``prefix`` ends in ``/`` or is empty."""

    endpoint: str
    region: str
    bucket: str
    prefix: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Stored:
    """An object in the bucket. ``sha256`` is of its content; empty where only a listing is known of it."""

    key: str
    size: int
    sha256: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For a manifest; ``Stored(**that)`` is the object again."""
        return asdict(self)


@dataclass(frozen=True)
class Bucket:
    """One prefix of one bucket. ``say`` prints progress, a line every five seconds of a transfer."""

    client: Any
    bucket: str
    prefix: str = ""
    say: Callable[[str], None] = print

    @classmethod
    def mounted(cls, directory: Path = MOUNT, say: Callable[[str], None] = print) -> Bucket:
        """From mounted credentials. Raises BucketError when one is missing."""
        try:
            found = {name: (directory / name).read_text().strip() for name in Credentials.__annotations__}
        except FileNotFoundError as error:
            raise BucketError(
                f"no credentials of the backups bucket at {error.filename}: give the profile an object_store"
            ) from None
        trusted = directory / "ca.crt"
        return cls.of(Credentials(**found), str(trusted) if trusted.exists() else None, say)

    @classmethod
    def of(
        cls, credentials: Credentials, ca_file: str | None = None, say: Callable[[str], None] = print
    ) -> Bucket:
        """From credentials; ``ca_file`` holds the authorities to trust, None for the system's."""
        return cls(client(credentials, ca_file), credentials.bucket, credentials.prefix, say)

    def put(self, key: str, stream: Readable, described: Mapping[str, Any] | None = None) -> Stored:
        """Store a stream to its end. What was stored under the key stays as an older version of it.
        ``described`` is what S3 keeps beside the content, as boto3 names it (ContentType, Metadata).

        Each part's checksum is checked by the server; nothing is there under the key until all of it is.
        """
        progress = _Progress(f"stored {key}", self.say)
        counted = _Counted(stream, progress.add)
        with _explained(f"store {key} in", self.bucket):
            self.client.upload_fileobj(
                counted,
                self.bucket,
                self.prefix + key,
                Config=_transfer(),
                ExtraArgs={**_CHECKSUM, **(described or {})},
            )
        progress.end()
        return Stored(key, counted.size, counted.digest.hexdigest())

    @contextmanager
    def get(self, stored: Stored | str, version: str = "") -> Iterator[IO[bytes]]:
        """An object as a stream, the newest or an older ``version``. Reading to the end raises BucketError when its size or SHA-256 is another
        than ``stored`` says."""
        wanted = stored if isinstance(stored, Stored) else Stored(stored, -1)
        with _explained(f"read {wanted.key} from", self.bucket):
            older = {"VersionId": version} if version else {}
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + wanted.key, **older)
            progress = _Progress(f"read {wanted.key}", self.say)
            with answer["Body"] as body:
                yield io.BufferedReader(_Checked(_Counted(body, progress.add), wanted), _READ_AHEAD)
            progress.end()

    def put_json(self, key: str, value: Any) -> Stored:
        """Store a small document."""
        return self.put(key, io.BytesIO(json.dumps(value, indent=1, sort_keys=True).encode()))

    def get_json(self, key: str) -> Any:
        """A small document."""
        with self.get(key) as stream:
            return json.load(stream)

    def objects(self, below: str = "") -> Iterator[Stored]:
        """Objects whose keys begin with ``below``, by name."""
        with _explained(f"list {below or 'all'} in", self.bucket):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + below
            )
            for page in pages:
                for each in page.get("Contents", ()):
                    yield Stored(each["Key"].removeprefix(self.prefix), each["Size"])

    def snapshots(self) -> list[str]:
        """Names of whole backups, oldest first where names are dates: those that have a manifest."""
        end = f"/{MANIFEST}"
        return [each.key.removesuffix(end) for each in self.objects() if each.key.endswith(end)]


def client(credentials: Credentials, ca_file: str | None = None) -> Any:
    """A boto3 client of S3. Path-style addresses: a server's certificate names it, not each of its buckets."""
    return boto3.client(
        "s3",
        endpoint_url=credentials.endpoint,
        region_name=credentials.region,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        verify=ca_file,
        config=Config(
            s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": _ATTEMPTS}
        ),
    )


_CHECKSUM: Final = {"ChecksumAlgorithm": "SHA256"}


def _transfer() -> TransferConfig:
    return TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)


_WAYS_OUT: Final = {
    "NoSuchKey": "list the bucket: the backup may be older than its retention, or its name mistyped",
    "NoSuchBucket": "deploy the object store first: it makes the bucket",
    "AccessDenied": "each store may use its own prefix only, and not delete: check which credentials are mounted",
    "InvalidAccessKeyId": "the user is gone or the key was rotated: deploy again, then run this again",
    "SignatureDoesNotMatch": "the key was rotated: deploy again, then run this again",
    "XMinioStorageFull": "the object store's volumes are full: give it more, or keep backups for fewer days",
    "XMinioAdminBucketQuotaExceeded": "the bucket's quota is used up: raise it, or keep backups for fewer days",
}


@contextmanager
def _explained(doing: str, bucket: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        way = _WAYS_OUT.get(code, "see the object store's log")
        raise BucketError(f"cannot {doing} bucket {bucket}: {code}: {way}") from error
    except BotoCoreError as error:
        raise BucketError(
            f"cannot {doing} bucket {bucket}: {error}: check that the object store is ready, then run this again"
        ) from error


class _Counted:
    """A stream that counts and digests what is read from it."""

    def __init__(self, stream: Readable, add: Callable[[int], None]) -> None:
        self._stream, self._add = stream, add
        self.size, self.digest = 0, hashlib.sha256()

    def read(self, amount: int | None = None) -> bytes:
        """``amount`` bytes, fewer at the end only: a part of a multipart upload must not be short because a
        pipe or a socket had no more at that moment. None reads to the end."""
        pieces: list[bytes] = []
        left = amount if amount is not None else sys.maxsize
        while left > 0 and (data := self._stream.read(min(left, _READ_AHEAD))):
            self.size += len(data)
            self.digest.update(data)
            self._add(len(data))
            pieces.append(data)
            left -= len(data)
        return b"".join(pieces)


class _Checked(io.RawIOBase):
    """What a counted stream gives, compared with what it should have been once its end is reached."""

    def __init__(self, counted: _Counted, wanted: Stored) -> None:
        self._counted, self._wanted = counted, wanted

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._counted.read(len(buffer))
        buffer[: len(data)] = data
        if not data:
            self._check()
        return len(data)

    def _check(self) -> None:
        wanted, size = self._wanted, self._counted.size
        if wanted.size >= 0 and size != wanted.size:
            raise BucketError(f"{wanted.key} has {size} bytes, not {wanted.size}: take another backup")
        if wanted.sha256 and self._counted.digest.hexdigest() != wanted.sha256:
            raise BucketError(f"{wanted.key} is not what was stored, by its SHA-256: take another backup")


class _Progress:
    """Says how far a transfer is, at most once in five seconds, and when a longer one is done."""

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._what, self._say = what, say
        self._size, self._start = 0, time.monotonic()
        self._said = self._start

    def add(self, size: int) -> None:
        self._size += size
        if time.monotonic() - self._said >= _REPORT_SECONDS:
            self._said = time.monotonic()
            self._say(f"{self._what}: {self._size / 2**20:.0f} MiB so far")

    def end(self) -> None:
        self._say(f"{self._what}: {self._size:,} bytes in {time.monotonic() - self._start:.1f} s")
