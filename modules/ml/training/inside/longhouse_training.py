"""What a training job's program finds in the platform's image, and what starts it.

::

    python3 -m longhouse_training torchrun s3://longhouse-atlas/jobs/digits.py --epochs=30

waits until the job's first worker answers, fetches the program, and becomes ``torchrun``. The program itself may use::

    saved = longhouse_training.load_checkpoint()   # bytes, None where there is none yet
    longhouse_training.save_checkpoint(data)       # whole or not at all, in place of the one before
    with longhouse_training.dataset("s3://bucket/key") as stream:  # by way of the copy on this node's own disk
        ...
    with longhouse_training.collective():          # XGBoost's workers, as one
        ...

Checkpoints are kept at ``CHECKPOINT_DIR``, which is the job's own place in S3 (``s3://bucket/...``) or HDFS (``hdfs://service/...``).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NoReturn, Protocol

BINDINGS: Final = Path("/bindings")
CHECKPOINT: Final = "checkpoint"
PATIENCE_SECONDS: Final = 300.0
"""How long a worker waits for the first one."""

_PAUSE_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 2.0
_NOBODYS_PORT: Final = 29499
"""Whom nobody listens at: a call that is ended at once would be a fault to who does at the next one, the rendezvous'."""
_CACHE_SECONDS: Final = 2.0
_SIGNED_SECONDS: Final = 12 * 3600
"""How long a signed URL opens its object: as long as the read of a large one may take."""

_FIRST_WORKER: Final = ("PET_MASTER_ADDR", "DMLC_TRACKER_URI")
"""Variables in which the runtimes `torch` and `xgboost` say where the first worker is."""

_HOSTS: Final = ("OMPI_MCA_orte_default_hostfile", "HYDRA_HOST_FILE", "I_MPI_HYDRA_HOST_FILE")
"""Variables by which mpi-operator tells an MPIJob's launcher which file names the workers, one a line with its slots behind a blank or a colon."""

_RANKS: Final = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Variables that Open MPI's and Hydra's programs have and their launcher has not. mpirun hands the launcher's variables on to them."""


class TrainingError(Exception):
    """The job cannot go on; the text says why and what to do."""


class Folder(Protocol):
    """A place that files are kept in, in a store."""

    def read(self, name: str) -> bytes | None:
        """A file; None where there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Keep a file, in place of the one before. It is never half there."""
        ...


class S3Folder:
    """A prefix of a bucket. The keys are found as all of AWS's libraries find them."""

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        if client is None:
            import boto3

            client = boto3.client("s3")
        self._bucket, self._prefix, self._client = bucket, prefix, client

    def read(self, name: str) -> bytes | None:
        """A file; None where there is none."""
        from botocore.exceptions import ClientError

        try:
            found = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}".lstrip("/"))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        return bytes(found["Body"].read())

    def write(self, name: str, data: bytes) -> None:
        """Keep a file: S3 shows an object when all of it is there."""
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}".lstrip("/"), Body=data)


class HdfsFolder:
    """A directory of HDFS. Each version of a file has a name of its own, ``name.<number>``, that it gets when all of it is written."""

    def __init__(self, path: str, files: Any = None) -> None:
        if files is None:
            from modules.data.hdfs.inside.webhdfs import WebHdfs

            binding = BINDINGS / "hdfs"
            files = WebHdfs((binding / "webhdfs").read_text().split(","), str(binding / "ca.crt"))
        self._path, self._files = path.rstrip("/"), files

    def read(self, name: str) -> bytes | None:
        """The newest version; the file itself where it was put there by somebody else."""
        versions = self._versions(name)
        if not versions and self._files.status(f"{self._path}/{name}") is None:
            return None
        with self._files.read(f"{self._path}/{versions[-1] if versions else name}") as answer:
            return bytes(answer.raw.read())

    def write(self, name: str, data: bytes) -> None:
        """Keep a version, and no older one."""
        self._files.mkdirs(self._path, "700")
        older = self._versions(name)
        partial = f"{self._path}/.{name}.partial"
        self._files.write(partial, data)
        self._files.rename(partial, f"{self._path}/{name}.{time.time_ns():020}")
        for each in older:
            self._files.delete(f"{self._path}/{each}")

    def _versions(self, name: str) -> list[str]:
        if self._files.status(self._path) is None:
            return []
        names = (each.path.rpartition("/")[2] for each in self._files.children(self._path))
        return sorted(
            each for each in names if each.startswith(f"{name}.") and each[len(name) + 1 :].isdigit()
        )


