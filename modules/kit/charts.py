"""Upstream's own charts, declared part by part and adjusted where their values do not reach.

A chart is rendered by the provider, into one Pulumi resource per object. Two things are done to it on the
way: a post-renderer cuts it in two (so that CRDs form a layer of their own, before anything that uses
them), and a transform adjusts single objects (labels of the owner, certificates, what the platform knows
better). Both work on objects, never on text in a template.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import pulumi
from pulumi_kubernetes.helm.v4 import Chart, PostRendererArgs

from modules.kit import rendered
from modules.kit.component import FIELD_MANAGER, FIELD_MANAGER_ANNOTATION, Component

Adjust = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes an object as the chart rendered it and gives it as it shall be; the object may be changed in
place."""


class Home(Protocol):
    """A namespace that is declared: a resource with the namespace's name."""

    name: str


def layered(
    component: Component,
    release: str,
    chart: Path | str,
    namespace: Home,
    values: Mapping[str, Any],
    *,
    version: str | None = None,
    adjust: Adjust | None = None,
    leave_out: tuple[str, ...] = (),
    wait: bool = True,
    depends_on: Sequence[pulumi.Resource] = (),
) -> Chart:
    """An operator from its own chart, in two layers: its CRDs, then all else. Gives the second, which
    depends on the first.

    The CRDs depend on nothing that runs, so that nothing that uses one is declared before it, and the
    operator can be replaced without them. Objects that match ``leave_out`` (`Kind` or `Kind/name-pattern`)
    are not declared at all.
    ``chart`` is a folder, or the reference of a published one, with its ``version``. ``wait`` says whether the operator has to run before what depends on it is declared; where no pod can
    run it never would. ``depends_on`` is what the second layer needs beside the namespace.
    """

    def layer(name: str, part: Sequence[str], depends_on: list[pulumi.Resource], *, ready: bool) -> Chart:
        return Chart(
            name,
            name=release,
            chart=str(chart),
            version=version,
            namespace=namespace.name,
            values=dict(values),
            post_renderer=PostRendererArgs(
                command=sys.executable, args=[str(Path(rendered.__file__).resolve()), *part]
            ),
            skip_await=not ready,
            opts=component.child(
                pulumi.ResourceOptions(depends_on=depends_on, transforms=[adjusted(component.labels, adjust)])
            ),
        )

    crds = layer(f"{release}-crds", ["crds"], [], ready=True)
    return layer(
        release, ["rest", *leave_out], [crds, cast("pulumi.Resource", namespace), *depends_on], ready=wait
    )


def adjusted(ownership: Mapping[str, str], adjust: Adjust | None = None) -> pulumi.ResourceTransform:
    """A transform for a chart: its objects carry the owner's labels and the platform's field manager, then
    ``adjust`` has its say.

    Pods get the owner's labels too. The owner's labels win over the chart's: `managed-by` is the platform,
    which renders the chart, not Helm.
    """

    def transform(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        if "kind" not in args.props:
            return None
        found = _own(copy.deepcopy(dict(args.props)), ownership)
        return pulumi.ResourceTransformResult(props=adjust(found) if adjust else found, opts=args.opts)

    return transform


def _own(found: dict[str, Any], ownership: Mapping[str, str]) -> dict[str, Any]:
    metadata = found.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **ownership}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), FIELD_MANAGER_ANNOTATION: FIELD_MANAGER}
    template = (
        found.get("spec", {}).get("template")
        if found["kind"] in ("Deployment", "DaemonSet", "StatefulSet")
        else None
    )
    if template is not None:
        pod = template.setdefault("metadata", {})
        pod["labels"] = {**(pod.get("labels") or {}), **ownership}
    return found
