"""A tenant: what it gets, and above all what it does not."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes.core.v1 import ConfigMap

from modules.foundation.queueing.config import Queueing
from modules.foundation.tenants import access, limits, offers
from modules.foundation.tenants.access import GRANTS, Role
from modules.foundation.tenants.component import Tenant, TenantRoles
from modules.foundation.tenants.config import Groups, Use
from modules.kit import names
from modules.kit.cluster import Identity
from tests.conftest import Declared, Recording, record
from tests.unit.examples import A100, CLUSTER, GENERAL, GPUS, MAY_BURST, POOLS, pool, tenant

QUEUEING = Queueing(priorities={"normal": 0, "high": 1000}, budgeted=("high",))
PEOPLE = {"viewer": ["readers"], "editor": ["scientists", "engineers"], "admin": ["leads"]}
NAMESPACE = "tenant-atlas"


def declared(**fields: Any) -> Recording:
    one = tenant(**fields)

    def program() -> None:
        cohort = ConfigMap("cohort", metadata={"name": "cohort"})
        Tenant(
            one.name,
            one,
            cluster=CLUSTER,
            identity=Identity(),
            pools=POOLS,
            queueing=QUEUEING,
            cohort=cohort,
            opts=pulumi.ResourceOptions(),
        )

    recorded = record(program)
    recorded.resources = [each for each in recorded.resources if each.name != "cohort"]
    return recorded


@functools.cache
def roles() -> dict[str, Declared]:
    return record(lambda: TenantRoles("tenant-roles", owner="us")).named(
        "rbac.authorization.k8s.io/v1:ClusterRole"
    )


def may(role: Role, verb: str, resource: str, group: str = "") -> bool:
    rules = roles()[role.cluster_role].inputs.rules
    return any(
        verb in rule.verbs and resource in rule.resources and group in rule.apiGroups for rule in rules
    )


class TestNamespace:
    def test_its_pods_are_held_to_the_restricted_standard(self) -> None:
        found = declared().one("core/v1:Namespace", NAMESPACE).metadata.labels
        assert {found[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {
            "restricted"
        }

    def test_it_says_how_far_its_data_may_go(self) -> None:
        found = declared(data_class="restricted").one("core/v1:Namespace", NAMESPACE).metadata.labels
        assert found["longhouse.dev/data-class"] == "restricted"

    def test_every_object_says_whose_it_is(self) -> None:
        for each in declared(groups=PEOPLE, quota={"gpus": {"a100": 8}}).objects:
            found = each.metadata.labels
            assert (found["longhouse.dev/tenant"], found["longhouse.dev/owner"]) == ("atlas", "atlas-team"), (
                each.name
            )

    def test_nothing_is_declared_in_any_other_namespace(self) -> None:
        places = {each.metadata.namespace for each in declared(groups=PEOPLE).objects}
        assert places == {NAMESPACE, None}

    def test_what_fences_running_pods_in_stays_as_long_as_they_do(self) -> None:
        recorded = declared(groups=PEOPLE)
        home = recorded.one("core/v1:Namespace").urn
        fences = [
            *recorded.of("core/v1:ResourceQuota"),
            *recorded.of("core/v1:LimitRange"),
            *recorded.of("networking.k8s.io/v1:NetworkPolicy"),
        ]
        assert {each.deleted_with for each in fences} == {home}

    def test_access_and_queues_are_taken_away_by_themselves_before_the_namespace(self) -> None:
        recorded = declared(groups=PEOPLE)
        home = recorded.one("core/v1:Namespace").urn
        entries = [
            *recorded.of("rbac.authorization.k8s.io/v1:RoleBinding"),
            *recorded.of("kueue.x-k8s.io/v1beta2:LocalQueue"),
        ]
        assert {each.deleted_with for each in entries} == {""}
        assert all(home in each.dependencies for each in entries)

    def test_it_is_gone_before_the_operator_that_lets_go_of_its_pods(self) -> None:
        (needs,) = declared().one("core/v1:Namespace").dependencies
        assert needs.endswith("::cohort")


class TestOffers:
    MIG = pool("mig", gpu={**A100, "sharing": {"mode": "mig", "layout": {"1g.10gb": 7}}})
    TURNS = pool(
        "l4", gpu={**A100, "product": "NVIDIA-L4", "sharing": {"mode": "time-slicing", "replicas": 4}}
    )
    THERE = (*POOLS, MIG, TURNS)
    ALL = {"gpus": {"a100": 8, "mig": 7, "l4": 4}}  # noqa: RUF012

    def said(self, **fields: Any) -> dict[str, str]:
        return {
            key.removeprefix("longhouse.dev/"): words
            for key, words in offers.offered(tenant(**fields), self.THERE, ["high"]).items()
        }

    def test_the_namespace_says_what_work_can_get_and_for_what(self) -> None:
        assert self.said(quota=self.ALL) == {
            "gpus": "a100=nvidia.com/gpu mig=nvidia.com/mig-1g.10gb l4=nvidia.com/gpu.shared",
            "gpus-for-notebook": "mig=nvidia.com/mig-1g.10gb l4=nvidia.com/gpu.shared",
            "gpus-for-training": "a100=nvidia.com/gpu",
            "queues": "default gpu",
            "budgeted-priorities": "high",
        }

    def test_the_record_says_who_gets_shares(self) -> None:
        found = self.said(quota=self.ALL, gpu_use={"fractional": ["notebook", "training"], "whole": []})
        assert found["gpus-for-notebook"] == found["gpus-for-training"]
        assert "a100" not in found["gpus-for-training"]

    def test_rules_and_records_know_the_same_uses(self) -> None:
        assert tuple(Use) == names.USES
        assert names.DEFAULT_USE in names.USES

    def test_a_tenant_without_gpus_is_offered_none(self) -> None:
        assert self.said() == {"queues": "default", "budgeted-priorities": "high"}

    def test_gpus_in_the_cloud_are_offered_to_those_that_may_go_there(self) -> None:
        assert "cloud-l4=nvidia.com/gpu" in self.said(quota={"gpus": {"a100": 1}}, burst=MAY_BURST)["gpus"]
        assert "cloud-l4" not in self.said(quota={"gpus": {"a100": 1}})["gpus"]

    def test_a_budget_has_its_queue_there(self) -> None:
        budget = {"high": {"cpu": "1", "memory": "1Gi", "gpus": {"a100": 1}}}
        found = self.said(quota={**self.ALL, "budgets": budget})
        assert found["queues"] == "default gpu default.high gpu.high"

    def test_it_stands_in_the_namespace_itself(self) -> None:
        found = declared(quota={"gpus": {"a100": 8}}).one("core/v1:Namespace", NAMESPACE).metadata.annotations
        assert found["longhouse.dev/gpus"] == "a100=nvidia.com/gpu"
        assert found["longhouse.dev/budgeted-priorities"] == "high"


class TestQuota:
    def test_a_tenant_that_may_not_borrow_is_bounded_by_its_share(self) -> None:
        hard = dict(
            declared(quota={"borrow": False, "gpus": {"a100": 8}}).one("core/v1:ResourceQuota").spec.hard
        )
        assert hard == {
            "requests.cpu": "36",
            "limits.cpu": "36",
            "requests.memory": "264Gi",
            "limits.memory": "264Gi",
            "requests.storage": "20Gi",
            "pods": "50",
            "requests.nvidia.com/gpu": "8",
            "services.loadbalancers": "0",
            "services.nodeports": "0",
        }

    def test_a_tenant_that_may_borrow_is_bounded_by_the_pools_its_queues_draw_from(self) -> None:
        hard = limits.quota(tenant(quota={"gpus": {"a100": 8}}), POOLS)
        assert (hard["requests.cpu"], hard["requests.nvidia.com/gpu"]) == ("80", "16")

    def test_cloud_room_counts_only_for_a_tenant_that_may_go_there(self) -> None:
        hard = limits.quota(tenant(quota={"gpus": {"a100": 8}}, burst=MAY_BURST), POOLS)
        assert (hard["requests.cpu"], hard["requests.nvidia.com/gpu"]) == ("240", "32")

    def test_a_tenant_without_gpus_is_bounded_by_none_of_each_kind(self) -> None:
        cut = pool("mig", gpu={**A100, "sharing": {"mode": "mig", "layout": {"1g.10gb": 7}}})
        hard = limits.quota(tenant(), (GENERAL, GPUS, cut))
        assert (hard["requests.nvidia.com/gpu"], hard["requests.nvidia.com/mig-1g.10gb"]) == ("0", "0")

    def test_gpus_are_bounded_by_name_even_where_no_pool_has_any(self) -> None:
        assert limits.quota(tenant(), (GENERAL,))["requests.nvidia.com/gpu"] == "0"

    def test_no_service_opens_a_way_in_beside_the_gateway(self) -> None:
        hard = limits.quota(tenant(), POOLS)
        assert (hard["services.loadbalancers"], hard["services.nodeports"]) == ("0", "0")


class TestLimits:
    def test_a_container_that_states_nothing_gets_the_same_as_request_and_limit(self) -> None:
        recorded = declared(defaults={"cpu": "100m", "memory": "128Mi"})
        container, _, _ = recorded.one("core/v1:LimitRange").spec.limits
        assert dict(container.default) == dict(container.defaultRequest) == {"cpu": "100m", "memory": "128Mi"}

    def test_no_pod_may_ask_for_more_than_the_best_node_in_reach_has(self) -> None:
        container, whole, _ = declared().one("core/v1:LimitRange").spec.limits
        assert dict(container.max) == dict(whole.max) == {"cpu": "16", "memory": "64Gi"}

    def test_gpu_nodes_count_for_a_tenant_that_has_some(self) -> None:
        node = limits.largest_node(tenant(quota={"gpus": {"a100": 8}}), POOLS)
        assert (node.cpu, node.memory) == ("32", "256Gi")

    def test_no_volume_may_be_larger_than_all_together(self) -> None:
        *_, volume = declared().one("core/v1:LimitRange").spec.limits
        assert (volume.type, dict(volume.max)) == ("PersistentVolumeClaim", {"storage": "20Gi"})


class TestNetwork:
    def test_by_default_there_is_a_denial_and_the_basics(self) -> None:
        policies = declared().named("networking.k8s.io/v1:NetworkPolicy")
        assert sorted(policies) == ["allow-basics", "default-deny"]
        assert (policies["default-deny"].spec.ingress, policies["default-deny"].spec.egress) == (None, None)
        assert list(policies["default-deny"].spec.policyTypes) == ["Ingress", "Egress"]

    def test_each_exception_is_a_policy_of_its_own_name(self) -> None:
        exceptions = {
            "egress": [{"name": "company-git", "cidr": "203.0.113.10/32", "ports": [443]}],
            "ingress": [{"name": "gateway", "namespace": "gateway-system", "ports": [8080]}],
        }
        policies = declared(network=exceptions).named("networking.k8s.io/v1:NetworkPolicy")
        assert sorted(policies) == ["allow-basics", "default-deny", "egress-company-git", "ingress-gateway"]
        assert policies["egress-company-git"].spec.ingress is None
        assert policies["ingress-gateway"].spec.egress is None

    def test_no_policy_opens_to_every_address_or_every_namespace(self) -> None:
        exceptions = {"egress": [{"name": "world", "cidr": "0.0.0.0/0", "ports": [443]}]}
        for policy in declared(network=exceptions).of("networking.k8s.io/v1:NetworkPolicy"):
            rules = [*(policy.spec.egress or []), *(policy.spec.ingress or [])]
            for peer in itertools.chain.from_iterable(rule.to or rule["from"] for rule in rules):
                namespaces, block = peer.namespaceSelector, peer.ipBlock
                assert namespaces is None or namespaces.matchLabels, policy.object_name
                assert block is None or not block.cidr.endswith("/0") or "10.88.0.0/16" in block["except"]

    def test_other_tenants_are_named_in_no_policy(self) -> None:
        for policy in declared().of("networking.k8s.io/v1:NetworkPolicy"):
            assert "tenant-" not in repr(policy.spec)

    def test_an_exception_into_the_cluster_itself_is_refused(self) -> None:
        inside = {"egress": [{"name": "neighbour", "cidr": "10.88.7.0/24", "ports": [443]}]}
        with pytest.raises(ValueError, match="lies inside"):
            declared(network=inside)


class TestAccess:
    def test_each_group_is_bound_to_its_role_with_the_api_servers_prefix(self) -> None:
        bindings = declared(groups=PEOPLE).named("rbac.authorization.k8s.io/v1:RoleBinding")
        found = {
            name: (binding.inputs.roleRef.name, [subject.name for subject in binding.inputs.subjects])
            for name, binding in bindings.items()
        }
        assert found == {
            "viewer": ("longhouse:tenant-viewer", ["oidc:readers"]),
            "editor": ("longhouse:tenant-editor", ["oidc:scientists", "oidc:engineers"]),
            "admin": ("longhouse:tenant-admin", ["oidc:leads"]),
            "workload": ("longhouse:tenant-viewer", ["workload"]),
        }

    def test_a_role_that_nobody_has_is_bound_to_nobody(self) -> None:
        assert access.members(Groups(editor=("scientists",)), "oidc:") == {Role.EDITOR: ("oidc:scientists",)}
        assert list(declared().named("rbac.authorization.k8s.io/v1:RoleBinding")) == ["workload"]

    def test_no_binding_reaches_beyond_the_namespace(self) -> None:
        recorded = declared(groups=PEOPLE)
        assert not recorded.of("rbac.authorization.k8s.io/v1:ClusterRoleBinding")
        for binding in recorded.of("rbac.authorization.k8s.io/v1:RoleBinding"):
            assert binding.inputs.roleRef.name.startswith("longhouse:tenant-")
            assert {subject.namespace for subject in binding.inputs.subjects} <= {None, NAMESPACE}

    def test_work_that_calls_the_api_server_does_so_by_an_account_of_its_own(self) -> None:
        recorded = declared()
        assert recorded.one("core/v1:ServiceAccount", "workload").inputs.automountServiceAccountToken is True
        unasked = recorded.one("core/v1:ServiceAccount", "default")
        assert unasked.inputs.automountServiceAccountToken is False

    def test_no_role_holds_a_wildcard(self) -> None:
        for role in roles().values():
            for rule in role.inputs.rules:
                assert "*" not in [*rule.verbs, *rule.resources, *rule.apiGroups], role.object_name

    def test_each_role_holds_the_one_before(self) -> None:
        assert set(GRANTS[Role.VIEWER]) < set(GRANTS[Role.EDITOR]) < set(GRANTS[Role.ADMIN])

    @pytest.mark.parametrize("role", Role)
    @pytest.mark.parametrize("verb", ["create", "update", "patch", "delete", "deletecollection"])
    @pytest.mark.parametrize(
        ("resource", "group"),
        [
            ("resourcequotas", ""),
            ("limitranges", ""),
            ("serviceaccounts", ""),
            ("namespaces", ""),
            ("networkpolicies", "networking.k8s.io"),
            ("ingresses", "networking.k8s.io"),
            ("roles", "rbac.authorization.k8s.io"),
            ("rolebindings", "rbac.authorization.k8s.io"),
            ("localqueues", "kueue.x-k8s.io"),
            ("workloads", "kueue.x-k8s.io"),
        ],
    )
    def test_nobody_in_a_tenant_may_change_what_fences_it_in(
        self, role: Role, verb: str, resource: str, group: str
    ) -> None:
        assert not may(role, verb, resource, group)

    @pytest.mark.parametrize("role", Role)
    @pytest.mark.parametrize("verb", ["bind", "escalate", "impersonate"])
    def test_nobody_may_make_himself_more_powerful(self, role: Role, verb: str) -> None:
        assert not [rule for rule in roles()[role.cluster_role].inputs.rules if verb in rule.verbs]

    @pytest.mark.parametrize("role", Role)
    def test_nobody_may_draw_a_token_for_an_account(self, role: Role) -> None:
        assert not may(role, "create", "serviceaccounts/token")

    def test_a_viewer_changes_nothing_and_sees_no_secret(self) -> None:
        verbs = {verb for rule in roles()[Role.VIEWER.cluster_role].inputs.rules for verb in rule.verbs}
        assert verbs == {"get", "list", "watch"}
        assert not may(Role.VIEWER, "get", "secrets")
        assert may(Role.VIEWER, "get", "pods/log")

    @pytest.mark.parametrize(
        ("resource", "group"),
        [
            ("jobs", "batch"),
            ("pods", ""),
            ("configmaps", ""),
            ("secrets", ""),
            ("persistentvolumeclaims", ""),
            ("services", ""),
        ],
    )
    def test_an_editor_may_run_and_change_work(self, resource: str, group: str) -> None:
        assert may(Role.EDITOR, "create", resource, group)
        assert may(Role.EDITOR, "delete", resource, group)

    def test_an_editor_may_see_the_queues_he_waits_in(self) -> None:
        assert may(Role.EDITOR, "list", "localqueues", "kueue.x-k8s.io")
        assert may(Role.EDITOR, "list", "workloads", "kueue.x-k8s.io")

    def test_only_an_admin_reads_secrets_and_who_has_access(self) -> None:
        assert not may(Role.EDITOR, "get", "secrets")
        assert not may(Role.EDITOR, "list", "rolebindings", "rbac.authorization.k8s.io")
        assert may(Role.ADMIN, "get", "secrets")
        assert may(Role.ADMIN, "list", "rolebindings", "rbac.authorization.k8s.io")


class TestQueues:
    def test_each_door_leads_to_a_queue_that_is_there_first(self) -> None:
        recorded = declared(quota={"gpus": {"a100": 8}})
        queues = recorded.named("kueue.x-k8s.io/v1beta2:ClusterQueue")
        doors = recorded.named("kueue.x-k8s.io/v1beta2:LocalQueue")
        assert {name: door.spec.clusterQueue for name, door in doors.items()} == {
            "default": "atlas-cpu",
            "gpu": "atlas-gpu",
        }
        assert all(queues[door.spec.clusterQueue].urn in door.dependencies for door in doors.values())

    def test_a_queue_waits_for_the_cohort_and_nothing_else(self) -> None:
        for queue in declared().of("kueue.x-k8s.io/v1beta2:ClusterQueue"):
            assert [urn.split("::")[-1] for urn in queue.dependencies] == ["cohort"]

    def test_restricted_data_has_no_cloud_flavor_whatever_the_record_says(self) -> None:
        recorded = declared(data_class="restricted", burst=MAY_BURST, quota={"gpus": {"a100": 8}})
        for queue in recorded.of("kueue.x-k8s.io/v1beta2:ClusterQueue"):
            (group,) = queue.spec.resourceGroups
            assert not [each.name for each in group.flavors if each.name.startswith("cloud")]
