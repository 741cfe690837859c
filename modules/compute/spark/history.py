"""A tenant's history server: it reads the logs that the tenant's applications leave in its bucket, with the tenant's key.

One for all tenants would need the keys of all, and would show each what the others ran: Spark's own has no accounts.
"""

from __future__ import annotations

from typing import Final

from modules.compute.spark import image
from modules.compute.spark.config import History, quantity
from modules.compute.spark.defaults import BINDINGS, Bucket
from modules.kit.pods import Container, Pod, Probe, SecretFiles

NAME: Final = "spark-history"
PORT: Final = 18080
"""Its pages, and its API below `/api/v1`; Spark's usual one."""

_STORE: Final = "object-store"
_UP: Final = "/api/v1/version"


def settings(bucket: Bucket) -> dict[str, str]:
    """Its settings (https://spark.apache.org/docs/4.0.0/monitoring.html)."""
    return {
        **bucket.access,
        "spark.eventLog.enabled": "true",
        "spark.history.fs.logDirectory": bucket.event_logs,
        "spark.history.ui.port": str(PORT),
    }


def pod(config: History, bucket: Bucket, registry: str | None) -> Pod:
    """The pod. It serves whoever reaches it, which are the pods of its own namespace."""
    container = Container(
        name=NAME,
        image=image.image(registry),
        command=(
            image.START,
            "history",
            config.memory,
            *(f"{key}={value}" for key, value in settings(bucket).items()),
        ),
        cpu=config.cpu,
        memory=quantity(config.memory),
        ports={"http": PORT},
        startup=Probe(path=_UP, port=PORT, period_seconds=5, failures=60),
        readiness=Probe(path=_UP, port=PORT),
        liveness=Probe(path=_UP, port=PORT, failures=6),
    )
    return Pod(
        containers=(container,),
        secrets=(SecretFiles(_STORE, f"{BINDINGS}/{_STORE}", existing=_STORE),),
        user=image.USER,
    )
