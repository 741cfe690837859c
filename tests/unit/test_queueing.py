"""The queueing component: the operator in two layers, then what the tenants' queues draw from."""

from __future__ import annotations

import pulumi
import pytest

from modules.foundation.gpu_pools.config import NodePool
from modules.foundation.queueing import kueue
from modules.foundation.queueing.component import Queueing
from modules.foundation.queueing.config import Queueing as Config
from modules.foundation.queueing.shares import SharingError
from modules.foundation.tenants.config import Tenant
from modules.kit.cluster import ApiServer, WebhookFailure
from tests.conftest import Declared, Recording, record
from tests.unit.examples import AUTHORITY, CLOUD, GENERAL, GPUS, pool, tenant

POOLS = (GENERAL, GPUS, CLOUD)


def declared(
    webhooks: WebhookFailure = WebhookFailure.FAIL,
    tenants: tuple[Tenant, ...] = (),
    pools: tuple[NodePool, ...] = POOLS,
) -> Recording:
    def program() -> None:
        Queueing(
            "queueing",
            Config(priorities={"low": -1000, "normal": 0}),
            owner="us",
            api_server=ApiServer(cidrs=("172.30.255.1/32",), port=6443),
            webhooks=webhooks,
            authority=AUTHORITY,
            pools=pools,
            tenants=tenants,
        )

    return record(program)


def charts(recorded: Recording) -> tuple[Declared, Declared]:
    crds, operator = recorded.of("helm.sh/v4:Chart")
    return crds, operator


def part_of_chart(chart: Declared) -> list[str]:
    return list(chart.inputs.postRenderer.args)[1:]


def test_crds_are_a_layer_of_their_own_that_needs_nothing() -> None:
    crds, operator = charts(declared())
    assert part_of_chart(crds) == ["crds"]
    assert part_of_chart(operator) == ["rest", *kueue.NOT_DECLARED]
    assert not crds.dependencies
    assert crds.urn in operator.dependencies


def test_both_layers_are_the_same_chart_and_release() -> None:
    crds, operator = charts(declared())
    assert [crds.inputs.chart, crds.inputs.name] == [operator.inputs.chart, operator.inputs.name]
    assert operator.inputs.name == "kueue"
    assert dict(crds.inputs["values"]) == dict(operator.inputs["values"])


def test_the_operators_namespace_is_fenced_before_it_runs() -> None:
    recorded = declared()
    _, operator = charts(recorded)
    home = recorded.one("core/v1:Namespace", "kueue-system")
    policies = recorded.named("networking.k8s.io/v1:NetworkPolicy")
    assert home.metadata.labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert sorted(policies) == ["allow-api-server", "allow-callers", "allow-dns", "default-deny"]
    assert {home.urn, *(each.urn for each in policies.values())} <= operator.dependencies


def test_the_operator_can_be_called_at_its_three_ports_only() -> None:
    (rule,) = declared().one("networking.k8s.io/v1:NetworkPolicy", "allow-callers").spec.ingress
    assert [each.port for each in rule.ports] == [9443, 8082, 8443]


def test_there_is_a_flavor_for_each_pool_and_a_class_for_each_priority() -> None:
    recorded = declared()
    assert sorted(recorded.named("kueue.x-k8s.io/v1beta2:ResourceFlavor")) == ["a100", "cloud-cpu", "general"]
    priorities = recorded.named("kueue.x-k8s.io/v1beta2:WorkloadPriorityClass")
    assert {name: each.inputs.value for name, each in priorities.items()} == {"low": -1000, "normal": 0}


def test_a_pool_whose_nodes_are_near_or_far_has_a_topology_before_its_flavor() -> None:
    racks = pool("racks", topology=["topology.example.com/rack", "kubernetes.io/hostname"])
    recorded = declared(pools=(*POOLS, racks))
    (topology,) = recorded.of("kueue.x-k8s.io/v1beta2:Topology")
    assert topology.object_name == "racks"
    flavors = recorded.named("kueue.x-k8s.io/v1beta2:ResourceFlavor")
    assert topology.urn in flavors["racks"].dependencies
    assert topology.urn not in flavors["general"].dependencies


def test_the_cohort_is_the_last_to_come_and_the_first_to_go() -> None:
    recorded = declared()
    _, operator = charts(recorded)
    flavors = {each.urn for each in recorded.of("kueue.x-k8s.io/v1beta2:ResourceFlavor")}
    cohort = recorded.one("kueue.x-k8s.io/v1beta2:Cohort", "longhouse")
    assert cohort.dependencies == {operator.urn, *flavors}


def test_every_object_of_kueue_waits_for_its_operator() -> None:
    recorded = declared()
    _, operator = charts(recorded)
    made = [each for each in recorded.objects if "kueue.x-k8s.io" in each.type]
    assert len(made) == 6
    assert all(operator.urn in each.dependencies for each in made)


def test_where_pods_run_the_operator_is_waited_for() -> None:
    _, operator = charts(declared())
    assert operator.inputs.skipAwait is False


def test_where_no_pod_can_run_nothing_waits_for_one_and_no_api_without_a_server_is_declared() -> None:
    crds, operator = charts(declared(WebhookFailure.IGNORE))
    assert operator.inputs.skipAwait is True
    assert part_of_chart(operator) == ["rest", *kueue.NOT_DECLARED, "APIService"]
    assert crds.inputs.skipAwait is False, "CRDs are served by the API server itself"


def test_the_operators_key_is_secret_in_the_state() -> None:
    _, operator = charts(declared())
    (transform,) = operator.transforms
    secret = {"kind": "Secret", "metadata": {"name": "kueue-webhook-server-cert"}}
    result = transform(
        pulumi.ResourceTransformArgs(
            custom=True,
            type_="kubernetes:core/v1:Secret",
            name="s",
            props=secret,
            opts=pulumi.ResourceOptions(),
        )
    )
    assert result is not None
    assert isinstance(result.props["data"], pulumi.Output)


def test_the_certificate_is_nowhere_in_the_values() -> None:
    for chart in charts(declared()):
        assert "PRIVATE KEY" not in repr(chart.inputs)


def test_more_promised_than_there_is_stops_the_deployment() -> None:
    with pytest.raises(SharingError, match="pool general is promised"):
        declared(tenants=(tenant(quota={"cpu": "17"}),))


def test_every_object_says_that_the_platforms_owner_answers_for_it() -> None:
    for each in declared().objects:
        assert each.metadata.labels["longhouse.dev/owner"] == "us", each.name
        assert "longhouse.dev/tenant" not in each.metadata.labels, each.name
