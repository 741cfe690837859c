"""The dataset cache: where it runs, whom it serves, whom it asks, and who is told of it. What nginx makes of its settings is seen in
tests/cluster/test_dataset_cache_servers.py."""

from __future__ import annotations

import functools
import json
import re

import pytest
from pulumi_kubernetes.core.v1 import ConfigMap

from modules.data.dataset_cache import image, settings
from modules.data.dataset_cache.component import DatasetCache
from modules.data.dataset_cache.config import ENDPOINT, NAME, PORT
from modules.data.dataset_cache.config import DatasetCache as Config
from modules.data.object_store.config import Accounts, Engine, External, ObjectStore
from modules.foundation.gpu_pools.config import Site
from modules.kit import labels
from modules.kit.network_policies import NAMESPACE_NAME
from modules.ml.training import defaults
from modules.ml.training.config import TrainingShare
from profiles.load import load
from sandbox import images
from tests.conftest import Declared, Recording, record
from tests.unit.examples import AUTHORITY, GPUS, pool, store_context

CONFIG = Config(storage_class="local-nvme", size="100Gi")
MINIO = ObjectStore()
APPLIANCE = External(
    endpoint="https://s3.example.com", region="eu-central-1", site=Site.HOME, cidrs=("10.40.0.0/28",), accounts=Accounts.GIVEN
)  # fmt: skip
GIVEN = ObjectStore(engine=Engine.EXTERNAL, external=APPLIANCE)
FAST = GPUS.model_copy(update={"local_ssd": {"path": "/mnt/scratch", "size": "7Ti"}})


@functools.cache
def declared(store: ObjectStore = MINIO, *, shared: bool = True) -> Recording:
    def program() -> None:
        monitors = ConfigMap("monitors", metadata={"name": "monitors"}) if shared else None
        context = store_context("atlas", monitors=monitors)
        DatasetCache(
            "dataset-cache", CONFIG, context=context, store=store, tenants=["atlas", "borealis"], pools=[FAST, pool("general")]
        )  # fmt: skip

    return record(program)


def policy(name: str, store: ObjectStore = MINIO) -> Declared:
    (found,) = [
        each
        for each in declared(store).of("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        if each.object_name == name
    ]
    return found


class TestDeclared:
    def test_it_runs_on_nodes_with_a_fast_disk_whatever_keeps_others_off(self) -> None:
        (found,) = declared().of("kubernetes:apps/v1:DaemonSet")
        spec = found.spec.template.spec
        assert dict(spec.nodeSelector) == {labels.LOCAL_SSD: "true"}
        assert [each["key"] for each in spec.tolerations] == ["nvidia.com/gpu"]

    def test_its_volume_is_the_nodes_own_and_goes_with_the_pod(self) -> None:
        (found,) = declared().of("kubernetes:apps/v1:DaemonSet")
        (claim,) = [each.ephemeral for each in found.spec.template.spec.volumes if each.ephemeral]
        spec = claim.volumeClaimTemplate.spec
        assert spec.storageClassName == "local-nvme"
        assert spec.resources.requests["storage"] == "100Gi"
        assert not [each for each in found.spec.template.spec.volumes if each.hostPath]

    def test_it_serves_its_own_node_and_no_other(self) -> None:
        (found,) = declared().of("kubernetes:core/v1:Service")
        assert found.spec.internalTrafficPolicy == "Local"

    def test_tenants_may_call_it_and_nobody_else(self) -> None:
        found = policy("allow-clients").spec.ingress
        callers = {
            peer.namespaceSelector.matchLabels[NAMESPACE_NAME] for rule in found for peer in rule["from"]
        }
        assert callers == {"tenant-atlas", "tenant-borealis"}
        assert {port.port for rule in found for port in rule.ports} == {PORT}

    @pytest.mark.parametrize(
        ("store", "peer"),
        [
            (MINIO, {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "object-store"}}}),
            (GIVEN, {"ipBlock": {"cidr": "10.40.0.0/28"}}),
        ],
    )
    def test_it_may_call_the_store_and_nothing_else(
        self, store: ObjectStore, peer: dict[str, object]
    ) -> None:
        names = {
            each.object_name
            for each in declared(store).of("kubernetes:networking.k8s.io/v1:NetworkPolicy")
            if each.spec.egress
        }
        assert names == {"allow-dns", "allow-store"}
        (rule,) = policy("allow-store", store).spec.egress
        assert json.loads(json.dumps(rule["to"], default=dict)) == [peer]

    def test_it_has_no_key_of_the_store(self) -> None:
        (found,) = declared().of("kubernetes:core/v1:Secret")
        assert set(found.inputs.stringData) == {"tls.crt", "tls.key", "ca.crt"}

    def test_a_groups_stack_declares_nothing_of_it(self) -> None:
        assert not declared(shared=False).of("kubernetes:apps/v1:DaemonSet")


