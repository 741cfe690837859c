"""Images: that a name means the same content tomorrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.resource import Resource, at
from policies.rule import Family, ResourceRule, Severity


def _tags(resource: Resource) -> Iterator[str]:
    for pod in resource.pods:
        for container in pod.containers:
            image = container.body.get("image")
            if image is None:
                yield f"{container.where} names no image"
            else:
                yield from _fault(container.where, str(image))
        for where, volume in pod.volumes:
            reference = at(volume, "image", "reference")
            if reference is not None:
                yield from _fault(where, str(reference))


def _fault(where: str, image: str) -> Iterator[str]:
    name, _, digest = image.partition("@")
    if digest:
        return
    tag = name.rpartition("/")[2].partition(":")[2]
    if not tag:
        yield f"{where} names the image {image} without a tag"
    elif tag == "latest":
        yield f"{where} names the image {image} by the tag latest"


RULES: Final = (
    ResourceRule(
        id="LH-I-001",
        title="Every image is named by a version",
        reason="A missing tag means latest, and latest is another image on each node and each day: nothing can be rolled back to it.",
        fix="Name the image by the tag of a release, or by its digest.",
        severity=Severity.ERROR,
        family=Family.IMAGES,
        references=("Kubernetes, Configuration Good Practices: container images",),
        check=_tags,
    ),
)
