"""Who reaches whom, by packets: the network does what the policies of the running platform are computed to say.

`make pr` proves that no tenant reaches what is another's from what is declared. Here the same computation, over what runs, is held against
connections: from pods of two tenants and of the stores' own programs to every port that any pod on a real node declares.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from modules.kit.network import network
from policies.isolation.network import Endpoint, endpoints, fences
from policies.resource import Resource
from tests.live import Live, Object, Pod, Tenant, container

pytestmark = [pytest.mark.foundation, pytest.mark.policies]

_PORT = 8080
_LISTEN = ("python3", "-m", "http.server", str(_PORT))
_CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def opened(place):
    try: socket.create_connection(place, timeout=5).close()
    except OSError: return False
    return True
with ThreadPoolExecutor(64) as many: print(json.dumps(list(many.map(opened, map(tuple, json.loads(sys.argv[1]))))))
"""
_TYPES = {
    "namespaces": "kubernetes:core/v1:Namespace",
    "networkpolicies": "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "pods": "kubernetes:core/v1:Pod",
}


@dataclass(frozen=True)
class Place:
    """A port of a running pod."""

    endpoint: Endpoint
    pod: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.endpoint.namespace}/{self.pod}:{self.port}"


@dataclass(frozen=True)
class Cell:
    """One connection: who begins it, where to, and whether the policies let it through."""

    source: str
    place: Place
    allowed: bool

    def __str__(self) -> str:
        return f"{self.source} -> {self.place}"


def test_a_connection_comes_about_where_policies_allow_it_and_nowhere_else(
    live: Live, tenants: tuple[Tenant, Tenant]
) -> None:
    with ExitStack() as running:
        listener = {**container(_LISTEN), "ports": [{"containerPort": _PORT}]}
        sources = [
            (each.namespace, running.enter_context(live.pod(each, containers=[listener]))) for each in tenants
        ]
        sources += [
            (name, running.enter_context(live.program_pod(Tenant("", name), "cronjobs", "backup")))
            for name in _stores(live)
        ]
        places = list(_places(live))
        answering = _answering(live, places)
        with ThreadPoolExecutor() as at_once:
            tried = [
                each
                for found in at_once.map(lambda source: _tried(live, source, places), sources)
                for each in found
            ]
    answering |= {cell.place for cell, came in tried if came}
    judged = [(cell, came) for cell, came in tried if cell.place in answering]
    kept = [cell for cell, came in judged if not cell.allowed and not came]
    used = [cell for cell, came in judged if cell.allowed and came]
    print(
        f"\n    {len(judged)} connections from {len(sources)} pods to {len(answering)} open ports of {len({each.pod for each in answering})} "
        f"pods: {len(used)} came about as the policies say, {len(kept)} were refused as they say"
    )
    wrong = [
        f"{cell}: {'refused' if cell.allowed else 'open'}" for cell, came in judged if came != cell.allowed
    ]
    assert not wrong, "\n".join(wrong)
    assert {cell.source for cell in kept} == {name for name, _ in sources}, "somebody was refused nothing"
    homes = {each.namespace for each in tenants}
    assert {cell.source for cell in used} >= homes, "a tenant that reaches nothing shows nothing"
    assert {(cell.source, cell.place.endpoint.namespace) for cell in kept} >= {
        (one, other) for one in homes for other in homes if one != other
    }


def _stores(live: Live) -> Iterator[str]:
    """Namespaces of the stores that have a program of their own to try from."""
    for each in live.items("cronjobs", "--all-namespaces"):
        if each["metadata"]["name"] == "backup":
            yield each["metadata"]["namespace"]


def _places(live: Live) -> Iterator[Place]:
    """Every TCP port that a ready pod on a real node declares."""
    real = live.real_nodes()
    for each in live.items("pods", "--all-namespaces", "--field-selector=status.phase=Running"):
        ready = any(
            found["type"] == "Ready" and found["status"] == "True" for found in each["status"]["conditions"]
        )
        if each["spec"]["nodeName"] not in real or not ready:
            continue
        (endpoint,) = endpoints([_resource("pods", each)])
        for port in sorted(_tcp(each)):
            yield Place(endpoint, each["metadata"]["name"], each["status"]["podIP"], port)


def _tcp(running: Object) -> set[int]:
    return {
        port["containerPort"]
        for each in running["spec"]["containers"]
        for port in each.get("ports", [])
        if port.get("protocol", "TCP") == "TCP"
    }


def _resource(kind: str, body: Object) -> Resource:
    return Resource("", _TYPES[kind], body["metadata"]["name"], body)


def _tried(live: Live, source: tuple[str, Pod], places: Sequence[Place]) -> list[tuple[Cell, bool]]:
    """Each place with what the policies say of a connection to it, and whether it came about."""
    tried = []
    name, pod = source
    found = live.get("pod", pod.name, f"--namespace={name}")
    (start,) = endpoints([_resource("pods", found)])
    declared = [
        _resource(kind, each)
        for kind in ("namespaces", "networkpolicies")
        for each in live.items(kind, "--all-namespaces")
    ]
    came = pod.told(_CONNECT, json.dumps([(each.address, each.port) for each in places]))
    for place, opened in zip(places, came, strict=True):
        ways = fences(declared, [network(f"{place.address}/32")]).ways(start, place.endpoint)
        allowed = any(
            way.ports.protocol == "TCP" and way.ports.first <= place.port <= way.ports.last for way in ways
        )
        tried.append((Cell(name, place, allowed or place.address == pod.address), opened))
    return tried


def _answering(live: Live, places: Sequence[Place]) -> set[Place]:
    """Where something listens: asked by way of the kubelet, which no policy stands in front of, and which finds all but those that listen
    at their pod's address alone."""
    with ThreadPoolExecutor(8) as at_once:
        answers = list(at_once.map(lambda place: _answers(live, place), places))
    return {place for place, answer in zip(places, answers, strict=True) if answer}


def _answers(live: Live, place: Place) -> bool:
    words = (
        "port-forward",
        f"--namespace={place.endpoint.namespace}",
        f"pod/{place.pod}",
        f":{place.port}",
        "--address=127.0.0.1",
    )
    command = ["kubectl", f"--kubeconfig={live.kubeconfig}", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forward:
        try:
            assert forward.stdout is not None
            said = forward.stdout.readline()
            local = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert local, f"{place}: {said}"
            return _stays_open(int(local[1]))
        finally:
            forward.terminate()


def _stays_open(port: int) -> bool:
    """Whether the far end takes the connection: where nothing listens, it is closed as soon as the kubelet has tried."""
    with socket.create_connection(("127.0.0.1", port)) as opened:
        opened.settimeout(3)
        try:
            return opened.recv(1) != b""
        except TimeoutError:
            return True
        except ConnectionError:
            return False
