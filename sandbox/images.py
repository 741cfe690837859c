"""Container images, built from package registries and cached as OCI archives.

Each carries the reference of the upstream image that it stands for, so what is deployed is the same here and on a
cluster that pulls from upstream; its layout keeps to upstream's documented paths.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from modules.compute.flink import image as flink
from modules.compute.spark import image as spark
from modules.data.dataset_cache import image as dataset_cache
from modules.data.object_store import settings as minio
from modules.kit import clients
from modules.ml.tracking import image as tracking
from modules.ml.training import earlier, earlier_image
from modules.ml.training import image as training
from profiles.model import Profile
from sandbox import machine, tools
from sandbox.cache import one_builder
from sandbox.golang import GoProgram
from sandbox.places import CACHE
from sandbox.shell import run
from upstream import Part, maven, part


class Files(Protocol):
    """Files of an image that are no program of ours: pinned elsewhere, fetched when the image is built."""

    @property
    def key(self) -> str:
        """What changes when the files do."""
        ...

    def fetch(self, scratch: Path) -> Iterator[Path]:
        """The files and folders to copy, made in ``scratch`` where they are nowhere else."""
        ...


@dataclass(frozen=True)
class Jars:
    """A server's jars, or those whose names begin with ``only``."""

    name: str
    only: tuple[str, ...] = ("",)

    @property
    def key(self) -> str:
        """Name and hash of each jar."""
        return repr((self.only, maven.lock_text(self.name)))

    def fetch(self, scratch: Path) -> Iterator[Path]:
        """The jars, from the cache of verified ones."""
        yield from (jar for jar in maven.jars(self.name) if jar.name.startswith(self.only))


@dataclass(frozen=True)
class _Locked:
    """What a lock with hashes names, as PyPI has it."""

    lock: Path

    @property
    def key(self) -> str:
        """The lock itself."""
        return self.lock.read_text()

    def _pip(self, *words: str) -> None:
        run(
            sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words, "--no-deps", "--require-hashes",
            f"--requirement={self.lock}", timeout=900,
        )  # fmt: skip


class Wheels(_Locked):
    """Python packages, for the Python of this machine's Debian."""

    def fetch(self, scratch: Path) -> Iterator[Path]:
        """The packages, as pip lays them out in a folder."""
        into = scratch / "wheels"
        self._pip("install", "--no-compile", "--only-binary=:all:", f"--target={into}")
        yield from into.iterdir()


@dataclass(frozen=True)
class File:
    """A file of this checkout."""

    path: Path

    @property
    def key(self) -> str:
        """What is in it."""
        return self.path.read_text()

    def fetch(self, scratch: Path) -> Iterator[Path]:
        """The file."""
        yield self.path


class SparkRelease(_Locked):
    """Spark, laid out as upstream's images have it."""

    def fetch(self, scratch: Path) -> Iterator[Path]:
        """The folders `bin`, `jars`, `python` and `sbin` of Spark's home."""
        self._pip("download", f"--dest={scratch}")
        (archive,) = scratch.glob("pyspark-*.tar.gz")
        with tarfile.open(archive) as release:
            release.extractall(scratch, filter="data")
        home = scratch / archive.name.removesuffix(".tar.gz")
        (home / "python").mkdir()
        (home / "lib").rename(home / "python" / "lib")
        yield from (*(home / "deps" / folder for folder in ("bin", "jars", "sbin")), home / "python")


class FlinkRelease(_Locked):
    """Flink, laid out as upstream's release has it."""

    def fetch(self, scratch: Path) -> Iterator[Path]:
        """The folders of Flink's home: scripts and settings from the one archive, jars from the other."""
        self._pip("download", "--no-binary=:all:", "--no-build-isolation", f"--dest={scratch}")
        for archive in (
            *scratch.glob("apache_flink-*.tar.gz"),
            *scratch.glob("apache_flink_libraries-*.tar.gz"),
        ):
            with tarfile.open(archive) as release:
                release.extractall(scratch, filter="data")
        scripts, jars = (
            next(each for each in scratch.glob(f"{name}-*") if each.is_dir()) / "deps"
            for name in ("apache_flink", "apache_flink_libraries")
        )
        for script in (scripts / "bin").iterdir():
            script.chmod(0o755)
        (jars / "bin" / "bash-java-utils.jar").rename(scripts / "bin" / "bash-java-utils.jar")
        for gone in jars.glob("lib/flink-scala_*.jar"):
            gone.unlink()
        yield from (
            scripts / "bin",
            scripts / "conf",
            *(jars / folder for folder in ("lib", "opt", "plugins")),
        )


