"""One corpus, two judges: what the pull request says of an object, the API server says too, rule by rule and word by word.

The API server is a real one, with upstream's kinds and the platform's own admission policies.
"""

from __future__ import annotations

import copy
import importlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from modules.foundation.admission.component import Admission
from modules.foundation.admission.config import Admission as Config
from modules.foundation.admission.config import Enforcement
from modules.kit import crds
from policies.admission import admission_policies, enforced
from policies.claim import WORKLOADS
from policies.exemptions import EXEMPTIONS
from policies.resource import UNKNOWN
from policies.rule import ResourceRule, Severity, violations
from tests.api_server import Answer, ApiServer, Client, api_server
from tests.conftest import record
from tests.policies.objects import Case, Manifest, compliant, edited, resource
from tests.policies.test_pod_security_standards import manifests
from upstream import part

pytestmark = pytest.mark.policies

_UPSTREAM = {
    "kueue": "config/components/crd/bases/*.yaml",
    "cert-manager": "deploy/crds/*.yaml",
    "prometheus-operator": "example/prometheus-operator-crd/*.yaml",
}
_OTHERS = {
    "cassandra.datastax.com/v1beta1": ("CassandraDatacenter",),
    "kafka.strimzi.io/v1": ("Kafka", "KafkaNodePool", "KafkaTopic"),
    "pxc.percona.com/v1": ("PerconaXtraDBCluster",),
}
"""Kinds of which the corpus has objects that say no more than a rule looks at: they are defined without a schema."""

_NOT_VALID = (400, 422)
_REFUSED = 403
_INVALID = {
    "a definition whose schema only looks like a pod template (crd)": "it has neither group nor names",
    "an ephemeral container, which can have no resources (web)": "only a running pod can be given one",
    "baseline fail procmount0": "wants a user namespace",
    "baseline fail procmount1": "wants a user namespace",
    "container runs as root (web)": "a policy pack reads whole numbers as broken ones",
    "host port as a policy pack reads numbers (web)": "a policy pack reads whole numbers as broken ones",
    "host process of a container (web)": "wants the host's network",
    "host process of the pod (web)": "wants the host's network",
    "less requested than limited (web)": "GPUs are not lent beyond what was asked for",
    "no image (web)": "a container has an image",
    "privileged (web)": "contradicts allowPrivilegeEscalation",
    "privileged ephemeral container (web)": "only a running pod can be given one",
    "requested without a limit (web)": "GPUs are not lent beyond what was asked for",
    "restricted fail procmount0": "wants a user namespace",
    "restricted fail procmount1": "wants a user namespace",
    "slices of GPUs forbidden (queue)": "the flavors lack the resource",
    "slices of GPUs unbounded (queue)": "the flavors lack the resource",
    "unmasked /proc (web)": "wants a user namespace",
}
"""What the API server refuses itself, as no valid object, and why."""

_CLAIMS = enforced()
_SAID = re.compile(r"(LH-[A-Z]-\d{3}): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Item:
    """An object of the corpus."""

    title: str
    body: Manifest


def _cases() -> Iterator[Case]:
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.stem != Path(__file__).stem:
            yield from getattr(importlib.import_module(f"tests.policies.{path.stem}"), "CASES", ())


def _corpus() -> Iterator[Item]:
    """Every compliant object, every object that a mutation changes, the pods of both, and the standards' own pods."""
    base = compliant()
    yield from (Item(f"compliant {name}", body) for name, body in base.items())
    for case in _cases():
        for name, body in edited(case.edits).items():
            if body != base.get(name) and not _unknown(body):
                yield Item(f"{case.title} ({name})", body)
    for level, verdict in (("baseline", "fail"), ("restricted", "fail"), ("restricted", "pass")):
        for path in manifests(level, verdict):
            body = yaml.safe_load(path.read_text())
            body["metadata"]["name"] = body["metadata"]["name"].replace(
                "_", "-"
            )  # No name of an object else.
            yield Item(f"{level} {verdict} {path.stem}", body)


def _unknown(body: Any) -> bool:
    """Whether it holds what only a preview does not know."""
    if isinstance(body, Mapping):
        return any(_unknown(key) or _unknown(value) for key, value in body.items())
    return any(map(_unknown, body)) if isinstance(body, list) else bool(body == UNKNOWN)


def _for_the_api(item: Item) -> Iterator[Item]:
    """The object as the API server would see it, and its pods as it would see those."""
    kind = resource(item.body)
    body = copy.deepcopy(item.body)
    if kind.kind in WORKLOADS or not kind.pods:
        yield Item(item.title, body)
    if kind.kind == "core/Pod":
        return
    for number, pod in enumerate(kind.pods):
        meta = {"name": f"pod-{number}", "namespace": kind.namespace or "default", **pod.metadata}
        yield Item(
            f"pod of {item.title}",
            {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": copy.deepcopy(dict(pod.spec))},
        )


Verdict = dict[str, str]
"""Rule -> what it says, its messages in order."""


def _pull_request(item: Item) -> Verdict:
    found: dict[str, list[str]] = {}
    beside = [resource(item.body), resource(compliant()["namespace"])]
    for each in violations(_CLAIMS, beside, exemptions=EXEMPTIONS):
        if each.resource.props is item.body:
            found.setdefault(each.rule.id, []).append(each.message)
    return {rule: "; ".join(messages) for rule, messages in found.items()}


def _cluster(answer: Answer) -> Verdict:
    said = (_SAID.search(warning) for warning in answer.warnings if "ValidatingAdmissionPolicy" in warning)
    fixes = {rule.id: rule.fix for rule in _CLAIMS}
    return {match[1]: match[2].removesuffix(f". {fixes[match[1]]}") for match in said if match}


def _same(one: Verdict, other: Verdict) -> bool:
    """Whether both say the same. Clauses may come in another order, and the API server may have added defaults that break a rule once more."""
    return one.keys() == other.keys() and all(
        set(one[rule].split("; ")) <= set(other[rule].split("; ")) for rule in one
    )


@dataclass(frozen=True)
class Hearing:
    """What was heard of the whole corpus."""

    heard: tuple[tuple[Item, Verdict, Verdict], ...]
    """Each object that came before both: what the pull request says, and what the cluster says."""
    refused: Mapping[str, bool]
    """Title -> whether policies that refuse did so."""
    invalid: tuple[str, ...]
    """What the API server takes for no valid object, so that nobody judges it."""


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Hearing:
    corpus = [each for item in _corpus() for each in _for_the_api(item)]
    said = {item.title: _pull_request(item) for item in corpus}
    with api_server(tmp_path_factory.mktemp("api-server")) as server:
        _prepare(server, corpus)
        _enforce(server)
        with server.client() as client:
            _wait(client, corpus, said)
            answers = [(item, client.try_to_create(item.body)) for item in corpus]
    strange = [
        (item.title, answer)
        for item, answer in answers
        if answer.status not in (201, 409, *_NOT_VALID) and not _denied(answer)
    ]
    assert not strange
    return Hearing(
        tuple(
            (item, said[item.title], _cluster(answer))
            for item, answer in answers
            if answer.status not in _NOT_VALID
        ),
        {item.title: _denied(answer) for item, answer in answers},
        tuple(item.title for item, answer in answers if answer.status in _NOT_VALID),
    )


def _prepare(server: ApiServer, corpus: Iterable[Item]) -> None:
    """Give the API server all kinds and namespaces of the corpus."""
    server.create(
        crds.read(
            path for name, files in _UPSTREAM.items() for path in sorted(part(name).directory.glob(files))
        )
    )
    server.create(_definition(version, kind) for version, kinds in _OTHERS.items() for kind in kinds)
    homes = {item.body["metadata"].get("namespace", "default") for item in corpus} - {
        "default",
        "kube-system",
    }
    own = compliant()["namespace"]["metadata"]
    server.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "annotations": own["annotations"] if name == own["name"] else {}},
        }
        for name in sorted(homes)
    )
    server.create([compliant()["priority"]])
    server.established()


