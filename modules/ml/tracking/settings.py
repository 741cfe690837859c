"""How MLflow's server is run: gunicorn's command line, and what MLflow reads from its environment
(https://mlflow.org/docs/latest/self-hosting/architecture/tracking-server/)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modules.data.object_store.config import NAME as BUCKETS
from modules.data.object_store.config import ObjectStore
from modules.data.store import BINDING_PATH
from modules.kit import clients, task
from modules.ml.tracking.config import FOLDER, NAME, NAMESPACE, POOL, POOL_OVERFLOW, PORT, Tracking
from modules.ml.tracking.inside import places

SERVER: Final = "mlflow"
"""Name of the StatefulSet."""

HOST: Final = f"{NAME}.{NAMESPACE}.svc"
NAMES: Final = (HOST, f"{HOST}.cluster.local", f"{NAME}.{NAMESPACE}")
"""What clients call it."""

TLS: Final = "/longhouse-tls"
THREADS: Final = 8
"""Requests that a process works on at one time."""

_LOAD_SECONDS: Final = 180
"""How long a process may take to load MLflow, on a node that is busy."""

GRACE_SECONDS: Final = 60

_SOURCES: Final = r"^(mlflow-artifacts|models|runs):/(?!/)"
"""Where a version of a model may come from: what is tracked here."""


def command(config: Tracking) -> tuple[str, ...]:
    """The server's command line."""
    return (
        *("python3", "-m", "gunicorn", f"--bind=0.0.0.0:{PORT}"),
        *("--worker-class=gthread", f"--workers={config.workers}", f"--threads={THREADS}"),
        *(f"--timeout={_LOAD_SECONDS}", f"--graceful-timeout={GRACE_SECONDS - 10}", "--keep-alive=30"),
        *(f"--certfile={TLS}/tls.crt", f"--keyfile={TLS}/tls.key"),
        "modules.ml.tracking.inside.server:application()",
    )


def environment(store: ObjectStore) -> Mapping[str, str]:
    """What every program with MLflow in it is told; ``store`` is where the tenants' buckets are.

    Nothing leaves: no telemetry. Nothing runs here for tenants: no jobs.
    """
    buckets = f"{BINDING_PATH}/{BUCKETS}"
    return {
        "PYTHONPATH": f"{task.MOUNT}:{clients.PYTHON_PATH}",
        "PYTHONUNBUFFERED": "1",
        # The image holds sources alone; what prepares a pod leaves them compiled for its server.
        "PYTHONPYCACHEPREFIX": "/tmp/python",
        "HOME": "/tmp",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join((*(f"{each}:{PORT}" for each in NAMES), "localhost:*")),
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": _SOURCES,
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(POOL),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(POOL_OVERFLOW),
        # By these MLflow's own command tells its server the same.
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": places.DESTINATION,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "AWS_CONFIG_FILE": f"{buckets}/config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{buckets}/credentials",
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "auto" if store.given else "path",
        places.PREFIX: store.bucket_prefix,
        places.FOLDER: FOLDER,
    }
