"""The reference page of all profile keys, generated from the schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modules.ml.tuning.study import Study
from profiles.model import Profile
from profiles.problems import shown
from profiles.rules import RULES
from profiles.schema import EXTENDS, Schema, resolve, whole

_ROOM: Final = Path(__file__).parent.parent / "docs" / "reference"
FILE: Final = _ROOM / "profile.md"
STUDIES: Final = _ROOM / "study.md"

_HEAD: Final = """# Profile reference

Every key of `profiles/<name>.yaml` and, under [`tenants`](#tenantsname), of `profiles/tenants/<name>.yaml`. Generated from the typed models by
`python -m profiles reference --write`. How files extend each other is told in [profiles](../profiles.md).

A key without a default must be set, in the file itself or in one that it extends. A **fixed** key must not change after the first deployment.
"""


_STUDIES_HEAD: Final = """# Study reference

Every key of a study's file. Generated from the typed model by `python -m profiles reference --write`. What a study is and how it runs is told in
[tuning](../tuning.md).
"""


def files() -> dict[Path, str]:
    """The pages as they have to be."""
    return {FILE: page(), STUDIES: f"{_STUDIES_HEAD}\n{_keys(whole(Study), {})}"}


def page() -> str:
    """That of profiles."""
    return f"{_HEAD}\n{_keys(whole(Profile), {'extends': EXTENDS})}\n{_rules()}"


def _keys(root: Schema, more: Schema) -> str:
    """A section for each mapping with fixed keys. ``more`` are keys of the whole file that its model does not have."""
    found = _sections("", {**root, "properties": {**more, **root["properties"]}}, root)
    return "\n".join("\n".join(_section(title, schema, root)) for title, schema in found)


def _rules() -> str:
    """What must hold between values, one row per rule."""
    rows = [
        f"| {rule.__name__.replace('_', ' ')} | {_cell(' '.join(str(rule.__doc__).split()))} |"
        for rule in RULES
    ]
    return "\n".join(["## Rules between values", "", "| rule | why |", "|---|---|", *rows, ""])


def _sections(title: str, schema: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    """The schema's mapping with fixed keys, then those below it, with what they are called."""
    yield title, schema
    for name, value in schema["properties"].items():
        path = f"{title}.{name}" if title else name
        yield from _below(path, resolve(value, root), root)


def _below(path: str, schema: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    if "properties" in schema:
        yield from _sections(path, schema, root)
    for option in schema.get("oneOf", []):
        target = resolve(option, root)
        name = schema["discriminator"]["propertyName"]
        yield from _sections(f"{path} ({name}: {target['properties'][name]['const']})", target, root)
    for keyword, suffix in (("additionalProperties", ".<name>"), ("items", "[]")):
        if isinstance(schema.get(keyword), dict):
            yield from _below(path + suffix, resolve(schema[keyword], root), root)


def _section(title: str, schema: Schema, root: Schema) -> Iterator[str]:
    yield f"## `{title}`" if title else "## Top level"
    yield ""
    yield schema["description"]
    yield ""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    required = schema.get("required", [])
    for name, value in schema["properties"].items():
        described = resolve(value, root)
        about = described["description"] + (" **Fixed.**" if described.get("immutable") else "")
        default = (
            ""
            if name in required
            else f"`{shown(described['default'])}`"
            if "default" in described
            else "none"
        )
        yield f"| `{name}` | {_cell(_type(described, root))} | {_cell(default)} | {_cell(about)} |"
    yield ""


def _type(schema: Schema, root: Schema) -> str:
    """What may stand there, in a few words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "oneOf" in schema:
        return f"mapping by `{schema['discriminator']['propertyName']}`"
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(resolve(schema['items'], root), root)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"names → {_type(resolve(schema['additionalProperties'], root), root)}"
    if kind == "integer":
        low, high = schema.get("minimum"), schema.get("maximum")
        return "whole number" + (f", {low} to {high}" if low is not None and high is not None else "")
    known = {
        "cpu": "cores",
        "memory": "bytes",
        "cidr": "address range",
        "dns-label": "name",
        "label-value": "label value",
    }
    if schema.get("format") in known:
        examples = "".join(f", `{example}`" for example in schema.get("examples", [])[:1])
        return known[schema["format"]] + examples
    return {"string": "text", "number": "number", "boolean": "true or false", "object": "mapping"}.get(
        str(kind), "value"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
