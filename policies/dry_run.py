"""Whether Kubernetes takes what a plan declares: a throw-away API server is asked, before any cluster is.

It has the plan's own kinds, admission policies and namespaces, and no controller or webhook: what an operator would refuse is not seen; what a
schema, Kubernetes' own validation or the platform's own policies refuse is, of pods too that only a controller would make.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from policies.api_server import ApiServer, ApiServerError, Client
from policies.claim import WORKLOADS
from policies.gate import Gate
from policies.images import SECRET
from policies.plan import Finding
from policies.resource import (
    CUSTOM_RESOURCE_DEFINITION,
    NAMESPACE,
    UNKNOWN,
    Resource,
    at,
    items,
    record,
    records,
)

TAKEN: Final = Gate(
    id="LH-P-006",
    title="Kubernetes takes every object",
    reason="What a kind's schema or Kubernetes itself refuses stops a deployment half way, with what came before it done.",
    fix="Put right what the message names, as the kind's schema has it.",
    looks_at="every object of the plan, and what controllers make of it, by a throw-away API server that has the plan's own kinds and admission policies",
)

_CREATED: Final = (200, 201)
_THERE: Final = 409
_CONTENTS: Final = ("data", "stringData", "type")
_POLICY: Final = "admissionregistration.k8s.io/ValidatingAdmissionPolicy"
_BINDING: Final = f"{_POLICY}Binding"
_PRIORITY_CLASS: Final = "scheduling.k8s.io/PriorityClass"
_FIRST: Final = (CUSTOM_RESOURCE_DEFINITION, _POLICY, _BINDING, _PRIORITY_CLASS, NAMESPACE)
"""What others need to be there, or are judged by."""
_AWAKE: Final = "longhouse-dry-run-is-awake"
_AWAKE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Asked:
    """What the API server said."""

    findings: tuple[Finding, ...]
    objects: int
    """How many it was asked for."""
    open: int
    """How many it could not judge: of a kind that the plan does not bring, or refused while part of them is not known yet."""


def ask(server: ApiServer, resources: Sequence[Resource]) -> Asked:
    """Put every object to the server, and what Kubernetes' controllers make of it, once the plan's kinds, admission policies and namespaces
    are in force there. Raises ApiServerError when it does not answer."""
    server.wait()
    bodies = [(each, _body(each)) for each in resources]
    of_kind = {kind: [body for each, body in bodies if each.kind == kind] for kind in _FIRST}
    with server.client() as client:
        refused = list(_made(client, map(_without_conversion, of_kind[CUSTOM_RESOURCE_DEFINITION])))
        if of_kind[CUSTOM_RESOURCE_DEFINITION] and not refused:
            server.established()
        policies = [*of_kind[_POLICY], *of_kind[_BINDING]]
        refused += _made(client, policies)
        if policies:
            _enforced(client)
        refused += _made(client, [*of_kind[_PRIORITY_CLASS], *of_kind[NAMESPACE], *_homes(resources)])
        wanted = [
            (subject, body)
            for each, own in bodies
            for subject, body in ((each.subject, own), *_made_of(each))
        ]
        unsure = 0
        for subject, body in wanted:
            if not client.serves(body["apiVersion"], body["kind"]):
                unsure += 1
                continue
            answer = client.try_to_create(_whole(body), strict=True)
            if answer.status in (*_CREATED, _THERE):
                continue
            if _not_known(body):
                unsure += 1
            else:
                refused.append(TAKEN.finding(subject, answer.message))
    return Asked(tuple(dict.fromkeys(refused)), len(wanted), unsure)


def _made(client: Client, bodies: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Make what the others need."""
    for body in bodies:
        answer = client.create(_whole(body))
        if answer.status not in (*_CREATED, _THERE):
            yield TAKEN.finding(f"{body['kind']} {body['metadata']['name']}", answer.message)


def _enforced(client: Client) -> None:
    """Wait until the policies are in force: the server reads them in the order in which they came, and one more comes last."""
    binding = {"policyName": _AWAKE, "validationActions": ["Deny"]}
    config_maps = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
    }
    policy = {
        "matchConstraints": {"resourceRules": [config_maps]},
        "validations": [{"expression": f"object.metadata.name != {json.dumps(_AWAKE)}"}],
    }
    version = "admissionregistration.k8s.io/v1"
    for kind, spec in (("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding)):
        client.create({"apiVersion": version, "kind": kind, "metadata": {"name": _AWAKE}, "spec": spec})
    deadline = time.monotonic() + _AWAKE_SECONDS
    while (
        _AWAKE
        not in client.try_to_create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _AWAKE}}
        ).message
    ):
        if time.monotonic() > deadline:
            raise ApiServerError(f"admission policies are not in force after {_AWAKE_SECONDS:.0f} s")
        time.sleep(0.2)


def _made_of(resource: Resource) -> Iterator[tuple[str, dict[str, Any]]]:
    """What Kubernetes' own controllers make of the object: its pods, and what stands between."""
    spec, home = record(resource.props.get("spec")), {"namespace": resource.namespace or "default"}
    between: dict[str, Any] = {}
    if resource.kind == "batch/CronJob":
        job = record(spec.get("jobTemplate"))
        between = {"apiVersion": "batch/v1", "kind": "Job", **job}
    elif resource.kind == "apps/Deployment":
        kept = {key: spec[key] for key in ("selector", "template") if key in spec}
        between = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": kept}
    if between:
        metadata = {**record(between.get("metadata")), "name": _name(resource), **home}
        yield f"{between['kind']} of {resource.subject}", {**between, "metadata": metadata}
    if resource.kind in WORKLOADS and resource.kind != "core/Pod":
        claims = [str(at(each, "metadata", "name")) for each in records(spec.get("volumeClaimTemplates"))]
        volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
        for pod in resource.pods:
            metadata = {**pod.metadata, "name": _name(resource), **home}
            with_volumes = {**pod.spec, "volumes": [*items(pod.spec.get("volumes")), *volumes]}
            yield (
                f"Pod of {resource.subject}",
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": with_volumes},
            )


def _name(resource: Resource) -> str:
    """As a controller invents it: what rules say by name of the object is not said of what it makes."""
    return f"{resource.object_name[:50]}-made"


def _without_conversion(body: Mapping[str, Any]) -> dict[str, Any]:
    """A kind without the webhook that converts its objects: nobody is there to answer."""
    return {**body, "spec": {key: value for key, value in body["spec"].items() if key != "conversion"}}


def _homes(resources: Sequence[Resource]) -> list[dict[str, Any]]:
    """Namespaces that something is declared in, and that are another's."""
    declared = {each.object_name for each in resources if each.kind == NAMESPACE}
    homes = {each.namespace for each in resources if each.namespace} - declared
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(homes)]


def _body(resource: Resource) -> dict[str, Any]:
    """The object as it would be sent; a Secret whose contents are masked without them, and so without the type that asks for some."""
    _, version, kind = resource.type.split(":")
    fields = {key: value for key, value in resource.props.items() if not key.startswith("__")}
    if kind == "Secret" and _not_known(fields):
        fields = {key: value for key, value in fields.items() if key not in _CONTENTS}
    return {**fields, "apiVersion": version.removeprefix("core/"), "kind": kind}


def _whole(value: Any) -> Any:
    """With whole numbers where the engine, which has only one kind of number, gives 53.0."""
    if isinstance(value, Mapping):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _not_known(value: Any) -> bool:
    """Whether something in it is masked, or known only once it is deployed."""
    text = json.dumps(value)
    return SECRET in text or UNKNOWN in text
