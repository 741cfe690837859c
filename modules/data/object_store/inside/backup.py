"""The backup of the object store itself: a copy of its buckets in a second S3, and the way back.

A backup in a bucket of the same servers would be lost with them, so there is none: without a second S3 the only protection is
parity against lost volumes, and versions against what was overwritten or deleted.

Each run compares every bucket with the index of the run before and copies what is new. Objects go below ``<tenant>/objects/`` of
a bucket that keeps versions, and the index, below ``<tenant>/<time>/``, says which version of each belonged to that moment: so
that any run that is still kept can be brought back. Both lists are in the order of their keys and are read side by side, so a
bucket of any size takes the same memory. Content, content type and own metadata are kept; tags and older versions are not.

    backup.py                                   bring the copy up to date
    backup.py list                              moments that can be brought back, by tenant
    backup.py restore TENANT BUCKET [MOMENT]    put every object of that moment (the newest, unasked) into a bucket
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from botocore.exceptions import ClientError

from modules.data.object_store.inside import buckets, desired
from modules.data.object_store.inside.buckets import Buckets
from modules.data.object_store.inside.desired import Desired
from modules.kit.inside.bucket import MANIFEST, Bucket, BucketError, Credentials, Stored

BACKUPS: Final = "backups"
"""Name in the copy of the bucket that holds the other stores' backups: no tenant with a bucket has it."""

INDEX: Final = "index.jsonl.gz"
PAGE: Final = 1000
"""Objects in one answer of a list: the most that S3 gives."""

_EVERY: Final = 1000
_GZIP: Final = 31
"""Window bits with which zlib writes gzip (its documentation of compressobj)."""


@dataclass(frozen=True)
class Entry:
    """One object of a bucket at one moment, and the version of its copy."""

    key: str
    etag: str
    size: int
    sha256: str
    version: str


@dataclass
class Count:
    """What a run did to one bucket."""

    objects: int = 0
    size: int = 0
    copied: int = 0


def back_up(source: Any, owned: dict[str, str], copy: Bucket, moment: str) -> dict[str, Count]:
    """Bring the copy of each bucket (name to tenant) up to date. Raises BucketError when the copy keeps no versions."""
    if copy.client.get_bucket_versioning(Bucket=copy.bucket).get("Status") != "Enabled":
        raise BucketError(
            f"bucket {copy.bucket} keeps no versions, so older moments would be lost: switch versioning on there"
        )
    done = {}
    for name, tenant in sorted(owned.items()):
        label = BACKUPS if tenant == buckets.PLATFORM else tenant
        done[label] = _back_up_one(source, name, label, copy, moment)
        print(
            f"{label}: {done[label].objects:,} objects, {done[label].size:,} bytes; {done[label].copied:,} copied"
        )
    return done


def restore(copy: Bucket, tenant: str, moment: str, target: Any, target_bucket: str) -> Count:
    """Put every object of a moment into a bucket, each checked by its SHA-256. What else is in the bucket stays."""
    into = Bucket(target, target_bucket, say=_nothing)
    count = Count()
    for entry in index(copy, tenant, moment):
        restore_one(copy, tenant, entry, into)
        count.objects += 1
        count.size += entry.size
        _progress(f"{tenant}: {count.objects:,} objects restored so far", count.objects)
    print(f"{tenant}: {count.objects:,} objects, {count.size:,} bytes of {moment} are in {target_bucket}")
    return count


def restore_one(copy: Bucket, tenant: str, entry: Entry, into: Bucket) -> None:
    """Put one object back as it was; when its content is not what was copied, nothing is stored."""
    head = copy.client.head_object(
        Bucket=copy.bucket, Key=copy.prefix + _object(tenant, entry.key), VersionId=entry.version
    )
    described = {"ContentType": head["ContentType"], "Metadata": head["Metadata"]}
    wanted = Stored(_object(tenant, entry.key), entry.size, entry.sha256)
    with copy.get(wanted, entry.version) as stream:
        into.put(entry.key, stream, described)


def moments(copy: Bucket) -> dict[str, list[str]]:
    """What can be brought back: tenant to moments, oldest first."""
    return {tenant: moments_of(copy, tenant) for tenant in _folders(copy, "")}


def moments_of(copy: Bucket, tenant: str) -> list[str]:
    """Moments of one tenant, oldest first: those whose run came to its end."""
    found = [name for name in _folders(copy, f"{tenant}/") if name != "objects"]
    return [name for name in found if any(copy.objects(f"{tenant}/{name}/{MANIFEST}"))]


def _folders(copy: Bucket, below: str) -> list[str]:
    """Folders directly below, without a look into them."""
    pages = copy.client.get_paginator("list_objects_v2").paginate(
        Bucket=copy.bucket, Prefix=copy.prefix + below, Delimiter="/"
    )
    return [
        each["Prefix"].rstrip("/").rpartition("/")[2]
        for page in pages
        for each in page.get("CommonPrefixes", ())
    ]