def _definition(version: str, kind: str) -> Manifest:
    group, _, number = version.partition("/")
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {"name": number, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def _enforce(server: ApiServer) -> None:
    """Put the platform's own policies into force, each by two bindings: one that refuses, and one that tells of every rule."""
    items = _declared(Enforcement.DENY)
    for each in _declared(Enforcement.WARN):
        if each["kind"].endswith("Binding"):
            each["metadata"]["name"] += "-telling"
            items.append(each)
    server.create(items)


def _declared(enforcement: Enforcement) -> list[Manifest]:
    config = Config(enforcement=enforcement)
    found = record(lambda: Admission("admission", config, admission_policies(), owner="us")).objects
    return [_plain(each.inputs) for each in found]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _wait(client: Client, corpus: Sequence[Item], said: Mapping[str, Verdict]) -> None:
    """Wait until the API server judges by every rule: it reads each new policy and binding for itself, in a second or two. What it then
    still does not say is for the tests to tell."""
    deadline = time.monotonic() + 60
    for rule in _CLAIMS:
        refuses = rule.severity is Severity.ERROR
        for item in [each for each in corpus if rule.id in said[each.title]][:3]:
            answer = client.try_to_create(item.body)
            while (
                answer.status not in _NOT_VALID
                and not (rule.id in _cluster(answer) and (_denied(answer) or not refuses))
                and time.monotonic() < deadline
            ):
                time.sleep(0.2)
                answer = client.try_to_create(item.body)


def _errs(verdict: Verdict) -> bool:
    return any(rule.severity is Severity.ERROR for rule in _CLAIMS if rule.id in verdict)


def _denied(answer: Answer) -> bool:
    return answer.status == _REFUSED and "ValidatingAdmissionPolicy" in answer.message


def test_both_judges_say_the_same_of_every_object(hearing: Hearing) -> None:
    disagreements = [
        f"{item.title}: the pull request says {one}, the cluster says {other}"
        for item, one, other in hearing.heard
        if not _same(one, other)
    ]
    assert not disagreements, "\n".join([f"{len(disagreements)} disagreements", *disagreements])


def test_policies_that_refuse_refuse_exactly_what_breaks_a_rule(hearing: Hearing) -> None:
    wrong = [item.title for item, said, _ in hearing.heard if hearing.refused[item.title] != _errs(said)]
    assert not wrong


@pytest.mark.parametrize("rule", _CLAIMS, ids=lambda rule: rule.id)
def test_each_rule_refuses_something_before_both_judges(hearing: Hearing, rule: ResourceRule) -> None:
    assert any(rule.id in one and rule.id in other for _, one, other in hearing.heard)


def test_hardly_anything_of_the_corpus_is_no_valid_object(hearing: Hearing) -> None:
    """What the API server itself refuses shows nothing of the policies."""
    assert len(hearing.heard) > 500
    assert {title.removeprefix("pod of ") for title in hearing.invalid} == _INVALID.keys()
