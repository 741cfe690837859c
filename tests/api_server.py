"""An API server for tests, from the programs that the sandbox has built or found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policies import api_server as throw_away
from policies.api_server import Answer, ApiServer, Client, Programs
from sandbox import tools

__all__ = ["Answer", "ApiServer", "Client", "api_server"]


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
        yield running


def _program(tool: tools.Tool, name: str, folder: Path) -> Path:
    """A program under one of its names."""
    built = tool.on_path() or tool.program.path
    assert built.exists(), f"{name} is not built: `make up` first"
    link = folder / name
    link.symlink_to(built)
    return link
