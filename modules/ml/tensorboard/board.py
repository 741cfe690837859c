"""The pod of a tenant's TensorBoard: it reads what the tenant's jobs log, with the tenant's key.

One for all tenants would need the keys of all, and has no accounts: each would see what the others train.
"""

from __future__ import annotations

from typing import Final

from modules.data.store import BINDING_PATH
from modules.kit import task
from modules.kit.pods import TMP, Container, Pod, Probe, SecretFiles
from modules.kit.task import Program
from modules.ml.tensorboard.config import NAME, PORT, TensorBoard
from modules.ml.tensorboard.inside.watched import ALIVE
from modules.ml.training import image
from modules.ml.training.config import LOGS

PROGRAM: Final = Program("modules.ml.tensorboard.inside.watched")
_STORE: Final = "object-store"
_BINDING: Final = f"{BINDING_PATH}/{_STORE}"


def pod(config: TensorBoard, bucket: str, registry: str | None) -> Pod:
    """It serves whoever reaches it, which are the pods of its own namespace, and who may forward a port to it. ``registry`` is where the image
    for training, which holds TensorBoard, was pushed to."""
    container = Container(
        name=NAME,
        image=image.image(registry),
        command=(
            "python3",
            "-m",
            PROGRAM.module,
            f"s3://{bucket}/{LOGS}",
            f"--idle-minutes={config.idle_minutes}",
            f"--reload-seconds={config.reload_seconds}",
            f"--port={PORT}",
        ),
        cpu=config.cpu,
        memory=config.memory,
        ports={"http": PORT},
        environment={
            "AWS_CONFIG_FILE": f"{_BINDING}/config",
            "AWS_SHARED_CREDENTIALS_FILE": f"{_BINDING}/credentials",
            "HOME": TMP,
            "PYTHONPATH": task.MOUNT,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        startup=Probe(path=ALIVE, port=PORT, period_seconds=2, failures=90),
        readiness=Probe(path=ALIVE, port=PORT),
        liveness=Probe(path=ALIVE, port=PORT, failures=6),
    )
    return Pod(
        containers=(container,),
        files=PROGRAM.data,
        files_path=task.MOUNT,
        paths=PROGRAM.paths,
        secrets=(SecretFiles(_STORE, _BINDING, existing=_STORE),),
        user=image.USER,
        grace_seconds=5,
        service_account=NAME,
    )
