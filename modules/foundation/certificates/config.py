"""Certificates: who signs what servers inside the cluster present."""

from __future__ import annotations

from enum import StrEnum

from modules.kit.model import Model


class Issuer(StrEnum):
    """Who signs."""

    DERIVED = "derived"
    CERT_MANAGER = "cert-manager"


class Certificates(Model):
    """Who signs what servers inside the cluster present."""

    issuer: Issuer = Issuer.DERIVED
    """Who signs: `derived` makes keys and certificates from the stack's master secret, with no operator; `cert-manager` leaves it to that operator, which also renews them."""
