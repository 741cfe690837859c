"""What is computed of RBAC is what a real API server says: the same questions are put to both, and none is answered differently."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from policies.isolation.access import Access, Principal, Question, access, service_account
from policies.isolation.matrix import granted
from policies.resource import Resource, kubernetes_resources
from profiles.load import load
from tests.api_server import ApiServer, api_server
from tests.policies.objects import resource
from tests.policies.test_isolation_access import CASES_OF_ACCESS, OBJECTS
from tests.shipped import declared, manifest

pytestmark = pytest.mark.policies

_PROFILE = "onprem"
_QUESTIONS = (
    ("", "secrets", "get"),
    ("", "secrets", "create"),
    ("", "pods", "list"),
    ("", "pods/exec", "create"),
    ("", "serviceaccounts/token", "create"),
    ("networking.k8s.io", "networkpolicies", "create"),
    ("rbac.authorization.k8s.io", "rolebindings", "create"),
    ("kueue.x-k8s.io", "localqueues", "get"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api-server")) as running:
        yield running


def _reviews(server: ApiServer, asked: Iterable[tuple[Principal, Question]]) -> list[bool]:
    bodies = [_review(principal, question) for principal, question in asked]
    done = server.kubectl(
        "create",
        "--filename=-",
        "--output=json",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies}),
    )
    assert done.returncode == 0, done.stderr
    return [bool(each["status"]["allowed"]) for each in _documents(done.stdout)]


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """kubectl prints one document after the other."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        found, at = decoder.raw_decode(text, at)
        yield found
        at += 1  # the line's end


def _review(principal: Principal, question: Question) -> dict[str, Any]:
    kind, _, part = question.resource.partition("/")
    wanted = {
        "verb": question.verb,
        "group": question.group,
        "resource": kind,
        "subresource": part,
        "namespace": question.namespace,
        "name": question.name,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": principal.user,
            "groups": sorted(principal.all_groups),
            "resourceAttributes": {key: value for key, value in wanted.items() if value},
        },
    }


def _same(server: ApiServer, computed: Access, asked: list[tuple[Principal, Question]]) -> int:
    """Compare all answers, and give how many said yes."""
    said = _reviews(server, asked)
    differ = [
        (principal.user, question, allowed, computed.allows(principal, question))
        for (principal, question), allowed in zip(asked, said, strict=True)
        if allowed is not (computed.allows(principal, question) is not None)
    ]
    assert differ == [], "the API server and the evaluator disagree"
    return sum(said)


def test_every_documented_case_is_answered_alike(server: ApiServer) -> None:
    server.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("a", "b")
    )
    server.create(each for each in OBJECTS)
    allowed = _same(
        server,
        access([resource(each) for each in OBJECTS]),
        [(principal, question) for _, principal, question, _ in CASES_OF_ACCESS],
    )
    assert allowed == sum(expected for *_, expected in CASES_OF_ACCESS)


def _resources() -> list[Resource]:
    return [
        found
        for each in declared(_PROFILE).objects
        for found in kubernetes_resources(each.urn, each.type, each.name, manifest(each))
    ]


def test_what_tenants_may_do_in_each_others_namespaces_is_answered_alike(server: ApiServer) -> None:
    """A viewer, an editor, an admin, the workloads' account and one that nobody declared, of each tenant, in each namespace."""
    kinds = ("core/Namespace", "rbac.authorization.k8s.io/")
    resources = [each for each in _resources() if each.kind.startswith(kinds)]
    namespaces = [each.object_name for each in resources if each.kind == "core/Namespace"]
    server.create(
        {
            "apiVersion": "v1" if each.kind.startswith("core") else "rbac.authorization.k8s.io/v1",
            "kind": each.kind.rpartition("/")[2],
            **{key: value for key, value in each.props.items() if key not in ("apiVersion", "kind")},
        }
        for each in sorted(resources, key=lambda each: each.kind != "core/Namespace")
    )
    grants = granted(load(_PROFILE))
    people = {group for groups in grants.groups.values() for group in groups}
    homes = [f"tenant-{tenant}" for tenant in grants.groups]
    asking = [
        *(Principal("somebody", (group,)) for group in sorted(people)),
        *(service_account(home, name) for home in homes for name in ("workload", "invented")),
        Principal("stranger"),
    ]
    asked = [
        (principal, Question(verb, group, kind, namespace))
        for principal, namespace, (group, kind, verb) in itertools.product(
            asking, [*namespaces, ""], _QUESTIONS
        )
    ]
    assert _same(server, access(resources), asked) > len(homes), "if nobody may do anything, nothing is shown"
