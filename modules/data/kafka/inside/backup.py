"""Backs new messages of every topic up to the bucket, and puts a topic back.

::

    python3 -m modules.data.kafka.inside.backup                                           # what is new since the last backup
    python3 -m modules.data.kafka.inside.backup restore latest atlas.events atlas.again   # into a topic that is not there yet

A snapshot is a manifest that names every part a topic is made of; a part holds one partition's messages from one offset to another,
and is taken over into later manifests, so that a message is stored once. After some days all is stored anew, before the bucket's own
lifecycle takes the oldest parts away. Keys, values, headers, timestamps and partitions come back; offsets do not, since a topic begins at 0.
"""

from __future__ import annotations

import base64
import datetime
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from modules.data.kafka.inside.cluster import Cluster, ClusterError
from modules.data.kafka.inside.place import Place, mounted
from modules.data.kafka.inside.rules import Topic
from modules.kit.inside.bucket import MANIFEST, Bucket, BucketError, Stored

NAME: Final = "%Y-%m-%dT%H-%M-%SZ"
LATEST: Final = "latest"
_SECONDS: Final = 60.0
_SILENCE: Final = 120.0


class BackupError(Exception):
    """A backup or restore cannot be done; the text says why and what to do."""


@dataclass(frozen=True)
class Message:
    """One message, without its offset."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    def line(self) -> bytes:
        """As a line of a part."""
        facts = [
            self.timestamp,
            _text(self.key),
            _text(self.value),
            [[name, _text(each)] for name, each in self.headers],
        ]
        return json.dumps(facts, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Message:
        """From a line of a part."""
        timestamp, key, value, headers = json.loads(line)
        return cls(
            timestamp, _bytes(key), _bytes(value), tuple((name, _bytes(each)) for name, each in headers)
        )


class Log(Protocol):
    """Where messages are: brokers, or what stands for them in a test."""

    def ends(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is there, and the one after the last."""
        ...

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Message]:
        """Committed messages from one offset to before another."""
        ...

    def write(self, topic: str, partition: int, messages: Iterator[Message]) -> int:
        """Write messages in order, and give their number once all are safe."""
        ...


class Packed:
    """Messages as a compressed stream, read as it is made."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages, self._pack, self._ready, self._over = (
            messages,
            zlib.compressobj(wbits=31),
            bytearray(),
            False,
        )
        self.count = 0

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        while len(self._ready) < size and not self._over:
            message = next(self._messages, None)
            if message is None:
                self._over = True
                self._ready += self._pack.flush()
            else:
                self.count += 1
                self._ready += self._pack.compress(message.line())
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        return taken


def unpacked(stream: IO[bytes]) -> Iterator[Message]:
    """The messages of a compressed stream."""
    unpack, rest = zlib.decompressobj(wbits=31), b""
    while block := stream.read(2**20):
        *lines, rest = (rest + unpack.decompress(block)).split(b"\n")
        yield from map(Message.of, lines)
    if rest or not unpack.eof:
        raise BackupError("a part of the backup ends early: restore an older snapshot")


@dataclass(frozen=True)
class Known:
    """What is known of a topic: its identity, which another topic of the same name does not share, and how it was made."""

    identity: str
    topic: Topic


def backup(
    topics: Mapping[str, Known],
    log: Log,
    bucket: Bucket,
    now: datetime.datetime,
    whole_days: int,
    say: Callable[[str], None] = print,
) -> str:
    """Store what is new, then the manifest. Gives the snapshot's name. Raises BackupError and BucketError; without a manifest there is no
    snapshot."""
    snapshot = now.strftime(NAME)
    since, earlier = _continued(bucket, now, whole_days)
    say(f"backing up what is new since the whole backup of {since}" if earlier else "backing up everything")
    facts: dict[str, Any] = {}
    total = 0
    for number, (name, known) in enumerate(sorted(topics.items()), 1):
        before = earlier.get(name, {})
        parts: dict[str, list[dict[str, Any]]] = (
            before.get("parts", {}) if before.get("identity") == known.identity else {}
        )
        new = 0
        for partition in range(known.topic.partitions):
            stored = parts.get(str(partition), [])
            if part := _part(log, bucket, f"{snapshot}/{name}/{partition}.gz", name, partition, stored):
                parts = {**parts, str(partition): [*stored, part]}
                new += part["messages"]
        say(f"[{number}/{len(topics)}] {name}: {new} new messages")
        total += new
        facts[name] = {
            "identity": known.identity,
            "partitions": known.topic.partitions,
            "settings": dict(known.topic.settings),
            "parts": parts,
        }
    bucket.put_json(f"{snapshot}/{MANIFEST}", {"since": since if earlier else snapshot, "topics": facts})
    say(f"backed up {len(facts)} topics with {total} new messages as {snapshot}")
    return snapshot


def _continued(bucket: Bucket, now: datetime.datetime, whole_days: int) -> tuple[str, dict[str, Any]]:
    """The whole backup that the newest snapshot continues, and that snapshot's topics; none when it is time for another whole one."""
    for snapshot in reversed(bucket.snapshots()):
        found = bucket.get_json(f"{snapshot}/{MANIFEST}")
        began = datetime.datetime.strptime(found["since"], NAME).replace(tzinfo=datetime.UTC)
        if now - began < datetime.timedelta(days=whole_days):
            return found["since"], found["topics"]
        break
    return "", {}


