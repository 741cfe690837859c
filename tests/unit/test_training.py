"""Training: operators and their fences, runtimes, what a job gets unasked, and what its image starts."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from botocore.exceptions import ClientError
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace

from modules.data.store import StoreContext
from modules.foundation.certificates.authority import Authority
from modules.foundation.tenants import access
from modules.kit.accounts import READS, Rule
from modules.kit.cluster import WebhookFailure
from modules.ml.training import admission, defaults, earlier, earlier_image, image, operators, runtimes
from modules.ml.training.component import Training, role
from modules.ml.training.config import CheckpointStore, Runtimes, TrainingShare
from modules.ml.training.config import Training as Config
from modules.ml.training.defaults import Stores
from modules.ml.training.inside import longhouse_training
from modules.ml.training.operators import Operator
from profiles.load import load
from sandbox import images
from tests.conftest import Recording, record
from tests.unit.examples import CLUSTER, CREDENTIALS
from upstream import part

CONFIG = Config(earlier_kinds=True, runtimes=Runtimes(jax="example.com/jax:1", deepspeed="example.com/ds:1"))
CURRENT = operators.operators(CONFIG)
BEFORE = earlier.operators(CONFIG, "longhouse/training:1")
EVERY = (*CURRENT, *BEFORE)
TENANTS = {"atlas": Stores("longhouse-atlas"), "borealis": Stores()}
WRITES = ("create", "update", "patch", "delete", "deletecollection")


@functools.cache
def declared(
    *, shared: bool = True, earlier_kinds: bool = False, failure: WebhookFailure = WebhookFailure.FAIL
) -> Recording:
    def program() -> None:
        context = StoreContext(
            owner="us",
            cluster=CLUSTER,
            credentials=CREDENTIALS,
            authority=Authority(CREDENTIALS),
            homes={name: Namespace(f"home-{name}", metadata={"name": f"tenant-{name}"}) for name in TENANTS},
            monitors=ConfigMap("monitors", metadata={"name": "monitors"}) if shared else None,
        )
        Training(
            "training",
            Config(earlier_kinds=earlier_kinds),
            context=context,
            webhooks=failure,
            tenants=TENANTS,
            shares={},
            pools={},
            opts=pulumi.ResourceOptions(),
        )

    return record(program)


def allowed(rules: tuple[Rule, ...]) -> set[tuple[str, str, str]]:
    """Group, resource and verb, each one by itself."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule.groups
        for resource in rule.resources
        for verb in rule.verbs
    }


def theirs(name: str, path: str) -> set[tuple[str, str, str]]:
    """The same, of the ClusterRole in upstream's own manifest."""
    documents = yaml.safe_load_all((part(name).directory / path).read_text())
    rules = next(each["rules"] for each in documents if each and each["kind"] == "ClusterRole")
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule.get("resources", [])
        for verb in (rule["verbs"] if rule["verbs"] != ["*"] else [*READS, *WRITES])
    }


MANIFESTS = {
    "jobset-system": ("jobset", "config/components/rbac/role.yaml"),
    "trainer-system": ("trainer", "manifests/base/rbac/role.yaml"),
    "training-operator": ("training-operator", "manifests/base/rbac/role.yaml"),
    "mpi-operator": ("mpi-operator", "manifests/base/cluster-role.yaml"),
}


