"""Address ranges and ports as config writes them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

CIDR_PATTERN: Final = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _whole_network(text: str) -> str:
    try:
        exact = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise PydanticCustomError(
            "cidr", "is not an address range", {"remedy": "write a range like 10.88.0.0/16"}
        ) from error
    if str(exact) != text:
        raise PydanticCustomError("cidr_host_bits", "has host bits set", {"remedy": f"write {exact}"})
    return text


Cidr = Annotated[
    str,
    Field(pattern=CIDR_PATTERN, json_schema_extra={"format": "cidr", "examples": ["10.88.0.0/16"]}),
    AfterValidator(_whole_network),
]
"""An address range, IPv4 or IPv6, in its canonical spelling and without host bits, as NetworkPolicy wants it."""

Port = Annotated[int, Field(ge=1, le=65535)]


def network(cidr: str) -> Network:
    """The range as an object to compute with. Raises ValueError for text that is no range."""
    return ipaddress.ip_network(cidr)


def overlap(one: str, other: str) -> bool:
    """Whether two ranges share an address; ranges of different IP versions share none."""
    a, b = network(one), network(other)
    return a.version == b.version and a.overlaps(b)


@dataclass(frozen=True)
class Reach:
    """Where a service of the platform is called: pods of a namespace, or addresses outside the cluster, at some ports."""

    name: str
    ports: tuple[int, ...]
    namespace: str | None = None
    cidrs: tuple[str, ...] = ()
