"""A stack's program, with every Kubernetes provider in it rendering instead of deploying: what a throw-away preview runs.

A provider that renders expands Helm charts without an API server. It takes no kubeconfig, so what the program chose as its cluster is left
out here. The program itself need not know, and may be another commit's.
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pulumi

_PROGRAM = os.environ["LONGHOUSE_PREVIEW_PROGRAM"]
_RENDERED = os.environ["LONGHOUSE_PREVIEW_RENDERED"]
_OUT_OF_REACH = os.environ["LONGHOUSE_PREVIEW_OUT_OF_REACH"].split()
_CHARTS = runpy.run_path(str(Path(__file__).with_name("charts.py")))
_STANDING_IN = {each.chart: each for each in _CHARTS["PUBLISHED"] if each.chart in _OUT_OF_REACH}


def _render(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    if args.type_ == "pulumi:providers:kubernetes":
        kept = {
            key: value for key, value in args.props.items() if key not in ("kubeconfig", "context", "cluster")
        }
        return pulumi.ResourceTransformResult({**kept, "renderYamlToDirectory": _RENDERED}, args.opts)
    if args.type_ == "kubernetes:helm.sh/v4:Chart" and args.props.get("chart") in _STANDING_IN:
        return pulumi.ResourceTransformResult(_of_kinds(args), args.opts)
    return None


def _of_kinds(args: pulumi.ResourceTransformArgs) -> dict[str, object]:
    props = dict(args.props)
    published, version = _STANDING_IN[props["chart"]], props.pop("version")
    pulumi.log.warn(f"{published.chart} {version} {_CHARTS['OUT_OF_REACH']}")
    made = _CHARTS["stand_in"](published, version, Path(_RENDERED).parent)
    return {**props, "chart": str(made)}


pulumi.runtime.register_resource_transform(_render)
runpy.run_path(_PROGRAM, run_name="__main__")
