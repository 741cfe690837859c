"""What the servers of the stores hold: the working set of each pod, as the node's kubelet measures it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, Final

from modules.kit.labels import COMPONENT

_HELD: Final = re.compile(
    r'^pod_memory_working_set_bytes{namespace="([^"]+)",pod="([^"]+)"} (\S+)', re.MULTILINE
)
"""Lines of the kubelet's endpoint /metrics/resource."""


def stores(kubeconfig: str, kubectl: str) -> dict[str, float]:
    """MiB of each server's pod of every store, by ``namespace/pod``. Jobs' pods have ended and are none.

    Raises CalledProcessError when the cluster does not answer.
    """

    def ask(*words: str) -> dict[str, Any]:
        command = [kubectl, f"--kubeconfig={kubeconfig}", "get", *words]
        answer: dict[str, Any] = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )
        return answer

    homes = {
        item["metadata"]["name"]
        for item in ask("namespaces", f"--selector={COMPONENT}=store-namespace", "--output=json")["items"]
    }
    real = [
        item["metadata"]["name"]
        for item in ask("nodes", "--output=json")["items"]
        if "kwok.x-k8s.io/node" not in item["metadata"].get("annotations", {})
    ]
    command = [kubectl, f"--kubeconfig={kubeconfig}", "get"]
    found: dict[str, float] = {}
    for node in real:
        words = [*command, f"--raw=/api/v1/nodes/{node}/proxy/metrics/resource"]
        text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        for namespace, pod, held in _HELD.findall(text):
            if namespace in homes and float(held):
                found[f"{namespace}/{pod}"] = float(held) / 2**20
    return found
