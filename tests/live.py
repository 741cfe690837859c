"""The running platform, as the live tests meet it: through kubectl and pods, on the cluster that was named."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import pytest
import testinfra
from testinfra.host import Host

from modules.kit import clients
from modules.kit.labels import TENANT
from sandbox.places import BIN, KUBECONFIG
from stacks import interrupts

TEST_INSTANCE = "longhouse-test"
"""The embedded cluster that the tests start for themselves, beside one that may be in use."""
IMAGE = "docker.io/library/python:3.11-slim-bookworm"
"""Python and a shell; the sandbox builds an image of this name."""
BINDINGS = "/bindings"
"""Where client pods have their tenant's bindings, one folder a store."""
PATIENCE_SECONDS: Final = 300
"""How long a check waits for what has to come. It ends as soon as that is there, so a slow machine may take long, and only what hangs is
given up."""

TIMEOUT: Final = f"--timeout={PATIENCE_SECONDS}s"
"""The same for `kubectl wait`."""

Object = dict[str, Any]
_T = TypeVar("_T")


@contextmanager
def meanwhile(work: Callable[[], _T]) -> Iterator[Future[_T]]:
    """Runs beside the body; what it raises is raised where its result is asked for. A body that fails does not wait for it."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool.submit(work)
    finally:
        pool.shutdown(wait=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which cluster, and whose namespaces."""
    group = parser.getgroup("live", "live tests")
    group.addoption(
        "--cluster",
        choices=("embedded", "current"),
        default="embedded",
        help="the running embedded cluster, or the kubeconfig's current context",
    )
    group.addoption(
        "--tenants",
        default="",
        help="two tenants, comma-separated, that the checks may run jobs as (default: the first two)",
    )
    group.addoption("--kills", type=int, default=3, help="how many deployments are killed (default: 3)")
    group.addoption("--seed", type=int, default=0, help="what the moments are drawn from (default: 0)")


