"""YAML files as trees that remember where each key was written, and how one tree differs from another.

The reader is stricter than YAML: a key that stands twice, a key that is not text, a tag, a second document and a value that JSON does not know are
problems, since each means something else to someone. Anchors, aliases and `<<` work.

Merging, from the base to the profile:

- mappings are merged key by key, to any depth;
- lists and single values replace what was inherited, as a whole;
- `null` takes an inherited key away;
- a mapping whose `mode` changes replaces the inherited one, since the other keys belonged to the old mode.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from profiles.problems import MISSING, Key, Problem, dotted

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

NODES_AT_MOST: Final = 200_000
"""Values per file. Aliases of aliases grow a file of ten lines without bound; a thousand tenants stay below this."""

DEPTH_AT_MOST: Final = 40
"""Mappings within mappings; profiles need eight."""

_TAG = "tag:yaml.org,2002:"


class Origin(NamedTuple):
    """Where a key was written."""

    file: Path
    line: int


@dataclass(frozen=True)
class Leaf:
    """A single value."""

    value: Any
    origin: Origin
    takes_away: bool = False
    """Whether the value is the null that takes an inherited key away."""


@dataclass(frozen=True)
class Sequence:
    """A list."""

    items: tuple[Tree, ...]
    origin: Origin


@dataclass(frozen=True)
class Mapping:
    """Keys and what stands under them; the origin of each is where its key stands."""

    entries: dict[str, Tree] = field(hash=False)
    origin: Origin


Tree = Leaf | Sequence | Mapping


class _TooMuchError(Exception):
    """The file expands to more than a profile can be."""


class _NoValueError(Exception):
    """A value that JSON does not know; the problem is noted, and the key passed over."""


class _Reader:
    def __init__(self, file: Path, prefix: Key) -> None:
        self.file = file
        self.prefix = prefix
        self.problems: list[Problem] = []
        self.count = 0
        self.values = SafeConstructor()

    def problem(self, node: yaml.Node, key: Key, value: object, message: str, remedy: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append(Problem(self.file, line, dotted(self.prefix + key), value, message, remedy))

    def tree(self, node: yaml.Node, key: Key, origin: Origin) -> Tree:
        self.count += 1
        if self.count > NODES_AT_MOST or len(key) > DEPTH_AT_MOST:
            raise _TooMuchError
        tag = str(node.tag)
        if isinstance(node, yaml.MappingNode) and tag == _TAG + "map":
            return self.mapping(node, key, origin)
        if isinstance(node, yaml.SequenceNode) and tag == _TAG + "seq":
            items = []
            for number, item in enumerate(node.value):
                with contextlib.suppress(_NoValueError):
                    items.append(self.tree(item, (*key, number), self.origin(item)))
            return Sequence(tuple(items), origin)
        return Leaf(self.scalar(node, key, tag), origin)

    def origin(self, node: yaml.Node) -> Origin:
        return Origin(self.file, node.start_mark.line + 1)

    def mapping(self, node: yaml.MappingNode, key: Key, origin: Origin) -> Mapping:
        entries: dict[str, Tree] = {}
        merged: dict[str, Tree] = {}
        for name_node, value_node in node.value:
            if name_node.tag == _TAG + "merge":
                for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    tree = self.tree(source, (*key, "<<"), self.origin(name_node))
                    if isinstance(tree, Mapping):
                        merged = {**tree.entries, **merged}
                    else:
                        self.problem(
                            name_node,
                            key,
                            MISSING,
                            "merges (<<) what is no mapping",
                            "name an anchor of a mapping",
                        )
                continue
            if not isinstance(name_node, yaml.ScalarNode) or name_node.tag != _TAG + "str":
                text = str(name_node.value) if isinstance(name_node, yaml.ScalarNode) else "a mapping or list"
                self.problem(
                    name_node, (*key, text), MISSING, "is a key that is not text", "put the key in quotes"
                )
                continue
            name = str(name_node.value)
            try:
                value = self.tree(value_node, (*key, name), self.origin(name_node))
            except _NoValueError:
                continue
            if name in entries:
                first = entries[name].origin.line
                self.problem(
                    name_node,
                    (*key, name),
                    MISSING,
                    f"stands twice in the same mapping, first on line {first}",
                    "keep one of the two",
                )
            entries[name] = value
        return Mapping({**merged, **entries}, origin)

    def scalar(self, node: yaml.Node, key: Key, tag: str) -> Any:
        try:
            if not isinstance(node, yaml.ScalarNode):
                raise ConstructorError
            if tag in (_TAG + "str", _TAG + "timestamp"):
                return str(node.value)
            if tag in {_TAG + kind for kind in ("null", "bool", "int", "float")}:
                value = self.values.construct_object(node)
                if not isinstance(value, float) or math.isfinite(value):
                    return value
        except (ConstructorError, ValueError, ArithmeticError, LookupError):
            pass
        text = node.value if isinstance(node, yaml.ScalarNode) else tag
        self.problem(
            node,
            key,
            str(text),
            "is no value that a profile can hold",
            "write text, a number, true, false, a list or a mapping",
        )
        raise _NoValueError


def read(file: Path, prefix: Key = ()) -> tuple[Mapping | None, list[Problem]]:
    """The file as a tree, and what is wrong with it as YAML.

    `prefix` is where in the profile the file's content will stand. A file that cannot be read at all gives no tree and one problem. Raises
    nothing.
    """
    reader = _Reader(file, prefix)

    def refuse(message: str, remedy: str, line: int = 1) -> tuple[None, list[Problem]]:
        return None, [*reader.problems, Problem(file, line, dotted(prefix), MISSING, message, remedy)]

    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return refuse("is not UTF-8 text", "save the file as UTF-8")
    except (OSError, ValueError) as error:
        return refuse(
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            "check that the file is there and readable",
        )
    try:
        documents = list(yaml.compose_all(text, Loader=_Loader))
        if not documents or (isinstance(documents[0], yaml.ScalarNode) and documents[0].tag == _TAG + "null"):
            return Mapping({}, Origin(file, 1)), []
        if len(documents) > 1:
            return refuse(
                "holds more than one YAML document",
                "put each in a file of its own",
                documents[1].start_mark.line + 1,
            )
        root = reader.tree(documents[0], (), Origin(file, 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        return refuse(
            f"is not YAML: {reason}", "mend the line, or the one before it", mark.line + 1 if mark else 1
        )
    except yaml.YAMLError as error:
        reason = str(getattr(error, "reason", None) or "unreadable text")
        return refuse(f"is not YAML: {reason}", "remove what is no text from the file")
    except _NoValueError:
        return None, reader.problems
    except (_TooMuchError, RecursionError):
        return refuse(
            "is too large or too deep, or an alias holds itself", "write it out without nested aliases"
        )
    if not isinstance(root, Mapping):
        return refuse("must be a mapping of keys to values", "write `key: value` lines")
    return root, reader.problems


def merge(inherited: Tree, own: Tree) -> Tree:
    """What holds when `own` states its differences from `inherited` (see the rules at the head of this file)."""
    if isinstance(own, Leaf) and own.value is None:
        return replace(own, takes_away=True)
    if not isinstance(inherited, Mapping) or not isinstance(own, Mapping):
        return own
    if _mode(inherited) is not None and _mode(own) not in (None, _mode(inherited)):
        return own
    entries = dict(inherited.entries)
    for name, tree in own.entries.items():
        entries[name] = merge(entries[name], tree) if name in entries else tree
    return Mapping(entries, own.origin)


def _mode(tree: Mapping) -> Any:
    mode = tree.entries.get("mode")
    return mode.value if isinstance(mode, Leaf) else None


def pruned(tree: Tree) -> Tree:
    """The tree without the keys that were taken away. A null that took nothing away stays, for the schema to judge."""
    if isinstance(tree, Mapping):
        kept = {
            name: pruned(child)
            for name, child in tree.entries.items()
            if not (isinstance(child, Leaf) and child.takes_away)
        }
        return Mapping(kept, tree.origin)
    if isinstance(tree, Sequence):
        return Sequence(tuple(pruned(item) for item in tree.items), tree.origin)
    return tree


def plain(tree: Tree) -> Any:
    """The tree as dicts, lists and single values; a new copy."""
    if isinstance(tree, Mapping):
        return {name: plain(child) for name, child in tree.entries.items()}
    if isinstance(tree, Sequence):
        return [plain(item) for item in tree.items]
    return tree.value


def children(tree: Tree) -> Iterator[tuple[str | int, Tree]]:
    """What stands directly under the tree, by key or number."""
    if isinstance(tree, Mapping):
        yield from tree.entries.items()
    elif isinstance(tree, Sequence):
        yield from enumerate(tree.items)


def origin_of(tree: Tree, key: Key) -> Origin:
    """Where the key was written; for a key that is not there, the nearest one above it that is."""
    for part in key:
        child = dict(children(tree)).get(part)
        if child is None:
            break
        tree = child
    return tree.origin
