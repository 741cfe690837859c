"""The proof of isolation over what shipped profiles declare, and every way of breaking it that one object or grant can be."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest

from modules.data.object_store.inside import policies as bucket_policies
from modules.kit.credentials import Credentials
from policies.crossguard import plain
from policies.isolation import stores
from policies.isolation.matrix import CROSSING, Matrix, granted, in_stores, matrix, proof
from policies.isolation.stores import Grant, Thing, bucket_grants, crossings, schema_grants
from policies.resource import Resource, kubernetes_resources
from profiles.load import load
from stacks.platform import platform
from tests.conftest import record
from tests.policies.objects import resource
from tests.policies.test_profiles import SHIPPED

_LABELS = {"longhouse.dev/tenant": "borealis", "longhouse.dev/owner": "borealis-team"}


@functools.cache
def _declared(profile: str) -> tuple[Resource, ...]:
    declared = record(lambda: platform(load(profile), Credentials(bytes(range(32))))).resources
    return tuple(
        found
        for each in declared
        for found in kubernetes_resources(each.urn, each.type, each.name, plain(each.inputs))
    )


def _object(api: str, kind: str, name: str, namespace: str | None, **body: Any) -> Resource:
    metadata = {"name": name, "labels": _LABELS, **({"namespace": namespace} if namespace else {})}
    return resource({"apiVersion": api, "kind": kind, "metadata": metadata, **body})


def _policy(namespace: str, name: str, **spec: Any) -> Resource:
    return _object("networking.k8s.io/v1", "NetworkPolicy", name, namespace, spec=spec)


def _bind(namespace: str | None, role: str, *subjects: dict[str, Any]) -> Resource:
    return _object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding" if namespace else "ClusterRoleBinding",
        "extra",
        namespace,
        roleRef={"kind": "ClusterRole", "name": role},
        subjects=list(subjects),
    )


def _judged(*more: Resource, without: str = "") -> Matrix:
    kept = [each for each in _declared("onprem") if each.subject != without]
    return matrix([*kept, *more], granted(load("onprem")))


def _said(found: Matrix) -> list[tuple[str, str]]:
    return [(each.subject, each.message) for each in found.findings]


@pytest.mark.parametrize("profile", SHIPPED)
def test_no_tenant_of_a_shipped_profile_crosses_to_another(profile: str) -> None:
    found = proof(_declared(profile), load(profile))
    assert _said(found) == []
    assert found.pairs > 0
    assert found.bindings > 0


def test_what_is_granted_is_reached_so_that_nothing_is_proved_by_an_empty_matrix() -> None:
    profile = load("onprem")
    found = proof(_declared("onprem"), profile)
    reached = {(each.source, each.target.namespace, str(each.way.ports)) for each in found.reached}
    for tenant in profile.tenants.values():
        for reach in profile.reaches(tenant):
            assert {
                (tenant.name, reach.namespace, f"TCP {port}") for port in reach.ports
            } <= reached or not reach.namespace
    assert found.grants > 0


_TO_BOREALIS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tenant-borealis"}}}
_FROM_ATLAS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tenant-atlas"}}}


def test_one_open_end_is_no_crossing_and_two_are() -> None:
    out = _policy(
        "tenant-atlas", "out", podSelector={}, policyTypes=["Egress"], egress=[{"to": [_TO_BOREALIS]}]
    )
    into = _policy(
        "tenant-borealis",
        "in",
        podSelector={"matchLabels": {"app": "x"}},
        ingress=[{"from": [_FROM_ATLAS], "ports": [{"port": 80}]}],
    )
    assert _said(_judged(out)) == []
    assert _said(_judged(into)) == []
    assert _said(_judged(out, into)) == [
        (
            "Namespace tenant-borealis",
            "is reached from atlas at TCP 80 (out: tenant-atlas/out; in: tenant-borealis/in)",
        )
    ]


def test_a_missing_default_is_told_as_what_it_opens() -> None:
    out = _policy(
        "tenant-atlas", "out", podSelector={}, policyTypes=["Egress"], egress=[{"to": [_TO_BOREALIS]}]
    )
    found = _said(_judged(out, without="NetworkPolicy tenant-borealis/default-deny"))
    assert (
        "Namespace tenant-borealis",
        "is reached from atlas at TCP every port (out: tenant-atlas/out; in: no policy selects it)",
    ) not in found, "allow-basics selects every pod for ingress too"
    basics = [
        each for each in _declared("onprem") if each.subject == "NetworkPolicy tenant-borealis/allow-basics"
    ]
    kept = [
        each
        for each in _declared("onprem")
        if each not in basics and each.subject != "NetworkPolicy tenant-borealis/default-deny"
    ]
    messages = [each.message for each in matrix([*kept, out], granted(load("onprem"))).findings]
    assert any(
        "from atlas at TCP every port (out: tenant-atlas/out; in: no policy selects it)" in each
        for each in messages
    )


def test_a_range_of_addresses_with_other_tenants_pods_in_it_is_a_way_to_them() -> None:
    ranges = _policy(
        "tenant-atlas",
        "out",
        podSelector={},
        policyTypes=["Egress"],
        egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    )
    into = _policy(
        "tenant-borealis", "in", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]
    )
    assert {subject for subject, _ in _said(_judged(ranges, into))} >= {"Namespace tenant-borealis"}


def test_a_server_is_reached_at_its_clients_ports_and_at_no_others() -> None:
    into = _policy(
        "object-store",
        "in",
        podSelector={},
        ingress=[{"from": [_FROM_ATLAS], "ports": [{"port": 9000, "endPort": 9001}]}],
    )
    servers = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "object-store"}}}
    out = _policy("tenant-atlas", "out", podSelector={}, policyTypes=["Egress"], egress=[{"to": [servers]}])
    found = _said(_judged(into, out))
    assert (
        "StatefulSet object-store/minio",
        "is reached from atlas at TCP 9000-9001 (out: tenant-atlas/out; in: object-store/in)",
    ) in found
    assert all("TCP 9000 (" not in message for _, message in found), "the granted port alone is no crossing"


def test_a_server_that_calls_into_a_tenant_unasked_is_a_crossing() -> None:
    servers = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "object-store"}}}
    into = _policy(
        "tenant-borealis", "in", podSelector={}, ingress=[{"from": [servers], "ports": [{"port": 80}]}]
    )
    out = _policy(
        "object-store", "out", podSelector={}, policyTypes=["Egress"], egress=[{"to": [_TO_BOREALIS]}]
    )
    assert any(
        message.startswith("is reached from object-store/StatefulSet minio")
        for _, message in _said(_judged(into, out))
    )


@pytest.mark.parametrize(
    ("namespace", "subject", "whose"),
    [
        ("tenant-borealis", {"kind": "Group", "name": "oidc:atlas-scientists"}, "atlas"),
        (
            "tenant-borealis",
            {"kind": "ServiceAccount", "name": "workload", "namespace": "tenant-atlas"},
            "atlas",
        ),
        ("tenant-borealis", {"kind": "User", "name": "system:serviceaccount:tenant-atlas:workload"}, "atlas"),
        ("tenant-borealis", {"kind": "Group", "name": "system:serviceaccounts:tenant-atlas"}, "atlas"),
        ("tenant-borealis", {"kind": "Group", "name": "system:authenticated"}, "atlas"),
        ("object-store", {"kind": "Group", "name": "oidc:atlas-leads"}, "atlas"),
        (None, {"kind": "Group", "name": "oidc:atlas-leads"}, "atlas"),
    ],
    ids=[
        "a group",
        "an account",
        "an account as a user",
        "all accounts",
        "everybody",
        "the platform",
        "everywhere",
    ],
)
def test_a_binding_that_gives_a_tenant_rights_elsewhere_is_a_crossing(
    namespace: str | None, subject: dict[str, Any], whose: str
) -> None:
    found = _said(_judged(_bind(namespace, "longhouse:tenant-viewer", subject)))
    assert any(
        f"{subject['name']} of tenant {whose} the ClusterRole longhouse:tenant-viewer" in message
        for _, message in found
    )


def test_a_tenants_own_binding_and_one_to_a_role_that_gives_nothing_are_none() -> None:
    own = {"kind": "ServiceAccount", "name": "other", "namespace": "tenant-borealis"}
    assert _said(_judged(_bind("tenant-borealis", "longhouse:tenant-viewer", own))) == []
    assert _said(_judged(_bind("object-store", "no-such-role", own))) == []


def test_a_group_that_two_records_name_is_in_both() -> None:
    grants = granted(load("onprem"))
    shared = {"kind": "Group", "name": "oidc:borealis-readers"}
    both = {**grants.groups, "atlas": grants.groups["atlas"] | {"oidc:borealis-readers"}}
    kept = [*_declared("onprem"), _bind("tenant-atlas", "longhouse:tenant-viewer", shared)]
    assert matrix(kept, replace(grants, groups=both)).findings == ()
    assert matrix(kept, grants).findings != ()


def test_a_tenant_without_a_namespace_is_told() -> None:
    found = _said(_judged(without="Namespace tenant-borealis"))
    assert ("Namespace tenant-borealis", "is not declared, so nothing fences it in") in found


# What the stores grant


def test_the_stores_grants_of_shipped_profiles_cover_nothing_of_anybody_else() -> None:
    for profile in SHIPPED:
        count, findings = in_stores(load(profile))
        assert findings == []
        shares = [tenant.data for tenant in load(profile).tenants.values()]
        assert (
            bool(count)
            == (load(profile).object_store is not None and any(each.object_store for each in shares))
            or count
        )


def _of(*grants: Grant, names: tuple[str, ...]) -> list[str]:
    return [
        each.thing.name
        for each in crossings(grants, [Thing(grants[0].store, "borealis", name) for name in names])
    ]


def test_buckets_are_matched_as_s3_matches_them() -> None:
    arn = "arn:aws:s3:::"
    names = (f"{arn}atlas-2", f"{arn}atlas-2/object", f"{arn}borealis")

    def document(*resources: str) -> dict[str, object]:
        return {
            "Statement": [
                {"Effect": "Allow", "Action": ["s3:*"], "Resource": [arn + each for each in resources]}
            ]
        }

    assert _of(*bucket_grants("atlas", document("atlas", "atlas/*")), names=names) == []
    assert _of(*bucket_grants("atlas", document("atlas*")), names=names) == list(names[:2])
    assert _of(*bucket_grants("atlas", document("*")), names=names) == list(names)


def test_schemas_are_matched_as_mysql_matches_them() -> None:
    names = ("atlas_2", "atlasx2", "borealis")
    assert _of(*schema_grants("atlas", (r"atlas\_2",)), names=names) == ["atlas_2"]
    assert _of(*schema_grants("atlas", ("atlas_2",)), names=names) == ["atlas_2", "atlasx2"]
    assert _of(*schema_grants("atlas", (r"atlas\_%",)), names=names) == ["atlas_2"]
    assert _of(*schema_grants("atlas", ("atlas",)), names=names) == []


def test_topics_are_matched_by_their_prefix() -> None:
    profile = load("local-full")
    assert profile.kafka is not None, "a profile with Kafka is needed to see its grants"
    grants, things = stores.of(profile)
    topics = [each for each in things if each.store == "kafka"]
    assert topics
    assert crossings(grants, things) == []
    own = [each for each in grants if each.store == "kafka" and each.tenant == "atlas"]
    assert any(each.covers("atlas.events") for each in own), "its own it may touch"
    assert not any(
        each.covers(name) for each in own for name in ("atlas", "atlas2.events", "atlas-2.events", "x.atlas.")
    )


def test_a_crossing_in_a_store_is_told_with_its_grant(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = load("onprem")
    everything = {"Statement": [{"Effect": "Allow", "Resource": ["arn:aws:s3:::*"]}]}
    monkeypatch.setattr(bucket_policies, "tenant", lambda bucket: everything)
    _, findings = in_stores(profile)
    assert findings[0].rule == CROSSING.id
    assert "of tenant borealis in object_store by its grant arn:aws:s3:::*" in findings[0].message
