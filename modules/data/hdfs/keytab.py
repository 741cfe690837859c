"""Kerberos keys and keytabs from passwords, so that a keytab is a pure function of what it is for.

The one encryption type is AES-256 with HMAC-SHA-384 (RFC 8009): MIT's KDC has it since 1.15, Java since 11, and its older
sibling (RFC 3962) rests on SHA-1. A key is what any KDC makes of the same principal and password, so the KDC is told the
password and the service is given the keytab, and neither asks the other.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

ENCRYPTION: Final = "aes256-cts-hmac-sha384-192"
_ENCRYPTION_NUMBER: Final = 20
_ITERATIONS: Final = 32768
"""Default of RFC 8009, section 4; a KDC that has another would have to be told so by each client."""

_KEY_BITS: Final = 256
_VERSION: Final = b"\x05\x02"
_NT_PRINCIPAL: Final = 1
_KEY_VERSION: Final = 1
"""What a principal's first key is numbered in a fresh KDC database, and these databases are always fresh."""


@dataclass(frozen=True)
class Principal:
    """Someone that the realm knows, and by what password."""

    name: str
    """Without the realm: `atlas`, or `hdfs/<host>` for a service on a host."""
    realm: str
    password: str

    @property
    def salt(self) -> str:
        """What the password is salted with unless a KDC says otherwise (RFC 4120, section 4)."""
        return self.realm + self.name.replace("/", "")


@cache
def key(password: str, salt: bytes) -> bytes:
    """The key that a password stands for (RFC 8009, section 4: string-to-key)."""
    seasoned = ENCRYPTION.encode() + b"\0" + salt
    stretched = hashlib.pbkdf2_hmac("sha384", password.encode(), seasoned, _ITERATIONS, _KEY_BITS // 8)
    label = struct.pack(">I", 1) + b"kerberos\0" + struct.pack(">I", _KEY_BITS)
    return hmac.digest(stretched, label, "sha384")[: _KEY_BITS // 8]


def keytab(principals: Iterable[Principal]) -> bytes:
    """The keytab that holds the keys of these principals (MIT Kerberos, "The Keytab Binary File Format")."""
    return _VERSION + b"".join(_entry(each) for each in principals)


def _entry(principal: Principal) -> bytes:
    components = principal.name.split("/")
    entry = struct.pack(">H", len(components)) + _counted(principal.realm.encode())
    entry += b"".join(_counted(part.encode()) for part in components)
    # The time at which the key was written is left at zero: nobody reads it, and the file would differ each time.
    entry += struct.pack(">IIB", _NT_PRINCIPAL, 0, _KEY_VERSION)
    entry += struct.pack(">H", _ENCRYPTION_NUMBER) + _counted(
        key(principal.password, principal.salt.encode())
    )
    entry += struct.pack(">I", _KEY_VERSION)
    return struct.pack(">i", len(entry)) + entry


def _counted(octets: bytes) -> bytes:
    return struct.pack(">H", len(octets)) + octets
