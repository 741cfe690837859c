"""What follows from a node pool's record."""

from __future__ import annotations

from typing import Any

import pytest

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import Nccl, NodePool

A100 = {"product": "NVIDIA-A100-SXM4-80GB", "count": 8, "memory": "80Gi"}


def pool(**changes: Any) -> NodePool:
    """A pool of two home nodes, with the changes."""
    plain = {"name": "a100", "site": "home", "nodes": 2, "cpu": "32", "memory": "256Gi"}
    return NodePool.model_validate({**plain, **changes})


def shared(**sharing: Any) -> NodePool:
    """A pool of A100s, shared that way."""
    return pool(gpu={**A100, "sharing": sharing})


def test_a_pool_without_gpus_offers_no_gpu_resource_label_or_taint() -> None:
    plain = pool()
    assert placement.allocatable(plain) == {"cpu": "32", "memory": "256Gi", "pods": "110"}
    assert placement.labels(plain) == {"longhouse.dev/pool": "a100", "longhouse.dev/site": "home"}
    assert placement.taints(plain) == ()
    assert placement.gpu_resource(plain) is None
    assert placement.gpu_capacity(plain) == 0


def test_whole_gpus_are_counted_as_hardware() -> None:
    whole = pool(gpu=A100)
    assert placement.allocatable(whole)["nvidia.com/gpu"] == "8"
    assert placement.gpu_capacity(whole) == 16
    assert placement.taints(whole) == (("nvidia.com/gpu", "present", "NoSchedule"),)
    found = placement.labels(whole)
    assert found["nvidia.com/gpu.product"] == "NVIDIA-A100-SXM4-80GB"
    assert found["nvidia.com/gpu.memory"] == "81920"
    assert found["nvidia.com/mig.capable"] == "true"
    assert "nvidia.com/mig.strategy" not in found


def test_turns_on_a_gpu_are_another_resource_than_a_whole_one() -> None:
    sliced = shared(mode="time-slicing", replicas=4)
    assert placement.allocatable(sliced)["nvidia.com/gpu.shared"] == "32"
    assert "nvidia.com/gpu" not in placement.allocatable(sliced)
    assert placement.gpu_capacity(sliced) == 64
    assert placement.labels(sliced)["nvidia.com/gpu.product"] == "NVIDIA-A100-SXM4-80GB", (
        "the resource's name says that it is shared"
    )
    assert placement.labels(sliced)["nvidia.com/gpu.replicas"] == "4"
    assert placement.labels(sliced)["nvidia.com/gpu.sharing-strategy"] == "time-slicing"
    assert placement.labels(sliced)["nvidia.com/gpu.count"] == "8", "the hardware stays what it is"


def test_mig_offers_slices_in_place_of_gpus() -> None:
    cut = shared(mode="mig", layout={"1g.10gb": 7})
    offered = placement.allocatable(cut)
    assert offered["nvidia.com/mig-1g.10gb"] == "56"
    assert "nvidia.com/gpu" not in offered
    assert placement.gpu_capacity(cut) == 112
    assert placement.labels(cut)["nvidia.com/mig.strategy"] == "mixed"
    assert placement.labels(cut)["nvidia.com/gpu.replicas"] == "0", "no whole GPU is given out"
    assert placement.labels(cut)["nvidia.com/gpu.sharing-strategy"] == "none"
    assert placement.labels(cut)["nvidia.com/mig-1g.10gb.count"] == "56"


def test_media_extensions_are_spelt_as_a_resource_name_may_be() -> None:
    assert placement.gpu_resource(shared(mode="mig", layout={"1g.10gb+me": 1})) == "nvidia.com/mig-1g.10gb.me"


def test_cloud_nodes_carry_their_region_and_keep_others_off() -> None:
    cloud = pool(name="cloud-l4", site="cloud", region="eu-central-1", spot=True)
    found = placement.labels(cloud)
    assert found["longhouse.dev/region"] == found["topology.kubernetes.io/region"] == "eu-central-1"
    assert found["longhouse.dev/spot"] == "true"
    assert placement.taints(cloud) == (("longhouse.dev/site", "cloud", "NoSchedule"),)


