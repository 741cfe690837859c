"""Whether each value of a profile is what its key may hold, said so that a person can mend it.

The JSON Schema finds everything that is wrong at once; this module turns what it finds into problems with a remedy, and takes the faulty
values out, so that the rules about values that belong together can still judge the rest.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import BaseModel
from pydantic import ValidationError as ModelError

from modules.kit import quantities
from profiles.problems import MISSING, Key, Problem, dotted, nearest, shown
from profiles.schema import Schema, resolve, whole
from profiles.source import Tree, origin_of

_KINDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}
_ROUNDS: Final = 4
Record = TypeVar("Record", bound=BaseModel)


@dataclass
class Checked:
    """A record after judgement: as it was read, but for stand-ins where something was wrong."""

    data: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    damaged: set[Key] = field(default_factory=set)
    """Keys, within the record, that hold something else in `data` than in the file, or nothing."""

    sound: bool = True
    """Whether `data` can be made a typed record of."""


@dataclass(frozen=True)
class _Fault:
    key: Key
    value: object
    message: str
    remedy: str
    unknown: bool = False
    """Whether the key as such is wrong, not what stands under it."""

    schema: Schema = field(default_factory=dict)
    """What should stand there."""


@functools.cache
def _validator(model: type[BaseModel]) -> Draft202012Validator:
    return Draft202012Validator(whole(model))


def check(
    data: dict[str, Any], model: type[BaseModel], tree: Tree, prefix: Key = (), *, partial: bool = False
) -> Checked:
    """Judge a record, `data`, by the schema of the model.

    `tree` is the record as it was read, for the lines; `prefix` is where in the profile it stands. `data` is changed: a value that is wrong gives
    way to a stand-in, so that rules can still judge the others. Keys that the loader fills must not be in it. A `partial`
    record is one of which some of what it was to inherit cannot be read: what it lacks itself is no problem of its own.
    """
    checked = Checked(data)
    validator = _validator(model)
    for round_ in range(_ROUNDS):
        faults = [fault for error in validator.iter_errors(data) for fault in _faults(error, whole(model))]
        if not faults:
            return checked
        if round_ == 0:
            told = [
                fault for fault in faults if not (partial and fault.value is MISSING and len(fault.key) == 1)
            ]
            checked.problems += _problems(_without_echoes(told), tree, prefix)
        for fault in faults:
            _mend(checked, fault, whole(model))
    checked.sound = False
    return checked


def build(
    checked: Checked, model: type[Record], tree: Tree, fill: Callable[[dict[str, Any]], dict[str, Any]]
) -> Record | None:
    """The typed record. What only the model itself finds becomes problems too; None when none can be built.

    `fill` adds to the data the keys that stand in no file.
    """
    for _ in range(_ROUNDS if checked.sound else 0):
        try:
            return model.model_validate(fill(checked.data))
        except ModelError as error:
            faults = []
            for found in error.errors(include_url=False):
                key = _existing(found["loc"], checked.data)
                remedy = str(found.get("ctx", {}).get("remedy", "see the reference of the key"))
                wanted = _schema_at(key, whole(model))
                faults.append(_Fault(key, _at(checked.data, key), found["msg"], remedy, schema=wanted))
            checked.problems += _problems(faults, tree, ())
            for fault in faults:
                _mend(checked, fault, whole(model))
    return None


def _faults(error: ValidationError, root: Schema) -> Iterator[_Fault]:
    """What one error of the JSON Schema says, by key."""
    key: Key = tuple(error.absolute_path)
    schema: Schema = error.schema if isinstance(error.schema, dict) else {}
    value: Any = error.instance
    kind = str(error.validator)
    limit: Any = error.validator_value

    if "propertyNames" in error.schema_path:
        message, remedy = about_name(str(value), schema)
        yield _Fault((*key, value), MISSING, message, remedy, unknown=True)
    elif kind in ("anyOf", "oneOf"):
        yield from _alternatives(error, key, schema, root)
    elif kind == "required":
        for name in limit:
            if name not in value and f"'{name}' is a required" in error.message:
                wanted = resolve(schema.get("properties", {}).get(name, {}), root)
                about = str(wanted.get("description", ""))
                yield _Fault(
                    (*key, name), MISSING, f"is missing: {about}", _example(name, wanted), schema=wanted
                )
    elif kind == "additionalProperties":
        known = schema.get("properties", {})
        for name in value:
            if name not in known:
                message, remedy = _about_unknown(str(name), schema, root)
                yield _Fault((*key, name), value[name], message, remedy, unknown=True)
    else:
        message, remedy = _about_value(value, kind, limit, schema, key)
        yield _Fault(key, value, message, str(schema.get("remedy", remedy)), schema=schema)


def _alternatives(error: ValidationError, key: Key, schema: Schema, root: Schema) -> Iterator[_Fault]:
    """An optional value is judged as if it were needed; one with a `mode`, by what that mode allows."""
    context = list(error.context or [])
    discriminator = schema.get("discriminator")
    if discriminator is None:
        wanted = [
            number
            for number, option in enumerate(schema[str(error.validator)])
            if option.get("type") != "null"
        ]
        for nested in context:
            if nested.relative_schema_path[0] == wanted[0]:
                yield from _faults(nested, root)
        return
    name = discriminator["propertyName"]
    modes = discriminator["mapping"]
    if not isinstance(error.instance, dict):
        yield _Fault(
            key, error.instance, "must be a mapping", f"write {{{name}: {next(iter(modes))}}}", schema=schema
        )
        return
    mode = error.instance.get(name, MISSING)
    if not isinstance(mode, str) or mode not in modes:
        choices = ", ".join(modes)
        meant = nearest(mode, modes) if isinstance(mode, str) else None
        remedy = f"did you mean {meant}?" if meant else f"write {name}: and one of {choices}"
        # The other keys depend on the mode, so the mapping as a whole gets the stand-in.
        yield _Fault((*key, name), mode, f"must be one of {choices}", remedy, schema={"stands_for": schema})
        return
    chosen = [option.get("$ref") for option in schema["oneOf"]].index(modes[mode])
    for nested in context:
        if nested.relative_schema_path[0] == chosen:
            yield from _faults(nested, root)


def _about_value(value: object, kind: str, limit: Any, schema: Schema, key: Key) -> tuple[str, str]:
    """Why a single value is refused, and what to write."""
    form = schema.get("format")
    if value is None:
        return (
            "is null, which takes an inherited key away, and nothing is inherited here",
            "write {} for nothing of its own, or leave the key out"
            if schema.get("type") != "string"
            else "leave the key out",
        )
    if form == "cpu":
        return quantities.explain_cpu(value)
    if form == "memory":
        return quantities.explain_memory(value)
    if kind == "type":
        wanted = _KINDS.get(str(limit), str(limit))
        if limit == "string" and not isinstance(value, (dict, list)):
            return (
                f"must be {wanted}",
                f'write "{value if not isinstance(value, bool) else "yes" if value else "no"}", with the quotes',
            )
        if limit == "array" and not isinstance(value, dict):
            return f"must be {wanted}", f"write [{shown(value)}]"
        if (
            limit in ("integer", "boolean")
            and isinstance(value, str)
            and re.fullmatch(r"-?[0-9]+|true|false", value)
        ):
            return f"must be {wanted}, not text", f"write {value}, without quotes"
        return f"must be {wanted}", f"write {wanted}"
    if kind in ("enum", "const"):
        choices = [str(choice) for choice in (limit if kind == "enum" else [limit])]
        meant = nearest(str(value), choices)
        remedy = f"did you mean {meant}?" if meant else f"write one of {', '.join(choices)}"
        return f"must be one of {', '.join(choices)}", remedy
    if kind == "minimum":
        return f"must be at least {limit}", f"write {limit} or more"
    if kind == "maximum":
        return f"must be at most {limit}", f"write {limit} or less"
    if kind == "minLength":
        return "must not be empty", "write something, or leave the key out"
    if kind == "maxLength" and isinstance(value, str):
        return f"must be at most {limit} characters, and has {len(value)}", "shorten it"
    if kind in ("minItems", "minProperties"):
        return f"must hold at least {limit}", "add one"
    if kind in ("maxItems", "maxProperties") and isinstance(value, (list, dict)):
        inherited = (
            "keep one, and take what is inherited away with null"
            if kind == "maxProperties"
            else "remove some"
        )
        return f"must hold at most {limit}, and holds {len(value)}", inherited
    if kind == "pattern" and isinstance(value, str):
        return _about_text(value, schema)
    return f"is not allowed ({kind})", "see the reference of the key"


def _about_text(text: str, schema: Schema) -> tuple[str, str]:
    form = schema.get("format")
    if not text:
        return "must not be empty", "write something, or leave the key out"
    if form == "dns-label":
        return (
            "must be lower-case letters, digits and hyphens, a letter first and no hyphen last",
            _suggestion(text, r"[^a-z0-9]+", "platform-team"),
        )
    if form == "label-value":
        return (
            "must be lower-case letters, digits, '-', '_' and '.', since it becomes a label's value",
            _suggestion(text.partition("@")[0], r"[^-a-z0-9_.]+", "platform-team"),
        )
    if form == "cidr":
        return "must be an address range", "write a range like 10.88.0.0/16; a single address ends in /32"
    if form == "mig-profile":
        return "must be a slice as NVIDIA names it", "write a profile like 1g.10gb"
    if schema.get("pattern") == r"^\S+$":
        return "must not hold a space", "remove the space"
    example = schema.get("examples")
    return (
        f"must have the form {schema.get('pattern')}",
        f"write one like {example[0]}" if example else "write only letters, digits, '-', '_' and '.'",
    )


def _suggestion(text: str, forbidden: str, example: str) -> str:
    candidate = re.sub(forbidden, "-", text.lower()).lstrip("-_.0123456789")[:32].rstrip("-_.")
    return f"write {candidate or example}"


def about_name(name: str, schema: Schema) -> tuple[str, str]:
    """Why a name that heads a record is refused."""
    if schema.get("maxLength") is not None and len(name) > schema["maxLength"]:
        return f"is a name of {len(name)} characters; at most {schema['maxLength']} are allowed", "shorten it"
    if not name:
        return "is an empty name", "name it"
    message, remedy = _about_text(name, schema)
    return f"is no name: it {message}", remedy


def _about_unknown(name: str, schema: Schema, root: Schema) -> tuple[str, str]:
    """What to do about a key that nobody knows: a close one, the same one elsewhere, or the list of all."""
    known = schema.get("properties", {})
    listed = f"known here: {', '.join(known)}"
    if name == "name":
        return "is not a known key", "leave it out: the name of the record, or of the file, is the name"
    for section, described in known.items():
        if name in resolve(described, root).get("properties", {}):
            return "is not a known key here", f"did you mean {section}.{name}? ({listed})"
    meant = nearest(name, known)
    if meant:
        return "is not a known key", f"did you mean {meant}? ({listed})"
    return "is not a known key", listed


def _example(name: str, schema: Schema) -> str:
    """How a missing key may be written."""
    if "enum" in schema:
        return f"add `{name}:` with one of {', '.join(schema['enum'])}"
    if schema.get("examples"):
        return f"add `{name}:`, for example `{name}: {shown(schema['examples'][0])}`"
    if schema.get("properties"):
        return f"add `{name}:` with {', '.join(schema.get('required') or schema['properties'])}"
    kind = _KINDS.get(str(schema.get("type")), "a value")
    return f"add `{name}:` with {kind}"


def _without_echoes(faults: list[_Fault]) -> list[_Fault]:
    """One fault per key, without the missing keys that an unknown one beside them was meant to be."""
    meant: set[Key] = set()
    for fault in faults:
        if fault.unknown and (match := re.match(r"did you mean ([^?]+)\?", fault.remedy)):
            meant.add((*fault.key[:-1], match.group(1)))
    return [
        fault for fault in faults if fault.value is not MISSING or fault.unknown or fault.key not in meant
    ]


def _problems(faults: list[_Fault], tree: Tree, prefix: Key) -> list[Problem]:
    found = []
    for fault in faults:
        origin = origin_of(tree, fault.key)
        key = dotted(prefix + fault.key)
        value = copy.deepcopy(fault.value)
        found.append(Problem(origin.file, origin.line, key, value, fault.message, fault.remedy))
    return found


def _mend(checked: Checked, fault: _Fault, root: Schema) -> None:
    """Put a stand-in where the fault is, or take the key away if it is the key that is wrong."""
    key, schema = fault.key, fault.schema
    if "stands_for" in schema:
        key, schema = key[:-1], schema["stands_for"]
    if not key:
        checked.sound = False
        return
    checked.damaged.add(key)
    holder = _at(checked.data, key[:-1])
    last: Any = key[-1]
    if fault.unknown:
        if isinstance(holder, dict):
            holder.pop(last, None)
    elif isinstance(holder, dict) or (isinstance(holder, list) and last < len(holder)):
        holder[last] = stand_in(schema, root)


def stand_in(schema: Schema, root: Schema) -> Any:
    """A small value that the schema allows."""
    schema = resolve(schema, root)
    for option in [*schema.get("oneOf", []), *schema.get("anyOf", [])]:
        return stand_in(option, root)
    if "default" in schema:
        return copy.deepcopy(schema["default"])
    if "const" in schema:
        return schema["const"]
    if "enum" in schema or "examples" in schema:
        return (schema.get("enum") or schema["examples"])[0]
    if schema.get("type") == "object":
        known = schema.get("properties", {})
        record = {name: stand_in(known[name], root) for name in schema.get("required", [])}
        if schema.get("minProperties"):
            record[stand_in(schema["propertyNames"], root)] = stand_in(schema["additionalProperties"], root)
        return record
    if schema.get("type") == "array":
        return [stand_in(schema["items"], root) for _ in range(schema.get("minItems", 0))]
    if schema.get("type") in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    return False if schema.get("type") == "boolean" else "stand-in"


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def _existing(location: tuple[str | int, ...], data: Any) -> Key:
    """The part of a model's error location that is a path in the data; the rest names alternatives of a union."""
    key: Key = ()
    for part in location:
        if _holds(data, part):
            data = data[part]
            key = (*key, part)
    return key


def _at(data: Any, key: Key) -> Any:
    for part in key:
        if not _holds(data, part):
            return MISSING
        data = data[part]
    return data


def _schema_at(key: Key, root: Schema) -> Schema:
    schema = root
    for part in key:
        schema = resolve(schema, root)
        options = [resolve(option, root) for option in schema.get("oneOf", [])] or [schema]
        for option in options:
            if isinstance(part, str) and part in option.get("properties", {}):
                schema = option["properties"][part]
                break
            if isinstance(option.get("items" if isinstance(part, int) else "additionalProperties"), dict):
                schema = option["items" if isinstance(part, int) else "additionalProperties"]
                break
    return resolve(schema, root)
