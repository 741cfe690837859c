"""The platform's own admission policies, in force in a real API server, refuse nothing that the platform declares nor what comes of it.

A policy that refused a part of the platform would leave it half deployed, or its pods unmade after the next restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest

from modules.foundation.admission.config import Enforcement
from policies import dry_run, preview
from policies.resource import Resource, kubernetes_resources
from profiles.load import load, names
from tests.api_server import ApiServer
from tests.cluster.test_custom_resources import objects_of, with_upstreams_kinds
from tests.policies.objects import resource
from tests.shipped import manifest

pytestmark = pytest.mark.policies


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with with_upstreams_kinds(tmp_path_factory.mktemp("api-server")) as running:
        yield running


def _declared(profile: str) -> list[Resource]:
    return [
        found
        for each in objects_of(profile)
        for found in kubernetes_resources(each.urn, each.type, each.name, manifest(each))
    ]


def _told(asked: dry_run.Asked) -> list[str]:
    return [f"{each.subject}: {each.message}" for each in asked.findings]


@pytest.mark.parametrize("profile", names())
def test_what_a_profile_declares_is_admitted(server: ApiServer, profile: str) -> None:
    assert load(profile).admission.enforcement is Enforcement.DENY, "what only warns refuses nothing anyway"
    resources = _declared(profile)
    asked = dry_run.ask(server, resources)
    assert _told(asked) == []
    assert asked.open == 0
    assert asked.objects >= len(resources)


@pytest.mark.parametrize("profile", ["local", "onprem"])
def test_what_upstreams_charts_declare_is_admitted(server: ApiServer, profile: str) -> None:
    asked = dry_run.ask(server, preview.rendered(profile))
    assert _told(asked) == []


def _spoilt(profile: str, kind: str, **changes: Any) -> Resource:
    """An object of the profile, with another first container in its pods."""
    found = next(each for each in _declared(profile) if each.kind == kind)
    props: dict[str, Any] = deepcopy(_plain(found.props))
    props["spec"]["template"]["spec"]["containers"][0] |= changes
    return Resource(found.urn, found.type, found.name, props)


def _plain(value: Any) -> Any:
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def test_what_breaks_a_rule_is_refused_and_so_are_its_pods(server: ApiServer) -> None:
    """Else the checks above could not fail."""
    bad = _spoilt("local", "apps/StatefulSet", image="docker.io/library/python:latest")
    refused = dry_run.ask(server, [*_declared("local"), bad]).findings
    assert {each.subject for each in refused} == {bad.subject, f"Pod of {bad.subject}"}
    assert all("LH-I-001" in each.message for each in refused)


def test_what_a_kind_does_not_know_is_refused(server: ApiServer) -> None:
    bad = _spoilt("local", "apps/StatefulSet", unheard=True)
    refused = dry_run.ask(server, [bad]).findings
    assert any("unheard" in each.message for each in refused)


def test_what_is_of_no_known_kind_or_not_known_yet_is_left_open(server: ApiServer) -> None:
    meta = {"name": "it", "namespace": "default"}
    unknown = resource({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": meta})
    masked = resource({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": "[secret]"})
    secret = resource(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "type": "kubernetes.io/tls",
            "data": "[secret]",
        }
    )
    asked = dry_run.ask(server, [unknown, masked, secret])
    assert (asked.findings, asked.objects, asked.open) == ((), 3, 2)
