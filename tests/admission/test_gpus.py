"""What the API server refuses a tenant that asks for GPUs: the platform's own policies, before an API server of the tests' own; and what preflight
says of the nodes that are there."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from modules.foundation.admission import policy
from modules.foundation.admission.config import Admission
from modules.foundation.admission.policy import API_VERSION, PREFIX
from modules.foundation.gpu_pools import config as pools_config
from modules.foundation.gpu_pools import karpenter, placement
from modules.foundation.queueing import shares
from modules.foundation.tenants import offers
from modules.foundation.tenants.config import Tenant
from modules.kit import crds, labels, names
from policies.admission import admission_policies
from sandbox import simulated
from stacks import preflight
from tests.api_server import ApiServer, api_server
from tests.unit.examples import A100, GENERAL, L4, cloud_pool, pool, tenant
from upstream import part

pytestmark = pytest.mark.policies

POOLS = (
    GENERAL,
    pool("a100", nodes=2, gpu=A100, topology=["topology.example.com/rack", "kubernetes.io/hostname"]),
    pool("mig", gpu={**A100, "sharing": {"mode": "mig", "layout": {"1g.10gb": 7}}}),
    pool("l4", gpu={**L4, "sharing": {"mode": "time-slicing", "replicas": 4}}),
)
BUDGET = {"high": {"cpu": "1", "memory": "1Gi", "gpus": {"a100": 2}}}
ATLAS = tenant("atlas", quota={"gpus": {"a100": 8, "mig": 7, "l4": 4}, "budgets": BUDGET})
EMBER = tenant("ember")
RENTED = cloud_pool("rented", nodes=4, min_nodes=0, instance_types=["p4de.24xlarge"], gpu=A100)
THERE = "a100=nvidia.com/gpu mig=nvidia.com/mig-1g.10gb l4=nvidia.com/gpu.shared"


def _namespace(one: Tenant) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": names.namespace(one.name),
        "labels": {labels.TENANT: one.name, labels.OWNER: one.owner, labels.DATA_CLASS: "internal"},
        "annotations": offers.offered(one, POOLS, ["high"]),
    }
    metadata["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _policies() -> Iterator[dict[str, Any]]:
    config = Admission()
    for each in admission_policies():
        name = PREFIX + each.name
        specs = {
            "ValidatingAdmissionPolicy": policy.policy_spec(each, config),
            "ValidatingAdmissionPolicyBinding": policy.binding_spec(each, config),
        }
        for kind, spec in specs.items():
            yield {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with all of the platform's policies in force, Kueue's and Karpenter's kinds, and two tenants of whom one has GPUs."""
    with api_server(tmp_path_factory.mktemp("gpus")) as running:
        running.create(crds.read((part("kueue").directory / "config/components/crd/bases").glob("*.yaml")))
        running.create(crds.read((part(karpenter.PART).directory / "pkg/apis/crds").glob("*_nodepools.yaml")))
        running.established()
        running.create([*_policies(), _namespace(ATLAS), _namespace(EMBER)])
        for _ in range(100):
            if "LH-G-001" in submit(running, {"nvidia.com/none": "1", "nvidia.com/gpus": "1"}).stderr:
                break
            time.sleep(0.2)
        yield running


def job(
    limits: Mapping[str, str] | None = None,
    *,
    use: str | None = None,
    queue: str = "gpu",
    priority: str | None = None,
    home: str = "tenant-atlas",
    requests: Mapping[str, str] | None = None,
    beside: Mapping[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A tenant's Job with a container that asks for so much, and one beside it."""
    own = {"cpu": "100m", "memory": "64Mi"}
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

    def container(name: str, more: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, Any]:
        sizes = {"limits": {**own, **more}, "requests": {**own, **asked}}
        image = "registry.example.com/team/app:1.4.2"
        return {"name": name, "image": image, "resources": sizes, "securityContext": secure}

    asked = limits or {}
    containers = [container("app", asked, asked if requests is None else requests)]
    if beside is not None:
        containers.append(container("beside", beside, beside))
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": containers,
        **spec,
    }
    tags = {labels.QUEUE: queue, labels.PRIORITY: priority}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "work",
            "namespace": home,
            "labels": {key: value for key, value in tags.items() if value},
        },
        "spec": {
            "backoffLimit": 1,
            "template": {"metadata": {"labels": {labels.USE: use} if use else {}}, "spec": pod},
        },
    }


