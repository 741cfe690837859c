"""Every object that a shipped profile declares is put to a real API server that has upstream's own CustomResourceDefinitions.

So what no operator here can act on (its servers' images are not to be had everywhere) is at least what its own schema, with its CEL
rules, takes; and what is built in is what Kubernetes takes. Charts are not expanded here: they are upstream's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modules.kit import crds
from profiles.load import names
from tests.api_server import ApiServer, api_server
from tests.conftest import Declared
from tests.shipped import declared, manifest
from upstream import part, strimzi

pytestmark = pytest.mark.data

KINDS = {
    "kueue": "config/components/crd/bases/*.yaml",
    "cass-operator": "config/crd/bases/*.yaml",
    "cert-manager": "deploy/crds/*.yaml",
    "karpenter": "pkg/apis/crds/karpenter.sh_nodepools.yaml",
    "percona-xtradb-cluster-operator": "config/crd/bases/*.yaml",
    "prometheus-operator": "example/prometheus-operator-crd/*.yaml",
    "spark-operator": "config/crd/bases/*.yaml",
    "trainer": "manifests/base/crds/trainer.kubeflow.org_*.yaml",
}
"""Part of upstream/ -> where its module has its CustomResourceDefinitions."""


def objects_of(profile: str) -> tuple[Declared, ...]:
    """Every object but charts' and CustomResourceDefinitions, namespaces first."""
    found = declared(profile).objects
    kept = [each for each in found if not each.type.endswith(":CustomResourceDefinition")]
    return tuple(sorted(kept, key=lambda each: each.type != "kubernetes:core/v1:Namespace"))


@contextmanager
def with_upstreams_kinds(folder: Path) -> Iterator[ApiServer]:
    """An API server that has every kind of every operator that a profile may declare objects for."""
    with api_server(folder) as running:
        running.create(crd for name, files in KINDS.items() for crd in crds.read(_files(name, files)))
        running.create(crds.read(sorted(strimzi.crds().glob("*.yaml"))))
        running.established()
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with with_upstreams_kinds(tmp_path_factory.mktemp("api-server")) as running:
        yield running


def _files(name: str, pattern: str) -> list[Path]:
    found = sorted(part(name).directory.glob(pattern))
    assert found, f"the module of {name} has nothing at {pattern}"
    return found


@pytest.mark.parametrize("profile", names())
def test_an_api_server_with_upstreams_kinds_takes_every_object_of_the_profile(
    server: ApiServer, profile: str
) -> None:
    objects = [manifest(each) for each in objects_of(profile)]
    for each in objects:
        if each["kind"] == "Namespace":
            server.kubectl("create", "namespace", each["metadata"]["name"])
    assert not (refused := server.refusals(objects)), refused


def test_upstreams_kinds_refuse_what_they_should(server: ApiServer) -> None:
    """Else the check above could not fail."""
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "wrong", "namespace": "default"},
        "spec": {"selector": {}, "podMetricsEndpoints": [{"port": 1, "unheard": True}]},
    }
    assert "unheard" in server.refusals([monitor])
