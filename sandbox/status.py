"""What runs and where to look."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from modules.kit.labels import COMPONENT, POOL, TENANT
from sandbox import cluster
from sandbox.kubectl import kubectl
from sandbox.places import KUBECONFIG, LOGS
from sandbox.shell import SandboxError


def show(console: Console) -> None:
    """Print nodes, tenants and the addresses of everything a person may want to open.

    Raises SandboxError when no embedded cluster answers.
    """
    if not cluster.running():
        raise SandboxError("no embedded cluster runs: `make up` starts one")
    console.print(*filter(None, (_nodes(), _tenants(), _stores())))
    console.print(
        "kubectl     KUBECONFIG=" + str(KUBECONFIG), "logs        " + str(LOGS),
        'a shell     eval "$(.venv/bin/python -m sandbox env)", then kubectl, pulumi', sep="\n", markup=False,
    )  # fmt: skip


def _items(*words: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(kubectl("get", *words, "--output=json"))["items"]
    return items


def _nodes() -> Table:
    table = Table("pool", "nodes", "ready", "kind", "pods", "GPUs", title="Nodes", title_justify="left")
    running = [pod["spec"].get("nodeName") for pod in _items("pods", "--all-namespaces")]
    pools: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for node in _items("nodes"):
        simulated = "kwok.x-k8s.io/node" in node["metadata"].get("annotations", {})
        pools.setdefault((node["metadata"]["labels"].get(POOL, "-"), simulated), []).append(node)
    for (pool, simulated), members in sorted(pools.items()):
        names = {node["metadata"]["name"] for node in members}
        ready = sum(
            condition["status"] == "True"
            for node in members
            for condition in node["status"].get("conditions", [])
            if condition["type"] == "Ready"
        )
        devices = sum(
            int(count)
            for node in members
            for resource, count in node["status"]["allocatable"].items()
            if resource.startswith("nvidia.com/")
        )
        pods = sum(name in names for name in running)
        table.add_row(
            pool, str(len(members)), str(ready), "simulated" if simulated else "real", str(pods), str(devices)
        )
    return table


def _tenants() -> Table:
    table = Table("tenant", "namespace", "owner", "pods", "queues", title="Tenants", title_justify="left")
    queues = _items("localqueues.kueue.x-k8s.io", "--all-namespaces") if _has_queues() else []
    pods = _items("pods", "--all-namespaces")
    for namespace in _items("namespaces", f"--selector={TENANT}"):
        meta = namespace["metadata"]
        table.add_row(
            meta["labels"][TENANT], meta["name"], meta["labels"].get("longhouse.dev/owner", "-"),
            str(sum(pod["metadata"]["namespace"] == meta["name"] for pod in pods)),
            ", ".join(queue["metadata"]["name"] for queue in queues if queue["metadata"]["namespace"] == meta["name"]),
        )  # fmt: skip
    return table


def _stores() -> Table | None:
    """The stores and how many of their servers are ready; None where the profile has none."""
    table = Table("store", "servers", title="Stores", title_justify="left")
    for store in _items("namespaces", f"--selector={COMPONENT}=store-namespace"):
        name = store["metadata"]["name"]
        servers = _items("statefulsets", f"--namespace={name}")
        said = (
            f"{each['metadata']['name']} {each['status'].get('readyReplicas', 0)}/{each['spec']['replicas']}"
            for each in servers
        )
        table.add_row(name, ", ".join(said))
    return table if table.row_count else None


def _has_queues() -> bool:
    return "localqueues.kueue.x-k8s.io" in kubectl("get", "crd", "--output=name")
