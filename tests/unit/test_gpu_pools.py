"""GPU pools: what NVIDIA's programs have to know, and nothing where there is nothing to know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from modules.foundation.gpu_pools import karpenter, placement, programs, sharing
from modules.foundation.gpu_pools.component import GpuPools
from modules.foundation.gpu_pools.config import GpuPrograms, Karpenter, NodePool, Program
from modules.foundation.queueing import shares
from modules.kit.cluster import ApiServer
from stacks import gpu_programs
from tests.conftest import Recording, record
from tests.unit.examples import A100, CLOUD_GPUS, GENERAL, GPUS, L4, cloud_pool, pool, unknown_values
from upstream import part

TURNS = pool("l4", gpu={**L4, "sharing": {"mode": "time-slicing", "replicas": 4}})
SLICES = pool("a100-mig", gpu={**A100, "sharing": {"mode": "mig", "layout": {"1g.10gb": 7}}})


RENTED = cloud_pool("rented", nodes=4, min_nodes=0, instance_types=["p4de.24xlarge"], gpu=A100)
KARPENTER = Karpenter.model_validate(
    {"node_class": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "longhouse"}}
)


def declared(
    *pools: NodePool, karpenter: Karpenter | None = None, given: GpuPrograms | None = None
) -> Recording:
    api_server = ApiServer(cidrs=("172.30.255.1/32",), port=6443)
    return record(
        lambda: GpuPools(
            "gpu-pools", pools, owner="us", api_server=api_server, programs=given, karpenter=karpenter
        )
    )


def test_gpus_that_are_given_out_whole_need_nothing() -> None:
    assert [each.type for each in declared(GENERAL, GPUS).resources] == ["longhouse:foundation:GpuPools"]


def test_the_device_plugin_gets_a_document_for_each_pool_that_shares() -> None:
    documents = declared(GENERAL, GPUS, TURNS, SLICES).one("core/v1:ConfigMap", "device-plugin-configs")
    assert documents.metadata.namespace == "nvidia-device-plugin"
    assert sorted(documents.inputs.data) == ["a100-mig", "l4"]


def test_without_slices_there_is_no_layout() -> None:
    assert [each.object_name for each in declared(TURNS).of("core/v1:ConfigMap")] == ["device-plugin-configs"]


def test_time_slicing_advertises_turns_by_a_name_of_their_own() -> None:
    assert yaml.safe_load(sharing.device_plugin([TURNS])["l4"])["sharing"] == {
        "timeSlicing": {
            "renameByDefault": True,
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
        "a100-mig": [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.10gb": 7}}],
        "all-disabled": [{"devices": "all", "mig-enabled": False}],
    }


def test_a_node_chooses_its_document_by_the_name_of_its_pool() -> None:
    for shared in (TURNS, SLICES):
        assert placement.labels(shared)["nvidia.com/device-plugin.config"] in sharing.device_plugin([shared])
    assert placement.labels(SLICES)["nvidia.com/mig.config"] == "a100-mig"
    assert not {"nvidia.com/device-plugin.config", "nvidia.com/mig.config"} & placement.labels(GPUS).keys()
    assert "nvidia.com/mig.config" not in placement.labels(TURNS)


def test_no_port_is_open_where_nothing_listens() -> None:
    policies = declared(TURNS).named("networking.k8s.io/v1:NetworkPolicy")
    assert sorted(policies) == ["allow-api-server", "allow-dns", "default-deny"]


def test_karpenter_makes_the_pools_that_name_their_machines_and_no_other() -> None:
    recorded = declared(GENERAL, GPUS, CLOUD_GPUS, RENTED, karpenter=KARPENTER)
    assert [each.object_name for each in recorded.of("karpenter.sh/v1:NodePool")] == ["rented"]
    assert not declared(RENTED).of("karpenter.sh/v1:NodePool")


def test_its_nodes_are_those_that_the_queues_look_for() -> None:
    spec = declared(RENTED, karpenter=KARPENTER).one("karpenter.sh/v1:NodePool").spec
    flavor = shares.Flavor(RENTED).spec
    assert flavor["nodeLabels"].items() <= dict(spec.template.metadata.labels).items()
    taints = {(each.key, each.value, each.effect) for each in spec.template.spec.taints}
    assert taints == set(placement.taints(RENTED))
    tolerated = {(each["key"], each["value"], each["effect"]) for each in flavor["tolerations"]}
    assert taints <= tolerated


@pytest.mark.parametrize(("spot", "capacity"), [(False, "on-demand"), (True, "spot")])
def test_machines_are_chosen_by_kind_price_and_region(spot: bool, capacity: str) -> None:
    one = cloud_pool("rented", min_nodes=0, spot=spot, instance_types=["m7i.large", "m7i.xlarge"])
    found = {
        each["key"]: each["values"]
        for each in karpenter.node_pool(one, KARPENTER)["template"]["spec"]["requirements"]
    }
    assert found == {
        "karpenter.sh/capacity-type": [capacity],
        "node.kubernetes.io/instance-type": ["m7i.large", "m7i.xlarge"],
        "topology.kubernetes.io/region": ["eu-central-1"],
    }


def test_there_are_no_more_nodes_than_the_pool_has_and_empty_ones_go() -> None:
    spec = karpenter.node_pool(RENTED, KARPENTER)
    assert spec["limits"] == {"nodes": "4"}
    assert spec["disruption"] == {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "10m"}


def test_labels_that_are_found_on_a_node_are_not_promised() -> None:
    labels = karpenter.node_pool(RENTED, KARPENTER)["template"]["metadata"]["labels"]
    assert not [key for key in labels if key.startswith("nvidia.com/") or "kubernetes.io" in key]


class TestPrograms:
    PLUGIN = GpuPrograms(program=Program.DEVICE_PLUGIN)
    OPERATOR = GpuPrograms(program=Program.GPU_OPERATOR)

    def values(self, program: GpuPrograms, *pools: NodePool) -> dict[str, Any]:
        """Of each release, by its name."""
        return {each.name: each.values for each in programs.releases(program, pools, "v0.18.2")}

    def test_the_device_plugins_values_are_its_charts(self) -> None:
        chart = part(programs.PART).chart("deployments/helm/nvidia-device-plugin")
        known = yaml.safe_load((chart / "values.yaml").read_text())
        found = self.values(self.PLUGIN, GENERAL, GPUS, TURNS)["nvidia-device-plugin"]
        assert not unknown_values(found, known)

    def test_it_is_told_of_shares_only_where_there_are_some(self) -> None:
        assert "config" not in self.values(self.PLUGIN, GPUS)["nvidia-device-plugin"]
        shared = self.values(self.PLUGIN, GPUS, TURNS)["nvidia-device-plugin"]["config"]
        assert shared == {"name": "device-plugin-configs", "fallbackStrategies": ["empty"]}
        assert "default" not in sharing.device_plugin([TURNS]), "or nodes of other pools would share too"

    def test_the_operator_is_told_of_slices_only_where_there_are_some(self) -> None:
        plain = self.values(self.OPERATOR, GENERAL, GPUS)["gpu-operator"]
        assert not {"devicePlugin", "migManager", "mig", "driver"} & plain.keys()
        cut = self.values(self.OPERATOR, GPUS, SLICES)["gpu-operator"]
        assert cut["mig"] == {"strategy": "mixed"}
        assert cut["migManager"]["config"] == {"name": "mig-layouts", "default": "all-disabled"}

    def test_the_operator_installs_the_driver_that_pools_name(self) -> None:
        named = pool("a100", gpu={**A100, "driver": "580.95.05"})
        assert self.values(self.OPERATOR, GPUS, named)["gpu-operator"]["driver"] == {"version": "580.95.05"}

    def test_they_go_to_every_node_with_gpus(self) -> None:
        taints = {taint.key for taint in placement.taints(CLOUD_GPUS)}
        for values in (
            self.values(self.PLUGIN, CLOUD_GPUS)["nvidia-device-plugin"],
            self.values(self.PLUGIN, CLOUD_GPUS)["dcgm-exporter"],
            self.values(self.OPERATOR, CLOUD_GPUS)["gpu-operator"]["daemonsets"],
        ):
            assert {each["key"] for each in values["tolerations"]} == taints

    def test_gpus_are_measured_unless_the_profile_says_not(self) -> None:
        assert list(self.values(self.PLUGIN, GPUS)) == ["nvidia-device-plugin", "dcgm-exporter"]
        blind = GpuPrograms(program=Program.DEVICE_PLUGIN, metrics=False)
        assert list(self.values(blind, GPUS)) == ["nvidia-device-plugin"]
        unseen = GpuPrograms(program=Program.GPU_OPERATOR, metrics=False)
        assert self.values(unseen, GPUS)["gpu-operator"]["dcgmExporter"]["enabled"] is False

    @pytest.mark.parametrize(
        ("program", "home"), [(PLUGIN, "nvidia-device-plugin"), (OPERATOR, "gpu-operator")]
    )
    def test_their_namespace_is_theirs_alone(self, program: GpuPrograms, home: str) -> None:
        recorded = declared(GPUS, TURNS, given=program)
        found = recorded.one("core/v1:Namespace", home).metadata.labels
        assert found["pod-security.kubernetes.io/enforce"] == "privileged"
        assert recorded.one("core/v1:ConfigMap", "device-plugin-configs").metadata.namespace == home
        (rule,) = recorded.one("networking.k8s.io/v1:NetworkPolicy", "allow-callers").spec.ingress
        assert [each.port for each in rule.ports] == [9400]

    def test_without_them_what_they_would_be_told_stands_in_a_fenced_namespace(self) -> None:
        found = declared(TURNS).one("core/v1:Namespace", "nvidia-device-plugin").metadata.labels
        assert found["pod-security.kubernetes.io/enforce"] == "restricted"

    def test_the_command_writes_a_file_for_each_chart(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert gpu_programs.main(["--profile", "cloud", "--out", str(tmp_path)]) == 0
        assert sorted(each.name for each in tmp_path.iterdir()) == [
            "dcgm-exporter.yaml",
            "nvidia-device-plugin.yaml",
        ]
        said = capsys.readouterr().out
        assert "--namespace nvidia-device-plugin" in said
        assert "--version 0.18.2" in said
        assert gpu_programs.main(["--profile", "local"]) == 1
