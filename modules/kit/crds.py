"""Kinds that the platform declares objects of before, or without, the operator that serves them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pulumi

from modules.kit import rendered
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject


def read(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions in files of manifests, without the prose of their schemas."""
    return [crd for file in files for crd in rendered.custom_resource_definitions(file.read_text())]


class Crds(Component):
    """CustomResourceDefinitions from upstream's own files. Depend on it to declare objects of those kinds."""

    AREA = "kit"
    COMPONENT = "crds"

    def __init__(
        self, name: str, files: Iterable[Path], *, owner: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, owner=owner, opts=opts)
        for crd in read(files):
            metadata = crd["metadata"]
            CustomObject(
                metadata["name"],
                crd["apiVersion"],
                crd["kind"],
                self.meta(metadata["name"], annotations=metadata.get("annotations")),
                {"spec": crd["spec"]},
                opts=self.child(),
            )
        self.register_outputs({})
