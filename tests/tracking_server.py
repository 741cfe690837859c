"""MLflow's server with the stores that it needs, without a cluster: each as its pod would run it, and two tenants' desks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modules.data.mysql import accounts as mysql_accounts
from modules.data.mysql import plain
from modules.data.mysql.component import NAME as MYSQL
from modules.data.mysql.config import PORT as MYSQL_PORT
from modules.data.mysql.config import MySql, MySqlEngine
from modules.data.object_store import accounts as object_accounts
from modules.data.object_store import bindings
from modules.data.object_store import settings as minio
from modules.data.object_store.config import NAME as BUCKETS
from modules.data.object_store.config import PORT as MINIO_PORT
from modules.data.object_store.config import ObjectStore
from modules.data.object_store.inside import desired as objects_desired
from modules.data.store import BINDING_PATH
from modules.kit import clients, task
from modules.kit.pods import Container, Pod, Probe, SecretFiles
from modules.kit.server import Disk, Server
from modules.kit.task import Program
from modules.ml.tracking import accounts, component, image, settings
from modules.ml.tracking.config import FOLDER, NAME, NAMESPACE, Tracking
from modules.ml.tracking.inside.desired import FILE, MOUNT, Desired
from sandbox.images import MINIO_IMAGE
from tests.bare_pods import BarePod, Unpacked, bare_pods
from tests.unit.examples import AUTHORITY, CREDENTIALS, tenant

STORE: Final = ObjectStore(servers=1, disk="8Gi", memory="384Mi")
DATABASE: Final = MySql(engine=MySqlEngine.PLAIN, memory="512Mi", disk="2Gi")
TRACKING: Final = Tracking(replicas=2, workers=1, cpu="100m", memory="512Mi")
TENANTS: Final = tuple(
    tenant(name, data={"object_store": {"quota": "1Gi"}}) for name in ("atlas", "borealis")
)
ROOT: Final = CREDENTIALS.password("object-store/root")
_IDLE: Final = ("sleep", "infinity")
_READY_SECONDS: Final = 240.0


def _database() -> Server:
    return plain.server(
        DATABASE,
        pair=AUTHORITY.server("mysql/server", plain.NAMES),
        authority=AUTHORITY.bundle,
        admin_password=CREDENTIALS.password("mysql/admin"),
        probe_password=CREDENTIALS.password("mysql/probe"),
        storage_class=None,
    )


def _objects() -> Server:
    pair = AUTHORITY.server("object-store/server", minio.SERVER_NAMES)
    container = Container(
        "minio",
        MINIO_IMAGE.reference,
        minio.command(STORE),
        cpu="100m",
        memory=STORE.memory,
        ports={"https": MINIO_PORT},
        environment={"MINIO_CONFIG_ENV_FILE": f"{minio.SETTINGS}/config.env", "MINIO_CI_CD": "on"},
        readiness=Probe(path="/minio/health/cluster", port=MINIO_PORT, scheme="HTTPS"),
    )
    certificates = {
        "public.crt": pair.certificate,
        "private.key": pair.private_key,
        "ca.crt": AUTHORITY.bundle,
    }
    pod = Pod(
        containers=(container,),
        secrets=(
            SecretFiles("settings", minio.SETTINGS, {"config.env": minio.settings(STORE, ROOT)}),
            SecretFiles("certificates", minio.CERTIFICATES, certificates),
        ),
    )
    return Server(minio.SERVER, "object-store", pod, disk=Disk("8Gi", minio.DATA), service=BUCKETS)


def _program(name: str, reference: str, program: Program, secrets: Sequence[SecretFiles], environment: Mapping[str, str]) -> Server:  # fmt: skip
    """A pod in which a program lies, to be run by whoever looks on."""
    container = Container(name, reference, _IDLE, cpu="10m", memory="64Mi", environment=environment)
    pod = Pod(
        containers=(container,),
        files=program.data,
        files_path=task.MOUNT,
        paths=program.paths,
        secrets=tuple(secrets),
        user=component.USER,
    )
    return Server(name, NAMESPACE, pod)


def _mysql_binding() -> SecretFiles:
    schema = TRACKING.database
    facts = mysql_accounts.binding(
        MySqlEngine.PLAIN,
        host=plain.HOST,
        port=MYSQL_PORT,
        account=mysql_accounts.schema_of(schema),
        password=mysql_accounts.service_password(CREDENTIALS, schema.name),
        ca=AUTHORITY.bundle,
    )
    return SecretFiles(MYSQL, f"{BINDING_PATH}/{MYSQL}", facts)


def _access_to_database() -> Server:
    wanted = mysql_accounts.desired(
        CREDENTIALS, hosts=[plain.HOST], port=MYSQL_PORT, shares={}, services=[TRACKING.database]
    )
    admin = {"username": plain.ADMIN, "password": CREDENTIALS.password("mysql/admin")}
    secrets = (
        SecretFiles("desired", "/longhouse-access", {"desired.json": wanted.as_json()}),
        SecretFiles("admin", "/longhouse-admin", admin),
        SecretFiles("authority", "/longhouse-ca", {"ca.crt": AUTHORITY.bundle}),
    )
    return _program(
        "mysql-access", clients.image(), Program("modules.data.mysql.inside.access"), secrets, PYTHON
    )


def _access_to_objects() -> Server:
    wanted = object_accounts.desired(STORE, CREDENTIALS, TENANTS, (), (), [FOLDER])
    admin = {"access_key": minio.ROOT_USER, "secret_key": ROOT, "ca.crt": AUTHORITY.bundle}
    secrets = (
        SecretFiles("desired", str(objects_desired.MOUNT), {objects_desired.FILE: wanted.as_json()}),
        SecretFiles("admin", str(objects_desired.ADMIN), admin),
    )
    program = Program("modules.data.object_store.inside.access")
    return _program("object-access", clients.image(), program, secrets, PYTHON)


def _access_to_tracking() -> Server:
    wanted = accounts.desired(CREDENTIALS, [each.name for each in TENANTS], ())
    secrets = (SecretFiles("desired", str(MOUNT), {FILE: wanted.as_json()}), _mysql_binding())
    program = Program("modules.ml.tracking.inside.access")
    return _program("tracking-access", image.image(), program, secrets, settings.environment(STORE))


def _server() -> Server:
    user = object_accounts.folder(STORE, CREDENTIALS, FOLDER)
    pair = AUTHORITY.server(f"{NAME}/server", settings.NAMES)
    pod = component.pod(
        TRACKING,
        None,
        _mysql_binding(),
        SecretFiles(
            BUCKETS, f"{BINDING_PATH}/{BUCKETS}", bindings.folder_files(STORE, user, AUTHORITY.bundle)
        ),
        SecretFiles("tls", settings.TLS, {"tls.crt": pair.certificate, "tls.key": pair.private_key}),
        STORE,
    )
    return Server(settings.SERVER, NAMESPACE, pod, replicas=TRACKING.replicas, service=NAME, together=True)


def _desk(name: str) -> Server:
    """A tenant's pod: MLflow's client, and what every job of the tenant gets."""
    facts = accounts.binding(name, accounts.tenant_password(CREDENTIALS, name), AUTHORITY.bundle)
    environment = {
        **accounts.environment(),
        "PYTHONPATH": clients.PYTHON_PATH,
        "HOME": "/tmp",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    container = Container("desk", image.image(), _IDLE, cpu="10m", memory="64Mi", environment=environment)
    return Server(
        name,
        f"tenant-{name}",
        Pod((container,), secrets=(SecretFiles(NAME, f"{BINDING_PATH}/{NAME}", facts),)),
    )


PYTHON: Final = {"PYTHONPATH": f"{task.MOUNT}:{clients.PYTHON_PATH}", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Running:
    """All of it, running."""

    pods: Mapping[str, BarePod]

    def run(self, pod: str, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of Python in the only container of a pod."""
        found = self.pods[f"{pod}-0"]
        (container,) = found.server.pod.containers
        return found.runs_now(container, ("python3", "-c", program, *words))

    def told(self, pod: str, program: str, *words: str) -> Any:
        """The last line that a program prints, which is JSON."""
        done = self.run(pod, program, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def let_in(self, wanted: Desired) -> str:
        """Make who may use tracking what is wanted; gives what the program said."""
        program = (
            "import sys; from modules.ml.tracking.inside import access, database; from modules.ml.tracking.inside.desired import Desired\n"
            "kept = access.reconcile(Desired.of(sys.argv[1]), database.Accounts(), access.Stored(database.url()))\n"
            "print('retained', *kept)"
        )
        done = self.run("tracking-access", program, wanted.as_json())
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def running(folder: Path, unpacked: Unpacked) -> Iterator[Running]:
    """Stores, both servers on an empty database at the same moment, and two desks; all end with the body."""
    servers = [
        _database(), _objects(), _access_to_database(), _access_to_objects(), _access_to_tracking(), _server(),
        *(_desk(each.name) for each in TENANTS),
    ]  # fmt: skip
    with bare_pods(folder, unpacked, servers) as pods:
        found = Running(pods)
        for name in ("mariadb-0", "minio-0"):
            pods[name].start().ready(_READY_SECONDS)
        for name in ("mysql-access", "object-access", "tracking-access", "atlas", "borealis"):
            pods[f"{name}-0"].start()
        _succeeds(found.run("mysql-access", _DATABASE))
        _succeeds(
            found.run(
                "object-access",
                "from modules.data.object_store.inside import access; access.main(report=print)",
            )
        )
        with ThreadPoolExecutor(TRACKING.replicas) as pool:
            servers_of = [pods[f"{settings.SERVER}-{number}"] for number in range(TRACKING.replicas)]
            list(pool.map(BarePod.start, servers_of))
        for each in servers_of:
            each.ready(_READY_SECONDS)
        _succeeds(
            found.run(
                "tracking-access", "from modules.ml.tracking.inside import access; access.main(report=print)"
            )
        )
        yield found


_DATABASE: Final = """
from modules.data.mysql.inside.access import ADMIN, CA, STATE, Access, Desired, Live
desired = Desired.of(STATE.read_text())
user, password = ((ADMIN / name).read_text().strip() for name in ("username", "password"))
Access(Live(desired, user, password, CA), desired).reconcile()
"""


def _succeeds(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
