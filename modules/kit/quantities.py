"""Kubernetes quantities as profiles write them, and arithmetic on them.

Profiles use one spelling of each: cores as `"2"`, `"1.5"` or `1500m`; bytes with a binary suffix (`8Gi`). Decimal suffixes (`8G`, 7 % less
than `8Gi`) are valid Kubernetes and a common mistake, so config refuses them; `amount` reads the whole grammar, because objects that come back from an
API server may use it (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Annotated, Final

from pydantic import Field

CPU_PATTERN: Final = r"^([1-9][0-9]{0,8}(m|\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))$"
MEMORY_PATTERN: Final = r"^[1-9][0-9]{0,8}(Ki|Mi|Gi|Ti|Pi)$"

Cpu = Annotated[
    str, Field(pattern=CPU_PATTERN, json_schema_extra={"format": "cpu", "examples": ["2", "500m"]})
]
"""Cores, more than none, no finer than a thousandth."""

Memory = Annotated[
    str, Field(pattern=MEMORY_PATTERN, json_schema_extra={"format": "memory", "examples": ["8Gi", "512Mi"]})
]
"""Bytes of memory or disk, with a binary suffix."""

_MULTIPLIERS: Final[dict[str, Decimal]] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}
_QUANTITY: Final = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([eE][+-]?[0-9]{1,3}|[numkMGTPE]|[KMGTPE]i)?", re.ASCII
)
_BINARY: Final = ("Pi", "Ti", "Gi", "Mi", "Ki")


def amount(quantity: str) -> Decimal:
    """Value of any Kubernetes quantity, in its base unit (cores, bytes, pieces).

    Raises ValueError for text that is no quantity.
    """
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{quantity!r} is not a Kubernetes quantity")
    number, suffix = match.group(1), match.group(2) or ""
    try:
        if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
            return Decimal(number + suffix)
        return Decimal(number) * _MULTIPLIERS[suffix]
    except InvalidOperation as error:
        raise ValueError(f"{quantity!r} is not a Kubernetes quantity") from error


def cores(quantity: str) -> Decimal:
    """Cores of a CPU quantity: `1500m` is 1.5. Raises ValueError for text that is no quantity."""
    return amount(quantity)


def bytes_of(quantity: str) -> int:
    """Bytes of a memory or disk quantity, a broken byte rounded up as Kubernetes does. Raises ValueError for text that is no quantity."""
    return int(amount(quantity).to_integral_value(rounding=ROUND_CEILING))


def cpu(value: Decimal | int) -> str:
    """Cores as the shortest quantity, rounded down to a thousandth: a share that is handed out never exceeds what it was cut from."""
    thousandths = int(Decimal(value) * 1000)
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def memory(value: int) -> str:
    """Bytes as the shortest exact quantity: the largest binary suffix that leaves a whole number, else plain bytes."""
    for suffix in _BINARY:
        unit = int(_MULTIPLIERS[suffix])
        if value and value % unit == 0:
            return f"{value // unit}{suffix}"
    return str(value)


def explain_cpu(value: object) -> tuple[str, str]:
    """Why a value is no `Cpu`, and how to write what was probably meant."""
    rule = "must be cores as a quantity, as text"
    text = str(value).strip()
    number = re.match(r"[0-9]{1,12}(\.[0-9]{1,12})?(?![0-9])", text, re.ASCII)
    if isinstance(value, bool) or number is None or Decimal(number.group()) == 0:
        return rule + ", more than none", 'write cores like "2" or thousandths like 500m'
    if isinstance(value, (int, float)):
        return rule + ", not a bare number", f'write "{text}", with the quotes'
    meant = Decimal(number.group())
    if re.search(r"(?i)milli|m$", text):
        meant = meant / 1000
    elif re.search(r"(?i)[kmgtp]i?b?$", text):
        return rule + "; this is a size in bytes", 'write cores like "2" or thousandths like 500m'
    return rule, f'write "{cpu(meant)}"' if cpu(
        meant
    ) != "0" else "write 1m, the least that Kubernetes counts"


def explain_memory(value: object) -> tuple[str, str]:
    """Why a value is no `Memory`, and how to write what was probably meant."""
    rule = "must be bytes with a binary suffix (Ki, Mi, Gi, Ti, Pi), without a space"
    text = str(value).strip()
    match = re.fullmatch(r"([0-9]{1,15})(?:\.([0-9]{1,15}))?\s*([A-Za-z]*)", text, re.ASCII)
    if isinstance(value, bool) or match is None or not int(match.group(1) or 0) + int(match.group(2) or 0):
        return rule + ", more than none", "write a size like 8Gi or 512Mi"
    if isinstance(value, (int, float)) or not match.group(3):
        return (
            rule + "; a bare number would be bytes",
            f"write {match.group(1)}Gi or {match.group(1)}Mi, whichever was meant",
        )
    letter = match.group(3)[0].upper()
    if letter not in "KMGTP" or match.group(3) == "m":
        return rule, "write a size like 8Gi or 512Mi"
    if match.group(2):
        smaller = {"P": "Ti", "T": "Gi", "G": "Mi", "M": "Ki"}.get(letter)
        if smaller is None:
            return rule + ", a whole number", f"write {match.group(1)}Ki"
        whole = int(Decimal(f"{match.group(1)}.{match.group(2)}") * 1024)
        return rule + ", a whole number", f"write {whole}{smaller}"
    return rule, f"write {int(match.group(1))}{letter}i"
