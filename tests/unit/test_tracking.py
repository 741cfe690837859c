"""Tracking: who is let in to what, what is declared, and how a study comes to stand in MLflow."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from modules.data.mysql.config import MySql
from modules.data.object_store.config import ObjectStore
from modules.foundation.certificates.authority import Authority
from modules.ml.tracking import accounts, component, image, settings
from modules.ml.tracking.component import Tracking
from modules.ml.tracking.config import Tracking as Config
from modules.ml.tracking.inside import access
from modules.ml.tracking.inside.desired import Desired
from modules.ml.tracking.inside.gate import LARGEST, WORKSPACE, AwayError, Gate, digest
from tests.conftest import Declared, Recording, record
from tests.unit.examples import CREDENTIALS, store_context

DIGESTS = {"atlas": digest("open"), "borealis": digest("sesame")}
RUNS = "/api/2.0/mlflow/runs/search"
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/workspaces/atlas/1/a/artifacts/x"


@dataclass
class Asked:
    """MLflow, as the gate sees it: what reached it."""

    requests: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.requests.append(dict(environment))
        start("200 OK", [])
        return [b"{}"]


@dataclass
class Visit:
    """One request, and what came of it."""

    status: int
    body: Any
    headers: dict[str, str]
    reached: list[dict[str, Any]]


def visit(
    path: str = RUNS,
    method: str = "GET",
    name: str = "atlas",
    password: str = "open",
    digests: Callable[[], Mapping[str, str]] = lambda: DIGESTS,
    **more: str,
) -> Visit:
    """Ask for something with name and password; ``more`` are variables of WSGI."""
    mlflow, said = Asked(), dict[str, Any]()

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        said["status"], said["headers"] = int(status.split()[0]), dict(headers)

    own = base64.b64encode(f"{name}:{password}".encode()).decode()
    environment = {
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "HTTP_AUTHORIZATION": f"Basic {own}",
        **more,
    }
    body = b"".join(Gate(mlflow, digests)(environment, start))
    return Visit(said["status"], json.loads(body), said["headers"], mlflow.requests)


class TestWhoComesIn:
    def test_a_tenants_requests_are_about_its_own_workspace(self) -> None:
        (reached,) = visit().reached
        assert (reached[WORKSPACE], reached["REMOTE_USER"]) == ("atlas", "atlas")

    @pytest.mark.parametrize(
        ("name", "password"),
        [("atlas", "sesame"), ("atlas", ""), ("nobody", ""), ("", ""), ("atlas", DIGESTS["atlas"])],
    )
    def test_nobody_else_comes_in(self, name: str, password: str) -> None:
        found = visit(name=name, password=password)
        assert (found.status, found.reached) == (401, [])
        assert found.headers["WWW-Authenticate"].startswith("Basic")

    @pytest.mark.parametrize(
        "header", ["", "Basic", "Basic !", "Bearer YXRsYXM6b3Blbg==", "Basic //8=", "Basic YXRsYXM="]
    )
    def test_a_header_that_says_nothing_is_nobodys(self, header: str) -> None:
        assert visit(HTTP_AUTHORIZATION=header).status == 401

    def test_another_workspace_cannot_be_named(self) -> None:
        found = visit(HTTP_X_MLFLOW_WORKSPACE="borealis")
        assert (found.status, found.reached) == (403, [])
        assert visit(HTTP_X_MLFLOW_WORKSPACE="atlas").status == 200

    def test_whether_the_server_lives_is_told_to_everybody_and_nothing_else_with_it(self) -> None:
        found = visit("/health", name="nobody", HTTP_X_MLFLOW_WORKSPACE="atlas")
        assert found.status == 200
        assert WORKSPACE not in found.reached[0]
        assert visit("/health", "POST", name="nobody").status == 401
        assert visit("/health/../graphql", name="nobody").status == 401

    def test_when_nobody_can_be_known_clients_are_told_to_come_again(self) -> None:
        def away() -> Mapping[str, str]:
            raise AwayError

        found = visit(digests=away)
        assert (found.status, found.reached, found.headers["Retry-After"]) == (503, [], "5")


class TestWhatIsOffered:
    @pytest.mark.parametrize(
        "path",
        [
            RUNS,
            ARTIFACT,
            "/",
            "/graphql",
            "/version",
            "/get-artifact",
            "/static-files/static/js/main.js",
            "/api/2.0/mlflow/experiments/create",
            "/api/2.0/mlflow/metrics/get-history",
            "/api/2.0/mlflow/logged-models",
            "/api/2.0/mlflow/registered-models/alias",
            "/api/2.0/mlflow/artifacts/list",
            "/api/2.0/mlflow-artifacts/artifacts",
            "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
            "/ajax-api/3.0/mlflow/traces/search",
            "/api/3.0/mlflow/server-info",
        ],
    )
    def test_what_runs_and_models_need(self, path: str) -> None:
        assert visit(path).status == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/api/2.0/mlflow/webhooks",
            "/api/2.0/mlflow/artifacts/presigned-upload-url",
            "/api/2.0/mlflow-artifacts/presigned/workspaces/borealis/1/x",
            "/api/2.0/mlflow-artifacts/mpu/create/x",
            "/api/3.0/mlflow/gateway/secrets/list",
            "/ajax-api/2.0/mlflow/gateway-proxy",
            "/ajax-api/2.0/mlflow/runs/create-promptlab-run",
            "/ajax-api/3.0/jobs",
            "/api/3.0/mlflow/scorers/register",
            "/api/3.0/mlflow/prompt-optimization/jobs",
            "/api/2.0/mlflow/users/create",
            "/gateway/x/mlflow/invocations",
            "//api/2.0/mlflow/runs/search",
            "/api/2.0/mlflow/runsearch",
            "/v1/traces",
            "/something/new",
        ],
    )
    def test_nothing_else(self, path: str) -> None:
        found = visit(path, "POST")
        assert (found.status, found.body["error_code"], found.reached) == (404, "ENDPOINT_NOT_FOUND", [])

    def test_a_tenant_sees_its_own_workspace_and_changes_none(self) -> None:
        place = "/api/3.0/mlflow/workspaces"
        assert visit(place).body == {"workspaces": [{"name": "atlas"}]}
        assert visit(f"{place}/atlas").body == {"workspace": {"name": "atlas"}}
        for path, method in (
            (place, "POST"),
            (f"{place}/borealis", "GET"),
            (f"{place}/atlas", "PATCH"),
            (f"{place}/atlas", "DELETE"),
        ):
            found = visit(path, method)
            assert (found.status, found.reached) == (403, []), (path, method)

    def test_one_tenants_request_cannot_take_all_memory(self) -> None:
        assert visit(CONTENT_LENGTH=str(LARGEST)).status == 200
        assert visit(CONTENT_LENGTH=str(LARGEST + 1)).status == 413
        assert visit(HTTP_TRANSFER_ENCODING="chunked").status == 411

    def test_an_artifact_may_be_of_any_size(self) -> None:
        assert visit(ARTIFACT, "PUT", CONTENT_LENGTH=str(2**40)).status == 200
        assert visit(ARTIFACT, "PUT", HTTP_TRANSFER_ENCODING="chunked").status == 200


@dataclass
class Books:
    """Accounts and workspaces, kept in memory."""

    may: dict[str, str] = field(default_factory=dict)
    there: set[str] = field(default_factory=lambda: {"default"})
    said: list[str] = field(default_factory=list)

    def read(self) -> dict[str, str]:
        return dict(self.may)

    def put(self, tenant: str, digest: str) -> None:
        assert tenant in self.there, "who comes in finds a workspace"
        self.may[tenant] = digest

    def remove(self, tenant: str) -> None:
        del self.may[tenant]

    def names(self) -> Iterable[str]:
        return sorted(self.there)

    def make(self, name: str) -> None:
        self.there.add(name)

    def delete(self, name: str) -> None:
        self.there.remove(name)

    def brought_to(self, digests: Mapping[str, str], *delete: str) -> dict[str, str]:
        self.said.clear()
        return access.reconcile(Desired(digests, delete), self, self, self.said.append)


class TestAccess:
    def test_each_tenant_gets_a_workspace_and_is_let_in(self) -> None:
        books = Books()
        assert books.brought_to(DIGESTS) == {}
        assert (books.may, books.there) == (DIGESTS, {"default", "atlas", "borealis"})

    def test_a_second_run_changes_nothing_and_says_so(self) -> None:
        books = Books()
        books.brought_to(DIGESTS)
        books.brought_to(DIGESTS)
        assert books.said == ["no change"]

    def test_a_password_that_was_rotated_is_the_only_one(self) -> None:
        books = Books()
        books.brought_to(DIGESTS)
        books.brought_to({**DIGESTS, "atlas": digest("another")})
        assert books.may["atlas"] == digest("another")
        assert books.said == ["atlas: set the password"]

    def test_who_is_gone_is_let_in_no_more_and_its_workspace_is_kept_and_told_of(self) -> None:
        books = Books()
        books.brought_to(DIGESTS)
        assert books.brought_to({"borealis": DIGESTS["borealis"]}) == {
            "atlas": "workspace of tenant atlas, which is gone"
        }
        assert set(books.may) == {"borealis"}
        assert "atlas" in books.there

    def test_it_is_deleted_once_somebody_says_so_and_never_while_the_tenant_is_here(self) -> None:
        books = Books()
        books.brought_to(DIGESTS)
        assert books.brought_to({"borealis": DIGESTS["borealis"]}, "atlas", "borealis", "yotta") == {}
        assert books.there == {"default", "borealis"}

    def test_what_is_wanted_reads_what_it_wrote(self) -> None:
        wanted = accounts.desired(CREDENTIALS, ["borealis", "atlas"], {"yotta"})
        assert Desired.of(wanted.as_json()) == wanted
        password = accounts.tenant_password(CREDENTIALS, "atlas")
        assert wanted.digests["atlas"] == digest(password)
        assert password not in wanted.as_json()


STORE = ObjectStore(servers=1)
GIVEN = ObjectStore.model_validate(
    {
        "engine": "external",
        "external": {
            "endpoint": "https://s3.eu-central-1.amazonaws.com",
            "region": "eu-central-1",
            "site": "cloud",
            "cidrs": ["10.0.16.0/24"],
            "accounts": "given",
        },
    }
)
TENANTS = ("atlas", "borealis")


@functools.cache
def declared(replicas: int = 2, given: bool = False, shared: bool = True) -> Recording:
    def program() -> None:
        context = store_context(*TENANTS) if shared else store_context("borealis", monitors=None)
        Tracking(
            "tracking",
            Config(replicas=replicas),
            context=context,
            store=GIVEN if given else STORE,
            mysql=MySql(),
            tenants=TENANTS,
            home=component.home(context, TENANTS, None) if shared else None,
        )

    return record(program)


def server(found: Recording) -> Declared:
    return found.one("apps/v1:StatefulSet", "mlflow")


class TestServers:
    def test_each_brings_the_schema_up_to_date_before_it_starts(self) -> None:
        pod = server(declared()).spec.template.spec
        assert [each.command[-1] for each in pod.initContainers] == ["modules.ml.tracking.inside.upgrade"]
        assert {each.image for each in (*pod.initContainers, *pod.containers)} == {image.image()}

    def test_they_are_restricted_and_have_no_token(self) -> None:
        pod = server(declared()).spec.template.spec
        assert pod.automountServiceAccountToken is False
        assert pod.securityContext.runAsNonRoot is True
        for each in (*pod.initContainers, *pod.containers):
            assert each.securityContext.readOnlyRootFilesystem is True
            assert list(each.securityContext.capabilities.drop) == ["ALL"]

    def test_no_password_is_among_their_variables(self) -> None:
        (container,) = server(declared()).spec.template.spec.containers
        secrets = [
            accounts.tenant_password(CREDENTIALS, "atlas"),
            CREDENTIALS.password("mysql/services/tracking"),
            CREDENTIALS.password("object-store/folders/mlflow"),
        ]
        assert not any(each in repr(container) for each in secrets)
        assert all(each.value is not None for each in container.env)

    def test_another_epoch_is_another_pod(self) -> None:
        def settings_of(epoch: int) -> str:
            def program() -> None:
                context = store_context(*TENANTS, authority=Authority(replace(CREDENTIALS, epoch=epoch)))
                Tracking(
                    "tracking", Config(), context=context, store=GIVEN, mysql=MySql(), tenants=TENANTS, home=component.home(context, TENANTS, None)
                )  # fmt: skip

            template = server(record(program)).spec.template
            return str(template.metadata.annotations["longhouse.dev/settings"])

        assert settings_of(1) == settings_of(1)
        assert settings_of(1) != settings_of(2), "else it would go on with MySQL's old password"

    def test_one_more_tenant_restarts_none(self) -> None:
        def program() -> None:
            context = store_context(*TENANTS, "caldera")
            every = (*TENANTS, "caldera")
            Tracking(
                "tracking", Config(), context=context, store=STORE, mysql=MySql(), tenants=every, home=component.home(context, every, None)
            )  # fmt: skip

        assert server(record(program)).spec.template == server(declared()).spec.template

    def test_they_are_spread_and_one_is_away_at_a_time(self) -> None:
        spec = server(declared()).spec
        (spread,) = spec.template.spec.topologySpreadConstraints
        assert (spread.topologyKey, spread.whenUnsatisfiable) == ("kubernetes.io/hostname", "DoNotSchedule")
        budget = declared().one("policy/v1:PodDisruptionBudget", "mlflow")
        assert budget.spec.maxUnavailable == 1
        assert server(declared(replicas=1)).spec.template.spec.topologySpreadConstraints is None

    def test_clients_find_them_under_the_name_that_the_certificate_has(self) -> None:
        service = declared().one("core/v1:Service", "tracking")
        assert f"{service.object_name}.{service.metadata.namespace}.svc" == settings.HOST
        assert f"https://{settings.HOST}:{service.spec.ports[0].port:.0f}" == accounts.URI
        hosts = settings.environment(STORE)["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
        assert accounts.URI.removeprefix("https://") in hosts

    def test_of_a_given_s3_somebody_else_keeps_the_key(self) -> None:
        def keys(found: Recording) -> bool:
            return "mlflow-object-store" in found.named("core/v1:Secret")

        assert keys(declared())
        assert not keys(declared(given=True))
        volumes = {each.name: each for each in server(declared(given=True)).spec.template.spec.volumes}
        assert volumes["object-store"].secret.secretName == "object-store"

    def test_connections_are_as_many_as_all_processes_open(self) -> None:
        one, four = Config(replicas=1, workers=1).database, Config(replicas=2, workers=2).database
        assert four.connections - one.connections == 3 * 10
        assert (one.name, one.namespace) == ("tracking", "tracking")


class TestNetwork:
    def test_only_tenants_with_a_bucket_come_in(self) -> None:
        policies = declared().named("networking.k8s.io/v1:NetworkPolicy")
        (rule,) = policies["allow-clients"].spec.ingress
        assert {
            each.namespaceSelector.matchLabels["kubernetes.io/metadata.name"] for each in rule["from"]
        } == {
            "tenant-atlas",
            "tenant-borealis",
        }
        assert [each.port for each in rule.ports] == [5000]

    def test_servers_reach_mysql_and_the_object_store_and_nothing_else(self) -> None:
        policies = declared().named("networking.k8s.io/v1:NetworkPolicy")
        assert policies.keys() == {
            "default-deny",
            "allow-basics",
            "allow-clients",
            "programs-to-api-server",
            "allow-mysql",
            "allow-object-store",
        }

    def test_programs_of_access_alone_call_the_api_server(self) -> None:
        policy = declared().one("networking.k8s.io/v1:NetworkPolicy", "programs-to-api-server")
        assert policy.spec.podSelector.matchExpressions[0].key == "longhouse.dev/program"
        assert "longhouse.dev/program" not in server(declared()).spec.template.metadata.labels


class TestBindings:
    def test_each_tenant_has_one_with_its_own_password(self) -> None:
        found = {
            each.metadata.namespace: each.inputs["stringData"]
            for each in declared().of("core/v1:Secret")
            if each.object_name == "tracking"
        }
        assert found.keys() == {"tenant-atlas", "tenant-borealis"}
        for tenant in TENANTS:
            facts = found[f"tenant-{tenant}"]
            password = accounts.tenant_password(CREDENTIALS, tenant)
            assert (facts["username"], facts["password"]) == (tenant, password)
            assert facts["netrc"] == f"machine tracking.tracking.svc login {tenant} password {password}\n"
        secrets = [each for each in declared().of("core/v1:Secret") if each.object_name == "tracking"]
        assert all("stringData" in each.secrets for each in secrets)

    def test_the_stack_of_a_group_declares_those_of_its_own_tenants_alone(self) -> None:
        group = declared(shared=False)
        assert {each.metadata.namespace for each in group.of("core/v1:Secret")} == {"tenant-borealis"}
        assert not group.of("apps/v1:StatefulSet")
        assert not group.of("batch/v1:Job")

    def test_they_are_made_before_servers_are_and_access_is_made_after_the_stores(self) -> None:
        job = next(each for each in declared().of("batch/v1:Job") if each.object_name.startswith("access-"))
        assert job.urn in server(declared()).dependencies