@pytest.mark.parametrize("operator", EVERY, ids=lambda each: each.name)
class TestOperator:
    def test_it_may_do_nothing_that_upstream_does_not_give_it(self, operator: Operator) -> None:
        found = allowed((*operator.everywhere, *operator.works))
        assert found <= theirs(*MANIFESTS[operator.name])

    def test_all_that_upstream_gives_it_with_its_own_kinds_is_there(self, operator: Operator) -> None:
        kinds = {yaml.safe_load(each.read_text())["spec"]["names"]["plural"] for each in operator.kinds}
        theirs_of_it = {
            each
            for each in theirs(*MANIFESTS[operator.name])
            if each[1].partition("/")[0] in kinds and each[2] != "deletecollection"
        }
        ours = allowed((*operator.everywhere, *operator.works))
        missing = {
            each for each in theirs_of_it - ours if operator.name != "mpi-operator" or "/" not in each[1]
        }
        assert not missing

    def test_everywhere_it_only_reads_but_what_belongs_to_no_namespace(self, operator: Operator) -> None:
        writes = {each for each in allowed(operator.reads) if each[2] in WRITES}
        assert {each[1].partition("/")[0] for each in writes} <= {
            "clustertrainingruntimes",
            "validatingwebhookconfigurations",
        }

    def test_with_tenants_it_is_given_what_reading_is_not(self, operator: Operator) -> None:
        assert operator.writes
        assert not {each for each in allowed(operator.writes) if each[2] in READS}
        assert "secrets" not in {
            each[1] for each in allowed(operator.writes) if each[2] in ("delete", "deletecollection")
        }

    def test_its_container_states_all_that_it_needs_and_answers_for_itself(self, operator: Operator) -> None:
        container = operator.container
        assert container.readiness
        assert container.liveness
        assert (container.cpu, container.memory) == (CONFIG.cpu, CONFIG.memory)
        assert "@" in container.image or container.image.rpartition(":")[2] not in ("", "latest", "main")

    def test_its_kinds_are_there(self, operator: Operator) -> None:
        assert operator.kinds
        assert all(each.is_file() for each in operator.kinds)

    def test_its_webhooks_are_asked_about_tenants_only(self, operator: Operator) -> None:
        for configuration in operator.hooks("bundle", WebhookFailure.FAIL):
            for hook in configuration["webhooks"]:
                assert hook["namespaceSelector"]["matchExpressions"] == [
                    {"key": "longhouse.dev/tenant", "operator": "Exists"}
                ]
                assert hook["failurePolicy"] == "Fail"
                service = hook["clientConfig"]["service"]
                assert (service["name"], service["namespace"], service["port"]) == (
                    "webhook",
                    operator.name,
                    9443,
                )

    def test_where_it_cannot_run_they_fail_open_and_soon(self, operator: Operator) -> None:
        for configuration in operator.hooks("bundle", WebhookFailure.IGNORE):
            for hook in configuration["webhooks"]:
                assert (hook["failurePolicy"], hook["timeoutSeconds"]) == ("Ignore", 1)


class TestOperators:
    def test_each_kind_is_looked_after_by_one_operator(self) -> None:
        names = [
            yaml.safe_load(file.read_text())["metadata"]["name"] for each in EVERY for file in each.kinds
        ]
        assert len(names) == len(set(names))
        assert "mpijobs.kubeflow.org" in names

    def test_mpijob_is_the_mpi_operators_and_training_operator_is_told_its_own(self) -> None:
        training_operator, mpi_operator = BEFORE
        told = {
            each.partition("=")[2]
            for each in training_operator.container.command
            if each.startswith("--enable-scheme")
        }
        assert told == set(earlier.KINDS)
        assert earlier.MPI not in told
        (kind,) = mpi_operator.kinds
        assert [each["name"] for each in yaml.safe_load(kind.read_text())["spec"]["versions"]] == ["v2beta1"]

    def test_a_webhook_for_a_kind_that_it_does_not_look_after_is_not_declared(self) -> None:
        (found,) = BEFORE[0].hooks("", WebhookFailure.FAIL)
        assert {each["rules"][0]["resources"][0] for each in found["webhooks"]} == {
            f"{each}s" for each in earlier.KINDS
        }

    def test_the_current_ones_show_the_platforms_certificate_and_the_earlier_one_writes_its_own(self) -> None:
        for each in CURRENT:
            (hook, *_) = each.hooks("bundle", WebhookFailure.FAIL)[0]["webhooks"]
            assert hook["clientConfig"]["caBundle"] == base64.b64encode(b"bundle").decode()
        (found,) = BEFORE[0].hooks("bundle", WebhookFailure.FAIL)
        assert found["name"] == "validator.training-operator.kubeflow.org", (
            "the name that its program looks for"
        )
        assert "caBundle" not in found["webhooks"][0]["clientConfig"]

    def test_jobset_is_asked_about_pods_of_jobsets_only(self) -> None:
        of_pods = [
            hook
            for configuration in CURRENT[0].hooks("", WebhookFailure.FAIL)
            for hook in configuration["webhooks"]
            if hook["rules"][0]["resources"] == ["pods"]
        ]
        assert len(of_pods) == 2
        assert all(
            each["objectSelector"]["matchExpressions"][0]["key"] == admission.JOBSET for each in of_pods
        )

    def test_the_pins_are_what_kueue_is_built_with(self) -> None:
        built = (part("kueue").folder / "go.mod").read_text()
        for name in ("jobset", "trainer", "training-operator", "mpi-operator"):
            assert f"\t{part(name).module} {part(name).version} // indirect" in built

    def test_a_worker_of_a_pytorchjob_waits_without_a_program_that_its_image_may_lack(self) -> None:
        settings = BEFORE[0].settings
        assert settings
        (container,) = yaml.safe_load(settings["wait.yaml"])
        assert container["command"][0] == "python3"
        assert container["command"][3:] == ["{{.MasterAddr}}", "{{.MaxTries}}"]
        assert "--pytorch-init-container-image=longhouse/training:1" in BEFORE[0].container.command