class TestSettings:
    def test_copies_leave_room_on_the_volume(self) -> None:
        text = settings.settings(CONFIG, settings.store(MINIO))
        (most,) = re.findall(r"max_size=(\d+)m", text)
        assert int(most) == 87040, "85 % of 100 GiB"
        assert "min_free=5120m" in text
        assert "inactive=30d" in text

    def test_a_store_in_the_cluster_is_asked_by_its_whole_name_and_said_to_be_what_clients_sign(self) -> None:
        found = settings.store(MINIO)
        assert found.address == "object-store.object-store.svc.cluster.local:9000"
        assert f"https://{found.host}" == MINIO.endpoint
        assert (found.certificate, found.trusted) == (
            "object-store.object-store.svc",
            "/etc/dataset-cache-tls/ca.crt",
        )

    def test_one_outside_is_trusted_by_public_authorities(self) -> None:
        found = settings.store(GIVEN)
        assert (found.address, found.host) == ("s3.example.com:443", "s3.example.com")
        assert found.trusted == "/etc/ssl/certs/ca-certificates.crt"

    def test_a_port_that_is_not_the_usual_one_is_signed(self) -> None:
        other = GIVEN.model_copy(
            update={"external": APPLIANCE.model_copy(update={"endpoint": "https://s3.example.com:9443"})}
        )
        assert settings.store(other).host == "s3.example.com:9443"

    def test_the_port_is_the_one_that_it_listens_at(self) -> None:
        assert f"listen {PORT} ssl;" in settings.files(CONFIG, settings.store(MINIO))["nginx.conf"]


class TestTold:
    CACHE = defaults.Cache(ENDPOINT, AUTHORITY.bundle)

    def test_jobs_of_a_tenant_with_a_bucket_are_told_where_it_is(self) -> None:
        found = defaults.environment(defaults.Stores("longhouse-atlas", cache=self.CACHE), TrainingShare())
        assert found["DATASET_CACHE"] == f"https://{NAME}.{NAME}.svc:{PORT}"
        assert found["DATASET_CACHE_CA"] == AUTHORITY.bundle

    def test_where_there_is_none_they_are_not(self) -> None:
        found = defaults.environment(defaults.Stores("longhouse-atlas"), TrainingShare())
        assert not {"DATASET_CACHE", "DATASET_CACHE_CA"} & found.keys()

    def test_they_may_call_it(self) -> None:
        whole = load("local-full")
        assert NAME in {each.name for each in whole.reaches(whole.tenants["atlas"])}
        without = load("local")
        assert NAME not in {each.name for each in without.reaches(without.tenants["atlas"])}

    def test_nodes_of_pools_with_a_disk_keep_copies(self) -> None:
        assert [each.name for each in load("onprem").cached] == ["a100", "h100"]
        assert load("cloud").cached == ()


class TestImage:
    def test_it_is_built_for_a_profile_that_has_a_cache_and_for_no_other(self) -> None:
        assert images.DATASET_CACHE_IMAGE in images.wanted(load("local-full"))
        assert images.DATASET_CACHE_IMAGE not in images.wanted(load("local"))
        assert images.DATASET_CACHE_IMAGE.reference == f"docker.io/{image.image()}"
