"""From files to one typed profile: what is read, inherited, merged and remembered."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from modules.foundation.gpu_pools.config import Mig, NodePool
from modules.kit.cluster import WebhookFailure
from profiles.load import load, names, origins
from profiles.problems import Problem, ProfileError
from tests.profiles.harness import told

SHIPPED = ("burst", "cloud", "local", "local-full", "local-simulated", "onprem")


def problems(name: str, directory: Path) -> tuple[Problem, ...]:
    """What is wrong with the profile."""
    with pytest.raises(ProfileError) as refused:
        load(name, directory)
    return refused.value.problems


def test_the_shipped_profiles_are_the_six_that_can_be_deployed() -> None:
    assert names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_profile_loads(name: str) -> None:
    started = time.perf_counter()
    profile = load(name)
    print(f"{name}: {1000 * (time.perf_counter() - started):.1f} ms")
    assert profile.name == name
    assert profile.tenants


def test_the_base_alone_is_no_profile() -> None:
    with pytest.raises(ProfileError, match="cluster"):
        load("base")


def test_loading_imports_no_pulumi() -> None:
    program = "import sys; from profiles.load import load; load('local'); print('pulumi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False", "a profile must be judged without an engine"


def test_names_come_from_files_and_keys() -> None:
    profile = load("local")
    assert {name: tenant.name for name, tenant in profile.tenants.items()} == {
        "atlas": "atlas",
        "borealis": "borealis",
    }
    assert profile.node_pools["a100"].name == "a100"


def test_a_profile_cannot_be_changed() -> None:
    profile = load("local")
    with pytest.raises(ValidationError, match="frozen"):
        profile.owner = "someone"
    with pytest.raises(TypeError, match="does not support item assignment"):
        profile.node_pools["more"] = profile.node_pools["general"]  # type: ignore[index]


def test_the_simulated_profile_is_local_without_what_needs_a_pod() -> None:
    local, simulated = load("local"), load("local-simulated")
    assert simulated.admission.webhooks is WebhookFailure.IGNORE
    absent = dict.fromkeys(
        (
            *("hdfs", "kafka", "cassandra", "object_store", "mysql"),
            *("spark", "flink", "training", "tuning", "tracking"),
        )
    )
    assert {key: getattr(simulated, key) for key in absent} == absent
    changed = {"name": "", "description": "", "admission": local.admission, **absent}
    assert local.model_copy(update=changed) == simulated.model_copy(update=changed)


def test_burst_is_onprem_and_cloud_pools() -> None:
    onprem, burst = load("onprem"), load("burst")
    home = {name: pool for name, pool in burst.node_pools.items() if pool.region is None}
    assert home == dict(onprem.node_pools)
    assert burst.tenants == onprem.tenants
    assert len(burst.node_pools) > len(home)


def test_onprem_has_forty_nodes_and_a_hundred_and_sixty_gpus() -> None:
    pools = load("onprem").node_pools.values()
    assert sum(pool.nodes for pool in pools) == 40
    assert sum(pool.nodes * pool.gpu.count for pool in pools if pool.gpu) == 160


def test_a_tenants_file_yields_to_the_profiles_differences(directory: Path) -> None:
    (directory / "local-x.yaml").write_text("extends: local\ntenants: {atlas: {quota: {pods: 7}}}\n")
    atlas = load("local-x", directory).tenants["atlas"]
    assert atlas.quota.pods == 7, "the profile's own difference"
    assert atlas.quota.cpu == "400m", "the difference of the profile that it extends"
    assert atlas.groups.admin == ("atlas-leads",), "the tenant's file"


def test_lists_are_replaced_not_joined(directory: Path) -> None:
    (directory / "local-x.yaml").write_text(
        "extends: local\ntenants: {atlas: {groups: {admin: [new-leads]}}}\n"
    )
    assert load("local-x", directory).tenants["atlas"].groups.admin == ("new-leads",)


def test_null_takes_away_what_the_tenants_file_set() -> None:
    assert set(load("local").tenants["atlas"].quota.gpus) == {"a100"}
    assert "a100-mig" in load("onprem").tenants["atlas"].quota.gpus


def test_null_takes_an_inherited_value_back_to_its_default(directory: Path) -> None:
    (directory / "onprem-x.yaml").write_text("extends: onprem\ncluster: {storage_class: null}\n")
    assert load("onprem-x", directory).cluster.storage_class is None


def test_a_new_mode_of_sharing_drops_the_keys_of_the_old(directory: Path) -> None:
    (directory / "onprem-x.yaml").write_text(
        "extends: onprem\nnode_pools: {a100-mig: {gpu: {sharing: {mode: none}}}}\n"
        "tenants: {atlas: {quota: {gpus: {a100-mig: 16}}}, caldera: {quota: {gpus: {a100-mig: 8}}}}\n"
    )
    gpu = load("onprem-x", directory).node_pools["a100-mig"].gpu
    assert gpu is not None
    assert not isinstance(gpu.sharing, Mig)


def test_the_same_mode_of_sharing_keeps_its_keys(directory: Path) -> None:
    (directory / "onprem-x.yaml").write_text(
        "extends: onprem\nnode_pools: {l4: {gpu: {sharing: {mode: time-slicing}}}}\n"
    )
    assert load("onprem-x", directory).node_pools["l4"] == load("onprem").node_pools["l4"]


def test_each_key_remembers_the_file_and_line_that_set_it(directory: Path) -> None:
    (directory / "local-x.yaml").write_text("extends: local\nnode_pools:\n  a100:\n    nodes: 3\n")
    where = origins("local-x", directory)

    def at(*key: str | int) -> tuple[str, str]:
        origin = where[key]
        return str(origin.file.relative_to(directory)), origin.file.read_text().splitlines()[
            origin.line - 1
        ].strip()

    assert at("node_pools", "a100", "nodes") == ("local-x.yaml", "nodes: 3")
    assert at("node_pools", "a100", "cpu") == ("local.yaml", 'cpu: "32"')
    assert at("owner") == ("base.yaml", "owner: platform-team")
    assert at("tenants", "borealis", "network", "egress", 1, "cidr")[0] == "tenants/borealis.yaml"
    assert at("tenants", "borealis", "quota", "pods")[0] == "local.yaml"
    assert ("cluster", "context") not in where, "a default stands in no file"


def test_a_fault_in_what_is_inherited_is_told_where_it_stands(directory: Path) -> None:
    base = directory / "base.yaml"
    base.write_text(base.read_text().replace("normal: 0", "normal: none"))
    (problem,) = problems("local-full", directory)
    assert problem.file == base
    assert base.read_text().splitlines()[problem.line - 1].strip() == "normal: none"


def test_faults_of_all_files_are_told_at_once(directory: Path) -> None:
    for file, old, new in (
        ("base.yaml", "fair_sharing: true", "fair_sharing: 1"),
        ("local.yaml", "spot: true", "spot: sometimes"),
        ("tenants/atlas.yaml", "data_class: internal", "data_class: hidden"),
        ("tenants/borealis.yaml", "owner: borealis-team", "ownr: borealis-team"),
    ):
        text = (directory / file).read_text()
        assert old in text
        (directory / file).write_text(text.replace(old, new))
    found = problems("local", directory)
    assert {(problem.file.name, problem.key) for problem in found} == {
        ("base.yaml", "queueing.fair_sharing"),
        ("local.yaml", "node_pools.cloud-l4.spot"),
        ("atlas.yaml", "tenants.atlas.data_class"),
        ("borealis.yaml", "tenants.borealis.ownr"),
    }, told(found)


def test_a_tenants_file_must_be_complete_even_if_a_profile_adds_what_it_lacks(directory: Path) -> None:
    (directory / "tenants" / "zeta.yaml").write_text("data_class: public\n")
    record = "{owner: zeta, quota: {cpu: 300m, memory: 1Gi, storage: 1Gi, pods: 5}}"
    (directory / "local-x.yaml").write_text(f"extends: local\ntenants: {{atlas: null, zeta: {record}}}\n")
    assert {problem.key for problem in problems("local-x", directory)} == {
        "tenants.zeta.owner",
        "tenants.zeta.quota",
    }


def test_a_whole_tenant_may_stand_in_the_profile(directory: Path) -> None:
    record = "{owner: zeta, quota: {cpu: 300m, memory: 1Gi, storage: 1Gi, pods: 5}}"
    (directory / "local-x.yaml").write_text(f"extends: local\ntenants: {{atlas: null, zeta: {record}}}\n")
    assert set(load("local-x", directory).tenants) == {"borealis", "zeta"}


@pytest.mark.parametrize(
    "name", ["", "..", "../local", "local\n", "/etc/passwd", "LOCAL", "a" * 300, "tenants/atlas"]
)
def test_a_name_that_is_no_profile_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ProfileError, match="there is no profile") as refused:
        load(name)
    assert "local-full" in refused.value.problems[0].remedy


def test_a_file_that_is_no_text_is_refused(directory: Path) -> None:
    (directory / "local-x.yaml").write_bytes(b"extends: local\nowner: \xff\xfe\n")
    (problem,) = problems("local-x", directory)
    assert problem.message == "is not UTF-8 text"


def test_a_node_pool_built_by_hand_is_checked_too() -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        NodePool.model_validate({"name": "x", "site": "home", "nodes": 1, "cpu": "2", "memory": "8G"})
