"""The foundation, checked by what it does: queues, fences, quotas and volumes of two tenants on a running platform."""

from __future__ import annotations

from typing import Any

import pytest

from tests.live import TIMEOUT, Live, Object, Pod, Tenant, container, job, pod, restricted, unique

pytestmark = pytest.mark.foundation

_LISTEN = ("python3", "-c", "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8080)")


@pytest.fixture(params=[0, 1], ids=["first", "second"])
def us(tenants: tuple[Tenant, Tenant], request: pytest.FixtureRequest) -> Tenant:
    """The tenant that acts."""
    return tenants[int(request.param)]


@pytest.fixture
def them(tenants: tuple[Tenant, Tenant], us: Tenant) -> Tenant:
    """The other tenant."""
    return tenants[1] if us == tenants[0] else tenants[0]


def _pods(live: Live, manifest: Object) -> list[Object]:
    meta = manifest["metadata"]
    return live.items("pods", f"--namespace={meta['namespace']}", f"--selector=job-name={meta['name']}")


def _status(live: Live, manifest: Object) -> Object:
    meta = manifest["metadata"]
    status: Object = live.get("job", meta["name"], f"--namespace={meta['namespace']}").get("status", {})
    return status


def _workload(live: Live, manifest: Object) -> Object:
    """The Workload that Kueue made for a job."""
    meta = manifest["metadata"]

    def made() -> Object | None:
        for each in live.items("workloads.kueue.x-k8s.io", f"--namespace={meta['namespace']}"):
            owners = each["metadata"].get("ownerReferences", [])
            if any(owner["kind"] == "Job" and owner["name"] == meta["name"] for owner in owners):
                return each
        return None

    found: Object = live.eventually(f"Kueue has a Workload for job {meta['name']}", made)
    return found


def _condition(workload: Object, kind: str) -> bool:
    return any(
        each["type"] == kind and each["status"] == "True"
        for each in workload.get("status", {}).get("conditions", [])
    )


def _admitted(live: Live, manifest: Object) -> bool:
    return _condition(_workload(live, manifest), "Admitted")


class TestQueues:
    def test_a_queued_job_runs_to_completion_on_a_real_node(self, live: Live, us: Tenant) -> None:
        work = job(us, ("python3", "-c", "print(6 * 7)"))
        with live.objects(work):
            live.eventually("the job succeeds", lambda: _status(live, work).get("succeeded") == 1)
            (ran,) = _pods(live, work)
            assert ran["spec"]["nodeName"] in live.real_nodes()
            said = live.kubectl("logs", ran["metadata"]["name"], f"--namespace={us.namespace}")
            assert said.strip() == "42"
            assert _workload(live, work)["spec"]["queueName"] == "default"

    def test_a_gpu_job_lands_on_a_node_with_gpus(self, live: Live, us: Tenant) -> None:
        work = job(us, queue="gpu", nvidia_com__gpu="1")
        with live.objects(work):
            live.eventually("the job succeeds", lambda: _status(live, work).get("succeeded") == 1)
            (ran,) = _pods(live, work)
            node = live.get("node", ran["spec"]["nodeName"])
            assert int(node["status"]["allocatable"]["nvidia.com/gpu"]) >= 1
            assert node["metadata"]["labels"]["longhouse.dev/site"] == "home"

    def test_a_job_without_a_queue_waits_in_the_default_one_and_never_runs_outside(
        self, live: Live, us: Tenant
    ) -> None:
        quota = _nominal(live, us, "cpu", "cpu")
        too_much = job(us, queue=None, cpu=f"{quota + 100_000}m")
        modest = job(us, queue=None)
        with live.objects(too_much, modest):
            live.eventually("the modest job succeeds", lambda: _status(live, modest).get("succeeded") == 1)
            assert _workload(live, modest)["spec"]["queueName"] == "default"
            assert _workload(live, too_much)["spec"]["queueName"] == "default"
            assert not _pods(live, too_much), "a job that no quota covers must have no pods"
            meta = too_much["metadata"]
            assert live.get("job", meta["name"], f"--namespace={us.namespace}")["spec"]["suspend"] is True

    def test_what_one_borrows_of_the_others_idle_share_goes_back_when_the_other_wants_it(
        self, live: Live, us: Tenant, them: Tenant
    ) -> None:
        own, others = (
            _nominal(live, us, "gpu", "nvidia.com/gpu"),
            _nominal(live, them, "gpu", "nvidia.com/gpu"),
        )
        first = job(us, queue="gpu", pods=own, simulated_runtime="10m", nvidia_com__gpu="1")
        second = job(us, queue="gpu", pods=others, simulated_runtime="10m", nvidia_com__gpu="1")
        reclaim = job(them, queue="gpu", pods=others, simulated_runtime="10m", nvidia_com__gpu="1")

        def running() -> list[Object]:
            return [each for each in (first, second) if _admitted(live, each)]

        with live.objects(first):
            live.eventually("a job within the share is admitted", lambda: _admitted(live, first))
            with live.objects(second):
                live.eventually("a job over the share borrows", lambda: len(running()) == 2)
                with live.objects(reclaim):
                    live.eventually("the owner gets its share back", lambda: _admitted(live, reclaim))
                    # Kueue counts shares, not jobs: either of the two may have to go, and only one.
                    (stays,) = live.eventually(
                        "one of the borrower's jobs is evicted", lambda: _one(running())
                    )
                    evicted = second if stays == first else first
                    live.eventually("the evicted job has no pod left", lambda: not _pods(live, evicted))
                    assert _admitted(live, stays), "what is within the share stays"
                live.eventually("both run again when the owner is done", lambda: len(running()) == 2)


