"""A certificate authority that is computed, not stored: the same master secret and epoch always give the
same keys and certificates.

Operators make their own certificates at their first start, each in its own way, and write them into objects
that the platform declared; then no two deployments agree and every refresh finds a difference. Here the
authority follows from the stack's master secret, so the certificate of a webhook and the bundle that its
callers trust are known before the operator runs, and a second run computes the same bytes.

Keys are on NIST P-256: drawn by HKDF, with more bytes than the curve's order has, then reduced (FIPS 186-5,
appendix A.2.1). Signatures are deterministic ECDSA (RFC 6979). Nothing depends on the clock: validity
follows from the epoch. All servers are inside the cluster, so public CAs' short lifetimes are no yardstick;
a leaked key is answered by the next epoch.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modules.kit.credentials import FIRST_EPOCH, Credentials

ORIGIN: Final = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
"""When every certificate's validity begins: before any cluster of the platform existed, so that a node's
slow clock refuses none."""

YEARS: Final = 20
"""Validity of the first epoch's certificates. Each later epoch ends a year later, so counting up is
always a way out."""

ORGANIZATION: Final = "longhouse"

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the curve's base point (SP 800-186, section 3.2.1.3)."""

COMMON_NAME_LIMIT: Final = 64
"""Characters of a common name (RFC 5280, appendix A: ub-common-name). Names that count are in the
subject's alternative names, which have no such limit."""


@dataclass(frozen=True)
class KeyPair:
    """A server's certificate and its private key, as PEM text."""

    certificate: str
    private_key: str = field(repr=False)


@dataclass(frozen=True)
class Authority:
    """The certificate authority of one stack in one epoch."""

    credentials: Credentials

    @cached_property
    def certificate(self) -> str:
        """The authority's own certificate, as PEM text."""
        return _pem(self._certificate)

    @cached_property
    def bundle(self) -> str:
        """What callers trust, as PEM text: this epoch's authority and the one before.

        A server picks its new certificate up some seconds after its callers got their new bundle; with the
        previous authority in it, no call fails between. A server key that leaked is out of trust after the
        second rotation.
        """
        previous = self.credentials.previous()
        return self.certificate + (Authority(previous).certificate if previous else "")

    @cached_property
    def key_pair(self) -> KeyPair:
        """The authority's own certificate and key, for an issuer in the cluster that signs in its name."""
        return KeyPair(self.certificate, _private(self._key))

    def server(self, purpose: str, names: tuple[str, ...], *, calls: bool = False) -> KeyPair:
        """Certificate and key of a server that answers to ``names`` (DNS names and IP addresses), the first
        of them its common name.

        ``purpose`` says whose key it is, such as ``kueue/webhook``: another purpose is another key,
        whatever the names. ``calls`` is for members of a cluster, which show each other the same certificate as
        clients too. Raises ValueError when there is no name.
        """
        if not names:
            raise ValueError(f"certificate {purpose!r} would answer to no name: give at least one")
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if calls else [])]
        key = self._derived_key(f"certificates/{purpose}")
        common = names[0] if len(names[0]) <= COMMON_NAME_LIMIT else purpose[:COMMON_NAME_LIMIT]
        certificate = (
            self._builder(_name(common), (purpose, *names))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_data=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256(), ecdsa_deterministic=True)
        )
        return KeyPair(_pem(certificate), _private(key))

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return self._derived_key("certificates/authority")

    @cached_property
    def _certificate(self) -> x509.Certificate:
        public = self._key.public_key()
        return (
            self._builder(self._subject, ("authority",))
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256(), ecdsa_deterministic=True)
        )

    @property
    def _subject(self) -> x509.Name:
        return _name(f"longhouse authority {self.credentials.epoch}")

    def _builder(self, subject: x509.Name, identity: tuple[str, ...]) -> x509.CertificateBuilder:
        later_years = self.credentials.epoch - FIRST_EPOCH
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .serial_number(self._serial(identity))
            .not_valid_before(ORIGIN)
            .not_valid_after(ORIGIN.replace(year=ORIGIN.year + YEARS + later_years))
        )

    def _serial(self, identity: tuple[str, ...]) -> int:
        """A number that no other certificate of the authority has: positive, at most 20 octets (RFC
        5280, section 4.1.2.2)."""
        digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()
        return int.from_bytes(self.credentials.key(f"certificates/serial/{digest}", 20)) >> 1 or 1

    def _derived_key(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        drawn = int.from_bytes(self.credentials.key(f"{purpose}/p256", 40))
        return ec.derive_private_key(drawn % (P256_ORDER - 1) + 1, ec.SECP256R1())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_data: bool = False, signs_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs_data,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
