"""TensorBoard, which ends itself when nobody has looked for a while: it scales its own Deployment to zero, and may do nothing else.

::

    python3 -m modules.ml.tensorboard.inside.watched s3://longhouse-atlas/tensorboard --idle-minutes=30 --reload-seconds=30 --port=6006

A tab that reloads itself looks, one in the background does not: TensorBoard's pages stop asking while they are hidden.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from modules.kit.inside.api_server import ApiServer

NAME: Final = "tensorboard"
ALIVE: Final = "/alive"
"""Where the kubelet asks. TensorBoard has nothing there, and asking is not looking."""

_PAUSE_SECONDS: Final = 5.0

Environment = Mapping[str, Any]
Answer = Callable[..., Any]


class Watched:
    """A WSGI application, and how long ago somebody last asked it for something. One that was just made was just asked."""

    def __init__(
        self,
        application: Callable[[Any, Answer], Iterable[bytes]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._application, self._clock = application, clock
        self._last = clock()

    def __call__(self, environ: Environment, start_response: Answer) -> Iterable[bytes]:
        """Answer a request."""
        if environ.get("PATH_INFO") == ALIVE:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"alive\n"]
        self._last = self._clock()
        return self._application(environ, start_response)

    @property
    def idle(self) -> float:
        """Seconds since somebody last asked."""
        return self._clock() - self._last


def close(server: ApiServer) -> None:
    """Scale the Deployment to zero. Raises OSError when that is refused."""
    server.apply(
        f"/apis/apps/v1/namespaces/{server.namespace}/deployments/{NAME}/scale",
        {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": NAME, "namespace": server.namespace},
            "spec": {"replicas": 0},
        },
    )


def close_when_idle(
    watched: Watched, seconds: float, end: Callable[[], None], pause: Callable[[float], None] = time.sleep
) -> None:
    """Return once nobody has asked for so long and it was ended. An end that fails is tried again."""
    while True:
        pause(_PAUSE_SECONDS)
        if watched.idle < seconds:
            continue
        try:
            end()
        except OSError as problem:
            print(f"cannot end: {problem}", flush=True)
            continue
        print(f"nobody has looked for {watched.idle:.0f} s: ended", flush=True)
        return


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until this pod is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("logs")
    parser.add_argument("--idle-minutes", type=float, required=True)
    parser.add_argument("--reload-seconds", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args(arguments)
    from tensorboard import program

    def served(application: Any, flags: Any) -> Any:
        watched = Watched(application)
        threading.Thread(
            target=close_when_idle,
            args=(watched, asked.idle_minutes * 60, lambda: close(ApiServer())),
            daemon=True,
        ).start()
        return program.create_port_scanning_werkzeug_server(watched, flags)

    board = program.TensorBoard(server_class=served)
    # Its faster loader, a program of its own, reads no S3.
    board.configure(
        logdir=asked.logs,
        load_fast="false",
        reload_interval=asked.reload_seconds,
        host="0.0.0.0",
        port=asked.port,
    )
    board.main()


if __name__ == "__main__":
    main()