def _one(found: list[Object]) -> list[Object] | None:
    return found if len(found) == 1 else None


def _nominal(live: Live, tenant: Tenant, kind: str, resource: str) -> int:
    """The tenant's own share of a resource: devices, or thousandths of a core."""
    spec = live.get("clusterqueue.kueue.x-k8s.io", f"{tenant.name}-{kind}")["spec"]
    shares = [
        each["nominalQuota"]
        for group in spec["resourceGroups"]
        for flavor in group["flavors"]
        for each in flavor["resources"]
        if each["name"] == resource
    ]
    return sum(_amount(share, thousandths=resource == "cpu") for share in shares)


def _amount(quantity: Any, thousandths: bool) -> int:
    text = str(quantity)
    if text.endswith("m"):
        return int(text[:-1])
    return int(text) * (1000 if thousandths else 1)


class TestFence:
    def test_names_are_resolved(self, live: Live, us: Tenant) -> None:
        with live.pod(us) as ours:
            address = ours.python("import socket; print(socket.gethostbyname('kubernetes.default.svc'))")
            assert address == live.get("service", "kubernetes", "--namespace=default")["spec"]["clusterIP"]

    def test_a_tenant_reaches_its_own_pods_and_services_and_nobody_elses(
        self, live: Live, us: Tenant, them: Tenant
    ) -> None:
        with live.pod(us) as ours, _server(live, us) as own, _server(live, them) as foreign:
            live.eventually("the own pod answers", lambda: ours.reaches(own.address, 8080))
            live.eventually("the own service answers", lambda: ours.reaches(own.name, 8080))
            assert not ours.reaches(foreign.address, 8080), "another tenant's pod answered"
            name = f"{foreign.name}.{them.namespace}.svc"
            assert ours.python("import socket,sys; print(socket.gethostbyname(sys.argv[1]))", name)
            assert not ours.reaches(name, 8080), "another tenant's service answered"

    def test_nothing_beyond_the_named_exceptions_is_reached(self, live: Live, us: Tenant) -> None:
        node = live.get("node", min(live.real_nodes()))
        address = next(
            each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"
        )
        with live.pod(us) as ours:
            assert not ours.reaches(address, 10250), "the kubelet answered a tenant"
            assert not ours.reaches("169.254.169.254", 80), "the cloud's metadata service answered a tenant"

    def test_the_api_server_shows_a_tenant_its_own_namespace_only(
        self, live: Live, us: Tenant, them: Tenant
    ) -> None:
        with live.pod(us) as ours:
            assert ours.api_status(f"/api/v1/namespaces/{us.namespace}/pods") == 200
            refused = {
                path: ours.api_status(path)
                for path in (
                    f"/api/v1/namespaces/{them.namespace}/pods",
                    f"/api/v1/namespaces/{them.namespace}/secrets",
                    "/api/v1/namespaces/kube-system/secrets",
                    "/api/v1/pods",
                    "/api/v1/nodes",
                    "/api/v1/namespaces",
                    "/apis/kueue.x-k8s.io/v1beta2/clusterqueues",
                )
            }
            assert set(refused.values()) == {403}, refused


