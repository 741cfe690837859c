"""Images, wherever an object names one, and that each of them is in the lock.

An image is not only what a container names: operators are told images by arguments, environment, ConfigMaps and their own custom
resources, and start them later, when no plan shows it. A field whose key says that it holds an image is taken at its word; any other text
is searched for references that name their registry, since nothing else tells one from prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from modules.kit.image_lock import FILE, Lock
from policies.gate import Gate
from policies.plan import Finding
from policies.resource import CUSTOM_RESOURCE_DEFINITION, Resource
from policies.rule import Step

LOCKED: Final = Gate(
    id="LH-P-001",
    title="Every image is in the lock",
    reason="What the lock does not list is mirrored, scanned and reviewed by nobody, and is missing where there is no internet.",
    fix=f"Run `python -m policies images --write` and review the line of {FILE.name} that it changes.",
    looks_at="every object of the plan, arguments, environment, ConfigMaps and custom resources too",
)

_HOST = r"(?:(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}(?::[0-9]{1,5})?|localhost(?::[0-9]{1,5})?|[a-z0-9-]+:[0-9]{1,5})"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r":\w[\w.-]{0,127}(?<![.-])"
_DIGEST = r"@sha256:[0-9a-f]{64}"
_END = rf"(?:{_TAG}(?:{_DIGEST})?|{_DIGEST})"
# The grammar of references: https://pkg.go.dev/github.com/distribution/reference
_QUALIFIED: Final = re.compile(rf"(?<![\w./:@-]){_HOST}(?:/{_PART})+{_END}", re.ASCII)
_REFERENCE: Final = re.compile(rf"(?:{_HOST}/|{_PART}/)*{_PART}{_END}", re.ASCII)
_NAMED_IN_TEXT: Final = re.compile(
    rf"""[\w-]*[iI]mage["']?[ \t]*[:=][ \t]*["']?(?P<image>(?:{_HOST}/)?{_PART}(?:/{_PART})*{_END})""",
    re.ASCII,
)
_KEY: Final = re.compile(r"(?:image|imageName|\w+(?:Image|_IMAGE))")
_VARIABLE: Final = re.compile(r"(?:.*_)?IMAGES?(?:_.*)?")
_FLAG: Final = re.compile(r"--?[\w.-]*image")
SECRET: Final = "[secret]"
"""What the engine shows in place of a secret."""


class Named(NamedTuple):
    """An image, and where an object names it."""

    where: str
    image: str

    @property
    def name(self) -> str:
        """The image without its digest, as the lock lists it."""
        return self.image.partition("@")[0]


def images(resource: Resource) -> Iterator[Named]:
    """Every image that the object names, once for each place. A CRD names none: what it holds is the prose of a schema."""
    if resource.kind == CUSTOM_RESOURCE_DEFINITION:
        return
    yield from _in(resource.props, "")


def _in(value: Any, path: str) -> Iterator[Named]:
    if isinstance(value, Mapping):
        yield from _in_mapping(value, path)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _in_list(value, path)
    elif isinstance(value, str):
        yield from (Named(path, found) for found in _in_text(value))


def _in_mapping(value: Mapping[str, Any], path: str) -> Iterator[Named]:
    variable = value.get("name")
    for key, inner in value.items():
        place = f"{path}.{key}" if path else str(key)
        if isinstance(inner, str) and _KEY.fullmatch(str(key)):
            if inner and inner != SECRET:
                yield Named(place, inner)
        elif isinstance(inner, Mapping) and _KEY.fullmatch(str(key)):
            joined = _joined(inner)
            yield from [Named(place, joined)] if joined else _in(inner, place)
        elif (
            key == "value"
            and isinstance(inner, str)
            and isinstance(variable, str)
            and _VARIABLE.fullmatch(variable)
        ):
            yield from (Named(f"{path}.{variable}", found) for found in _in_text(inner) or _alone(inner))
        else:
            yield from _in(inner, place)


def _joined(image: Mapping[str, Any]) -> str | None:
    """An image that is written in parts, as charts' values and some custom resources have it, or as an image volume has it."""
    if isinstance(image.get("reference"), str):
        return str(image["reference"])
    name = image.get("repository") or image.get("name")
    if not isinstance(name, str):
        return None
    tag, digest = image.get("tag") or image.get("version"), image.get("digest")
    registry = f"{image['registry']}/" if image.get("registry") else ""
    return f"{registry}{name}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"


def _in_list(value: Sequence[Any], path: str) -> Iterator[Named]:
    before = ""
    for number, inner in enumerate(value):
        place = f"{path}[{number}]"
        if isinstance(inner, str):
            flag, _, given = inner.partition("=")
            if _FLAG.fullmatch(before):
                yield Named(place, inner)
            elif given and _FLAG.fullmatch(flag):
                yield Named(place, given)
            else:
                yield from _in(inner, place)
        else:
            yield from _in(inner, place)
        before = inner if isinstance(inner, str) else ""


def _in_text(text: str) -> list[str]:
    found = [match[0] for match in _QUALIFIED.finditer(text)]
    return list(dict.fromkeys([*found, *(match["image"] for match in _NAMED_IN_TEXT.finditer(text))]))


def _alone(text: str) -> list[str]:
    return [text] if _REFERENCE.fullmatch(text) else []


def outside(steps: Iterable[Step], lock: Lock, *, digests: bool) -> Iterator[Finding]:
    """One finding for each place that names an image which the lock does not have, or has with another digest.

    `digests` says whether what the lock gives a digest for must carry it; the sandbox's own builds cannot.
    """
    for step in steps:
        if step.new is None:
            continue
        for where, image in images(step.new):
            name, _, digest = image.partition("@")
            wanted = lock.get(name)
            if name not in lock:
                yield LOCKED.finding(
                    step.new.subject, f"{where} names the image {image}, which is not in the lock"
                )
            elif digest and digest != wanted:
                said = f"gives {wanted}" if wanted else "gives no digest"
                yield LOCKED.finding(
                    step.new.subject, f"{where} names the image {image}, for which the lock {said}"
                )
            elif digests and wanted and not digest:
                yield LOCKED.finding(
                    step.new.subject,
                    f"{where} names the image {image} without the digest that the lock gives",
                )


_HEAD: Final = """\
# Every image that some profile runs, also those that operators start: name and tag, then the digest where one is known.
# Written by `python -m policies images --write`, which keeps digests of lines that stay; nothing outside this list is deployed.
"""


def lock_text(named: Iterable[str], lock: Lock) -> str:
    """The lock's text for these images, with the digests that the lock already has."""
    lines = (f"{name} {lock[name]}" if lock.get(name) else name for name in sorted(set(named)))
    return _HEAD + "".join(f"{line}\n" for line in lines)