def test_cloud_nodes_with_gpus_have_both_taints() -> None:
    both = pool(site="cloud", region="eu-central-1", gpu=A100)
    assert placement.taints(both) == (placement.GPU_TAINT, placement.CLOUD_TAINT)


@pytest.mark.parametrize("product", placement.PRODUCTS)
def test_each_published_layout_is_taken_and_one_slice_more_refused(product: str) -> None:
    published = placement.PRODUCTS[product].slices
    for profile, most in published.items():
        fits = {
            "product": product,
            "count": 1,
            "memory": "16Gi",
            "sharing": {"mode": "mig", "layout": {profile: most}},
        }
        whole = pool(gpu=fits).gpu
        assert whole is not None
        assert placement.mig_fault(whole) is None
        if most < 7:
            more = pool(gpu={**fits, "sharing": {"mode": "mig", "layout": {profile: most + 1}}}).gpu
            assert more is not None
            assert f"at most {most} of {profile}" in str(placement.mig_fault(more))


@pytest.mark.parametrize(
    ("sharing", "fractional"),
    [
        ({"mode": "none"}, False),
        ({"mode": "time-slicing", "replicas": 2}, True),
        ({"mode": "mig", "layout": {"7g.80gb": 1}}, True),
    ],
)
def test_what_is_shared_is_a_fraction_of_a_gpu(sharing: dict[str, Any], fractional: bool) -> None:
    assert placement.fractional(shared(**sharing)) is fractional
    assert not placement.fractional(pool())


def test_nodes_have_the_labels_that_their_record_says() -> None:
    found = placement.labels(
        pool(
            node_labels={"feature.node.kubernetes.io/rdma.capable": "true"},
            local_ssd={"path": "/mnt/scratch", "size": "7Ti"},
            topology=["topology.example.com/rack"],
            gpu={**A100, "driver": "580.95.05"},
        )
    )
    assert found["feature.node.kubernetes.io/rdma.capable"] == "true"
    assert found["longhouse.dev/local-ssd"] == "true"
    assert found["nvidia.com/cuda.driver-version.full"] == "580.95.05"
    assert "topology.example.com/rack" not in found, "it differs from node to node"
    plain = placement.labels(pool(gpu=A100))
    assert not {"longhouse.dev/local-ssd", "nvidia.com/cuda.driver-version.full"} & plain.keys()


@pytest.mark.parametrize(
    ("nccl", "environment"),
    [
        ({"interface": "eth0"}, {"NCCL_SOCKET_IFNAME": "eth0", "NCCL_IB_DISABLE": "1"}),
        (
            {"interface": "ib", "infiniband": True, "adapters": ["mlx5_0:1", "mlx5_1"]},
            {
                "NCCL_SOCKET_IFNAME": "ib",
                "NCCL_IB_DISABLE": "0",
                "NCCL_IB_HCA": "mlx5_0:1,mlx5_1",
            },
        ),
    ],
)
def test_nccl_is_told_by_its_environment(nccl: dict[str, Any], environment: dict[str, str]) -> None:
    assert placement.nccl_environment(Nccl.model_validate(nccl)) == environment


def test_a_product_that_is_not_listed_is_taken_as_described() -> None:
    unknown = pool(
        gpu={**A100, "product": "NVIDIA-B200", "sharing": {"mode": "mig", "layout": {"1g.23gb": 7}}}
    ).gpu
    assert unknown is not None
    assert placement.mig_fault(unknown) is None


def test_quotas_stand_on_home_pools_and_on_cloud_pools_only_where_there_is_no_home() -> None:
    home, cloud, gpus = pool(), pool(name="c", site="cloud", region="r"), pool(name="g", gpu=A100)
    assert placement.guaranteed([cloud, home, gpus]) == (home,)
    assert placement.guaranteed([cloud, gpus]) == (cloud,)
    assert placement.guaranteed([gpus]) == ()


def test_a_cloud_pool_is_reached_only_with_permission_and_in_its_region() -> None:
    cloud = pool(site="cloud", region="eu-central-1")
    assert placement.reachable(cloud, may_burst=True, regions=["eu-central-1"])
    assert not placement.reachable(cloud, may_burst=True, regions=["eu-west-1"])
    assert not placement.reachable(cloud, may_burst=False, regions=["eu-central-1"])
    assert placement.reachable(pool(), may_burst=False, regions=[])
