"""A stack's program, with every Kubernetes provider in it rendering instead of deploying: what a throw-away preview runs.

A provider that renders expands Helm charts without an API server. It takes no kubeconfig, so what the program chose as its cluster is left
out here. The program itself need not know.
"""

from __future__ import annotations

import os
import runpy

import pulumi

from policies.preview import PROGRAM, RENDERED

_RENDERED = os.environ[RENDERED]


def _render(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    if args.type_ != "pulumi:providers:kubernetes":
        return None
    kept = {
        key: value for key, value in args.props.items() if key not in ("kubeconfig", "context", "cluster")
    }
    return pulumi.ResourceTransformResult({**kept, "renderYamlToDirectory": _RENDERED}, args.opts)


pulumi.runtime.register_resource_transform(_render)
runpy.run_path(os.environ[PROGRAM], run_name="__main__")