def as_pod(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The Job's pod, as somebody makes it who makes no Job."""
    template = copy.deepcopy(manifest["spec"]["template"])
    found = {
        **manifest["metadata"],
        "labels": {**manifest["metadata"]["labels"], **template["metadata"]["labels"]},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": found, "spec": template["spec"]}


def submit(running: ApiServer, limits: Mapping[str, str] | None = None, **how: Any) -> Any:
    """What the API server answers to a Job."""
    return _asked(running, job(limits, **how))


def _asked(running: ApiServer, manifest: Mapping[str, Any]) -> Any:
    return running.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(manifest))


GPU = {"nvidia.com/gpu": "1"}
TOLERATES = [{"key": "nvidia.com/gpu", "operator": "Exists"}]


@pytest.mark.parametrize(
    ("limits", "how"),
    [
        pytest.param(GPU, {}, id="a whole GPU for work that says nothing"),
        pytest.param({"nvidia.com/gpu": "8"}, {"use": "training"}, id="eight for training"),
        pytest.param({"nvidia.com/gpu.shared": "1"}, {"use": "notebook"}, id="a turn for a notebook"),
        pytest.param({"nvidia.com/mig-1g.10gb": "2"}, {"use": "notebook"}, id="slices for a notebook"),
        pytest.param(GPU, {"queue": "gpu.high", "priority": "high"}, id="a priority in its queue"),
        pytest.param(GPU, {"priority": "low"}, id="a priority without a budget"),
        pytest.param(GPU, {"tolerations": TOLERATES}, id="the taint with a GPU"),
        pytest.param({}, {"queue": ""}, id="no GPU and no queue"),
        pytest.param({}, {"queue": "", "home": "tenant-ember"}, id="work of a tenant without GPUs"),
    ],
)
def test_work_that_asks_for_what_there_is_is_taken(
    server: ApiServer, limits: dict[str, str], how: dict[str, Any]
) -> None:
    for manifest in (job(limits, **how), as_pod(job(limits, **how))):
        answer = _asked(server, manifest)
        assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("limits", "how", "expected"),
    [
        ({"nvidia.com/mig-3g.40gb": "1"}, {}, f"LH-G-001: container app asks for nvidia.com/mig-3g.40gb, and the pools have: {THERE}"),
        ({"nvidia.com/gpus": "1"}, {}, f"LH-G-001: container app asks for nvidia.com/gpus, and the pools have: {THERE}"),
        ({"amd.com/gpu": "1"}, {"beside": GPU}, f"LH-G-001: container app asks for amd.com/gpu, and the pools have: {THERE}"),
        (GPU, {"home": "tenant-ember", "queue": "default"}, "LH-G-001: container app asks for nvidia.com/gpu, and the pools have: none"),
        (GPU, {"use": "notebook"},
         "LH-G-002: container app asks for nvidia.com/gpu, and for notebook there is: mig=nvidia.com/mig-1g.10gb l4=nvidia.com/gpu.shared"),
        ({"nvidia.com/gpu.shared": "1"}, {}, "LH-G-002: container app asks for nvidia.com/gpu.shared, and for training there is: a100=nvidia.com/gpu"),
        (GPU, {"use": "fun"}, "LH-G-002: pod asks for a GPU and is for fun, which is none of notebook, training"),
        ({"nvidia.com/gpu": "2"}, {"requests": GPU}, "must be equal to nvidia.com/gpu limit"),
        ({"nvidia.com/gpu.shared": "2"}, {"use": "notebook"}, "LH-G-003: container app asks for 2 turns on a GPU"),
        ({"nvidia.com/gpu.shared": "1"}, {"use": "notebook", "beside": {"nvidia.com/mig-1g.10gb": "1"}},
         "LH-G-003: pod asks for more than one kind of GPU"),
        ({}, {"queue": "", "tolerations": TOLERATES}, "LH-G-004: pod tolerates the taint nvidia.com/gpu and asks for no GPU"),
        ({}, {}, "LH-G-005: waits in the queue gpu and asks for no GPU"),
        ({}, {"queue": "gpu.high", "priority": "high"}, "LH-G-005: waits in the queue gpu.high and asks for no GPU"),
        (GPU, {"queue": "fast"}, "LH-Q-008: waits in the queue fast, and there is: default gpu default.high gpu.high"),
        (GPU, {"queue": "default"}, "LH-Q-009: container app asks for a GPU and is not in the queue gpu"),
        (GPU, {"priority": "high"}, "LH-Q-012: has the priority high, which has a budget, and waits in gpu"),
        ({}, {"queue": "", "priority": "high"}, "LH-Q-012: has the priority high, which has a budget, and waits in default"),
        ({}, {"home": "tenant-ember", "queue": "default.high", "priority": "high"}, "LH-Q-008: waits in the queue default.high, and there is: default"),
    ],
)  # fmt: skip
def test_work_that_could_never_run_or_takes_what_is_for_others_is_refused_at_once(
    server: ApiServer, limits: dict[str, str], how: dict[str, Any], expected: str
) -> None:
    for manifest in (job(limits, **how), as_pod(job(limits, **how))):
        answer = _asked(server, manifest)
        assert answer.returncode != 0
        assert expected in answer.stderr, answer.stderr


