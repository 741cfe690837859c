"""Credentials derived from one master secret, so that nothing random is ever drawn and no two runs differ.

HKDF-SHA256 (RFC 5869) turns the stack's master secret into as many independent keys and passwords as there
are purposes: whoever learns one learns nothing of the others, nor of the master. The epoch is part of the
derivation, so one number in the stack's config rotates everything.

What comes out of here is secret and plain at once: a component wraps it in ``pulumi.Output.secret`` where
it declares it.
"""

from __future__ import annotations

import base64
import binascii
import re
import string
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MASTER_BYTES: Final = 32
"""Least length of the master secret: the strength of SHA-256, and with it of everything derived."""

MASTER_DISTINCT_BYTES: Final = 16
"""Least number of different bytes in it. Of 32 random bytes 30 differ on average; that fewer than 16 do
has a chance below one in 10^15."""

FIRST_EPOCH: Final = 1
LAST_EPOCH: Final = 1000

PASSWORD_LENGTH: Final = 32
"""Characters of a password, 190 bits. Also the longest that every store takes: MySQL replication
credentials end there (https://dev.mysql.com/doc/refman/8.4/en/change-replication-source-to.html)."""

_ALPHABET: Final = string.ascii_letters + string.digits
"""No character that a URL, shell, SQL, CQL, Java properties file or YAML would have to quote."""

_SALT: Final = b"longhouse.dev/credentials/v1"
_PURPOSE: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[a-z0-9]([-a-z0-9.]*[a-z0-9])?)+")
_HEX: Final = re.compile(r"([0-9a-fA-F]{2})+")
_BASE64: Final = re.compile(r"[-_+/A-Za-z0-9]+={0,2}")


class CredentialError(ValueError):
    """A master secret, purpose or epoch that nothing may be derived from. The text never holds the secret."""


def master_bytes(master: bytes | str) -> bytes:
    """The master secret as bytes: as it is, or decoded from hexadecimal or (URL-safe) base64 text.

    Raises CredentialError when it is neither, shorter than 32 bytes, or visibly not random.
    """
    raw = master if isinstance(master, bytes) else _decode(master.strip())
    if len(raw) < MASTER_BYTES:
        raise CredentialError(
            f"the master secret holds {len(raw)} bytes, fewer than {MASTER_BYTES}: "
            "make one with `openssl rand -hex 32`"
        )
    if len(set(raw)) < MASTER_DISTINCT_BYTES:
        raise CredentialError(
            "the master secret repeats itself, so it is not random: make one with `openssl rand -hex 32`"
        )
    return raw


def derive_bytes(master: bytes | str, purpose: str, epoch: int, length: int) -> bytes:
    """``length`` bytes for one purpose and epoch, the same on each call.

    ``purpose`` is a path of at least two lower-case parts, owner first, such as ``kueue/webhook`` or
    ``tenants/atlas/s3``: parts cannot run into each other. ``length`` is at most 8,160 (RFC 5869, section
    2.3).

    Raises CredentialError for a bad master secret, purpose, or epoch.
    """
    if _PURPOSE.fullmatch(purpose) is None:
        raise CredentialError(
            f"purpose {purpose!r} is no path of lower-case parts: name its owner first, as in 'kueue/webhook'"
        )
    if not FIRST_EPOCH <= epoch <= LAST_EPOCH:
        raise CredentialError(
            f"credential epoch {epoch} is outside {FIRST_EPOCH}..{LAST_EPOCH}: count up by one to rotate"
        )
    info = f"{purpose}\n{epoch}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=_SALT, info=info).derive(master_bytes(master))


def derive(master: bytes | str, purpose: str, epoch: int, length: int = PASSWORD_LENGTH) -> str:
    """A password of ``length`` letters and digits for one purpose and epoch, the same on each call.

    Sixteen bytes more than needed are drawn before they are cut to the alphabet, so its bias is below 2^-128.
    The length is part of the purpose: a short password is not the beginning of a long one.

    Raises CredentialError as ``derive_bytes`` does.
    """
    number = int.from_bytes(derive_bytes(master, f"{purpose}/password.{length}", epoch, length + 16))
    letters = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(letters)


@dataclass(frozen=True)
class Credentials:
    """The master secret and the epoch in force: what a component that needs credentials is given.

    Checked on construction, so that a bad secret stops a deployment before its first resource. Raises
    CredentialError.
    """

    master: bytes = field(repr=False)
    epoch: int = FIRST_EPOCH

    def __post_init__(self) -> None:
        derive_bytes(self.master, "credentials/check", self.epoch, MASTER_BYTES)

    @classmethod
    def of(cls, master: str, epoch: int = FIRST_EPOCH) -> Credentials:
        """Credentials from the stack's config, where the master secret is text. Raises CredentialError."""
        return cls(master_bytes(master), epoch)

    def password(self, purpose: str, length: int = PASSWORD_LENGTH) -> str:
        """The password for one purpose, in this epoch."""
        return derive(self.master, purpose, self.epoch, length)

    def key(self, purpose: str, length: int = MASTER_BYTES) -> bytes:
        """Key material for one purpose, in this epoch."""
        return derive_bytes(self.master, purpose, self.epoch, length)

    def previous(self) -> Credentials | None:
        """The epoch before this one, whose credentials may still be in use while a rotation runs; None
        in the first."""
        return None if self.epoch == FIRST_EPOCH else Credentials(self.master, self.epoch - 1)


def _decode(text: str) -> bytes:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    if _BASE64.fullmatch(text) is None:
        raise CredentialError(
            "the master secret is neither hexadecimal nor base64: make one with `openssl rand -hex 32`"
        )
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        return base64.b64decode(padded.translate(str.maketrans("-_", "+/")), validate=True)
    except binascii.Error:
        raise CredentialError(
            "the master secret is cut short: make one with `openssl rand -hex 32`"
        ) from None
