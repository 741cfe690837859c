"""A store's operator, as a real pod of the embedded cluster in a namespace of its own, with what its component declares for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modules.data.store import StoreContext
from modules.kit.cluster import Cluster as ClusterConfig
from profiles.load import load
from sandbox.cluster import Cluster
from sandbox.images import Image
from tests.conftest import record
from tests.live import TIMEOUT, Live, Object
from tests.shipped import manifest
from tests.unit.examples import store_context

SIMULATED = [{"key": key, "operator": "Exists"} for key in ("longhouse.dev/site", "nvidia.com/gpu")]
"""What pods have to tolerate that are to stand on the simulated nodes of another site."""


def only_embedded(request: pytest.FixtureRequest) -> None:
    """Skip on any other cluster."""
    if request.config.getoption("--cluster") != "embedded":
        pytest.skip("needs the embedded cluster's simulated nodes, and its way to give a node an image")


def _here(live: Live) -> ClusterConfig:
    """The local profile's cluster, with the API server where this one has it: the tests' own has another address."""
    found = load("local").cluster
    (endpoint,) = live.get("endpointslice", "kubernetes", "--namespace=default")["endpoints"]
    cidrs = tuple(f"{each}/32" for each in endpoint["addresses"])
    return found.model_copy(update={"api_server": found.api_server.model_copy(update={"cidrs": cidrs})})


@dataclass(frozen=True)
class StoreOperator:
    """One operator, and the one custom resource that it is given."""

    namespace: str
    """Where it runs for as long as the check does."""

    kind: str
    """The resource's kind, as kubectl names it."""

    name: str
    """The resource."""

    image: Image
    """What runs the operator."""

    def objects(
        self, live: Live, declare: Callable[[StoreContext], object], leave_out: tuple[str, ...]
    ) -> list[Object]:
        """What a component declares for it, moved to its namespace, which comes first; but for the programs that would wait for a running
        server, whose names begin with ``leave_out``."""
        cluster = _here(live)
        found = record(lambda: declare(store_context(cluster=cluster)))
        others = (*leave_out, "retained", "home-", "stands-for")
        kept = [
            each
            for each in map(manifest, found.objects)
            if each["kind"] not in ("PodMonitor", "CustomResourceDefinition")
            and not each["metadata"]["name"].startswith(others)
        ]
        for each in kept:
            self._move(each)
        return sorted(kept, key=lambda each: each["kind"] != "Namespace")

    def _move(self, each: Object) -> None:
        if each["kind"] == "Namespace":
            each["metadata"]["name"] = self.namespace
        elif "namespace" in each["metadata"]:
            each["metadata"]["namespace"] = self.namespace
        for subject in each.get("subjects", []):
            subject["namespace"] = self.namespace
        if each["kind"] == "StatefulSet":
            for setting in each["spec"]["template"]["spec"]["containers"][0]["env"]:
                if setting["name"] == "WATCH_NAMESPACE":
                    setting["value"] = self.namespace

    @contextmanager
    def running(self, live: Live, crds: Iterable[Path], objects: Iterable[Object]) -> Iterator[None]:
        """The operator's image on the node, its kinds served, and the objects in the cluster, for as long as the body runs."""
        for program, _ in self.image.programs:
            program.build()
        Cluster(load("local"), None).node.import_image(self.image.build(), self.image.reference)
        kinds = [f"--filename={each}" for each in crds]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        try:
            live.kubectl("apply", "--server-side", *kinds)
            # kubectl does not wait for a kind that has no conditions yet: that is an error at once.
            wait = ("wait", "--for=condition=Established", *kinds, TIMEOUT)
            live.eventually("its kinds are served", lambda: live.try_kubectl(*wait).returncode == 0)
            live.kubectl("apply", "--server-side", "--filename=-", stdin=text)
            yield
        finally:
            everything = ("--namespace", self.namespace, self.kind)
            live.try_kubectl("delete", *everything, "--all", "--wait=false")
            no_finalizers = '--patch={"metadata":{"finalizers":null}}'
            live.try_kubectl("patch", *everything, self.name, "--type=merge", no_finalizers)
            live.try_kubectl("delete", "namespace", self.namespace, "--wait=false")
            live.try_kubectl("delete", "--wait=false", *kinds)

    def found(self, live: Live, kind: str, name: str) -> Object | None:
        """An object of the namespace; None while there is none."""
        answer = live.try_kubectl("--namespace", self.namespace, "get", kind, name, "--output=json")
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def made(self, live: Live, kind: str, name: str) -> Any:
        """The same, once it is there."""
        return live.eventually(f"{kind} {name}", lambda: self.found(live, kind, name))
