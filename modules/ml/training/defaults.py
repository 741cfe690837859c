"""What a tenant's jobs get unasked: environment, by its ConfigMap ``training-defaults``, and the bindings of the stores that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modules.data.store import BINDING_PATH
from modules.ml.tracking import accounts as tracking
from modules.ml.tracking.config import NAME as TRACKING
from modules.ml.training.config import CHECKPOINTS, LOGS, CheckpointStore, TrainingShare

CHECKPOINT_DIR: Final = "CHECKPOINT_DIR"
LOG_DIR: Final = "TENSORBOARD_LOG_DIR"
EXPERIMENT: Final = "MLFLOW_EXPERIMENT_NAME"
PER_JOB: Final = (CHECKPOINT_DIR, LOG_DIR, EXPERIMENT)
"""Places, and the experiment, of which each job has its own, below its name."""

EXPERIMENTS: Final = "training"
"""First part of the name of each job's experiment."""

OBJECT_STORE: Final = "object-store"
HDFS: Final = "hdfs"
BINDINGS: Final = (OBJECT_STORE, HDFS, TRACKING)
"""Secrets that each pod finds below ``/bindings``, where the tenant has them."""


@dataclass(frozen=True)
class Cache:
    """Where a node's own copies of datasets are read, and whom to trust there, as PEM text."""

    endpoint: str
    trusted: str


@dataclass(frozen=True)
class Stores:
    """What of the platform a tenant's jobs are made ready for; None for what the tenant has not.

    ``bucket`` is the bucket's name, ``home`` the tenant's home in HDFS (``hdfs://service/path``), ``tracked`` says that it has MLflow,
    ``cache`` where its nodes' copies of datasets are.
    """

    bucket: str | None = None
    home: str | None = None
    tracked: bool = False
    cache: Cache | None = None


def environment(stores: Stores, share: TrainingShare) -> dict[str, str]:
    """Variables of every container of the tenant's jobs. Those of ``PER_JOB`` name what all its jobs have theirs in."""
    return {
        # A user without a name in the image has no home of its own there.
        "HOME": "/tmp",
        "PYTHONUNBUFFERED": "1",
        **(_object_store(stores.bucket) if stores.bucket else {}),
        **(_hdfs() if stores.home else {}),
        **_checkpoints(stores, share.checkpoints),
        **(
            {"DATASET_CACHE": stores.cache.endpoint, "DATASET_CACHE_CA": stores.cache.trusted}
            if stores.cache
            else {}
        ),
        **({**tracking.environment(), EXPERIMENT: EXPERIMENTS} if stores.tracked else {}),
    }


def _object_store(bucket: str) -> Mapping[str, str]:
    """Where the two files are that all of AWS's libraries read, with the endpoint and whom to trust in them."""
    folder = f"{BINDING_PATH}/{OBJECT_STORE}"
    return {
        "AWS_CONFIG_FILE": f"{folder}/config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/credentials",
        LOG_DIR: f"s3://{bucket}/{LOGS}",
    }


def _hdfs() -> Mapping[str, str]:
    """MIT Kerberos finds the key itself."""
    folder = f"{BINDING_PATH}/{HDFS}"
    return {
        "KRB5_CONFIG": f"{folder}/krb5.conf",
        "KRB5_CLIENT_KTNAME": f"FILE:{folder}/keytab",
        "KRB5CCNAME": "FILE:/tmp/tickets",
    }


def _checkpoints(stores: Stores, store: CheckpointStore) -> Mapping[str, str]:
    if store is CheckpointStore.HDFS:
        return {CHECKPOINT_DIR: f"{stores.home}/{CHECKPOINTS}"} if stores.home else {}
    return {CHECKPOINT_DIR: f"s3://{stores.bucket}/{CHECKPOINTS}"} if stores.bucket else {}