class _AtOnce:
    """What fails is told when it does: a run takes most of an hour, and may be cut off."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            print(f"\n{report.longreprtext}", flush=True)


def pytest_configure(config: pytest.Config) -> None:
    """Let testinfra find the kubectl that the sandbox built."""
    interrupts.let_children_hear()
    if config.getoption("capture") == "no":
        config.pluginmanager.register(_AtOnce())
    if config.getoption("--cluster") == "embedded":
        os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])


@dataclass(frozen=True)
class Tenant:
    """One tenant of the running platform."""

    name: str
    namespace: str


@dataclass(frozen=True)
class Live:
    """The cluster under test."""

    kubeconfig: Path
    host: Host

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl printed; an AssertionError with what it complained of when it failed."""
        done = self.try_kubectl(*words, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def try_kubectl(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever comes of it."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, input=stdin)

    def get(self, *words: str) -> Object:
        """One object."""
        found: Object = json.loads(self.kubectl("get", *words, "--output=json"))
        return found

    def gone(self, pod: str, namespace: str) -> None:
        """Delete a pod at once, as the loss of its node would."""
        where = f"--namespace={namespace}"
        self.kubectl("delete", "pod", pod, where, "--grace-period=0", "--force", "--wait=false")

    def fallen(self, pod: str, container: str, namespace: str) -> None:
        """Let a server fall over where it stands: a process with the number 1 cannot be killed from inside with 9, but falls on 11."""
        words = ("sh", "-c", "kill -SEGV 1")
        self.try_kubectl("exec", pod, f"--container={container}", f"--namespace={namespace}", "--", *words)

    def written_during(
        self, deed: Callable[[], object], writer: Pod, writes: Callable[[], _T], marker: str
    ) -> _T:
        """What the writer says that wrote while the deed was done; it leaves the file ``marker`` once it is under way."""
        with meanwhile(writes) as writing:
            self.eventually("a stream of writes", lambda: writing.done() or writer.host.file(marker).exists)
            deed()
            return writing.result()

    def items(self, *words: str) -> list[Object]:
        """Objects of a kind."""
        return list(self.get(*words)["items"])

    def real_nodes(self) -> set[str]:
        """Names of the nodes on which pods really run: all of a real cluster, and those of the embedded one that are not simulated."""
        nodes = (each["metadata"] for each in self.items("nodes"))
        return {each["name"] for each in nodes if "kwok.x-k8s.io/node" not in each.get("annotations", {})}

    def create(self, manifest: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """Try to create an object."""
        return self.try_kubectl("create", "--filename=-", stdin=json.dumps(manifest))

    @contextmanager
    def objects(self, *manifests: Mapping[str, Any]) -> Iterator[None]:
        """Create objects for as long as the body runs."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        self.kubectl("create", "--filename=-", stdin=text)
        try:
            yield
        finally:
            self.try_kubectl("delete", "--wait=false", "--ignore-not-found", "--filename=-", stdin=text)

    def eventually(self, what: str, check: Callable[[], Any]) -> Any:
        """The first truthy answer of ``check``; an AssertionError naming ``what`` when there is none in time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (answer := check()):
            assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} seconds: {what}"
            time.sleep(0.5)
        return answer

    @contextmanager
    def pod(self, tenant: Tenant, **spec: Any) -> Iterator[Pod]:
        """A pod of the tenant with a shell and Python, running for as long as the body runs."""
        with self._running(tenant, pod(tenant, **spec)) as running:
            yield running

    @contextmanager
    def client(
        self,
        tenant: Tenant,
        *stores: str,
        image: str = "",
        memory: str = "256Mi",
        cpu: str = "500m",
        secrets: Mapping[str, str] | None = None,
        environment: Sequence[Mapping[str, str]] = (),
    ) -> Iterator[Pod]:
        """A pod of the tenant with the stores' client libraries and its own bindings to them, for as long as the body runs.

        ``image`` is another one to run in, such as a store's own; ``secrets`` are other bindings than its own, by store; ``environment`` are
        further variables.
        """
        main = container(["sleep", "infinity"], memory=memory)
        main["resources"] = {
            "requests": main["resources"]["requests"],
            "limits": {"cpu": cpu, "memory": memory},
        }
        main["image"] = image or clients.image()
        main["env"] = [{"name": "PYTHONPATH", "value": clients.PYTHON_PATH}, *environment]
        main["volumeMounts"] = [
            {"name": store, "mountPath": f"{BINDINGS}/{store}", "readOnly": True} for store in stores
        ]
        names = {store: store for store in stores} | dict(secrets or {})
        volumes = [{"name": store, "secret": {"secretName": names[store]}} for store in stores]
        with self.pod(tenant, containers=[main], volumes=volumes) as running:
            yield running

    @contextmanager
    def program_pod(self, store: Tenant, kind: str, name: str) -> Iterator[Pod]:
        """A pod like those of one of a store's own programs, a Job or CronJob, that waits instead of running it."""
        every = self.items(kind, "--namespace", store.namespace)
        (found,) = [each for each in every if each["metadata"]["name"].startswith(name)]
        template = (found["spec"].get("jobTemplate") or found)["spec"]["template"]
        main = {**template["spec"]["containers"][0], "command": ["sleep", "infinity"]}
        settings = {"serviceAccountName": "default", **template["spec"], "restartPolicy": "Never"}
        manifest = pod(store, **{**settings, "containers": [main]})
        manifest["metadata"]["labels"] |= {"longhouse.dev/program": name}  # what it may reach goes by this
        with self._running(store, manifest) as running:
            yield running

    @contextmanager
    def _running(self, tenant: Tenant, manifest: Object) -> Iterator[Pod]:
        name = manifest["metadata"]["name"]
        where = ("--namespace", tenant.namespace)
        with self.objects(manifest):
            self.kubectl(*where, "wait", "--for=condition=Ready", f"pod/{name}", TIMEOUT)
            address = self.get("pod", name, *where)["status"]["podIP"]
            connection = f"kubectl://{name}?namespace={tenant.namespace}&kubeconfig={self.kubeconfig}"
            yield Pod(name, address, testinfra.get_host(connection))


@dataclass(frozen=True)
class Pod:
    """A running pod of a tenant; ``host`` runs commands in it."""

    name: str
    address: str
    host: Host

    def python(self, program: str, *arguments: str) -> str:
        """What a Python program printed in the pod; an AssertionError when it failed."""
        done = self.host.run("python3 -c %s " + " ".join(["%s"] * len(arguments)), program, *arguments)
        assert done.rc == 0, f"in pod {self.name}: {done.stderr}"
        return str(done.stdout).strip()

    def told(self, program: str, *arguments: str) -> Any:
        """What a Python program printed last, as JSON."""
        return json.loads(self.python(program, *arguments).splitlines()[-1])

    def reaches(self, host: str, port: int) -> bool:
        """Whether a TCP connection opens within two seconds."""
        program = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
        return bool(self.host.run("python3 -c %s %s %s", program, host, str(port)).rc == 0)

    def api_status(self, path: str) -> int:
        """The HTTP status of a GET on the API server with the pod's own token."""
        program = (
            "import ssl,sys,urllib.request,urllib.error\n"
            "home='/var/run/secrets/kubernetes.io/serviceaccount/'\n"
            "trust=ssl.create_default_context(cafile=home+'ca.crt')\n"
            "request=urllib.request.Request('https://kubernetes.default.svc'+sys.argv[1],"
            "headers={'Authorization':'Bearer '+open(home+'token').read()})\n"
            "try: print(urllib.request.urlopen(request,context=trust,timeout=5).status)\n"
            "except urllib.error.HTTPError as refusal: print(refusal.code)\n"
        )
        return int(self.python(program, path))


def unique(prefix: str) -> str:
    """A name that nothing else has."""
    return f"{prefix}-{uuid4().hex[:8]}"


def restricted() -> Object:
    """A container's security context as Pod Security's restricted profile wants it."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(command: Sequence[str], **resources: str) -> Object:
    """A restricted container; requests and limits are the ``resources``, small ones when none are given."""
    size = {name.replace("__", "/").replace("_", "."): value for name, value in resources.items()}
    size = {"cpu": "50m", "memory": "64Mi", **size}
    return {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "resources": {"requests": size, "limits": size},
        "securityContext": restricted(),
    }


def pod(tenant: Tenant, command: Sequence[str] = ("sleep", "infinity"), **spec: Any) -> Object:
    """A pod of the tenant under its workload account."""
    name = unique("check")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": tenant.namespace, "labels": {"check": name}},
        "spec": {
            "serviceAccountName": "workload",
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container(command)],
            **spec,
        },
    }


def job(
    tenant: Tenant,
    command: Sequence[str] = ("true",),
    queue: str | None = "default",
    pods: int = 1,
    simulated_runtime: str | None = None,
    **resources: str,
) -> Object:
    """A Job of the tenant, in a queue of it; ``simulated_runtime`` is how long its pods run where nodes are simulated."""
    name = unique("check")
    annotations = {"longhouse.dev/simulated-runtime": simulated_runtime} if simulated_runtime else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": tenant.namespace,
            "labels": {"kueue.x-k8s.io/queue-name": queue} if queue else {},
        },
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "backoffLimit": 0,
            "template": {
                "metadata": {"annotations": annotations},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 0,
                    "containers": [container(command, **resources)],
                },
            },
        },
    }


@pytest.fixture(scope="session")
def live(request: pytest.FixtureRequest) -> Live:
    """The running platform; the test fails at once, saying so, when there is none."""
    path = KUBECONFIG
    if request.config.getoption("--cluster") == "current":
        path = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube/config")
    found = Live(path, testinfra.get_host("local://"))
    answer = found.try_kubectl("get", "--raw=/readyz")
    if answer.returncode != 0:
        pytest.fail(f"no cluster answers at {path}: `make up` first ({answer.stderr.strip()})", pytrace=False)
    return found


@pytest.fixture(scope="session")
def tenants(live: Live, request: pytest.FixtureRequest) -> tuple[Tenant, Tenant]:
    """Two tenants of the platform."""
    wanted = [name for name in str(request.config.getoption("--tenants")).split(",") if name]
    labels = [
        (item["metadata"]["labels"][TENANT], item["metadata"]["name"])
        for item in live.items("namespaces", f"-l{TENANT}")
    ]
    found = [Tenant(name, namespace) for name, namespace in sorted(labels) if not wanted or name in wanted]
    assert len(found) >= 2, (
        f"the checks need two tenants, and the cluster has {[each.name for each in found]}"
    )
    return found[0], found[1]
