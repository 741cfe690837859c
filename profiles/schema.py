"""JSON Schema, generated from the typed models: the models are the one truth.

Two forms. The whole one, with required keys, is what a merged profile is checked against. The one for editors is committed under `schema/`: a profile
that extends another states differences only, so there no key of a profile is required, and null is allowed where it can take an inherited key away. A
tenant's file is a complete record by itself and keeps its required keys.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from modules.foundation.tenants.config import Tenant
from modules.kit.names import DNS_LABEL_PATTERN
from modules.ml.tuning.study import Study
from profiles.model import Profile

Schema = dict[str, Any]

DIRECTORY: Final = Path(__file__).parent / "schema"
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_OURS: Final = ("remedy", "filled", "format", "discriminator")
"""Keywords that only the loader's messages use; other programs would take them for something else."""

EXTENDS: Final[Schema] = {
    "type": "string",
    "pattern": DNS_LABEL_PATTERN,
    "maxLength": 63,
    "description": "Profile that this one differs from, by name. Mappings are merged, lists and values replaced, null takes an inherited key away.",
}


def _tidied(node: Any) -> Any:
    """Without generated titles, keys that the loader fills, and pydantic's way of saying what names a mapping may have."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {name: value for name, value in node.items() if name not in ("title", "properties")}
    tidy = {name: _tidied(value) for name, value in tidy.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    if "properties" in node:
        properties = {name: value for name, value in node["properties"].items() if not value.get("filled")}
        tidy["properties"] = {name: _tidied(value) for name, value in properties.items()}
        tidy["required"] = [name for name in tidy.get("required", []) if name in properties]
    if node.get("type") == "object" and "properties" not in node:
        for wrong, right in (("minLength", "minProperties"), ("maxLength", "maxProperties")):
            if wrong in tidy:
                tidy[right] = tidy.pop(wrong)
        if "patternProperties" in tidy:
            ((pattern, value),) = tidy.pop("patternProperties").items()
            tidy["additionalProperties"] = value
            tidy["propertyNames"] = {**tidy.get("propertyNames", {}), "pattern": pattern}
    return tidy


@functools.cache
def whole(model: type[BaseModel]) -> Schema:
    """Schema of a complete record of the model, as it stands in a file or under a key."""
    schema: Schema = _tidied(model.model_json_schema())
    return {"$schema": _DRAFT, **schema}


def _or_null(schema: Schema) -> Schema:
    if (
        any(option.get("type") == "null" for option in schema.get("anyOf", []))
        or schema.get("type") == "null"
    ):
        return schema
    about: Schema = {key: schema[key] for key in ("description", "default", "immutable") if key in schema}
    rest = {key: value for key, value in schema.items() if key not in about}
    return {**about, "anyOf": [rest, {"type": "null"}]}


def _loosen(schema: Schema, definitions: dict[str, Schema], done: set[str]) -> None:
    """Take off what only the merged profile has to satisfy, in place. What stands in lists is replaced as a whole and stays as it is."""
    for keyword in ("anyOf", "oneOf"):
        for option in schema.get(keyword, []):
            _loosen(option, definitions, done)
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    if reference and reference not in done:
        done.add(reference)
        _loosen(definitions[reference], definitions, done)
    required = schema.pop("required", [])
    for name, value in list(schema.get("properties", {}).items()):
        _loosen(value, definitions, done)
        schema["properties"][name] = value if name in required else _or_null(value)
    if isinstance(schema.get("additionalProperties"), dict):
        _loosen(schema["additionalProperties"], definitions, done)
        schema["additionalProperties"] = _or_null(schema["additionalProperties"])
        schema.pop("minProperties", None)


def _public(node: Any, *, names: bool = False) -> Any:
    """Without the keywords that only the loader uses. `names` says that the node's keys are names of properties, not keywords."""
    if isinstance(node, list):
        return [_public(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _public(value, names=not names and key in ("properties", "$defs"))
        for key, value in node.items()
        if names or key not in _OURS
    }


def for_profile_files() -> Schema:
    """Schema of `profiles/<name>.yaml` for editors."""
    schema = copy.deepcopy(whole(Profile))
    _loosen(schema, schema["$defs"], set())
    schema["properties"] = {"extends": EXTENDS, **schema["properties"]}
    public: Schema = _public(schema)
    return public


def for_files(model: type[BaseModel]) -> Schema:
    """Schema of files that each hold one whole record of the model, for editors."""
    public: Schema = _public(copy.deepcopy(whole(model)))
    return public


def files() -> dict[Path, str]:
    """The committed schema files as they have to be."""
    schemas = {
        "profile.schema.json": for_profile_files(),
        "tenant.schema.json": for_files(Tenant),
        "study.schema.json": for_files(Study),
    }
    return {
        DIRECTORY / name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    }


def resolve(schema: Schema, root: Schema) -> Schema:
    """The schema with its reference, and the one alternative of an optional value, followed."""
    if "$ref" in schema:
        target: Schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
        return {**resolve(target, root), **{key: value for key, value in schema.items() if key != "$ref"}}
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        return {
            **resolve(options[0], root),
            **{key: value for key, value in schema.items() if key != "anyOf"},
        }
    return schema


def walk(schema: Schema, root: Schema, key: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Every key of the schema with its own schema, parents first; `*` stands for the names of a mapping and the items of a list."""
    schema = resolve(schema, root)
    if key:
        yield key, schema
    for option in [*schema.get("oneOf", []), *schema.get("anyOf", [])]:
        for found, described in walk(option, root, key):
            if found != key:
                yield found, described
    for name, value in schema.get("properties", {}).items():
        yield from walk(value, root, (*key, name))
    for keyword in ("additionalProperties", "items"):
        if isinstance(schema.get(keyword), dict):
            yield from walk(schema[keyword], root, (*key, "*"))


def immutable_keys() -> frozenset[tuple[str, ...]]:
    """Keys of a profile that must not change after the first deployment; `*` stands for the name of a record."""
    root = whole(Profile)
    return frozenset(key for key, schema in walk(root, root) if schema.get("immutable"))