def folder(url: str) -> Folder:
    """The place that a URL names. Raises TrainingError for one of a store that there is no client for."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "s3":
        return S3Folder(parts.netloc, parts.path.strip("/"))
    if parts.scheme == "hdfs":
        return HdfsFolder(parts.path)
    raise TrainingError(
        f"{url!r} is in no store that is known here: write s3://<bucket>/... or hdfs://<service>/..."
    )


def load_checkpoint(name: str = CHECKPOINT) -> bytes | None:
    """What the job kept last; None when it begins."""
    return _checkpoints().read(name)


def save_checkpoint(data: bytes, name: str = CHECKPOINT) -> None:
    """Keep what the job can go on from. One worker does it for all."""
    _checkpoints().write(name, data)


def _checkpoints() -> Folder:
    place = os.environ.get("CHECKPOINT_DIR")
    if not place:
        raise TrainingError(
            "CHECKPOINT_DIR is not set: give the tenant data.object_store, or set the variable in the job"
        )
    return folder(place)


@contextmanager
def dataset(url: str, client: Any = None) -> Iterator[IO[bytes]]:
    """An object of S3 as a stream, from this node's own disk where the node keeps copies, else from the store. The store is asked in both cases whether
    it may be read, and which version is the one of now. Raises TrainingError for what is not in S3."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "s3":
        raise TrainingError(f"{url!r} is not in S3: write s3://<bucket>/<key>")
    wanted = {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
    if client is None:
        import boto3
        from botocore.config import Config

        client = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    cache = os.environ.get("DATASET_CACHE")
    copy = (
        _copy(cache, client.generate_presigned_url("get_object", wanted, _SIGNED_SECONDS)) if cache else None
    )
    with copy or client.get_object(**wanted)["Body"] as stream:
        yield stream


_away: set[str] = set()
"""Caches that did not answer: a node without one gives no answer at all, and is not waited for again and again."""


def _copy(cache: str, signed: str) -> IO[bytes] | None:
    """The node's copy of what a signed URL of the store opens; None where it gives none: whatever the reason, the store then says it."""
    if cache in _away:
        return None
    asked, words = urllib.parse.urlsplit(cache), urllib.parse.urlsplit(signed)
    trust = ssl.create_default_context(cadata=os.environ.get("DATASET_CACHE_CA"))
    try:
        socket.create_connection((asked.hostname or "", asked.port or 443), _CACHE_SECONDS).close()
    except OSError as problem:
        _away.add(cache)
        print(f"this node keeps no copies, the store is read: {problem}", file=sys.stderr, flush=True)
        return None
    try:
        found: IO[bytes] = urllib.request.urlopen(
            f"{cache}{words.path}?{words.query}", context=trust, timeout=PATIENCE_SECONDS
        )
    except OSError as problem:
        print(f"the store is read, not this node's copy: {problem}", file=sys.stderr, flush=True)
        return None
    return found


@contextmanager
def collective() -> Iterator[None]:
    """XGBoost's workers as one, for as long as the body runs: the first of them keeps the list of all (XGBoost, "Distributed XGBoost on Kubernetes").

    Outside of a job of the runtime `xgboost`, or with one worker, there is nobody to join.
    """
    workers = int(os.environ.get("DMLC_NUM_WORKER", "1"))
    if workers < 2:
        yield
        return
    from xgboost import collective as xgboost
    from xgboost.tracker import RabitTracker

    port, number = int(os.environ["DMLC_TRACKER_PORT"]), os.environ["DMLC_TASK_ID"]
    tracker = None
    if number == "0":
        tracker = RabitTracker(n_workers=workers, host_ip="0.0.0.0", port=port, sortby="task")
        tracker.start()
    with xgboost.CommunicatorContext(
        dmlc_communicator="rabit",
        dmlc_tracker_uri=os.environ["DMLC_TRACKER_URI"],
        dmlc_tracker_port=port,
        dmlc_task_id=number,
        dmlc_retry=int(PATIENCE_SECONDS),
    ):
        yield
    if tracker is not None:
        tracker.wait_for()


def find_first_worker(patience: float = PATIENCE_SECONDS) -> None:
    """Wait until the first worker answers, and put its address in the place of its name: its pod may come later than this one, and for half a
    minute after all began again the name may still be that of a pod that is gone (CoreDNS keeps answers for 30 s), which programs that look
    it up once call forever. Raises TrainingError when it does not come.
    """
    deadline = time.monotonic() + patience
    for variable in _FIRST_WORKER:
        if name := os.environ.get(variable):
            os.environ[variable] = _found(name, deadline)


def wait_for_workers(hosts: Path, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until all workers of an MPIJob answer, as the file names them. Raises TrainingError when one does not come."""
    deadline = time.monotonic() + patience
    for line in hosts.read_text().split("\n"):
        if name := re.split(r"[\s:]", line)[0]:
            _found(name, deadline)


def _found(name: str, deadline: float) -> str:
    """The address of a worker, once it answers there."""
    while (address := _answering(name)) is None:
        if time.monotonic() > deadline:
            raise TrainingError(f"{name}, a worker of this job, does not answer: look at the job's pods")
        time.sleep(_PAUSE_SECONDS)
    return address


def _launches() -> Path | None:
    """The list of workers, in an MPIJob's launcher; None elsewhere, also in what the launcher has started."""
    if any(each in os.environ for each in _RANKS):
        return None
    return next((Path(os.environ[each]) for each in _HOSTS if os.environ.get(each)), None)


def _answering(name: str) -> str | None:
    """Its address, if something is there: it takes a call or refuses it. Where nothing is, there is no answer or no way."""
    try:
        address = str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
        socket.create_connection((address, _NOBODYS_PORT), timeout=_ANSWER_SECONDS).close()
    except ConnectionRefusedError:
        return address
    except OSError:
        return None
    return address


def fetched(command: list[str], into: Path) -> list[str]:
    """The command with the first word that is in a store replaced by a copy here. Raises TrainingError where there is nothing."""
    for number, word in enumerate(command):
        if word.startswith(("s3://", "hdfs://")):
            place, _, name = word.rpartition("/")
            data = folder(place).read(name)
            if data is None:
                raise TrainingError(f"there is no {word}: put the program there first")
            (into / name).write_bytes(data)
            return [*command[:number], str(into / name), *command[number + 1 :]]
    return command


def main(command: list[str]) -> NoReturn:
    """Become the command. Ends with what to do where that cannot be."""
    if not command or shutil.which(command[0]) is None:
        sys.exit(f"usage: python3 -m longhouse_training PROGRAM ARGUMENT..., not {command}")
    try:
        if hosts := _launches():
            # Its words are for the workers, each of which fetches for itself.
            words = command
            wait_for_workers(hosts)
        else:
            words = fetched(command, Path(tempfile.mkdtemp(prefix="program-")))
            find_first_worker()
    except TrainingError as error:
        sys.exit(str(error))
    sys.stdout.flush()
    os.execvp(words[0], words)


if __name__ == "__main__":
    main(sys.argv[1:])