@dataclass(frozen=True)
class Image:
    """An image to build: programs and other files at their paths, on top of Debian packages if any are named, else on
    nothing.

    ``user`` is the numeric user and group that it runs as. ``links`` are symbolic links, path to target.
    """

    reference: str
    programs: tuple[tuple[GoProgram, str], ...] = ()
    packages: tuple[str, ...] = ()
    files: tuple[tuple[Files, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] = ()
    user: str = "65532:65532"
    seconds: float = 5.0

    @property
    def name(self) -> str:
        """The last part of the reference, for people."""
        return self.reference.rpartition("/")[2].partition("@")[0]

    def reference_in(self, registry: str) -> str:
        """The reference of one of the platform's own images in the registry that its owner pushed it to, with the path."""
        return f"{registry}/{self.name}"

    @property
    def archive(self) -> Path:
        """Where the cache holds the built image."""
        return CACHE / "images" / f"{self.name.replace(':', '-')}-{self._key()}.tar"

    def build(self) -> Path:
        """Build it with buildah, or find it in the cache."""
        with one_builder(self.archive):
            if not self.archive.exists():
                with tempfile.TemporaryDirectory(dir=self.archive.parent, prefix=".building-") as scratch:
                    self._buildah(Path(scratch), _base(self.packages) if self.packages else None)
        return self.archive

    def _buildah(self, scratch: Path, base: Path | None) -> None:
        env = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        store = ("--root", f"{scratch}/store", "--runroot", f"{scratch}/run", "--storage-driver", "vfs")

        def buildah(*words: str | Path) -> str:
            return run("buildah", *store, *words, env=env).strip()

        container = buildah("from", "scratch")
        if base is not None:
            buildah("add", "--quiet", container, base, "/")
        for program, path in self.programs:
            buildah("copy", "--quiet", "--chmod", "0755", container, program.path, path)
        for number, (files, folder) in enumerate(self.files):
            own = scratch / f"files-{number}"
            own.mkdir()
            layer = own / "layer" / folder.lstrip("/")
            layer.mkdir(parents=True)
            for found in files.fetch(own):
                run(
                    "cp",
                    "--recursive",
                    "--link" if found.is_relative_to(own) else "--dereference",
                    found,
                    layer,
                )
            run("chmod", "--recursive", "go+rX,go-w", own / "layer")
            buildah("copy", "--quiet", container, own / "layer", "/")
        for path, target in self.links:
            layer = scratch / "links" / path.lstrip("/")
            layer.parent.mkdir(parents=True, exist_ok=True)
            layer.symlink_to(target)
        if self.links:
            buildah("copy", "--quiet", container, scratch / "links", "/")
        settings = ["--user", self.user, "--entrypoint", str(list(self.entrypoint)).replace("'", '"')]
        buildah("config", *settings, container)
        buildah("commit", "--quiet", "--disable-compression", container, "image")
        partial = scratch / "image.tar"
        buildah("push", "--quiet", "image", f"oci-archive:{partial}:{self.reference}")
        partial.rename(self.archive)

    def _key(self) -> str:
        facts = [self.reference, self.packages, self.entrypoint, self.user, self.links]
        facts += [(str(program.directory.name), path) for program, path in self.programs]
        facts += [(files.key, path) for files, path in self.files]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def push(image: Image, reference: str) -> None:
    """Build an image and push it to a registry under another reference; the registry's login is buildah's or Docker's own."""
    with tempfile.TemporaryDirectory(prefix="longhouse-push-") as scratch:
        store = ("--root", f"{scratch}/store", "--runroot", f"{scratch}/run", "--storage-driver", "vfs")
        pulled = run("buildah", *store, "pull", "--quiet", f"oci-archive:{image.build()}").strip()
        run("buildah", *store, "push", "--quiet", pulled, f"docker://{reference}", timeout=1800)


def _base(packages: tuple[str, ...]) -> Path:
    """A file system of Debian packages, made once for all images that want the same."""
    key = hashlib.sha256(repr((machine.codename(), packages)).encode()).hexdigest()[:16]
    base = CACHE / "images" / f"base-{key}.tar"
    if not base.exists():
        partial = base.with_suffix(f".{os.getpid()}.tar")
        run(
            "mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            '--essential-hook=mkdir -p "$1/usr/share/man/man1"',  # Java puts a link into it
            machine.codename(), partial,
        )  # fmt: skip
        partial.rename(base)
    return base


def operator(upstream_part: Part, seconds: float) -> GoProgram:
    """The program of a pinned operator."""
    return GoProgram(
        upstream_part.name, upstream_part.folder, upstream_part.module, upstream_part.package, seconds=seconds
    )


KUEUE = operator(part("kueue"), seconds=160)
_MINIO = part("minio")
MINIO = GoProgram(
    "minio", _MINIO.folder, _MINIO.module, _MINIO.package,
    defines={f"{_MINIO.module}/cmd.ReleaseTag": minio.release(_MINIO.version), f"{_MINIO.module}/cmd.Version": minio.version(_MINIO.version)},
    seconds=110,
)  # fmt: skip
MYSQLD_EXPORTER = operator(part("mysqld-exporter"), seconds=20)
PXC_OPERATOR = operator(part("percona-xtradb-cluster-operator"), seconds=150)
COREDNS = GoProgram(
    "coredns", tools.PINS / "coredns", "github.com/coredns/coredns", "github.com/coredns/coredns", seconds=80
)

PAUSE_IMAGE = Image(
    "registry.k8s.io/pause:3.10",
    ((tools.PAUSE.program, "/pause"),),
    entrypoint=("/pause",),
    user="65535:65535",
)
DNS_IMAGE = Image(
    f"registry.k8s.io/coredns/coredns:{COREDNS.version}",
    ((COREDNS, "/coredns"),),
    entrypoint=("/coredns",),
    user="0:0",
)
KUEUE_IMAGE = Image(
    f"registry.k8s.io/kueue/kueue:{KUEUE.version}", ((KUEUE, "/manager"),), entrypoint=("/manager",)
)
PYTHON_IMAGE = Image(
    "docker.io/library/python:3.11-slim-bookworm", packages=("python3-minimal", "libpython3-stdlib"), entrypoint=(),
    seconds=40,
)  # fmt: skip
"""Python and a shell: what the live checks run in pods."""

JAVA: Final = ("openjdk-17-jre-headless",)
"""Debian packages of every server on Java: the same, so that their images share a base."""

CLIENTS_IMAGE = Image(
    f"docker.io/{clients.image()}",
    packages=(
        "python3",
        "openssl",
        "krb5-user",
        "krb5-kdc",
        "krb5-admin-server",
        "python3-gssapi",
        "mariadb-client",
    ),
    files=(
        (Wheels(clients.LOCK), "/opt/longhouse/python"),
        (Jars("clients"), "/opt/longhouse/java"),
    ),
    seconds=60,
)
"""Every store's client library, for the jobs inside the cluster and for the live checks."""

CASSANDRA_IMAGE = Image(
    f"docker.io/library/cassandra:{maven.version('cassandra')}",
    packages=(*JAVA, "python3-minimal", "libpython3-stdlib"),
    files=((Jars("cassandra"), "/opt/cassandra/lib"),),
    user="999:999",
    seconds=70,
)
"""Cassandra's jars and a Python, as upstream's image has one for cqlsh."""

CASS_OPERATOR = operator(part("cass-operator"), seconds=100)
CASS_OPERATOR_IMAGE = Image(
    f"docker.io/k8ssandra/cass-operator:{CASS_OPERATOR.version}",
    ((CASS_OPERATOR, "/manager"),),
    entrypoint=("/manager",),
)
"""No profile for this cluster runs it: a check does."""

HADOOP_IMAGE = Image(
    f"docker.io/apache/hadoop:{maven.version('hadoop')}",
    packages=JAVA,
    files=((Jars("hadoop"), "/opt/hadoop/share/hadoop/common/lib"),),
    user="1000:1000",
    seconds=40,
)
"""Hadoop's jars; the class path of its pods has all of upstream's folders, of which one is enough."""

KAFKA_IMAGE = Image(
    f"docker.io/apache/kafka:{maven.version('kafka')}",
    packages=JAVA,
    files=((Jars("kafka"), "/opt/kafka/libs"),),
    user="1000:1000",
    seconds=20,
)
"""Kafka's jars where upstream's image has them, and a shell, as it has one."""

_SPARK_PACKAGES: Final = (*JAVA, "python3", "tini", "libnss-wrapper", "procps")
_SPARK_FILES: Final = (
    (SparkRelease(spark.RELEASE), spark.HOME),
    (File(spark.ENTRYPOINT), spark.ROOM),
)
SPARK_IMAGE = Image(
    f"docker.io/{spark.image()}",
    packages=_SPARK_PACKAGES,
    files=(
        *_SPARK_FILES,
        *((File(each), spark.ROOM) for each in spark.BESIDE),
        (Jars(spark.PIN), f"{spark.HOME}/jars"),
        (Wheels(spark.LIBRARIES), "/usr/local/lib/python3.11/dist-packages"),
    ),
    entrypoint=(spark.START,),
    user=f"{spark.USER}:{spark.USER}",
    seconds=200,
)
"""What tenants' drivers and executors run in."""

SPARK_OPERATOR = operator(part("spark-operator"), seconds=60)
SPARK_OPERATOR_IMAGE = Image(
    f"ghcr.io/kubeflow/spark-operator/controller:{SPARK_OPERATOR.version.removeprefix('v')}",
    ((SPARK_OPERATOR, "/usr/bin/spark-operator"),),
    packages=_SPARK_PACKAGES,
    files=_SPARK_FILES,
    entrypoint=(spark.START, "/usr/bin/spark-operator"),
    user=f"{spark.USER}:{spark.USER}",
    seconds=150,
)
"""Beside a Spark, as upstream has it: the operator starts an application by `spark-submit`."""

_FLINK_LIBRARIES: Final = (
    "commons-lang3-", "flink-connector-kafka-", "jackson-", "kafka-clients-", "lz4-java-", "snappy-java-", "zstd-jni-",
)  # fmt: skip
"""The connector to Kafka, and what it needs."""

FLINK_IMAGE = Image(
    f"docker.io/{flink.image()}",
    packages=(*JAVA, "gawk", "procps"),
    files=(
        (FlinkRelease(flink.RELEASE), flink.HOME),
        (Jars(flink.PIN, only=_FLINK_LIBRARIES), f"{flink.HOME}/lib"),
        (Jars(flink.PIN, only=("flink-sql-gateway-",)), f"{flink.HOME}/opt"),
        (Jars(flink.PIN, only=("flink-s3-fs-",)), f"{flink.HOME}/plugins/s3-fs-hadoop"),
        (File(flink.ENTRYPOINT), str(Path(flink.START).parent)),
    ),
    entrypoint=(flink.START,),
    user=f"{flink.USER}:{flink.USER}",
    seconds=120,
)
"""What tenants' JobManagers and TaskManagers run in."""

TRAINING_IMAGE = Image(
    f"docker.io/{training.image()}",
    packages=training.PACKAGES,
    files=(
        (Wheels(training.LIBRARIES), training.SITE),
        (File(training.LIBRARY), training.SITE),
        (File(training.WEBHDFS), f"{training.SITE}/modules/data/hdfs/inside"),
        (File(training.TORCHRUN), "/usr/local/bin"),
    ),
    user=f"{training.USER}:{training.USER}",
    seconds=180,
)
"""What tenants' training jobs and the trials of their studies run in."""

TRACKING_IMAGE = Image(
    f"docker.io/{tracking.image()}",
    packages=tracking.PACKAGES,
    files=((Wheels(tracking.LIBRARIES), clients.PYTHON_PATH),),
    seconds=90,
)
"""MLflow's server, which upstream's image has with all that its clients may need."""

JOBSET = operator(part("jobset"), seconds=65)
JOBSET_IMAGE = Image(
    f"registry.k8s.io/jobset/jobset:{JOBSET.version}", ((JOBSET, "/manager"),), entrypoint=("/manager",)
)
TRAINER = operator(part("trainer"), seconds=60)
TRAINER_IMAGE = Image(
    f"ghcr.io/kubeflow/trainer/trainer-controller-manager:{TRAINER.version}",
    ((TRAINER, "/manager"),),
    entrypoint=("/manager",),
)
TRAINING_OPERATOR = operator(part("training-operator"), seconds=180)
TRAINING_OPERATOR_IMAGE = Image(
    earlier.training_operator_image(),
    ((TRAINING_OPERATOR, "/manager"),),
    entrypoint=("/manager",),
)
MPI_OPERATOR = operator(part("mpi-operator"), seconds=240)
MPI_OPERATOR_IMAGE = Image(
    f"docker.io/mpioperator/mpi-operator:{MPI_OPERATOR.version.removeprefix('v')}",
    ((MPI_OPERATOR, "/opt/mpi-operator"),),
    entrypoint=("/opt/mpi-operator",),
)
EARLIER_IMAGE = Image(
    f"docker.io/{earlier_image.image()}",
    packages=earlier_image.PACKAGES,
    files=(
        (Wheels(earlier_image.LIBRARIES), training.SITE),
        (File(training.LIBRARY), training.SITE),
        (File(training.WEBHDFS), f"{training.SITE}/modules/data/hdfs/inside"),
        (File(earlier_image.PASSWD), "/etc"),
        *((File(each), "/etc/ssh") for each in earlier_image.SSH),
    ),
    user=f"{training.USER}:{training.USER}",
    seconds=150,
)
"""What TFJobs and MPIJobs may run in."""

MINIO_IMAGE = Image(
    f"docker.io/{minio.image(_MINIO.version)}",
    ((MINIO, "/usr/bin/minio"),),
    entrypoint=("/usr/bin/minio",),
    user="1000:1000",
    seconds=10,
)
"""MinIO at the path that upstream's own Dockerfile has it at; upstream publishes no image of this release."""

MARIADB_IMAGE = Image(
    "docker.io/library/mariadb:10.11.19",
    packages=("mariadb-server-core", "mariadb-client-core"),
    user="999:999",
    seconds=40,
)
"""Debian's MariaDB at upstream's paths: the local stand-in for MySQL."""
MYSQLD_EXPORTER_IMAGE = Image(
    f"docker.io/prom/mysqld-exporter:{MYSQLD_EXPORTER.version}",
    ((MYSQLD_EXPORTER, "/bin/mysqld_exporter"),),
    entrypoint=("/bin/mysqld_exporter",),
)
PXC_OPERATOR_IMAGE = Image(
    f"docker.io/percona/percona-xtradb-cluster-operator:{PXC_OPERATOR.version.removeprefix('v')}",
    ((PXC_OPERATOR, "/usr/local/bin/percona-xtradb-cluster-operator"),),
    entrypoint=("/usr/local/bin/percona-xtradb-cluster-operator",),
    user="2:2",
)
"""No profile for this cluster runs it: a check does."""

DATASET_CACHE_IMAGE = Image(
    f"docker.io/{dataset_cache.image()}",
    packages=dataset_cache.PACKAGES,
    user=f"{dataset_cache.USER}:{dataset_cache.USER}",
    seconds=30,
)
"""Debian's nginx."""

OWN_IMAGES = (
    CLIENTS_IMAGE,
    MINIO_IMAGE,
    FLINK_IMAGE,
    SPARK_IMAGE,
    TRAINING_IMAGE,
    EARLIER_IMAGE,
    TRACKING_IMAGE,
    DATASET_CACHE_IMAGE,
)
"""Those that nobody else publishes: a real cluster pulls them from where their owner pushed them."""

NODE_IMAGES = (PAUSE_IMAGE, DNS_IMAGE)
PLATFORM_IMAGES = (
    KUEUE_IMAGE,
    PYTHON_IMAGE,
    CLIENTS_IMAGE,
    CASSANDRA_IMAGE,
    KAFKA_IMAGE,
    HADOOP_IMAGE,
    MINIO_IMAGE,
    MARIADB_IMAGE,
    MYSQLD_EXPORTER_IMAGE,
    FLINK_IMAGE,
    SPARK_IMAGE,
    SPARK_OPERATOR_IMAGE,
)
PROGRAMS = (KUEUE, COREDNS, MINIO, MYSQLD_EXPORTER, SPARK_OPERATOR)
TRAINING_IMAGES = (JOBSET_IMAGE, TRAINER_IMAGE, TRAINING_IMAGE)
EARLIER_IMAGES = (TRAINING_OPERATOR_IMAGE, MPI_OPERATOR_IMAGE, EARLIER_IMAGE)


def wanted(profile: Profile) -> tuple[Image, ...]:
    """What a profile runs beside what every one does. The operators of the kinds of before take seven minutes to build, and few run them."""
    found: tuple[Image, ...] = (
        *((DATASET_CACHE_IMAGE,) if profile.dataset_cache else ()),
        *((TRACKING_IMAGE,) if profile.tracked else ()),
    )
    if profile.training is not None:
        return (*found, *TRAINING_IMAGES, *(EARLIER_IMAGES if profile.training.earlier_kinds else ()))
    return (*found, TRAINING_IMAGE) if profile.tuning else found