def _back_up_one(source: Any, name: str, label: str, copy: Bucket, moment: str) -> Count:
    earlier = moments_of(copy, label)
    before = index(copy, label, earlier[-1]) if earlier else iter(())
    count = Count()
    entries = _entries(source, name, label, copy, before, count)
    stored = copy.put(f"{label}/{moment}/{INDEX}", Lines(entries))
    copy.put_json(
        f"{label}/{moment}/{MANIFEST}",
        {"bucket": name, "objects": count.objects, "bytes": count.size, "index": stored.as_dict()},
    )
    return count


def _entries(
    source: Any, name: str, label: str, copy: Bucket, before: Iterator[Entry], count: Count
) -> Iterator[Entry]:
    """The bucket's objects in order, each with its copy: that of the run before, or a new one."""
    known = next(before, None)
    pages = source.get_paginator("list_objects_v2").paginate(Bucket=name, PaginationConfig={"PageSize": PAGE})
    for found in (each for page in pages for each in page.get("Contents", ())):
        while known and known.key < found["Key"]:
            known = next(before, None)
        entry: Entry | None
        if known and known.key == found["Key"] and known.etag == found["ETag"]:
            entry = known
        else:
            entry = _copy(source, name, label, copy, found["Key"])
            count.copied += entry is not None
        if entry:
            count.objects += 1
            count.size += entry.size
            _progress(f"{label}: {count.objects:,} objects so far, {count.copied:,} copied", count.objects)
            yield entry


def _copy(source: Any, name: str, label: str, copy: Bucket, key: str) -> Entry | None:
    """Copy one object; None when it was deleted since it was listed."""
    try:
        found = source.get_object(Bucket=name, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    described = {"ContentType": found["ContentType"], "Metadata": found["Metadata"]}
    with found["Body"] as body:
        stored = copy.put(_object(label, key), body, described)
    version = copy.client.head_object(Bucket=copy.bucket, Key=copy.prefix + stored.key)["VersionId"]
    return Entry(key, found["ETag"], stored.size, stored.sha256, version)


def _object(label: str, key: str) -> str:
    return f"{label}/objects/{key}"


def index(copy: Bucket, tenant: str, moment: str) -> Iterator[Entry]:
    """What belonged to a moment, in order."""
    manifest = copy.get_json(f"{tenant}/{moment}/{MANIFEST}")
    with copy.get(Stored(**manifest["index"])) as stream:
        yield from entries_of(stream)


def entries_of(stream: IO[bytes]) -> Iterator[Entry]:
    """The entries of an index."""
    with gzip.open(stream) as lines:
        for line in lines:
            yield Entry(**json.loads(line))


class Lines:
    """Entries as a file of compressed lines, which is read while it is made."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries, self._compressor = entries, zlib.compressobj(wbits=_GZIP)
        self._ready, self._ended = b"", False

    def read(self, size: int, /) -> bytes:
        while len(self._ready) < size and not self._ended:
            entry = next(self._entries, None)
            self._ended = entry is None
            self._ready += (
                self._compressor.flush()
                if entry is None
                else self._compressor.compress(json.dumps(asdict(entry)).encode() + b"\n")
            )
        given, self._ready = self._ready[:size], self._ready[size:]
        return given


def _progress(line: str, number: int) -> None:
    if number % _EVERY == 0:
        print(line)


def _nothing(line: str) -> None:
    """Single objects are not worth a line each."""


def _open(place: Path, key: Path) -> Bucket:
    """The second S3, by the files that say where it is and those of its key."""
    facts = json.loads((place / desired.PLACE_FILE).read_text())
    keys = {name: (key / name).read_text().strip() for name in ("access_key", "secret_key")}
    trusted = key / "ca.crt"
    return Bucket.of(
        Credentials(**facts, prefix="", **keys), str(trusted) if trusted.exists() else None, _nothing
    )


def main(
    arguments: list[str],
    mount: Path = desired.MOUNT,
    source_key: Path = desired.ADMIN,
    place: Path = desired.COPY_PLACE,
    copy_key: Path = desired.COPY_KEY,
) -> None:
    """Run one of the commands."""
    copy = _open(place, copy_key)
    wanted = Desired.of((mount / desired.FILE).read_text())
    source = buckets.client(wanted, source_key)
    match arguments:
        case []:
            owned = Buckets(source, wanted.region, cloud=False, say=print).own(wanted.prefix)
            back_up(source, owned, copy, datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"))
        case ["list"]:
            for tenant, found in moments(copy).items():
                print(f"{tenant}: {', '.join(found)}")
        case ["restore", tenant, bucket_name, *rest] if len(rest) <= 1:
            kept = moments_of(copy, tenant)
            moment = rest[0] if rest else kept[-1] if kept else ""
            if moment not in kept:
                raise BucketError(
                    f"{tenant} has no copy of {moment or 'any moment'}: there are {', '.join(kept) or 'none'}"
                )
            restore(copy, tenant, moment, source, bucket_name)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BucketError as error:
        sys.exit(f"the copy of the object store: {error}")
