"""What holds of every store alike, in every profile that ships."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from modules.kit import quantities
from profiles.load import load, names
from tests.conftest import Declared
from tests.shipped import declared

WITH_STORES = tuple(name for name in names() if name != "local-simulated")
LOCAL_LIMIT_GIB = 5
"""Most memory that the local profile's stores may ever take together: a laptop of 16 GiB has to do more than store."""

SERVICES = frozenset({"tracking"})
"""What keeps all of its own in the stores: it runs as they do, and has no backup but theirs."""

LEAST_SECRET = 16
"""Characters from which on a Secret's value is a secret, and not a name, a port or a flag that stands elsewhere too."""


def data_plane(profile: str) -> frozenset[str]:
    """The namespaces of the stores, and of what keeps its own in them."""
    homes = declared(profile).of("core/v1:Namespace")
    return frozenset(
        home.object_name
        for home in homes
        if home.metadata.labels["longhouse.dev/component"] == "store-namespace"
    )


def stores(profile: str) -> frozenset[str]:
    """The namespaces of the stores."""
    return data_plane(profile) - SERVICES


def servers(profile: str) -> list[Declared]:
    found = declared(profile).of("apps/v1:StatefulSet") + declared(profile).of("apps/v1:Deployment")
    return [each for each in found if each.metadata.namespace in data_plane(profile)]


def containers(server: Declared) -> list[Any]:
    pod = server.spec.template.spec
    return [*pod.containers, *(pod.initContainers or [])]


def test_the_local_profile_has_all_five_stores_and_the_simulated_one_has_none() -> None:
    assert stores("local") == {"hdfs", "kafka", "cassandra", "object-store", "mysql"}
    assert data_plane("local") == stores("local") | SERVICES
    assert not data_plane("local-simulated")


def test_the_local_stores_never_take_more_memory_than_a_laptop_has_to_spare() -> None:
    total = sum(
        each.spec.replicas * quantities.bytes_of(container.resources.limits.memory)
        for each in servers("local")
        for container in each.spec.template.spec.containers
    )
    assert total <= LOCAL_LIMIT_GIB * 2**30, f"{total / 2**30:.1f} GiB"


@pytest.mark.parametrize("profile", WITH_STORES)
class TestEveryServer:
    def test_says_itself_when_it_is_ready(self, profile: str) -> None:
        for each in servers(profile):
            asked = [c.readinessProbe for c in each.spec.template.spec.containers if c.readinessProbe]
            assert asked, f"{each.object_name} is never asked"
            assert all(probe.exec or probe.httpGet for probe in asked), "an open port is not readiness"

    def test_is_taken_away_one_pod_at_a_time(self, profile: str) -> None:
        budgets = {
            (each.metadata.namespace, *sorted(each.spec.selector.matchLabels.items()))
            for each in declared(profile).of("policy/v1:PodDisruptionBudget")
        }
        for each in servers(profile):
            selector = (each.metadata.namespace, *sorted(each.spec.selector.matchLabels.items()))
            assert selector in budgets, each.object_name

    def test_has_its_metrics_read(self, profile: str) -> None:
        """Its own, or those that an exporter beside it asks it for. MIT's KDC has none, nor has MLflow; that they answer is their readiness."""
        monitored = {
            (each.metadata.namespace, *sorted(each.spec.selector.matchLabels.items()))
            for each in declared(profile).of("monitoring.coreos.com/v1:PodMonitor")
        }
        for each in servers(profile):
            if each.object_name == "realm" or each.metadata.namespace in SERVICES:
                continue
            namespace = each.metadata.namespace
            selector = (namespace, *sorted(each.spec.selector.matchLabels.items()))
            exporter = (namespace, ("app.kubernetes.io/name", "exporter"))
            assert monitored & {selector, exporter}, f"{each.object_name} has no monitor"

    def test_restarts_when_its_settings_change(self, profile: str) -> None:
        for each in servers(profile):
            annotations = each.spec.template.metadata.annotations
            assert (annotations or {}).get("longhouse.dev/settings"), each.object_name

    def test_runs_restricted(self, profile: str) -> None:
        for each in servers(profile):
            for container in containers(each):
                context = container.securityContext
                assert context.readOnlyRootFilesystem is True, f"{each.object_name}/{container.name}"
                assert context.capabilities.drop == ["ALL"], f"{each.object_name}/{container.name}"


@pytest.mark.parametrize("profile", WITH_STORES)
def test_no_secret_stands_anywhere_but_in_a_secret(profile: str) -> None:
    secrets = {
        value
        for each in declared(profile).of("core/v1:Secret")
        if each.metadata.namespace
        for value in _values(each.inputs.stringData or {})
    }
    assert secrets
    told = [
        f"{each.type} {each.object_name}"
        for each in declared(profile).objects
        if not each.type.endswith(":Secret")
        for text in _texts(each.inputs)
        if any(secret in text for secret in secrets)
    ]
    assert not told


def _values(data: Mapping[str, str]) -> Iterator[str]:
    """What of a Secret nobody else may know: passwords and keys by the names that they have here."""
    for key, value in data.items():
        secret = any(word in key for word in ("password", "secret", "token")) or key.endswith(".key")
        if secret and len(value) >= LEAST_SECRET:
            yield value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("profile", WITH_STORES)
def test_every_store_is_backed_up_by_the_clock(profile: str) -> None:
    """By a CronJob, or by the operator's own schedule; the object store, where the rest is backed up to, to the S3 that is named."""
    recorded = declared(profile)
    jobs = recorded.of("batch/v1:CronJob")
    scheduled = {each.metadata.namespace for each in jobs if each.object_name != "quotas"}
    by_operators = {
        each.metadata.namespace
        for each in recorded.of("pxc.percona.com/v1:PerconaXtraDBCluster")
        if each.spec.backup and each.spec.backup.schedule
    }
    found = load(profile)
    copied = found.object_store is None or found.object_store.copy_to is not None
    left_out = set() if copied else {"object-store"}
    assert stores(profile) - scheduled - by_operators == left_out
