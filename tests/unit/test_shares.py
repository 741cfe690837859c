"""Shares of pools: in proportion, never promised twice, and never where a tenant's work may not run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.queueing import shares
from modules.foundation.queueing.config import Reserved, WithinTenant
from modules.foundation.queueing.shares import SharingError
from modules.foundation.tenants.config import Tenant
from modules.kit import names, quantities
from tests.unit.examples import (
    A100,
    CLOUD,
    CLOUD_GPUS,
    GENERAL,
    GPUS,
    MAY_BURST,
    POOLS,
    cloud_pool,
    pool,
    tenant,
)

NOTHING = Reserved(cpu="0.001", memory="1Ki")


def queue(of: Tenant, name: str, pools: Sequence[NodePool] = POOLS) -> shares.ClusterQueue:
    (found,) = [each for each in shares.queues(of, pools).cluster if each.name == name]
    return found


def flavors(found: shares.ClusterQueue | shares.Cohort) -> list[str]:
    return [each.pool for each in found.group.pools]


def quota(found: shares.ClusterQueue | shares.Cohort, flavor: str) -> dict[str, str]:
    (share,) = [each for each in found.group.pools if each.pool == flavor]
    return {part.amount.resource: part.amount.quantity for part in share.shares}


def limits(found: shares.ClusterQueue) -> set[Any]:
    (group,) = found.spec["resourceGroups"]
    return {resource.get("borrowingLimit") for flavor in group["flavors"] for resource in flavor["resources"]}


class TestQueuesOfATenant:
    def test_a_tenant_without_gpus_has_one_queue_that_jobs_fall_into(self) -> None:
        found = shares.queues(tenant("atlas"), POOLS)
        assert [each.name for each in found.cluster] == ["atlas-cpu"]
        assert [(each.name, each.namespace, each.spec) for each in found.local] == [
            ("default", "tenant-atlas", {"clusterQueue": "atlas-cpu"})
        ]

    def test_a_tenant_with_gpus_has_a_second_queue_for_them(self) -> None:
        found = shares.queues(tenant("atlas", quota={"gpus": {"a100": 8}}), POOLS)
        assert [(each.name, each.cluster_queue) for each in found.local] == [
            ("default", "atlas-cpu"),
            ("gpu", "atlas-gpu"),
        ]

    def test_work_without_gpus_never_lands_on_gpu_nodes(self) -> None:
        found = queue(tenant(quota={"gpus": {"a100": 8}}, burst=MAY_BURST), "atlas-cpu")
        assert flavors(found) == ["general", "cloud-cpu"]
        assert found.group.resources == ("cpu", "memory")

    def test_work_with_gpus_never_lands_on_nodes_without(self) -> None:
        found = queue(tenant(quota={"gpus": {"a100": 8}}, burst=MAY_BURST), "atlas-gpu")
        assert flavors(found) == ["a100", "cloud-l4"]
        assert found.group.resources == ("cpu", "memory", "nvidia.com/gpu")

    def test_only_the_tenants_own_namespace_may_use_its_queues(self) -> None:
        assert queue(tenant(), "atlas-cpu").spec["namespaceSelector"] == {
            "matchLabels": {"kubernetes.io/metadata.name": "tenant-atlas"}
        }

    def test_what_was_lent_is_taken_back_and_nothing_else_is(self) -> None:
        assert queue(tenant(), "atlas-cpu").spec["preemption"] == {
            "reclaimWithinCohort": "Any",
            "borrowWithinCohort": {"policy": "Never"},
            "withinClusterQueue": "LowerPriority",
        }

    def test_its_own_share_at_home_goes_before_a_rented_machine(self) -> None:
        assert queue(tenant(), "atlas-cpu").spec["flavorFungibility"] == {
            "whenCanBorrow": "TryNextFlavor",
            "whenCanPreempt": "TryNextFlavor",
            "preference": "PreemptionOverBorrowing",
        }

    @pytest.mark.parametrize(("weight", "written"), [(1, "1"), (7, "7"), (1000, "1k")])
    def test_the_weight_goes_to_each_queue_as_kubernetes_writes_it(self, weight: int, written: str) -> None:
        found = shares.queues(tenant(quota={"weight": weight, "gpus": {"a100": 1}}), POOLS)
        assert [each.spec["fairSharing"] for each in found.cluster] == [{"weight": written}] * 2

    def test_every_queue_is_in_the_one_cohort(self) -> None:
        found = shares.queues(tenant(quota={"gpus": {"a100": 1}}), POOLS)
        assert {each.spec["cohortName"] for each in found.cluster} == {names.COHORT}


def borrowed(found: shares.ClusterQueue, flavor: str) -> dict[str, str]:
    """Limits on what is borrowed in a pool, by resource; what has none is not named."""
    (group,) = found.spec["resourceGroups"]
    (share,) = [each for each in group["flavors"] if each["name"] == flavor]
    return {each["name"]: each["borrowingLimit"] for each in share["resources"] if "borrowingLimit" in each}


class TestCoresAndMemory:
    def test_the_quota_lies_whole_on_the_only_pool_at_home(self) -> None:
        found = queue(tenant(quota={"cpu": "1500m", "memory": "3Gi"}), "atlas-cpu")
        assert quota(found, "general") == {"cpu": "1500m", "memory": "3Gi"}

    def test_over_two_pools_it_lies_in_proportion_to_their_size(self) -> None:
        pools = (pool("small", cpu="10", memory="40Gi"), pool("large", nodes=3, cpu="10", memory="10Gi"))
        found = queue(tenant(quota={"cpu": "8", "memory": "7Gi"}), "atlas-cpu", pools)
        assert quota(found, "small") == {"cpu": "2", "memory": "4Gi"}
        assert quota(found, "large") == {"cpu": "6", "memory": "3Gi"}

    def test_a_part_is_rounded_down(self) -> None:
        pools = tuple(pool(name, cpu="1", memory="1Gi") for name in ("one", "two", "three"))
        found = queue(tenant(quota={"cpu": "1", "memory": "100Mi"}), "atlas-cpu", pools)
        assert [quota(found, each.name) for each in pools] == [{"cpu": "333m", "memory": "33Mi"}] * 3

    def test_the_cloud_beside_a_home_is_promised_to_nobody(self) -> None:
        found = queue(tenant(burst=MAY_BURST), "atlas-cpu")
        assert quota(found, "cloud-cpu") == {"cpu": "0", "memory": "0"}

    def test_where_there_is_no_home_the_quota_lies_in_the_cloud(self) -> None:
        found = queue(tenant(burst=MAY_BURST), "atlas-cpu", (CLOUD, CLOUD_GPUS))
        assert quota(found, "cloud-cpu") == {"cpu": "4", "memory": "8Gi"}

    def test_a_tenant_bound_to_one_region_has_its_quota_there(self) -> None:
        pools = (CLOUD, cloud_pool("far", region="us-east-1"))
        found = queue(tenant(burst=MAY_BURST), "atlas-cpu", pools)
        assert flavors(found) == ["cloud-cpu"]
        assert quota(found, "cloud-cpu") == {"cpu": "4", "memory": "8Gi"}

    def test_a_quota_where_the_work_may_not_run_is_refused(self) -> None:
        with pytest.raises(SharingError, match="tenant atlas may run on no pool without GPUs"):
            shares.queues(tenant(), (CLOUD,))

    def test_without_any_pool_for_it_a_quota_is_refused(self) -> None:
        with pytest.raises(SharingError, match="may run on no pool"):
            shares.queues(tenant(), (GPUS,))


class TestGpus:
    def test_a_gpu_brings_its_part_of_the_node(self) -> None:
        found = queue(tenant(quota={"gpus": {"a100": 4}}), "atlas-gpu")
        assert quota(found, "a100") == {"cpu": "16", "memory": "128Gi", "nvidia.com/gpu": "4"}

    def test_all_gpus_of_a_pool_bring_all_of_it(self) -> None:
        found = queue(tenant(quota={"gpus": {"a100": 16}}), "atlas-gpu")
        assert quota(found, "a100") == {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "16"}

    def test_a_share_of_a_time_sliced_gpu_brings_a_smaller_part(self) -> None:
        shared = pool(
            "t4",
            cpu="8",
            memory="32Gi",
            gpu={**A100, "count": 1, "sharing": {"mode": "time-slicing", "replicas": 4}},
        )
        found = queue(tenant(quota={"gpus": {"t4": 3}}), "atlas-gpu", (GENERAL, shared))
        assert quota(found, "t4") == {"cpu": "6", "memory": "24Gi", "nvidia.com/gpu.shared": "3"}

    def test_slices_are_asked_for_by_their_own_name(self) -> None:
        cut = pool(
            "mig",
            cpu="28",
            memory="56Gi",
            gpu={**A100, "count": 2, "sharing": {"mode": "mig", "layout": {"1g.10gb": 7}}},
        )
        found = queue(tenant(quota={"gpus": {"mig": 7}}), "atlas-gpu", (GENERAL, cut))
        assert quota(found, "mig") == {"cpu": "14", "memory": "28Gi", "nvidia.com/mig-1g.10gb": "7"}

    def test_each_pool_of_a_queue_lists_every_resource_as_kueue_demands(self) -> None:
        cut = pool("mig", gpu={**A100, "sharing": {"mode": "mig", "layout": {"1g.10gb": 7}}})
        found = queue(tenant(quota={"gpus": {"mig": 1, "a100": 1}}), "atlas-gpu", (GENERAL, GPUS, cut))
        assert found.group.resources == ("cpu", "memory", "nvidia.com/gpu", "nvidia.com/mig-1g.10gb")
        assert [quota(found, "a100")["nvidia.com/mig-1g.10gb"], quota(found, "mig")["nvidia.com/gpu"]] == [
            "0",
            "0",
        ]

    def test_a_pool_that_the_quota_does_not_name_is_not_the_tenants(self) -> None:
        other = pool("v100", gpu={**A100, "product": "Tesla-V100-SXM2-32GB", "memory": "32Gi"})
        assert flavors(queue(tenant(quota={"gpus": {"a100": 1}}), "atlas-gpu", (GENERAL, GPUS, other))) == [
            "a100"
        ]

    def test_parts_are_rounded_down(self) -> None:
        odd = pool("odd", cpu="10", memory="10Gi", gpu={**A100, "count": 3})
        assert shares.gpu_part(odd, 1) == {"cpu": 3333, "memory": 3413, "nvidia.com/gpu": 1}

    def test_a_pool_without_gpus_has_none_to_share_out(self) -> None:
        with pytest.raises(SharingError, match="pool general has no GPUs"):
            shares.gpu_part(GENERAL, 1)

    @pytest.mark.parametrize("name", ["general", "missing", "cloud-l4"])
    def test_a_quota_of_gpus_that_are_not_there_or_out_of_reach_is_refused(self, name: str) -> None:
        with pytest.raises(SharingError, match=f"tenant atlas has a quota of GPUs in {name}"):
            shares.queues(tenant(quota={"gpus": {name: 1}}), POOLS)


class TestWhereWorkMayRun:
    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"burst": {"allowed": False, "regions": ["eu-central-1"]}},
            {"burst": {"allowed": True, "regions": []}},
            {"burst": {"allowed": True, "regions": ["us-east-1"]}},
            {"burst": MAY_BURST, "data_class": "restricted"},
        ],
        ids=["nothing said", "not allowed", "no region", "another region", "restricted data"],
    )
    def test_a_tenant_that_may_not_burst_has_no_cloud_flavor(self, fields: dict[str, Any]) -> None:
        found = shares.queues(tenant(quota={"gpus": {"a100": 1}}, **fields), POOLS)
        assert [flavors(each) for each in found.cluster] == [["general"], ["a100"]]

    @pytest.mark.parametrize("data_class", ["public", "internal"])
    def test_a_tenant_that_may_burst_has_cloud_flavors_after_those_at_home(self, data_class: str) -> None:
        found = shares.queues(
            tenant(quota={"gpus": {"a100": 1}}, burst=MAY_BURST, data_class=data_class),
            tuple(reversed(POOLS)),
        )
        assert [flavors(each) for each in found.cluster] == [["general", "cloud-cpu"], ["a100", "cloud-l4"]]

    def test_a_region_that_is_not_listed_is_no_flavor(self) -> None:
        pools = (*POOLS, cloud_pool("far", region="us-east-1"))
        assert "far" not in flavors(queue(tenant(burst=MAY_BURST), "atlas-cpu", pools))

    def test_a_tenant_that_may_not_borrow_has_no_cloud_flavor_because_cloud_room_is_only_lent(self) -> None:
        found = shares.queues(tenant(quota={"gpus": {"a100": 1}, "borrow": False}, burst=MAY_BURST), POOLS)
        assert [flavors(each) for each in found.cluster] == [["general"], ["a100"]]

    def test_a_tenant_that_may_not_borrow_is_held_to_its_share(self) -> None:
        found = shares.queues(tenant(quota={"gpus": {"a100": 1}, "borrow": False}), POOLS)
        assert [limits(each) for each in found.cluster] == [{"0"}, {"0"}]

    def test_a_tenant_that_may_borrow_has_no_limit_to_it(self) -> None:
        found = shares.queues(tenant(quota={"gpus": {"a100": 1}}), POOLS)
        assert [limits(each) for each in found.cluster] == [{None}, {None}]

    def test_what_it_borrows_can_be_limited_by_resource(self) -> None:
        one = tenant(quota={"gpus": {"a100": 1}, "borrow_at_most": {"cpu": "6", "gpus": {"a100": 2}}})
        cpu, gpu = shares.queues(one, POOLS).cluster
        assert borrowed(cpu, "general") == {"cpu": "6"}, "memory has no limit"
        assert borrowed(gpu, "a100") == {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "2"}

    def test_a_limit_over_several_pools_lies_on_them_in_proportion_to_their_size(self) -> None:
        pools = (pool("small", cpu="10"), pool("large", nodes=3, cpu="10"))
        (found,) = shares.queues(tenant(quota={"borrow_at_most": {"cpu": "8"}}), pools).cluster
        assert [borrowed(found, each.name) for each in pools] == [{"cpu": "2"}, {"cpu": "6"}]

    def test_a_pool_where_nothing_may_be_borrowed_is_none(self) -> None:
        one = tenant(
            quota={"borrow_at_most": {"cpu": "0.001", "gpus": {"cloud-l4": 0}}, "gpus": {"a100": 1}},
            burst=MAY_BURST,
        )
        _, gpu = shares.queues(one, POOLS).cluster
        assert borrowed(gpu, "cloud-l4") == {"cpu": "0", "memory": "0", "nvidia.com/gpu": "0"}
        assert borrowed(gpu, "a100") == {}


class TestBudgets:
    BUDGETS = {"high": {"cpu": "1", "memory": "2Gi", "gpus": {"a100": 2}}}  # noqa: RUF012

    def test_a_priority_with_a_budget_has_queues_of_its_own(self) -> None:
        found = shares.queues(tenant(quota={"gpus": {"a100": 8}, "budgets": self.BUDGETS}), POOLS)
        assert [(each.name, each.cluster_queue) for each in found.local] == [
            ("default", "atlas-cpu"),
            ("gpu", "atlas-gpu"),
            ("default.high", "atlas-cpu.high"),
            ("gpu.high", "atlas-gpu.high"),
        ]

    def test_the_budget_is_cut_from_the_quota(self) -> None:
        one = tenant(quota={"gpus": {"a100": 8}, "budgets": self.BUDGETS})
        assert quota(queue(one, "atlas-cpu.high"), "general") == {"cpu": "1", "memory": "2Gi"}
        assert quota(queue(one, "atlas-cpu"), "general") == {"cpu": "3", "memory": "6Gi"}
        assert quota(queue(one, "atlas-gpu.high"), "a100")["nvidia.com/gpu"] == "2"
        assert quota(queue(one, "atlas-gpu"), "a100")["nvidia.com/gpu"] == "6"

    def test_it_borrows_nothing_and_what_is_idle_of_it_is_taken_back_at_once(self) -> None:
        one = tenant(quota={"gpus": {"a100": 8}, "budgets": self.BUDGETS}, burst=MAY_BURST)
        for name in ("atlas-cpu.high", "atlas-gpu.high"):
            found = queue(one, name)
            assert limits(found) == {"0"}
            assert found.spec["preemption"]["reclaimWithinCohort"] == "Any"
            assert "cloud" not in " ".join(flavors(found)), "what is promised to nobody is not in a budget"
        assert limits(queue(one, "atlas-gpu")) == {None}, "other work borrows as before"

    def test_a_budget_without_gpus_has_no_queue_for_them(self) -> None:
        bare = {"high": {"cpu": "1", "memory": "2Gi"}}
        found = shares.queues(tenant(quota={"gpus": {"a100": 8}, "budgets": bare}), POOLS)
        assert [each.name for each in found.local] == ["default", "gpu", "default.high"]
        assert quota(found.cluster[1], "a100")["nvidia.com/gpu"] == "8"

    def test_nothing_more_is_promised_than_without(self) -> None:
        plain = shares.cohort([tenant(quota={"gpus": {"a100": 8}})], POOLS, NOTHING)
        cut = shares.cohort([tenant(quota={"gpus": {"a100": 8}, "budgets": self.BUDGETS})], POOLS, NOTHING)
        assert plain == cut

    @pytest.mark.parametrize(
        "budget",
        [
            {"cpu": "5", "memory": "1Gi"},
            {"cpu": "1", "memory": "9Gi"},
            {"cpu": "1", "memory": "1Gi", "gpus": {"a100": 9}},
        ],
    )
    def test_a_budget_beyond_the_quota_is_refused(self, budget: dict[str, Any]) -> None:
        with pytest.raises(SharingError, match="budgets of tenant atlas exceed its quota"):
            shares.queues(tenant(quota={"gpus": {"a100": 8}, "budgets": {"high": budget}}), POOLS)

    def test_whom_a_tenants_work_pushes_out_is_the_profiles_to_say(self) -> None:
        one = tenant(quota={"budgets": {"high": {"cpu": "1", "memory": "1Gi"}}})
        found = shares.queues(one, POOLS, WithinTenant.NEVER).cluster
        assert [each.spec["preemption"]["withinClusterQueue"] for each in found] == ["Never", "Never"]


class TestCohort:
    def test_what_nobody_was_promised_is_held_for_all(self) -> None:
        found = shares.cohort([tenant(quota={"gpus": {"a100": 6}})], POOLS, Reserved(cpu="1", memory="2Gi"))
        assert quota(found, "general") == {"cpu": "11", "memory": "54Gi", "nvidia.com/gpu": "0"}
        assert quota(found, "a100") == {"cpu": "40", "memory": "320Gi", "nvidia.com/gpu": "10"}

    def test_all_of_the_cloud_beside_a_home_is_held_for_all(self) -> None:
        found = shares.cohort([tenant(burst=MAY_BURST)], POOLS, Reserved())
        assert quota(found, "cloud-cpu") == {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": "0"}
        assert quota(found, "cloud-l4") == {"cpu": "96", "memory": "384Gi", "nvidia.com/gpu": "16"}

    def test_it_borrows_from_nobody(self) -> None:
        (group,) = shares.cohort([], POOLS, Reserved()).spec["resourceGroups"]
        assert not [
            each for flavor in group["flavors"] for each in flavor["resources"] if "borrowingLimit" in each
        ]

    def test_without_tenants_everything_is_held_for_all(self) -> None:
        found = shares.cohort([], (GPUS,), Reserved())
        assert quota(found, "a100") == {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "16"}

    def test_more_promised_than_there_is_is_refused(self) -> None:
        crowd = [tenant(name, quota={"cpu": "6"}) for name in ("atlas", "borealis", "cygnus")]
        with pytest.raises(SharingError, match="pool general is promised 2500m cpu more than it has"):
            shares.cohort(crowd, POOLS, Reserved())

    def test_more_gpus_promised_than_there_are_is_refused(self) -> None:
        crowd = [tenant(name, quota={"gpus": {"a100": 9}}) for name in ("atlas", "borealis")]
        with pytest.raises(SharingError, match="pool a100 is promised"):
            shares.cohort(crowd, POOLS, Reserved())

    def test_two_regions_cannot_hide_that_one_is_promised_twice(self) -> None:
        pools = (cloud_pool("near", cpu="8"), cloud_pool("far", cpu="8", region="us-east-1"))
        crowd = [tenant(name, quota={"cpu": "6"}, burst=MAY_BURST) for name in ("atlas", "borealis")]
        with pytest.raises(SharingError, match="pool near is promised 4250m cpu"):
            shares.cohort(crowd, pools, Reserved())

    @pytest.mark.parametrize("seed", range(40))
    def test_shares_and_the_rest_add_up_to_each_pool_however_odd_the_numbers(self, seed: int) -> None:
        chance = random.Random(seed)
        pools = tuple(
            pool(
                f"p{n}",
                nodes=chance.randint(1, 7),
                cpu=f"{chance.randint(500, 40000)}m",
                memory=f"{chance.randint(999, 99999)}Mi",
            )
            for n in range(chance.randint(1, 4))
        ) + tuple(
            pool(
                f"g{n}",
                nodes=chance.randint(1, 5),
                cpu=f"{chance.randint(5000, 70000)}m",
                memory=f"{chance.randint(9999, 99999)}Mi",
                gpu={**A100, "count": chance.randint(1, 8)},
            )
            for n in range(2)
        )
        whole = {each.name: shares.capacity(each) for each in pools}
        cpu, memory = (
            sum(whole[each.name][resource] for each in placement.guaranteed(pools))
            for resource in ("cpu", "memory")
        )
        count = chance.randint(1, 9)
        crowd = [
            tenant(
                f"t{n}",
                quota={
                    "cpu": f"{cpu // count - 1}m",
                    "memory": f"{memory // count - 1}Mi",
                    "gpus": {
                        each.name: placement.gpu_capacity(each) // count or 1 for each in pools[-2:][: n % 3]
                    },
                },
            )
            for n in range(min(count, placement.gpu_capacity(pools[-1]), placement.gpu_capacity(pools[-2])))
        ]
        rest = shares.cohort(crowd, pools, NOTHING)
        for each in pools:
            given: list[shares.Cohort | shares.ClusterQueue] = [
                rest,
                *(found for one in crowd for found in shares.queues(one, pools).cluster),
            ]
            for resource, there in whole[each.name].items():
                units = [
                    part.amount.units
                    for found in given
                    for share in found.group.pools
                    if share.pool == each.name
                    for part in share.shares
                    if part.amount.resource == resource
                ]
                kept = 1 if resource == "cpu" and each.gpu is None else 0
                assert all(unit >= 0 for unit in units)
                assert there - kept <= sum(units) <= there, f"{each.name} {resource}"


class TestSpelling:
    @pytest.mark.parametrize(
        ("resource", "units", "written"),
        [
            ("cpu", 0, "0"),
            ("cpu", 1500, "1500m"),
            ("cpu", 2000, "2"),
            ("cpu", 64_000_000, "64k"),
            ("cpu", 1_500_000, "1500"),
            ("memory", 0, "0"),
            ("memory", 1536, "1536Mi"),
            ("memory", 8192, "8Gi"),
            ("nvidia.com/gpu", 0, "0"),
            ("nvidia.com/gpu", 16, "16"),
            ("nvidia.com/gpu", 2000, "2k"),
            ("nvidia.com/gpu", 2001, "2001"),
        ],
    )
    def test_an_amount_is_written_as_kubernetes_writes_it_back(
        self, resource: str, units: int, written: str
    ) -> None:
        assert shares.Amount(resource, units).quantity == written

    @pytest.mark.parametrize("units", [0, 1, 999, 1000, 1024, 123456, 10**6])
    def test_no_spelling_changes_the_amount(self, units: int) -> None:
        assert quantities.amount(shares.Amount("cpu", units).quantity) == Decimal(units) / 1000
        assert quantities.amount(shares.Amount("memory", units).quantity) == units * 2**20
        assert quantities.amount(shares.Amount("nvidia.com/gpu", units).quantity) == units


class TestFlavor:
    def test_a_pool_without_gpus_at_home_needs_no_toleration(self) -> None:
        assert shares.Flavor(GENERAL).spec == {
            "nodeLabels": {"longhouse.dev/pool": "general", "longhouse.dev/site": "home"}
        }

    def test_a_cloud_pool_with_gpus_brings_tolerations_for_both(self) -> None:
        assert shares.Flavor(CLOUD_GPUS).spec == {
            "nodeLabels": {
                "longhouse.dev/pool": "cloud-l4",
                "longhouse.dev/site": "cloud",
                "longhouse.dev/region": "eu-central-1",
                "longhouse.dev/spot": "true",
            },
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"},
                {"key": "longhouse.dev/site", "operator": "Equal", "value": "cloud", "effect": "NoSchedule"},
            ],
        }

    def test_where_nodes_are_in_the_network_is_a_topology_of_its_name(self) -> None:
        racks = pool("a100", gpu=A100, topology=["topology.example.com/rack", "kubernetes.io/hostname"])
        assert shares.Flavor(racks).spec["topologyName"] == "a100"
        assert shares.Flavor(racks).topology == {
            "levels": [{"nodeLabel": "topology.example.com/rack"}, {"nodeLabel": "kubernetes.io/hostname"}]
        }
        assert shares.Flavor(GPUS).topology is None
        assert "topologyName" not in shares.Flavor(GPUS).spec

    def test_a_job_can_ask_for_nodes_with_a_fast_disk(self) -> None:
        fast = pool("fast", local_ssd={"path": "/mnt/scratch", "size": "1Ti"})
        assert shares.Flavor(fast).spec["nodeLabels"]["longhouse.dev/local-ssd"] == "true"

    def test_its_labels_are_on_every_node_of_the_pool(self) -> None:
        for each in (*POOLS, pool("fast", local_ssd={"path": "/mnt/scratch", "size": "1Ti"})):
            node_labels: dict[str, str] = shares.Flavor(each).spec["nodeLabels"]
            assert node_labels.items() <= placement.labels(each).items()