def test_a_job_is_not_moved_into_a_budget_after_it_was_taken(server: ApiServer) -> None:
    server.create([job(GPU)])
    change = json.dumps({"metadata": {"labels": {labels.PRIORITY: "high"}}})
    words = ("patch", "job", "work", "--namespace=tenant-atlas", f"--patch={change}")
    assert "LH-Q-012" in server.kubectl(*words).stderr


def test_what_kueue_makes_of_a_kind_that_no_rule_knows_is_held_to_the_budget(server: ApiServer) -> None:
    pod = job(GPU)["spec"]["template"]
    whole: dict[str, Any] = {
        "apiVersion": shares.API_VERSION,
        "kind": "Workload",
        "metadata": {"name": "unseen", "namespace": "tenant-atlas"},
        "spec": {
            "queueName": "gpu",
            "priority": 1000,
            "priorityClassRef": {
                "group": "kueue.x-k8s.io",
                "kind": "WorkloadPriorityClass",
                "name": "high",
            },
            "podSets": [{"name": "main", "count": 1, "template": pod}],
        },
    }
    assert "LH-Q-012" in _asked(server, whole).stderr
    whole["spec"]["queueName"] = "gpu.high"
    answer = _asked(server, whole)
    assert answer.returncode == 0, answer.stderr


def test_kueue_takes_the_queues_the_flavors_and_where_nodes_are_in_the_network(server: ApiServer) -> None:
    queues = shares.queues(ATLAS, POOLS)
    objects = [
        *(("ClusterQueue", each.name, None, each.spec) for each in queues.cluster),
        *(("LocalQueue", each.name, each.namespace, each.spec) for each in queues.local),
        *(("ResourceFlavor", each.name, None, shares.Flavor(each).spec) for each in POOLS),
        ("Topology", "a100", None, shares.Flavor(POOLS[1]).topology),
    ]
    assert not server.refusals(
        {
            "apiVersion": shares.API_VERSION,
            "kind": kind,
            "metadata": {
                "name": name,
                "labels": {labels.TENANT: "atlas", labels.OWNER: "us"},
                **({"namespace": home} if home else {}),
            },
            "spec": spec,
        }
        for kind, name, home, spec in objects
    )


def test_karpenter_takes_an_elastic_pool(server: ApiServer) -> None:
    node_class = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "longhouse"}
    config = pools_config.Karpenter.model_validate({"node_class": node_class})
    meta = {"name": "rented", "labels": {labels.OWNER: "us"}}
    found = {"apiVersion": karpenter.API_VERSION, "kind": karpenter.KIND, "metadata": meta}
    spec = karpenter.node_pool(RENTED, config)
    assert not server.refusals([{**found, "spec": spec}])
    wrong = {**spec, "disruption": {**spec["disruption"], "consolidateAfter": "soon"}}
    assert "consolidateAfter" in server.refusals([{**found, "spec": wrong}]), "else nothing is checked"


def test_preflight_asks_the_nodes_that_are_there(server: ApiServer) -> None:
    server.create(simulated.nodes(POOLS, real=None))

    def nodes() -> list[dict[str, Any]]:
        answer = server.kubectl("get", "nodes", "--output=json")
        found: list[dict[str, Any]] = json.loads(answer.stdout)["items"]
        return found

    def said() -> list[str]:
        found = [str(each) for each in preflight.differences(POOLS, nodes())]
        return [line for line in found if "is not ready" not in line]

    assert said() == []
    server.kubectl("label", "node", "a100-0", "nvidia.com/gpu.product=NVIDIA-H100-PCIe", "--overwrite")
    server.kubectl("taint", "node", "a100-1", "nvidia.com/gpu-")
    server.kubectl("delete", "node", "l4-0")
    assert [line.partition(" → ")[0] for line in said()] == [
        "pool a100, nodes a100-0: label nvidia.com/gpu.product is NVIDIA-H100-PCIe, and NVIDIA-A100-SXM4-80GB is declared",
        f"pool a100, nodes a100-1: taint {placement.GPU_TAINT.key}=present:NoSchedule is missing",
        "pool l4: has 0 nodes, and 1 are declared",
    ]
