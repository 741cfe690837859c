"""kubectl on the embedded cluster, and on no other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.places import BIN, KUBECONFIG
from sandbox.shell import run


def kubectl(*words: str, stdin: str | None = None) -> str:
    """Run kubectl with the embedded cluster's kubeconfig; returns what it printed."""
    return run(BIN / "kubectl", f"--kubeconfig={KUBECONFIG}", *words, stdin=stdin)


def apply(objects: Sequence[Mapping[str, Any]]) -> None:
    """Apply objects on the server's side, as the sandbox."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=longhouse-sandbox",
        "--filename=-",
        stdin=listed,
    )
