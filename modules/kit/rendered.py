"""Takes a rendered chart apart, as a post-renderer: manifests on standard input, the chosen ones on standard
output.

A program of its own, run by the provider between rendering and declaring:

- ``rendered.py crds``: the CustomResourceDefinitions, without the prose in their schemas. Prose is three
  quarters of them (851 of 1,078 KB of Kueue v0.19.2's), and every checkpoint of a deployment writes each CRD
  three times; upstream's own documentation has it.
- ``rendered.py rest LEAVE_OUT...``: all else, word for word, but what is left out: ``Kind``, or
  ``Kind/name`` where the name may be a pattern (``ClusterRole/kueue-*-viewer-role``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

import yaml

CRD: Final = "CustomResourceDefinition"

_BETWEEN = re.compile(r"^---[ \t]*$", re.MULTILINE)
_KIND = re.compile(r"""^kind:[ \t]*["']?([A-Za-z]+)""", re.MULTILINE)
_NAME = re.compile(
    r"""^metadata:[ \t]*\n(?:[ \t]+.*\n|[ \t]*\n)*?  name:[ \t]*["']?([^\s"']+)""", re.MULTILINE
)


class _Loader(yaml.CSafeLoader):
    """Reads a bare ``=``, which CRDs have in enumerations, as the text that it is."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))


def crds(manifests: str) -> str:
    """The CustomResourceDefinitions of a rendered chart, as text, without prose."""
    plain = custom_resource_definitions(manifests)
    return yaml.dump_all(plain, Dumper=yaml.CSafeDumper, explicit_start=True) if plain else ""


def custom_resource_definitions(manifests: str) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions among manifests, without prose."""
    found = [yaml.load(text, Loader=_Loader) for kind, _, text in _documents(manifests) if kind == CRD]
    return [{**crd, "spec": _without_prose(crd["spec"])} for crd in found]


def rest(manifests: str, leave_out: Iterable[str]) -> str:
    """All objects of a rendered chart but its CustomResourceDefinitions and those that match ``leave_out``."""
    patterns = [CRD, *leave_out]
    return "".join(
        f"---\n{text}\n"
        for kind, name, text in _documents(manifests)
        if not any(fnmatchcase(f"{kind}/{name}", each if "/" in each else f"{each}/*") for each in patterns)
    )


def _documents(manifests: str) -> Iterator[tuple[str, str, str]]:
    """Kind, name and text of each object. Documents without a kind (blank ones, comments) are none."""
    for text in _BETWEEN.split(manifests):
        if kind := _KIND.search(text):
            name = _NAME.search(text)
            yield kind[1], name[1] if name else "", text.strip("\n")


def _without_prose(schema: Any) -> Any:
    """A copy of a schema without its descriptions; a property that is called so is kept."""
    if isinstance(schema, dict):
        return {
            key: _without_prose(value)
            for key, value in schema.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [_without_prose(each) for each in schema] if isinstance(schema, list) else schema


if __name__ == "__main__":
    verb, *words = sys.argv[1:]
    sys.stdout.write(crds(sys.stdin.read()) if verb == "crds" else rest(sys.stdin.read(), words))