class TestRuntimes:
    def test_torch_and_xgboost_are_there_and_the_others_where_they_have_an_image(self) -> None:
        assert set(runtimes.runtimes(Config(), None)) == {"torch", "xgboost"}
        assert set(runtimes.runtimes(CONFIG, None)) == {"torch", "xgboost", "jax", "deepspeed"}

    @pytest.mark.parametrize("name", ["torch", "xgboost", "jax", "deepspeed"])
    def test_all_workers_begin_again_when_one_fails(self, name: str) -> None:
        spec = runtimes.runtimes(Config(restarts=3, runtimes=CONFIG.runtimes), None)[name]["template"]["spec"]
        assert (spec["failurePolicy"]["maxRestarts"], spec["failurePolicy"]["restartStrategy"]) == (
            3,
            "BlockingRecreate",
        )
        for each in spec["replicatedJobs"]:
            assert each["template"]["spec"]["backoffLimit"] == 0, "one alone would find nobody"

    def test_a_drained_node_counts_for_no_restart(self) -> None:
        spec = runtimes.runtimes(Config(), None)["torch"]["template"]["spec"]
        (rule,) = spec["failurePolicy"]["rules"]
        assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
        (pods,) = spec["replicatedJobs"][0]["template"]["spec"]["podFailurePolicy"]["rules"]
        assert (pods["action"], pods["onPodConditions"][0]["type"]) == ("FailJob", "DisruptionTarget")

    def test_a_worker_that_says_nothing_has_the_profiles_size_and_no_token(self) -> None:
        spec = runtimes.runtimes(Config(worker_cpu="3", worker_memory="5Gi"), None)["torch"]
        pod = spec["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        size = {"cpu": "3", "memory": "5Gi"}
        assert pod["containers"][0]["resources"] == {"requests": size, "limits": size}
        assert pod["automountServiceAccountToken"] is False

    def test_the_image_is_the_platforms_from_where_its_owner_pushed_it(self) -> None:
        def of(config: Config, registry: str | None) -> str:
            spec = runtimes.runtimes(config, registry)["torch"]["template"]["spec"]
            return str(
                spec["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]["image"]
            )

        assert of(Config(), None) == image.image()
        assert of(Config(), "registry.example.com/x") == image.image("registry.example.com/x")
        assert of(Config(runtimes=Runtimes(torch="own/torch:1")), None) == "own/torch:1"

    def test_upstreams_runtimes_have_the_policies_that_ours_have(self) -> None:
        """So that a job moves from one to the other."""
        folder = part("trainer").directory / "manifests" / "base" / "runtimes"
        for name, spec in runtimes.runtimes(CONFIG, None).items():
            own = yaml.safe_load((folder / f"{name}_distributed.yaml").read_text())["spec"]
            assert own["mlPolicy"] == spec["mlPolicy"]
            jobs = [each["name"] for each in own["template"]["spec"]["replicatedJobs"]]
            assert jobs == [each["name"] for each in spec["template"]["spec"]["replicatedJobs"]]


class TestDefaults:
    def test_checkpoints_and_logs_are_in_the_bucket(self) -> None:
        found = defaults.environment(Stores("b"), TrainingShare())
        assert (found["CHECKPOINT_DIR"], found["TENSORBOARD_LOG_DIR"]) == (
            "s3://b/checkpoints",
            "s3://b/tensorboard",
        )
        assert "KRB5_CONFIG" not in found

    def test_or_in_hdfs_for_who_says_so(self) -> None:
        stores = Stores("b", "hdfs://longhouse/tenants/atlas")
        found = defaults.environment(stores, TrainingShare(checkpoints=CheckpointStore.HDFS))
        assert found["CHECKPOINT_DIR"] == "hdfs://longhouse/tenants/atlas/checkpoints"
        assert found["TENSORBOARD_LOG_DIR"] == "s3://b/tensorboard"

    @pytest.mark.parametrize("store", list(CheckpointStore))
    def test_who_has_no_store_is_told_of_none(self, store: CheckpointStore) -> None:
        found = defaults.environment(Stores(), TrainingShare(checkpoints=store))
        assert found.keys() == {"HOME", "PYTHONUNBUFFERED"}

    def test_runs_are_recorded_where_there_is_something_to_record_them(self) -> None:
        assert "MLFLOW_TRACKING_URI" not in defaults.environment(Stores("b"), TrainingShare())
        found = defaults.environment(Stores("b", tracked=True), TrainingShare())
        assert found["MLFLOW_TRACKING_URI"] == "https://tracking.tracking.svc:5000"
        assert found["MLFLOW_TRACKING_SERVER_CERT_PATH"] == "/bindings/tracking/ca.crt"
        assert found["NETRC"] == "/bindings/tracking/netrc", (
            "name and password are in a file, not among the variables"
        )

    def test_no_secret_is_among_them(self) -> None:
        stores = Stores("b", "hdfs://longhouse/tenants/atlas")
        values = " ".join(defaults.environment(stores, TrainingShare()).values())
        assert "AWS_SECRET_ACCESS_KEY" not in defaults.environment(stores, TrainingShare())
        assert "secret" not in values


class TestComponent:
    def test_its_operators_and_the_earlier_ones_only_where_they_are_asked_for(self) -> None:
        assert {each.object_name for each in declared().of("apps/v1:Deployment")} == {
            "jobset-system",
            "trainer-system",
        }
        assert {each.object_name for each in declared(earlier_kinds=True).of("apps/v1:Deployment")} == {
            each.name for each in EVERY
        }

    def test_nothing_of_the_operators_names_a_tenant(self) -> None:
        found = declared(earlier_kinds=True)
        for each in found.resources:
            where = str(each.metadata.namespace) if "metadata" in each.inputs else ""
            if where in {operator.name for operator in EVERY}:
                assert "atlas" not in repr(each.inputs)

    def test_each_operator_is_let_into_each_tenants_namespace(self) -> None:
        found = {
            (each.metadata.namespace, each.inputs.roleRef.name, each.inputs.subjects[0].namespace)
            for each in declared().of("rbac.authorization.k8s.io/v1:RoleBinding")
            if each.metadata.namespace.startswith("tenant-")
        }
        assert found == {
            (f"tenant-{tenant}", role(operator), operator.name) for tenant in TENANTS for operator in CURRENT
        }

    def test_a_group_of_tenants_declares_its_own_part_only(self) -> None:
        found = declared(shared=False)
        kinds = {each.type for each in found.resources if each.type.startswith("kubernetes:")}
        assert kinds == {
            "kubernetes:core/v1:ConfigMap",
            "kubernetes:core/v1:Namespace",
            "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
        }

    def test_a_tenant_without_a_bucket_has_defaults_too(self) -> None:
        found = {
            each.metadata.namespace: set(each.inputs.data)
            for each in declared().of("core/v1:ConfigMap")
            if each.object_name == "training-defaults"
        }
        assert found["tenant-borealis"] == {"HOME", "PYTHONUNBUFFERED"}
        assert "CHECKPOINT_DIR" in found["tenant-atlas"]

    def test_the_key_of_a_webhook_is_a_secret(self) -> None:
        secrets = [
            each
            for each in declared().of("core/v1:Secret")
            if each.metadata.namespace in ("jobset-system", "trainer-system")
        ]
        assert len(secrets) == 2
        assert all("stringData" in each.secrets for each in secrets)

    def test_runtimes_come_after_the_webhooks_that_judge_them(self) -> None:
        found = declared()
        (hook,) = [
            each for each in found.resources if each.name == "trainer-system-ValidatingWebhookConfiguration"
        ]
        for each in found.of("trainer.kubeflow.org/v1alpha1:ClusterTrainingRuntime"):
            assert hook.urn in each.dependencies

    def test_where_nothing_can_run_nothing_is_waited_for(self) -> None:
        for failure, awaited in ((WebhookFailure.FAIL, None), (WebhookFailure.IGNORE, "true")):
            for each in declared(failure=failure).of("apps/v1:Deployment"):
                assert (each.metadata.annotations or {}).get("pulumi.com/skipAwait") == awaited

    def test_editors_may_write_every_kind_and_viewers_none(self) -> None:
        for resource in (*access.TRAINER, *access.EARLIER, "jobsets"):
            editor = [each for each in access.GRANTS[access.Role.EDITOR] if resource in each.resources]
            viewer = [each for each in access.GRANTS[access.Role.VIEWER] if resource in each.resources]
            assert any("create" in each.verbs for each in editor), resource
            assert {verb for each in viewer for verb in each.verbs} == set(READS), resource
        assert set(access.EARLIER) == set(earlier.RESOURCES)


class TestSandbox:
    def test_the_earlier_operators_are_built_for_a_profile_that_runs_them_and_for_no_other(self) -> None:
        def wanted(profile: str) -> set[str]:
            return {each.name for each in images.wanted(load(profile))} - {images.TRACKING_IMAGE.name}

        before = {each.name for each in images.EARLIER_IMAGES}
        assert wanted("local") == {each.name for each in images.TRAINING_IMAGES}
        assert not before & wanted("local")
        assert before < wanted("onprem")
        assert not wanted("local-simulated")

    def test_studies_without_training_have_their_image_all_the_same(self) -> None:
        alone = load("local").model_copy(update={"training": None, "tracking": None})
        assert images.wanted(alone) == (images.TRAINING_IMAGE,)
        assert not images.wanted(alone.model_copy(update={"tuning": None}))

    def test_images_bear_the_names_that_are_deployed(self) -> None:
        built = {each.reference for each in (*images.TRAINING_IMAGES, *images.EARLIER_IMAGES)}
        assert {each.container.image for each in EVERY} <= built
        assert f"docker.io/{image.image()}" in built
        assert f"docker.io/{earlier_image.image()}" in built

    def test_ssh_of_jobs_before_is_for_a_user_without_rights_and_knows_its_peers(self) -> None:
        users = {
            line.split(":")[0]: line.split(":") for line in earlier_image.PASSWD.read_text().splitlines()
        }
        assert users["mpiuser"][2] == str(image.USER)
        assert f"{users['mpiuser'][5]}/.ssh" == earlier_image.SSH_FOLDER
        client, daemon = (each.read_text() for each in earlier_image.SSH)
        assert f"HostKey {earlier_image.SSH_FOLDER}/id_rsa" in daemon
        assert "StrictHostKeyChecking yes" in client
        assert (re.findall(r"Port (\d+)", client), re.findall(r"Port (\d+)", daemon)) == (["2222"], ["2222"])


class Bucket:
    """Of S3, what the library asks."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        self.objects[f"{Bucket}/{Key}"] = Body

    def get_object(self, *, Bucket: str, Key: str) -> Mapping[str, Any]:  # noqa: N803
        if f"{Bucket}/{Key}" not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[f"{Bucket}/{Key}"])}


class Files:
    """Of HDFS, what the library asks."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()

    def status(self, path: str) -> object | None:
        return self if path in self.files or path in self.folders else None

    def mkdirs(self, path: str, permission: str) -> None:
        assert permission == "700"
        self.folders.add(path)

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = data

    def rename(self, path: str, to: str) -> None:
        assert to not in self.files
        self.files[to] = self.files.pop(path)

    def delete(self, path: str) -> None:
        del self.files[path]

    def children(self, path: str) -> list[Any]:
        return [type("Status", (), {"path": each}) for each in self.files if each.rpartition("/")[0] == path]

    def read(self, path: str) -> Any:
        return contextlib.nullcontext(type("Answer", (), {"raw": io.BytesIO(self.files[path])}))


class TestLibrary:
    def test_a_checkpoint_in_s3_takes_the_place_of_the_one_before(self) -> None:
        bucket = Bucket()
        folder = longhouse_training.S3Folder("b", "checkpoints/job", bucket)
        assert folder.read("checkpoint") is None
        for data in (b"one", b"two"):
            folder.write("checkpoint", data)
            assert folder.read("checkpoint") == data
        assert bucket.objects == {"b/checkpoints/job/checkpoint": b"two"}

    def test_a_checkpoint_in_hdfs_is_whole_or_not_there(self) -> None:
        files = Files()
        folder = longhouse_training.HdfsFolder("/tenants/atlas/checkpoints/job", files)
        assert folder.read("checkpoint") is None
        for data in (b"one", b"two"):
            folder.write("checkpoint", data)
            assert folder.read("checkpoint") == data
        assert list(files.files.values()) == [b"two"], "no older one is kept"
        files.files["/tenants/atlas/checkpoints/job/.checkpoint.partial"] = b"thr"
        assert folder.read("checkpoint") == b"two", "a worker died while it wrote"

    def test_a_program_in_hdfs_is_read_as_it_was_put_there(self) -> None:
        files = Files()
        files.folders.add("/jobs")
        files.files["/jobs/digits.py"] = b"print()"
        assert longhouse_training.HdfsFolder("/jobs", files).read("digits.py") == b"print()"

    def test_another_error_of_s3_is_not_taken_for_a_beginning(self) -> None:
        class Closed(Bucket):
            def get_object(self, **_: Any) -> Mapping[str, Any]:
                raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")

        with pytest.raises(ClientError, match="AccessDenied"):
            longhouse_training.S3Folder("b", "x", Closed()).read("checkpoint")

    @pytest.mark.parametrize("url", ["file:///tmp/x", "gs://bucket/x", "bucket/x"])
    def test_a_place_in_no_known_store_is_refused_with_the_way_out(self, url: str) -> None:
        with pytest.raises(longhouse_training.TrainingError, match="write s3://<bucket>"):
            longhouse_training.folder(url)

    def test_a_job_without_a_place_is_told_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CHECKPOINT_DIR", raising=False)
        with pytest.raises(longhouse_training.TrainingError, match="CHECKPOINT_DIR is not set"):
            longhouse_training.load_checkpoint()

    def test_the_first_word_in_a_store_is_fetched_and_the_others_are_left_to_the_program(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        bucket = Bucket()
        bucket.objects["b/jobs/digits.py"] = b"print()"
        monkeypatch.setattr(
            longhouse_training,
            "folder",
            lambda url: longhouse_training.S3Folder("b", url.partition("/b/")[2], bucket),
        )
        words = ["torchrun", "--nproc-per-node=1", "s3://b/jobs/digits.py", "s3://b/data"]
        found = longhouse_training.fetched(words, tmp_path)
        assert found == [*words[:2], str(tmp_path / "digits.py"), "s3://b/data"]
        assert (tmp_path / "digits.py").read_bytes() == b"print()"
        with pytest.raises(longhouse_training.TrainingError, match=r"there is no s3://b/jobs/digit\.py"):
            longhouse_training.fetched(["python3", "s3://b/jobs/digit.py"], tmp_path)

    def test_a_command_without_a_program_in_a_store_stays(self, tmp_path: Path) -> None:
        assert longhouse_training.fetched(["sleep", "1"], tmp_path) == ["sleep", "1"]

    def test_a_first_worker_that_never_comes_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PET_MASTER_ADDR", "digits-node-0-0.digits.invalid")
        with pytest.raises(longhouse_training.TrainingError, match=r"digits-node-0-0\.digits\.invalid"):
            longhouse_training.find_first_worker(patience=0)

    def test_a_first_worker_that_answers_is_known_by_its_address(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DMLC_TRACKER_URI", "localhost")
        longhouse_training.find_first_worker(patience=0)
        assert ipaddress.ip_address(os.environ["DMLC_TRACKER_URI"]).is_loopback

    def test_an_address_that_nobody_has_any_more_is_looked_up_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = iter(["192.0.2.1", "192.0.2.2"])
        called: list[str] = []

        def look_up(_name: str, _port: None, **_: Any) -> list[Any]:
            return [(0, 0, 0, "", (next(answers), 0))]

        def call(address: tuple[str, int], timeout: float) -> None:
            called.append(address[0])
            raise (OSError if address[0] == "192.0.2.1" else ConnectionRefusedError)

        monkeypatch.setenv("PET_MASTER_ADDR", "digits-node-0-0.digits")
        monkeypatch.setattr("socket.getaddrinfo", look_up)
        monkeypatch.setattr("socket.create_connection", call)
        monkeypatch.setattr(longhouse_training, "_PAUSE_SECONDS", 0)
        longhouse_training.find_first_worker(patience=60)
        assert os.environ["PET_MASTER_ADDR"] == "192.0.2.2"
        assert called == ["192.0.2.1", "192.0.2.2"]

    @pytest.mark.parametrize("line", ["{} slots=1", "{}:1"])
    def test_a_launcher_waits_for_all_its_workers_and_fetches_nothing_for_them(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
    ) -> None:
        hosts = [f"sums-worker-{number}.sums.tenant-atlas.svc" for number in range(2)]
        file = tmp_path / "hostfile"
        file.write_text("".join(f"{line.format(each)}\n" for each in hosts))
        monkeypatch.setenv("OMPI_MCA_orte_default_hostfile", str(file))
        asked: list[str] = []
        began: list[list[str]] = []

        def answering(name: str) -> str:
            asked.append(name)
            return "192.0.2.1"

        monkeypatch.setattr(longhouse_training, "_answering", answering)
        monkeypatch.setattr(os, "execvp", lambda program, words: began.append(words))
        words = ["sh", "-x", "python3", "s3://b/jobs/sums.py"]
        longhouse_training.main(words)
        assert asked == hosts
        assert began == [words]

    @pytest.mark.parametrize(
        ("hosts", "rank"),
        [("OMPI_MCA_orte_default_hostfile", "OMPI_COMM_WORLD_RANK"), ("HYDRA_HOST_FILE", "PMI_RANK")],
    )
    def test_what_a_launcher_has_started_waits_for_nobody_and_fetches_for_itself(
        self, monkeypatch: pytest.MonkeyPatch, hosts: str, rank: str
    ) -> None:
        """Its variables are those of the launcher, and the file that they name is not there."""
        monkeypatch.setenv(hosts, "/etc/mpi/hostfile")
        monkeypatch.setenv(rank, "1")
        began: list[list[str]] = []
        monkeypatch.setattr(os, "execvp", lambda program, words: began.append(words))
        monkeypatch.setattr(longhouse_training, "fetched", lambda command, into: [command[0], "here.py"])
        longhouse_training.main(["sh", "s3://b/jobs/sums.py"])
        assert began == [["sh", "here.py"]]

    def test_one_worker_joins_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DMLC_NUM_WORKER", raising=False)
        with longhouse_training.collective():
            pass

    @pytest.mark.parametrize("command", [[], ["no-such-program"]])
    def test_what_cannot_be_started_is_said(self, command: list[str]) -> None:
        with pytest.raises(SystemExit, match=r"usage: .* not"):
            longhouse_training.main(command)
