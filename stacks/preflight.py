"""``make preflight``: whether the nodes of the cluster that the kubeconfig names are those that the profile declares.

Pools are promises: queues share out what the profile says, whether it is there or not. This asks the nodes, and says each difference in a line,
with the way out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool
from modules.kit import labels, quantities
from profiles.load import load
from profiles.problems import ProfileError

Node = Mapping[str, Any]

_MEMORY_LABEL: Final = "nvidia.com/gpu.memory"
_GPUS: Final = (placement.GPU_RESOURCE, placement.MIG_RESOURCE_PREFIX)
_TEMPORARY: Final = (
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "ToBeDeletedByClusterAutoscaler",
)
"""Taints that Kubernetes and autoscalers put on a node and take off again."""


@dataclass(frozen=True)
class Difference:
    """Something that is not as it is declared."""

    where: str
    """The pool, and the nodes of it."""
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.fault} → {self.remedy}"


def differences(pools: Iterable[NodePool], nodes: Sequence[Node]) -> Iterator[Difference]:
    """What of the nodes, as the API server has them, differs from the pools. The same fault of several nodes of a pool is one difference."""
    of_pool: dict[str, list[Node]] = {}
    for node in nodes:
        of_pool.setdefault(_labels(node).get(labels.POOL, ""), []).append(node)
    for pool in pools:
        own = of_pool.pop(pool.name, [])
        yield from _count(pool, len(own))
        yield from _together(pool, own)
    for name, own in of_pool.items():
        what = f"are of pool {name}, which the profile does not have" if name else "are of no pool"
        yield Difference(
            f"nodes {_names(own)}", what, f"label them {labels.POOL} with a pool's name, or declare the pool"
        )


def _count(pool: NodePool, found: int) -> Iterator[Difference]:
    least = pool.nodes if pool.min_nodes is None else pool.min_nodes
    if not least <= found <= pool.nodes:
        wanted = str(pool.nodes) if least == pool.nodes else f"{least} to {pool.nodes}"
        yield Difference(
            f"pool {pool.name}",
            f"has {found} nodes, and {wanted} are declared",
            f"label the nodes {labels.POOL}={pool.name}, or write nodes: {found or '…'}",
        )


def _together(pool: NodePool, nodes: Sequence[Node]) -> Iterator[Difference]:
    found: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        for fault in (*_ready(node), *_labelled(pool, node), *_tainted(pool, node), *_sized(pool, node)):
            found.setdefault(fault, []).append(node)
    for (what, remedy), own in found.items():
        yield Difference(f"pool {pool.name}, nodes {_names(own)}", what, remedy)


def _ready(node: Node) -> Iterator[tuple[str, str]]:
    conditions = {each["type"]: each["status"] for each in node.get("status", {}).get("conditions", [])}
    if conditions.get("Ready") != "True":
        yield "is not ready", "see `kubectl describe node`"


def _labelled(pool: NodePool, node: Node) -> Iterator[tuple[str, str]]:
    there = _labels(node)
    for key, value in placement.labels(pool).items():
        if there.get(key) == value or (key == _MEMORY_LABEL and _about(there.get(key), value)):
            continue
        said = f"is {there[key]}" if key in there else "is missing"
        yield f"label {key} {said}, and {value} is declared", _way_out(key)
    for key in pool.topology:
        if key not in there:
            yield f"label {key} is missing", "label each node with its place in the network"


def _tainted(pool: NodePool, node: Node) -> Iterator[tuple[str, str]]:
    there = {
        placement.Taint(each["key"], each.get("value", ""), each["effect"])
        for each in node["spec"].get("taints", [])
    }
    for taint in placement.taints(pool):
        if taint not in there:
            said = f"{taint.key}={taint.value}:{taint.effect}"
            yield f"taint {said} is missing", f"taint the nodes `{said}`, else other work takes their room"
    for taint in sorted(there - set(placement.taints(pool))):
        if taint.effect != "PreferNoSchedule" and not taint.key.startswith(_TEMPORARY):
            said = f"{taint.key}={taint.value}:{taint.effect}"
            yield (
                f"taint {said} is declared nowhere",
                f"take it off (`{said}-`): nothing that the queues admit tolerates it",
            )


def _sized(pool: NodePool, node: Node) -> Iterator[tuple[str, str]]:
    there = node["status"].get("allocatable", {})
    gpu = placement.gpu_resource(pool)
    for name, wanted in placement.allocatable(pool).items():
        found = there.get(name)
        if name == gpu:
            if found != wanted:
                yield (
                    f"gives out {found or 'no'} {name}, and {wanted} are declared",
                    "see that NVIDIA's programs run there with the pool's configuration (docs/gpus.md)",
                )
        elif found is None or quantities.amount(found) < quantities.amount(wanted):
            yield f"has {found or 'no'} {name} for pods, and {wanted} is declared", f"write {name}: {found}"
    for name in sorted(there):
        if name.startswith(_GPUS) and name != gpu and quantities.amount(there[name]) > 0:
            yield (
                f"gives out {there[name]} {name}, which is not declared",
                "declare how the pool's GPUs are shared, or share them as declared",
            )


def _about(found: str | None, declared: str) -> bool:
    """Whether the memory that a driver reports is the declared one: a driver keeps some of it, and vendors round up."""
    return found is not None and found.isdigit() and 0.9 <= int(found) / int(declared) <= 1.03


def _way_out(key: str) -> str:
    if key == placement.DRIVER_LABEL:
        return "install that driver, or write gpu.driver as it is"
    if key.startswith("nvidia.com/"):
        return "see that GPU feature discovery runs there, and that the pool's gpu describes what it finds"
    return "label the nodes"


def _labels(node: Node) -> Mapping[str, str]:
    return node["metadata"].get("labels") or {}


def _names(nodes: Sequence[Node]) -> str:
    names = sorted(node["metadata"]["name"] for node in nodes)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def main(arguments: list[str] | None = None) -> int:
    """Print the differences; the exit code is 1 when there is one, or nothing could be compared."""
    parser = argparse.ArgumentParser(prog="python -m stacks.preflight", description=__doc__)
    parser.add_argument("--profile", required=True, help="name of the profile")
    try:
        profile = load(parser.parse_args(arguments).profile)
    except ProfileError as error:
        print(error, file=sys.stderr)
        return 1
    context = [f"--context={profile.cluster.context}"] if profile.cluster.context else []
    try:
        asked = subprocess.run(
            ["kubectl", *context, "get", "nodes", "--output=json"],
            check=False,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        print("kubectl is missing: install it, it asks the cluster", file=sys.stderr)
        return 1
    if asked.returncode != 0:
        print(f"the cluster gave no list of nodes: {asked.stderr.strip()}", file=sys.stderr)
        return 1
    nodes = json.loads(asked.stdout)["items"]
    pools = profile.node_pools.values()
    found = list(differences(pools, nodes))
    for each in found:
        print(each)
    if not found:
        print(f"{len(nodes)} nodes are those of the {len(pools)} pools that profile {profile.name} declares.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
