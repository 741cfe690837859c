"""What the servers of the stores take: the working set of each pod, as the node's kubelet measures it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from modules.kit.labels import COMPONENT


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
    found: dict[str, float] = {}
    for node in real:
        for pod in ask(f"--raw=/api/v1/nodes/{node}/proxy/stats/summary")["pods"]:
            reference = pod["podRef"]
            if reference["namespace"] in homes and (mib := working_set(pod)):
                found[f"{reference['namespace']}/{reference['name']}"] = mib
    return found


def working_set(pod: Mapping[str, Any]) -> float:
    """MiB that a pod's containers hold and that cannot be taken back; 0 where none runs."""
    held = sum(each.get("memory", {}).get("workingSetBytes", 0) for each in pod.get("containers", []))
    return float(held) / 2**20