def _part(
    log: Log, bucket: Bucket, key: str, topic: str, partition: int, stored: list[dict[str, Any]]
) -> dict[str, Any] | None:
    first, end = log.ends(topic, partition)
    begin = max(first, stored[-1]["end"] if stored else 0)
    if begin >= end:
        return None
    packed = Packed(log.read(topic, partition, begin, end))
    found = bucket.put(key, packed)
    return {**found.as_dict(), "begin": begin, "end": end, "messages": packed.count}


def restore(
    cluster: Any,
    log: Log,
    bucket: Bucket,
    snapshot: str,
    name: str,
    into: str,
    say: Callable[[str], None] = print,
) -> int:
    """Put a topic of a snapshot back, into one that is not there yet. Gives the number of messages.

    Raises BackupError, BucketError and ClusterError.
    """
    there = bucket.snapshots()
    if not there:
        raise BackupError("there is no backup yet: take one with `kubectl create job --from=cronjob/backup`")
    chosen = there[-1] if snapshot == LATEST else snapshot
    if chosen not in there:
        raise BackupError(
            f"there is no snapshot {chosen}: choose one of {', '.join(there[-5:])}, or {LATEST}"
        )
    topics = bucket.get_json(f"{chosen}/{MANIFEST}")["topics"]
    if name not in topics:
        raise BackupError(
            f"snapshot {chosen} has no topic {name}: it has {', '.join(sorted(topics)) or 'none'}"
        )
    if into in cluster.topics():
        raise BackupError(f"topic {into} is there, and nothing may be mixed into it: name one that is not")
    facts = topics[name]
    cluster.create_topic(into, Topic(facts["partitions"], facts["settings"]))
    total = 0
    for partition, parts in sorted(facts["parts"].items(), key=lambda pair: int(pair[0])):
        for part in parts:
            with bucket.get(Stored(part["key"], part["size"], part["sha256"])) as stream:
                total += log.write(into, int(partition), unpacked(stream))
        say(f"[{int(partition) + 1}/{facts['partitions']}] {into}: {total} messages so far")
    wanted = sum(part["messages"] for parts in facts["parts"].values() for part in parts)
    if total != wanted:
        raise BackupError(
            f"{total} messages were put back of {wanted}: delete topic {into} and run this again"
        )
    say(f"restored {total} messages of {name} as of {chosen} into {into}")
    return total


class Brokers:
    """The real log."""

    def __init__(self, place: Place) -> None:
        self._place = place
        common: dict[str, Any] = {**place.librdkafka(), "log_level": 3}
        self._reader = Consumer(
            {
                **common,
                "group.id": place.username,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
            }
        )
        self._writer = Producer(
            {**common, "enable.idempotence": True, "compression.type": "zstd", "linger.ms": 20}
        )

    def ends(self, topic: str, partition: int) -> tuple[int, int]:
        """As the brokers say; the end is that of committed messages."""
        low, high = self._reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=_SECONDS)
        return int(low), int(high)

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Message]:
        """From a consumer that commits nothing."""
        self._reader.assign([TopicPartition(topic, partition, begin)])
        while True:
            message: Any = self._reader.poll(_SILENCE)
            if message is None:
                raise BackupError(
                    f"{topic} {partition} is silent for {_SILENCE:.0f} s: see whether its leader is up"
                )
            if message.error() is not None:
                if message.error().code() == KafkaError._PARTITION_EOF:
                    break
                raise KafkaException(message.error())
            if message.offset() >= end:
                break
            headers = tuple((name, each) for name, each in message.headers() or ())
            yield Message(message.timestamp()[1], message.key(), message.value(), headers)
            if message.offset() == end - 1:
                break
        self._reader.unassign()

    def write(self, topic: str, partition: int, messages: Iterator[Message]) -> int:
        """In order and once each: the producer is idempotent, and waits for what is safe."""
        problems: list[str] = []
        count = 0
        for message in messages:
            while True:
                try:
                    self._writer.produce(
                        topic,
                        message.value,
                        message.key,
                        partition,
                        on_delivery=lambda error, _: problems.append(str(error)) if error else None,
                        timestamp=message.timestamp,
                        headers=list(message.headers),
                    )
                    break
                except BufferError:
                    self._writer.poll(1)
            count += 1
            self._writer.poll(0)
        if self._writer.flush(_SILENCE) or problems:
            raise BackupError(
                f"{topic} took not all messages ({', '.join(sorted(set(problems))) or 'it is silent'}): run this again"
            )
        return count


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def main(words: list[str]) -> int:
    """Back up, or ``restore SNAPSHOT TOPIC INTO``; the exit code is 0 when it is done."""
    place, wanted = mounted()
    try:
        cluster, log, bucket = Cluster(place), Brokers(place), Bucket.mounted()
        match words:
            case []:
                identities = cluster.identities()
                topics = {name: Known(identities[name], each) for name, each in cluster.topics().items()}
                backup(topics, log, bucket, datetime.datetime.now(datetime.UTC), wanted["whole_days"])
            case ["restore", snapshot, name, into]:
                restore(cluster, log, bucket, snapshot, name, into)
            case _:
                print("usage: backup | backup restore SNAPSHOT TOPIC INTO", file=sys.stderr)
                return 2
    except (BackupError, BucketError, ClusterError, KafkaException) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
