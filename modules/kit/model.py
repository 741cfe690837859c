"""The base of all typed config: frozen, closed, every field described by the docstring below it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer

Key = TypeVar("Key")
Value = TypeVar("Value")

IMMUTABLE: Final[dict[str, Any]] = {"immutable": True}
"""Schema mark of a field that must not change after the first deployment: the objects made from it cannot follow."""

FILLED: Final[dict[str, Any]] = {"filled": True, "immutable": True}
"""Schema mark of a field that is no key of a file: the loader fills it from the file's name or from the key of the record."""


class Model(BaseModel):
    """Typed config. Unknown keys are refused, so that a typing mistake cannot pass for a default; nothing can be changed once built."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


def _plain(value: Mapping[Key, Value]) -> dict[Key, Value]:
    return dict(value)


FrozenMap = Annotated[Mapping[Key, Value], AfterValidator(MappingProxyType), PlainSerializer(_plain)]
"""A mapping from names to records that nobody can change: a frozen model that holds a plain dict would not be frozen."""
