"""Preflight: each way in which nodes can differ from their pools is said, once, with a way out."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool
from profiles.load import load, names
from sandbox import simulated
from stacks import preflight
from tests.unit.examples import A100, L4, cloud_pool, pool

RACKS = pool(
    "a100",
    nodes=2,
    gpu={**A100, "driver": "580.95.05"},
    topology=["topology.example.com/rack", "kubernetes.io/hostname"],
    node_labels={"feature.node.kubernetes.io/rdma.capable": "true"},
)
CUT = pool("mig", gpu={**A100, "sharing": {"mode": "mig", "layout": {"1g.10gb": 7}}})
TURNS = pool("l4", gpu={**L4, "sharing": {"mode": "time-slicing", "replicas": 4}})
ELASTIC = cloud_pool("rented", nodes=3, min_nodes=1)

Node = dict[str, Any]


def ready(*pools: NodePool) -> list[Node]:
    """The pools' nodes as they are declared, and ready."""
    found = simulated.nodes(pools, real=None)
    for each in found:
        each["status"] = {
            **copy.deepcopy(each["status"]),
            "conditions": [{"type": "Ready", "status": "True"}],
        }
    return found


def said(nodes: list[Node], *pools: NodePool) -> list[str]:
    return [str(each) for each in preflight.differences(pools, nodes)]


@pytest.mark.parametrize("profile", names())
def test_nodes_as_a_shipped_profile_declares_them_differ_in_nothing(profile: str) -> None:
    pools = tuple(load(profile).node_pools.values())
    assert said(ready(*pools), *pools) == []


@pytest.mark.parametrize(
    ("pool", "path", "value", "expected"),
    [
        (RACKS, ("metadata", "labels", "nvidia.com/gpu.product"), "NVIDIA-A100-PCIE-40GB",
         "label nvidia.com/gpu.product is NVIDIA-A100-PCIE-40GB, and NVIDIA-A100-SXM4-80GB is declared"),
        (RACKS, ("metadata", "labels", "nvidia.com/gpu.count"), "7", "label nvidia.com/gpu.count is 7, and 8 is declared"),
        (RACKS, ("metadata", "labels", "nvidia.com/gpu.memory"), "40960", "label nvidia.com/gpu.memory is 40960, and 81920 is declared"),
        (RACKS, ("metadata", "labels", "nvidia.com/cuda.driver-version.full"), "570.86.15",
         "label nvidia.com/cuda.driver-version.full is 570.86.15, and 580.95.05 is declared → install that driver"),
        (RACKS, ("metadata", "labels", "topology.example.com/rack"), None, "label topology.example.com/rack is missing"),
        (RACKS, ("metadata", "labels", "feature.node.kubernetes.io/rdma.capable"), None,
         "label feature.node.kubernetes.io/rdma.capable is missing, and true is declared → label the nodes"),
        (RACKS, ("spec", "taints"), [], "taint nvidia.com/gpu=present:NoSchedule is missing → taint the nodes"),
        (RACKS, ("spec", "taints"), [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}, {"key": "own", "effect": "NoExecute"}],
         "taint own=:NoExecute is declared nowhere → take it off"),
        (RACKS, ("status", "allocatable", "nvidia.com/gpu"), "7", "gives out 7 nvidia.com/gpu, and 8 are declared"),
        (RACKS, ("status", "allocatable", "nvidia.com/gpu"), None, "gives out no nvidia.com/gpu, and 8 are declared"),
        (RACKS, ("status", "allocatable", "nvidia.com/gpu.shared"), "32", "gives out 32 nvidia.com/gpu.shared, which is not declared"),
        (RACKS, ("status", "allocatable", "cpu"), "15500m", "has 15500m cpu for pods, and 16 is declared → write cpu: 15500m"),
        (RACKS, ("status", "allocatable", "memory"), "62Gi", "has 62Gi memory for pods, and 64Gi is declared"),
        (RACKS, ("status", "conditions"), [{"type": "Ready", "status": "Unknown"}], "is not ready"),
        (CUT, ("status", "allocatable", "nvidia.com/mig-1g.10gb"), "28", "gives out 28 nvidia.com/mig-1g.10gb, and 56 are declared"),
        (CUT, ("metadata", "labels", "nvidia.com/mig.config"), "all-disabled", "label nvidia.com/mig.config is all-disabled, and mig is declared"),
        (CUT, ("status", "allocatable", "nvidia.com/gpu"), "8", "gives out 8 nvidia.com/gpu, which is not declared"),
        (TURNS, ("status", "allocatable", "nvidia.com/gpu.shared"), "4", "gives out 4 nvidia.com/gpu.shared, and 16 are declared"),
    ],
)  # fmt: skip
def test_a_difference_is_said_in_a_line_with_its_way_out(
    pool: NodePool, path: tuple[str, ...], value: Any, expected: str
) -> None:
    nodes = ready(pool)
    holder = nodes[0]
    for key in path[:-1]:
        holder = holder[key]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    (line,) = said(nodes, pool)
    assert line.startswith(f"pool {pool.name}, nodes {pool.name}-0: {expected}"), line
    assert line.partition(" → ")[2], "the way out must be told"
    assert "\n" not in line


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "labels", "nvidia.com/gpu.memory"), "81559"),
        (("status", "allocatable", "cpu"), "17"),
        (("status", "allocatable", "nvidia.com/mig-1g.10gb"), "0"),
        (("metadata", "labels", "own"), "label"),
    ],
)
def test_what_a_driver_keeps_and_what_is_more_than_declared_is_no_difference(
    path: tuple[str, ...], value: str
) -> None:
    nodes = ready(RACKS)
    holder = nodes[0]
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    assert said(nodes, RACKS) == []


