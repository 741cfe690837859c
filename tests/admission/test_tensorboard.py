"""What a TensorBoard may do, and who says whether it runs: before an API server of the tests' own, with deployments by Pulumi itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from pulumi import automation
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace

from modules.data.store import StoreContext
from modules.foundation.certificates.authority import Authority
from modules.kit.inside.api_server import ApiServer as Inside
from modules.ml.tensorboard.component import TensorBoard
from modules.ml.tensorboard.config import NAME
from modules.ml.tensorboard.config import TensorBoard as Config
from modules.ml.tensorboard.inside import watched
from sandbox.platform import install_provider
from stacks.tensorboard import DEPLOYMENT, command
from tests.api_server import ApiServer, api_server
from tests.unit.examples import CLUSTER, CREDENTIALS

pytestmark = pytest.mark.training

HOME = "tenant-atlas"


def declares(config: Config) -> Callable[[], None]:
    """A tenant's TensorBoard, as the platform declares it, and a Deployment of the tenant's own beside it."""

    def program() -> None:
        cluster = kubernetes.Provider("cluster", kubeconfig="", enable_server_side_apply=True)
        on_it = pulumi.ResourceOptions(provider=cluster)
        home = Namespace("home", metadata={"name": HOME}, opts=on_it)
        context = StoreContext(
            owner="us",
            cluster=CLUSTER,
            credentials=CREDENTIALS,
            authority=Authority(CREDENTIALS),
            homes={"atlas": home},
            monitors=ConfigMap("monitors", metadata={"name": "monitors"}, opts=on_it),
        )
        TensorBoard(
            "tensorboard",
            config,
            context=context,
            tenants={"atlas": "longhouse-atlas"},
            opts=pulumi.ResourceOptions(providers=[cluster]),
        )

    return program


class Deployed:
    """An API server, and what Pulumi has deployed to it."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server, self._folder = server, folder
        install_provider(folder / "pulumi")
        (folder / "state").mkdir()
        (folder / "kube").mkdir()

    def up(self, config: Config, *, refresh: bool = False) -> dict[str, int]:
        """Deploy; how many resources were made, changed or left alone."""
        stack = automation.create_or_select_stack(
            "boards",
            project_name="longhouse",
            program=declares(config),
            opts=automation.LocalWorkspaceOptions(
                pulumi_home=str(self._folder / "pulumi"),
                env_vars={
                    "KUBECONFIG": str(self.server.kubeconfig),
                    "PULUMI_CONFIG_PASSPHRASE": "of-a-test",
                    "PULUMI_BACKEND_URL": f"file://{self._folder}/state",
                },
                project_settings=automation.ProjectSettings("longhouse", "python"),
            ),
        )
        changes = stack.up(refresh=refresh, color="never").summary.resource_changes or {}
        return {str(operation): count for operation, count in changes.items()}

    def kubectl(self, *words: str) -> str:
        done = self.server.kubectl(*words, f"--namespace={HOME}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def found(self) -> dict[str, Any]:
        """The Deployment as it is."""
        return dict(json.loads(self.kubectl("get", DEPLOYMENT, "--output=json")))

    @property
    def replicas(self) -> int:
        return int(self.found["spec"]["replicas"])

    def open(self) -> None:
        """What the command does for an editor."""
        program, *words = command([], "atlas", ("scale", DEPLOYMENT, "--replicas=1"))
        assert program == "kubectl"
        done = self.server.kubectl(*words)
        assert done.returncode == 0, done.stderr

    def board(self) -> Inside:
        """The API server as the TensorBoard's own account has it."""
        account = self._folder / "account"
        account.mkdir(exist_ok=True)
        (account / "token").write_text(self.kubectl("create", "token", NAME).strip())
        (account / "namespace").write_text(HOME)
        (account / "ca.crt").write_bytes((self.server.folder / "apiserver.crt").read_bytes())
        return Inside(account, f"https://127.0.0.1:{self.server.port}")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("boards")
    with api_server(folder) as server:
        found = Deployed(server, folder)
        assert found.up(Config())["create"] > 5
        yield found


class TestReplicas:
    def test_none_runs_until_somebody_opens_it(self, deployed: Deployed) -> None:
        assert deployed.replicas == 0

    def test_what_was_opened_stays_open_when_the_platform_is_deployed_again(self, deployed: Deployed) -> None:
        deployed.open()
        assert deployed.replicas == 1
        assert set(deployed.up(Config())) == {"same"}
        assert deployed.replicas == 1

    def test_it_stays_so_when_its_settings_change_and_when_the_cluster_is_read_again(
        self, deployed: Deployed
    ) -> None:
        deployed.open()
        assert deployed.up(Config(memory="2Gi"))["update"] == 1
        assert deployed.replicas == 1
        assert deployed.up(Config(memory="3Gi"), refresh=True)["update"] == 1
        (container,) = deployed.found["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["memory"] == "3Gi"
        assert deployed.replicas == 1

    def test_it_ends_itself_and_stays_so_when_the_platform_is_deployed_again(
        self, deployed: Deployed
    ) -> None:
        deployed.open()
        watched.close(deployed.board())
        assert deployed.replicas == 0
        deployed.up(Config(memory="4Gi"), refresh=True)
        assert deployed.replicas == 0
        deployed.open()
        assert deployed.replicas == 1, "who opens it takes no right from anybody"


class TestRights:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", f"/apis/apps/v1/namespaces/{HOME}/deployments/{NAME}"),
            ("GET", f"/apis/apps/v1/namespaces/{HOME}/deployments/{NAME}/scale"),
            ("DELETE", f"/apis/apps/v1/namespaces/{HOME}/deployments/{NAME}"),
            ("GET", f"/api/v1/namespaces/{HOME}/secrets"),
            ("GET", f"/api/v1/namespaces/{HOME}/pods"),
            ("GET", "/api/v1/namespaces"),
        ],
    )
    def test_it_may_do_nothing_else(self, deployed: Deployed, method: str, path: str) -> None:
        with pytest.raises(HTTPError) as refused:
            deployed.board().call(method, path)
        assert refused.value.code == 403

    @pytest.mark.parametrize("place", [(HOME, "another"), ("default", NAME)])
    def test_it_ends_no_other_deployment(self, deployed: Deployed, place: tuple[str, str]) -> None:
        namespace, name = place
        body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name, "namespace": namespace}, "spec": {"replicas": 0}}  # fmt: skip
        with pytest.raises(HTTPError) as refused:
            deployed.board().apply(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale", body)
        assert refused.value.code == 403