def _server(live: Live, tenant: Tenant) -> Any:
    """A pod that answers on 8080, behind a service of its own name."""
    return _Server(live, tenant)


class _Server:
    def __init__(self, live: Live, tenant: Tenant) -> None:
        self._live, self._manifest = live, pod(tenant, _LISTEN)
        self._name = self._manifest["metadata"]["name"]
        self._tenant = tenant
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self._name, "namespace": tenant.namespace},
            "spec": {"selector": {"check": self._name}, "ports": [{"port": 8080}]},
        }
        self._objects = live.objects(self._manifest, service)

    def __enter__(self) -> Pod:
        self._objects.__enter__()
        self._live.kubectl(
            "wait",
            "--for=condition=Ready",
            f"pod/{self._name}",
            f"--namespace={self._tenant.namespace}",
            TIMEOUT,
        )
        found = self._live.get("pod", self._name, f"--namespace={self._tenant.namespace}")
        return Pod(self._name, found["status"]["podIP"], self._live.host)

    def __exit__(self, *problem: Any) -> None:
        self._objects.__exit__(*problem)


class TestLimits:
    @pytest.mark.parametrize(
        ("what", "spec", "of_container"),
        [
            ("the host's network", {"hostNetwork": True}, {}),
            ("a path of the host", {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, {}),
            ("privileges", {}, {"privileged": True, "allowPrivilegeEscalation": True}),
            ("root", {}, {"runAsNonRoot": False, "runAsUser": 0}),
        ],
    )
    def test_a_pod_that_asks_for_more_than_restricted_is_refused(
        self, live: Live, us: Tenant, what: str, spec: Object, of_container: Object
    ) -> None:
        asked = container(("true",)) | {"securityContext": {**restricted(), **of_container}}
        answer = live.create(pod(us, containers=[asked], **spec))
        assert answer.returncode != 0, f"a pod with {what} was let in"
        assert 'violates PodSecurity "restricted' in answer.stderr

    def test_a_pod_over_the_quota_is_refused_by_name_of_the_quota(self, live: Live, us: Tenant) -> None:
        answer = live.create(pod(us, containers=[container(("true",), memory="100Ti")]))
        assert answer.returncode != 0
        assert "exceeded quota" in answer.stderr or "maximum memory usage" in answer.stderr

    def test_a_tenant_cannot_open_a_door_to_the_outside(self, live: Live, us: Tenant) -> None:
        for kind in ("LoadBalancer", "NodePort"):
            answer = live.create(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": unique("check"), "namespace": us.namespace},
                    "spec": {
                        "type": kind,
                        "ports": [{"port": 443, "appProtocol": "https"}],  # Else the rules refuse it first.
                        "selector": {"check": "none"},
                    },
                }
            )
            assert answer.returncode != 0, f"a {kind} service was let in"
            assert "exceeded quota" in answer.stderr


class TestVolumes:
    def test_what_a_pod_wrote_is_there_for_the_next_one(self, live: Live, us: Tenant) -> None:
        name = unique("check")
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": us.namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
        }
        box = container(("sleep", "infinity")) | {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        spec: Object = {
            "containers": [box],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
            "securityContext": {"fsGroup": 1000},
        }
        with live.objects(claim):
            with live.pod(us, **spec) as first:
                first.python("open('/data/note', 'w').write('kept')")
            with live.pod(us, **spec) as second:
                assert second.name != first.name
                assert second.host.file("/data/note").content_string == "kept"
