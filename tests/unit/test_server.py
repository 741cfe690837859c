"""Servers that the platform runs itself: what is declared of each, and when it restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modules.kit import server
from modules.kit.component import Component
from modules.kit.pods import SETTINGS, Container, Pod, Probe, SecretFiles
from modules.kit.server import Disk, Scrape, Server
from tests.conftest import Declared, Recording, record

MAIN = Container(
    name="main",
    image="docker.io/library/store:1.0",
    command=("run", "/etc/store/store.conf"),
    cpu="100m",
    memory="512Mi",
    ports={"client": 9042, "metrics": 9404},
    readiness=Probe(command=("ready",)),
    liveness=Probe(path="/live", port=9404),
    before_stop=("drain",),
)
POD = Pod(
    containers=(MAIN,),
    prepare=(replace(MAIN, name="prepare", ports={}),),
    files={"store.conf": "size = 1"},
    files_path="/etc/store",
    secrets=(
        SecretFiles("tls", "/etc/store-tls", {"tls.key": "not-a-key"}),
        SecretFiles("given", "/etc/given", existing="kept-elsewhere"),
    ),
    scratch={"/run/store": "10Mi"},
    user=999,
)
STORE = Server(
    name="store",
    namespace="stores",
    pod=POD,
    replicas=3,
    disk=Disk("10Gi", "/var/lib/store", "fast"),
    service="store-clients",
    service_ports={"client": 9042},
    spread=("kubernetes.io/hostname", "topology.kubernetes.io/zone"),
)


class Store(Component):
    """A component that is one server."""

    AREA = "data"
    COMPONENT = "store"

    def __init__(self, declared: Server) -> None:
        super().__init__("store", owner="us")
        server.declare(self, declared)
        self.register_outputs({})


def declared(wanted: Server = STORE) -> Recording:
    return record(lambda: Store(wanted))


def pods_of(recorded: Recording) -> Declared:
    return recorded.one("apps/v1:StatefulSet", "store")


def settings_hash(wanted: Server) -> str:
    return str(pods_of(declared(wanted)).spec.template.metadata.annotations[SETTINGS])


def test_every_container_is_restricted_and_writes_to_no_root_file_system() -> None:
    pod = pods_of(declared()).spec.template.spec
    assert pod.automountServiceAccountToken is False
    assert pod.securityContext.runAsNonRoot is True
    assert pod.securityContext.runAsUser == 999
    for each in [*pod.containers, *pod.initContainers]:
        assert each.securityContext.readOnlyRootFilesystem is True
        assert each.securityContext.allowPrivilegeEscalation is False
        assert each.securityContext.capabilities.drop == ["ALL"]


def test_memory_is_what_is_asked_for_and_never_more() -> None:
    (main,) = pods_of(declared()).spec.template.spec.containers
    assert main.resources.requests.memory == main.resources.limits.memory == "512Mi"
    assert main.resources.requests.cpu == "100m"


def test_a_server_that_asks_for_many_cores_is_not_held_to_two() -> None:
    for asked, limit in (("100m", "2"), ("8", "8")):
        wanted = replace(STORE, pod=replace(POD, containers=(replace(MAIN, cpu=asked),)))
        (main,) = pods_of(declared(wanted)).spec.template.spec.containers
        assert (main.resources.requests.cpu, main.resources.limits.cpu) == (asked, limit)


@pytest.mark.parametrize(
    "changed",
    [
        replace(STORE, pod=replace(POD, files={"store.conf": "size = 2"})),
        replace(STORE, pod=replace(POD, secrets=(SecretFiles("tls", "/etc/store-tls", {"tls.key": "new"}),))),
    ],
    ids=["settings", "secret"],
)
def test_a_server_restarts_when_its_own_settings_or_secrets_changed(changed: Server) -> None:
    assert settings_hash(changed) != settings_hash(STORE)


def test_a_server_does_not_restart_when_nothing_that_it_reads_changed() -> None:
    assert settings_hash(replace(STORE, replicas=5)) == settings_hash(STORE)


def test_a_secret_is_marked_secret_and_the_one_kept_elsewhere_is_not_declared() -> None:
    secrets = declared().named("core/v1:Secret")
    assert list(secrets) == ["store-tls"]
    assert "stringData" in secrets["store-tls"].secrets


def test_the_secret_kept_elsewhere_is_mounted_by_its_own_name() -> None:
    volumes = {each.name: each for each in pods_of(declared()).spec.template.spec.volumes}
    assert volumes["given"].secret.secretName == "kept-elsewhere"
    assert volumes["tls"].secret.secretName == "store-tls"


def test_no_secret_stands_in_a_config_map_or_the_environment() -> None:
    recorded = declared()
    plain = [repr(each.inputs) for each in recorded.objects if not each.type.endswith(":Secret")]
    assert not [text for text in plain if "not-a-key" in text]


def test_one_pod_at_most_is_taken_away_at_a_time() -> None:
    budget = declared().one("policy/v1:PodDisruptionBudget", "store")
    assert budget.spec.maxUnavailable == 1
    assert budget.spec.selector.matchLabels == pods_of(declared()).spec.selector.matchLabels


def test_each_pod_has_a_name_and_clients_are_led_to_ready_ones_only() -> None:
    services = declared().named("core/v1:Service")
    assert services["store"].spec.clusterIP == "None"
    assert services["store-clients"].spec.clusterIP is None
    assert [port.port for port in services["store-clients"].spec.ports] == [9042]
    assert not services["store"].spec.publishNotReadyAddresses


def test_pods_are_spread_strictly_over_the_first_label_only() -> None:
    spread = pods_of(declared()).spec.template.spec.topologySpreadConstraints
    assert [each.whenUnsatisfiable for each in spread] == ["DoNotSchedule", "ScheduleAnyway"]


def test_metrics_are_read_where_there_are_any() -> None:
    monitor = declared().one("monitoring.coreos.com/v1:PodMonitor", "store")
    assert [dict(each) for each in monitor.spec.podMetricsEndpoints] == [
        {"port": "metrics", "path": "/metrics", "scheme": "http"}
    ]
    without = replace(STORE, pod=replace(POD, containers=(replace(MAIN, ports={"client": 9042}),)))
    assert not declared(without).of("monitoring.coreos.com/v1:PodMonitor")


def test_metrics_behind_tls_are_read_with_the_token_of_a_secret() -> None:
    scrape = Scrape("/minio/v2/metrics", "https", token=("metrics-token", "token"), server_name="store")
    (endpoint,) = (
        declared(replace(STORE, scrape=scrape))
        .of("monitoring.coreos.com/v1:PodMonitor")[0]
        .spec.podMetricsEndpoints
    )
    assert endpoint.authorization.credentials.name == "metrics-token"
    assert endpoint.tlsConfig.serverName == "store"


def test_metrics_are_read_at_another_port_with_the_authorities_of_a_secret() -> None:
    scrape = Scrape(port="client", scheme="https", ca=("store-metrics", "ca.crt"))
    spec = declared(replace(STORE, scrape=scrape)).one("monitoring.coreos.com/v1:PodMonitor").spec
    (endpoint,) = spec.podMetricsEndpoints
    assert endpoint.port == "client"
    assert dict(endpoint.tlsConfig.ca.secret) == {"name": "store-metrics", "key": "ca.crt"}


def test_servers_that_refuse_others_settings_are_restarted_at_once_and_no_others() -> None:
    assert declared(STORE).one("apps/v1:StatefulSet").spec.updateStrategy is None
    at_once = declared(replace(STORE, update_at_once=True)).one("apps/v1:StatefulSet").spec
    assert at_once.updateStrategy.rollingUpdate.maxUnavailable == "100%"


def test_a_server_waits_for_all_that_it_reads() -> None:
    recorded = declared()
    parts = {each.urn for each in recorded.of("core/v1:ConfigMap") + recorded.of("core/v1:Secret")}
    assert parts
    assert parts <= pods_of(recorded).dependencies


def test_volumes_are_of_the_named_class_and_size() -> None:
    (claim,) = pods_of(declared()).spec.volumeClaimTemplates
    assert claim.spec.storageClassName == "fast"
    assert claim.spec.resources.requests.storage == "10Gi"
    assert not pods_of(declared(replace(STORE, disk=None))).spec.volumeClaimTemplates


def test_the_components_labels_are_on_its_pods() -> None:
    labels = pods_of(declared()).spec.template.metadata.labels
    assert labels["longhouse.dev/component"] == "store"
    assert labels["longhouse.dev/owner"] == "us"
