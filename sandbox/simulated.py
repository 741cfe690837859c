"""Simulated nodes, run by kwok: as many as a profile's pools declare, with their sizes, labels, taints and GPUs.

Pods on them are scheduled, admitted, counted and preempted as anywhere, and no program runs. A Job's pod succeeds after
the time in its annotation ``longhouse.dev/simulated-runtime`` (such as ``90s``), or after a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool
from sandbox import tools
from sandbox.kubectl import kubectl
from sandbox.places import BIN, CHECKOUT, KUBECONFIG
from sandbox.process import Process
from upstream import module_directory

_ANNOTATION = ("kwok.x-k8s.io/node", "fake")
_FILES = CHECKOUT / "sandbox" / "files"
_STAGES = (
    "kustomize/stage/node/fast/node-initialize.yaml",
    "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "kustomize/stage/pod/fast/pod-ready.yaml",
    "kustomize/stage/pod/fast/pod-delete.yaml",
)
_LEASE_SECONDS = 40
_HOSTNAME = "kubernetes.io/hostname"


KWOK = Process("kwok")
"""The program that plays the kubelets of the simulated nodes, and never a real one's."""


def start(enter: Callable[..., tuple[str, ...]]) -> None:
    """Start kwok, unless it runs; ``enter`` turns a command into the one that runs it beside the control plane."""
    KWOK.ensure(enter(*command(BIN / "kwok", KUBECONFIG)))


def command(program: Path, kubeconfig: Path) -> tuple[str | Path, ...]:
    """What runs kwok before the API server that a kubeconfig names."""
    pin = tools.KWOK.program
    module = module_directory(pin.folder, pin.module)
    stages = [*(module / stage for stage in _STAGES), _FILES / "pod-complete.yaml"]
    return (
        program, f"--kubeconfig={kubeconfig}", "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={'='.join(_ANNOTATION)}",
        f"--node-lease-duration-seconds={_LEASE_SECONDS}", *(f"--config={stage}" for stage in stages),
    )  # fmt: skip


def nodes(pools: Sequence[NodePool], real: str | None) -> list[dict[str, Any]]:
    """The Node objects of the pools. ``real`` names the pool whose first node is a real one, left out here."""
    return [
        _node(pool, number)
        for pool in pools
        for number in range(1 if pool.name == real else 0, pool.nodes)
    ]  # fmt: skip


def reconcile(wanted: Sequence[Mapping[str, Any]]) -> None:
    """Make the cluster's simulated nodes those that are wanted; a node whose size changed is made anew."""
    items = json.loads(kubectl("get", "nodes", "--output=json"))["items"]
    present = {node["metadata"]["name"]: node for node in items if _is_simulated(node)}
    desired = {node["metadata"]["name"]: node for node in wanted}
    stale = [name for name, node in present.items() if name not in desired or not _same(node, desired[name])]
    if stale:
        kubectl("delete", "node", "--wait=true", *stale)
    fresh = [node for name, node in desired.items() if name not in present or name in stale]
    if fresh:
        kubectl(
            "create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": fresh})
        )


def _node(pool: NodePool, number: int) -> dict[str, Any]:
    name = f"{pool.name}-{number}"
    size = dict(placement.allocatable(pool))
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": dict([_ANNOTATION]),
            "labels": {
                _HOSTNAME: name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                **placement.labels(pool),
                **_place(pool, number),
            },
        },
        "spec": {"taints": [taint._asdict() for taint in placement.taints(pool)]},
        "status": {"capacity": size, "allocatable": size},
    }


def _place(pool: NodePool, number: int) -> dict[str, str]:
    """Where in the network a node of that number is: two share the narrowest level above the node itself, twice as many each wider one."""
    levels = [label for label in pool.topology if label != _HOSTNAME]
    return {
        label: f"{pool.name}-{label.rpartition('/')[2]}-{number >> depth}"
        for depth, label in enumerate(reversed(levels), start=1)
    }


def _is_simulated(node: Mapping[str, Any]) -> bool:
    key, value = _ANNOTATION
    return bool(node["metadata"].get("annotations", {}).get(key) == value)


def _same(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    kept = {key: present["metadata"]["labels"].get(key) for key in wanted["metadata"]["labels"]}
    taints = [
        taint
        for taint in present["spec"].get("taints", [])
        if not taint["key"].startswith("node.kubernetes.io/")
    ]
    return (
        kept == wanted["metadata"]["labels"]
        and taints == wanted["spec"]["taints"]
        and all(
            present["status"]["allocatable"].get(key) == value
            for key, value in wanted["status"]["allocatable"].items()
        )
    )
