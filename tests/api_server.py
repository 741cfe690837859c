"""An API server for tests, from the programs that the sandbox has built or found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from policies import api_server as throw_away
from policies.api_server import Answer, Client, Programs
from sandbox import tools

__all__ = ["Answer", "ApiServer", "Client", "api_server", "controllers"]


class ApiServer(throw_away.ApiServer):
    """One that is given objects."""

    def create(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Create objects; an AssertionError with what was complained of when one is refused."""
        done = self.kubectl("create", "--filename=-", stdin=_list(objects))
        assert done.returncode == 0, done.stderr

    def refusals(self, objects: Iterable[Mapping[str, Any]]) -> str:
        """Why the API server would not take some of the objects, unknown fields included; empty when it would take all."""
        words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-")
        done = self.kubectl(*words, stdin=_list(objects))
        return "" if done.returncode == 0 else done.stderr.strip()


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """An API server that keeps its files in ``folder``, for as long as the body runs."""
    programs = Programs(
        etcd=_program(tools.ETCD, "etcd", folder),
        kube_apiserver=_program(tools.KUBERNETES, "kube-apiserver", folder),
        kubectl=_program(tools.KUBERNETES, "kubectl", folder),
    )
    with throw_away.started(folder, programs) as running:
        running.wait()
        yield ApiServer(**vars(running))


def controllers(server: ApiServer) -> AbstractContextManager[None]:
    """Kubernetes' own controllers beside it, as few as may be, for as long as the body runs."""
    return throw_away.controllers(
        server, _program(tools.KUBERNETES, "kube-controller-manager", server.folder)
    )


def _program(tool: tools.Tool, name: str, folder: Path) -> Path:
    """A program under one of its names."""
    built = tool.on_path() or tool.program.path
    assert built.exists(), f"{name} is not built: `make up` first"
    link = folder / name
    link.symlink_to(built)
    return link


def _list(objects: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
