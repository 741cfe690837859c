"""The certificates component: nothing to declare when finished certificates do, an operator when people ask for theirs."""

from __future__ import annotations

from modules.foundation.certificates.authority import Authority
from modules.foundation.certificates.component import Certificates
from modules.foundation.certificates.config import Certificates as Config
from modules.foundation.certificates.config import Issuer
from modules.kit.cluster import ApiServer
from tests.conftest import Recording, record
from tests.unit.examples import CREDENTIALS

API_SERVER = ApiServer(cidrs=("172.30.255.1/32",), port=6443)


def declared(issuer: Issuer) -> tuple[Certificates, Recording]:
    made = []

    def program() -> None:
        config = Config(issuer=issuer)
        made.append(
            Certificates("certificates", config, owner="us", credentials=CREDENTIALS, api_server=API_SERVER)
        )

    recorded = record(program)
    return made[0], recorded


def test_derived_certificates_need_nothing_in_the_cluster() -> None:
    _, recorded = declared(Issuer.DERIVED)
    assert [each.type for each in recorded.resources] == ["longhouse:foundation:Certificates"]


def test_the_authority_is_the_stacks_own_with_either_issuer() -> None:
    offered = {declared(issuer)[0].authority.certificate for issuer in Issuer}
    assert offered == {Authority(CREDENTIALS).certificate}


def test_cert_manager_signs_in_the_name_of_the_stacks_authority() -> None:
    _, recorded = declared(Issuer.CERT_MANAGER)
    issuer = recorded.one("cert-manager.io/v1:ClusterIssuer", "longhouse")
    key = recorded.one("core/v1:Secret", issuer.spec.ca.secretName)
    assert key.metadata.namespace == "cert-manager"
    assert key.inputs.type == "kubernetes.io/tls"
    assert dict(key.inputs.stringData) == {
        "tls.crt": Authority(CREDENTIALS).certificate,
        "tls.key": Authority(CREDENTIALS).key_pair.private_key,
    }


def test_the_authoritys_key_is_secret_in_the_state() -> None:
    _, recorded = declared(Issuer.CERT_MANAGER)
    assert "stringData" in recorded.one("core/v1:Secret").secrets


def test_the_issuer_waits_for_the_operator_that_has_to_admit_it_and_for_its_key() -> None:
    _, recorded = declared(Issuer.CERT_MANAGER)
    needs = {urn.split("::")[-1] for urn in recorded.one("cert-manager.io/v1:ClusterIssuer").dependencies}
    assert needs == {"cert-manager", "longhouse-authority"}


def test_cert_managers_crds_come_before_its_pods() -> None:
    _, recorded = declared(Issuer.CERT_MANAGER)
    crds, operator = recorded.of("helm.sh/v4:Chart")
    assert (crds.name, operator.name) == ("cert-manager-crds", "cert-manager")
    assert crds.urn in operator.dependencies


def test_every_image_of_cert_manager_is_told_the_pinned_version() -> None:
    _, recorded = declared(Issuer.CERT_MANAGER)
    values = recorded.of("helm.sh/v4:Chart")[1].inputs["values"]
    tags = {
        values.image.tag,
        values.webhook.image.tag,
        values.cainjector.image.tag,
        values.acmesolver.image.tag,
    }
    assert len(tags) == 1
    assert tags.pop().startswith("v1.")
