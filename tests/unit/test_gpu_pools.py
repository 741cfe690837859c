"""GPU pools: what NVIDIA's programs have to know, and nothing where there is nothing to know."""

from __future__ import annotations

import yaml

from modules.foundation.gpu_pools import sharing
from modules.foundation.gpu_pools.component import GpuPools
from modules.foundation.gpu_pools.config import NodePool
from modules.kit.cluster import ApiServer
from tests.conftest import Recording, record
from tests.unit.examples import A100, GENERAL, GPUS, L4, pool

TURNS = pool("l4", gpu={**L4, "sharing": {"mode": "time-slicing", "replicas": 4}})
SLICES = pool("a100-mig", gpu={**A100, "sharing": {"mode": "mig", "layout": {"1g.10gb": 7}}})


def declared(*pools: NodePool) -> Recording:
    api_server = ApiServer(cidrs=("172.30.255.1/32",), port=6443)
    return record(lambda: GpuPools("gpu-pools", pools, owner="us", api_server=api_server))


def test_gpus_that_are_given_out_whole_need_nothing() -> None:
    assert [each.type for each in declared(GENERAL, GPUS).resources] == ["longhouse:foundation:GpuPools"]


def test_the_device_plugin_gets_a_document_for_each_pool_that_shares() -> None:
    documents = declared(GENERAL, GPUS, TURNS, SLICES).one("core/v1:ConfigMap", "device-plugin-configs")
    assert documents.metadata.namespace == "nvidia-device-plugin"
    assert sorted(documents.inputs.data) == ["a100-mig", "l4"]


def test_without_slices_there_is_no_layout() -> None:
    assert [each.object_name for each in declared(TURNS).of("core/v1:ConfigMap")] == ["device-plugin-configs"]


def test_time_slicing_advertises_each_gpu_as_often_as_pods_take_turns() -> None:
    assert yaml.safe_load(sharing.device_plugin([TURNS])["l4"])["sharing"] == {
        "timeSlicing": {
            "failRequestsGreaterThanOne": True,
            "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
        }
    }


def test_slices_are_advertised_by_their_size() -> None:
    assert yaml.safe_load(sharing.device_plugin([SLICES])["a100-mig"])["flags"] == {"migStrategy": "mixed"}


def test_every_gpu_of_a_pool_is_cut_alike() -> None:
    layouts = sharing.mig_layouts([GENERAL, GPUS, TURNS, SLICES])
    assert layouts is not None
    assert yaml.safe_load(layouts)["mig-configs"] == {
        "a100-mig": [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.10gb": 7}}]
    }


def test_no_port_is_open_where_nothing_listens() -> None:
    policies = declared(TURNS).named("networking.k8s.io/v1:NetworkPolicy")
    assert sorted(policies) == ["allow-api-server", "allow-dns", "default-deny"]