def test_taints_that_kubernetes_takes_off_again_are_no_difference() -> None:
    nodes = ready(RACKS)
    nodes[0]["spec"]["taints"].append({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"})
    assert said(nodes, RACKS) == []


def test_the_same_of_several_nodes_is_said_once() -> None:
    nodes = ready(pool("a100", nodes=5, gpu=A100))
    for each in nodes:
        each["spec"]["taints"] = []
    (line,) = said(nodes, pool("a100", nodes=5, gpu=A100))
    assert line.startswith("pool a100, nodes a100-0, a100-1, a100-2 and 2 more: taint")


@pytest.mark.parametrize(("there", "fits"), [(0, False), (1, True), (3, True), (4, False)])
def test_an_elastic_pool_has_between_its_fewest_and_its_most_nodes(there: int, fits: bool) -> None:
    nodes = ready(ELASTIC.model_copy(update={"nodes": 4}))[:there]
    assert (said(nodes, ELASTIC) == []) is fits


def test_a_missing_node_of_a_fixed_pool_is_told() -> None:
    (line,) = said(ready(RACKS)[:1], RACKS)
    assert line.startswith("pool a100: has 1 nodes, and 2 are declared → ")


def test_nodes_of_no_pool_and_of_an_unknown_one_are_told() -> None:
    nodes = ready(pool("old"), pool("none"))
    del nodes[1]["metadata"]["labels"]["longhouse.dev/pool"]
    assert [line.partition(" → ")[0] for line in said(nodes)] == [
        "nodes old-0: are of pool old, which the profile does not have",
        "nodes none-0: are of no pool",
    ]


def _kubectl(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, nodes: list[Node] | None) -> None:
    answer = tmp_path / "nodes.json"
    answer.write_text(json.dumps({"items": nodes}))
    program = tmp_path / "kubectl"
    program.write_text(
        f"#!/bin/sh\n{'cat ' + str(answer) if nodes is not None else 'echo away >&2; exit 1'}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.parametrize(
    ("nodes", "code", "words"),
    [
        (ready(*load("local").node_pools.values()), 0, "7 nodes are those of the 3 pools that profile local declares"),
        ([], 1, "pool general: has 0 nodes, and 1 are declared"),
        (None, 1, "the cluster gave no list of nodes: away"),
    ],
)  # fmt: skip
def test_the_exit_code_says_whether_all_is_as_declared(
    nodes: list[Node] | None,
    code: int,
    words: str,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _kubectl(tmp_path, monkeypatch, nodes)
    assert preflight.main(["--profile", "local"]) == code
    captured = capsys.readouterr()
    assert words in captured.out + captured.err


def test_a_profile_that_is_wrong_is_told_before_anybody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert preflight.main(["--profile", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_every_taint_of_a_pool_is_looked_for() -> None:
    rented = cloud_pool("rented", gpu=A100)
    nodes = ready(rented)
    nodes[0]["spec"]["taints"] = []
    assert len(said(nodes, rented)) == len(placement.taints(rented)) == 2
