"""The certificate authority is computed: no clock, no chance, and real verifiers accept what it signs."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from modules.foundation.certificates.authority import ORIGIN, Authority, KeyPair
from modules.kit.credentials import Credentials

MASTER = bytes(range(32))
WEBHOOK = "kueue-webhook-service.kueue-system.svc"
NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def authority(epoch: int = 1, master: bytes = MASTER) -> Authority:
    return Authority(Credentials(master, epoch))


def certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def verify(pair: KeyPair, bundle: str, name: str, at: datetime.datetime = NOW) -> list[x509.Certificate]:
    store = verification.Store(x509.load_pem_x509_certificates(bundle.encode()))
    verifier = verification.PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName(name))
    return verifier.verify(certificate(pair.certificate), [])


def test_two_runs_compute_the_same_bytes() -> None:
    one, other = authority(), authority()
    assert one.certificate == other.certificate
    assert one.key_pair == other.key_pair
    assert one.server("kueue/webhook", (WEBHOOK,)) == other.server("kueue/webhook", (WEBHOOK,))


def test_a_client_that_trusts_the_bundle_accepts_the_server() -> None:
    chain = verify(authority().server("kueue/webhook", (WEBHOOK,)), authority().bundle, WEBHOOK)
    assert [len(chain), chain[1]] == [2, certificate(authority().certificate)]


def test_a_server_is_accepted_under_each_of_its_names_and_no_other() -> None:
    pair = authority().server("kueue/webhook", (WEBHOOK, "metrics.kueue-system.svc"))
    verify(pair, authority().bundle, "metrics.kueue-system.svc")
    with pytest.raises(verification.VerificationError):
        verify(pair, authority().bundle, "other.kueue-system.svc")


def test_an_address_is_a_name_too() -> None:
    pair = authority().server("kueue/webhook", ("10.0.0.1",))
    names = (
        certificate(pair.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.1")]


def test_another_master_secret_signs_nothing_that_is_trusted_here() -> None:
    stranger = authority(master=bytes(range(1, 33))).server("kueue/webhook", (WEBHOOK,))
    with pytest.raises(verification.VerificationError):
        verify(stranger, authority().bundle, WEBHOOK)


def test_callers_with_the_new_bundle_still_accept_a_server_that_has_the_old_certificate() -> None:
    verify(authority(epoch=1).server("kueue/webhook", (WEBHOOK,)), authority(epoch=2).bundle, WEBHOOK)


def test_after_a_second_rotation_the_old_certificate_is_refused() -> None:
    with pytest.raises(verification.VerificationError):
        verify(authority(epoch=1).server("kueue/webhook", (WEBHOOK,)), authority(epoch=3).bundle, WEBHOOK)


def test_a_server_cannot_sign_for_others() -> None:
    extensions = certificate(authority().server("kueue/webhook", (WEBHOOK,)).certificate).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_the_authority_signs_servers_but_no_further_authority() -> None:
    constraints = certificate(authority().certificate).extensions.get_extension_for_class(
        x509.BasicConstraints
    )
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_validity_follows_from_the_epoch() -> None:
    first, second = (certificate(authority(epoch).certificate) for epoch in (1, 2))
    assert first.not_valid_before_utc == second.not_valid_before_utc == ORIGIN
    assert second.not_valid_after_utc.year == first.not_valid_after_utc.year + 1


def test_an_expired_certificate_is_refused() -> None:
    pair = authority().server("kueue/webhook", (WEBHOOK,))
    with pytest.raises(verification.VerificationError):
        verify(pair, authority().bundle, WEBHOOK, at=ORIGIN.replace(year=2046))


def test_the_key_belongs_to_the_certificate() -> None:
    for pair in (authority().key_pair, authority().server("kueue/webhook", (WEBHOOK,))):
        key = serialization.load_pem_private_key(pair.private_key.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.public_key() == certificate(pair.certificate).public_key()


def test_another_purpose_is_another_key_and_another_serial_number() -> None:
    one, other = (
        certificate(authority().server(purpose, (WEBHOOK,)).certificate)
        for purpose in ("kueue/webhook", "kueue/metrics")
    )
    assert one.public_key() != other.public_key()
    assert one.serial_number != other.serial_number


def test_certificates_with_other_names_have_other_serial_numbers() -> None:
    one, other = (
        certificate(authority().server("kueue/webhook", names).certificate)
        for names in ((WEBHOOK,), (WEBHOOK, "a.b"))
    )
    assert one.serial_number != other.serial_number


def test_a_name_too_long_for_a_common_name_still_counts() -> None:
    name = f"{'a' * 60}.kueue-system.svc"
    pair = authority().server("kueue/webhook", (name,))
    verify(pair, authority().bundle, name)


def test_a_certificate_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="would answer to no name"):
        authority().server("kueue/webhook", ())


def test_a_key_pair_does_not_show_its_key() -> None:
    assert "PRIVATE" not in repr(authority().key_pair)
