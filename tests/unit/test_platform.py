"""The whole platform, for every profile that ships."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pulumi
import pulumi.runtime
import pytest

from modules.foundation.gpu_pools.config import Site
from modules.foundation.queueing.shares import may_burst
from modules.kit import names as platform_names
from modules.kit.credentials import Credentials
from profiles import fixed, kept
from profiles.load import load, names
from stacks import program
from stacks.platform import platform
from tests.conftest import Recording, record
from tests.shipped import MASTER, declared

PROFILES = names()
_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")


pytestmark = pytest.mark.parametrize("profile", PROFILES)


def test_it_is_declared_in_the_cluster_of_the_profile_and_no_other(profile: str) -> None:
    recorded = declared(profile)
    (cluster,) = recorded.of("pulumi:providers:kubernetes")
    assert cluster.inputs.context == load(profile).cluster.context
    assert cluster.inputs.enableServerSideApply == "true"
    others = [each.name for each in recorded.objects if not each.provider.startswith(cluster.urn)]
    assert not others, "an ambient kubeconfig would decide where these go"


def test_nothing_but_objects_of_the_cluster_is_declared(profile: str) -> None:
    """A run that is killed is harmless for them alone: whoever makes them again takes them over (docs/decisions/no-checkpoints.md)."""
    others = {
        each.type
        for each in declared(profile).resources
        if not each.type.startswith(("kubernetes:", "longhouse:", "pulumi:"))
    }
    assert not others


def test_a_rotated_secret_is_changed_in_place_under_the_pods_that_use_it(profile: str) -> None:
    (cluster,) = declared(profile).of("pulumi:providers:kubernetes")
    assert (cluster.inputs.enableSecretMutable, cluster.inputs.enableConfigMapMutable) == ("true", "true")


def test_every_resource_hangs_below_a_component(profile: str) -> None:
    for each in declared(profile).objects:
        assert "longhouse:" in each.parent, each.name


def test_no_two_resources_have_the_same_name_in_the_cluster(profile: str) -> None:
    objects = [
        (each.type, each.metadata.namespace, each.object_name)
        for each in declared(profile).objects
        if "metadata" in each.inputs
    ]
    assert len(objects) == len(set(objects))


def test_no_two_resources_have_the_same_urn(profile: str) -> None:
    urns = [each.urn for each in declared(profile).resources]
    assert len(urns) == len(set(urns))


def test_each_tenant_has_its_namespace(profile: str) -> None:
    wanted = {platform_names.namespace(name) for name in load(profile).tenants}
    found = {name for name in declared(profile).named("core/v1:Namespace") if name.startswith("tenant-")}
    assert found == wanted


def test_every_namespace_is_fenced(profile: str) -> None:
    recorded = declared(profile)
    denials = {
        each.metadata.namespace
        for each in recorded.of("networking.k8s.io/v1:NetworkPolicy")
        if each.object_name == "default-deny"
    }
    assert denials == set(recorded.named("core/v1:Namespace"))


def test_no_tenants_queue_draws_from_where_its_work_may_not_run(profile: str) -> None:
    config = load(profile)
    for queue in declared(profile).of("kueue.x-k8s.io/v1beta2:ClusterQueue"):
        tenant = config.tenants[queue.metadata.labels["longhouse.dev/tenant"]]
        for flavor in queue.spec.resourceGroups[0].flavors:
            pool = config.node_pools[flavor.name]
            assert pool.site is Site.HOME or (may_burst(tenant) and pool.region in tenant.burst.regions)


def test_every_flavor_that_a_queue_names_is_declared(profile: str) -> None:
    recorded = declared(profile)
    flavors = set(recorded.named("kueue.x-k8s.io/v1beta2:ResourceFlavor"))
    queues = [
        *recorded.of("kueue.x-k8s.io/v1beta2:ClusterQueue"),
        *recorded.of("kueue.x-k8s.io/v1beta2:Cohort"),
    ]
    assert {each.name for queue in queues for each in queue.spec.resourceGroups[0].flavors} <= flavors


_OWN = {
    "trainer-system": {"clustertrainingruntimes", "clustertrainingruntimes/finalizers"},
    "training-operator": {"validatingwebhookconfigurations"},
}
"""What an operator may change that stands in no namespace."""

_OF_SSH = {"trainer-system", "mpi-operator"}
"""Those that watch Secrets, for the keys that they make for jobs over SSH (policies/exemptions.py)."""


def test_nobody_is_made_administrator_of_the_cluster(profile: str) -> None:
    """Over all namespaces nobody may do more than read what no secret is in."""
    recorded = declared(profile)
    roles = recorded.named("rbac.authorization.k8s.io/v1:ClusterRole")
    for binding in recorded.of("rbac.authorization.k8s.io/v1:ClusterRoleBinding"):
        for rule in roles[binding.inputs.roleRef.name].inputs.rules:
            name, found = binding.inputs.roleRef.name, set(rule.resources)
            assert set(rule.verbs) <= {"get", "list", "watch"} or found <= _OWN.get(name, set()), name
            assert not found & ({"*"} if name in _OF_SSH else {"secrets", "*"}), name
    for binding in recorded.of("rbac.authorization.k8s.io/v1:RoleBinding"):
        role = binding.inputs.roleRef
        assert role.kind == "Role" or role.name.startswith("longhouse:tenant-")


def test_no_key_is_declared_in_the_clear(profile: str) -> None:
    for each in declared(profile).resources:
        clear = {key: value for key, value in each.inputs.items() if key not in each.secrets}
        assert not _KEY.search(repr(clear)), each.name
        assert MASTER.hex() not in repr(clear), each.name


def test_two_runs_declare_the_same(profile: str) -> None:
    def sketch(recorded: Recording) -> list[tuple[str, str]]:
        return sorted(
            (each.urn, repr(sorted(repr(item) for item in each.inputs.items())))
            for each in recorded.resources
        )

    again = record(lambda: platform(load(profile), Credentials(MASTER)))
    assert sketch(again) == sketch(declared(profile))


def test_the_program_declares_the_profile_that_the_stack_names(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"longhouse:profile": profile, "longhouse:masterSecret": MASTER.hex()}
    exported: dict[str, object] = {}
    monkeypatch.setattr(pulumi, "export", lambda name, value: exported.update({name: value}))
    entered: list[object] = []
    monkeypatch.setattr(pulumi, "run", entered.append)
    monkeypatch.delitem(sys.modules, "stacks.__main__", raising=False)

    def run() -> None:
        pulumi.runtime.set_all_config(settings)
        importlib.import_module("stacks.__main__")
        assert entered == [program.program]
        program.declare()

    recorded = record(run)
    assert {each.urn for each in recorded.resources} == {each.urn for each in declared(profile).resources}
    assert exported == {
        "profile": profile,
        "fixed": fixed.record(load(profile)),
        "kept": kept.record(load(profile)),
        "namespaces": {name: platform_names.namespace(name) for name in load(profile).tenants},
    }


def test_reading_a_profile_needs_no_pulumi(profile: str) -> None:
    code = f"import sys; from profiles.load import load; load({profile!r}); sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
