"""An object of a kind that a CRD defines, with any fields at its top."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs


class CustomObject(pulumi.CustomResource):
    """What `pulumi_kubernetes.apiextensions.CustomResource` is, for kinds too whose fields do not stand
    below `spec`.

    Pulumi's type of the resource is the object's own: `kubernetes:kueue.x-k8s.io/v1beta2:Cohort`.
    """

    def __init__(
        self,
        name: str,
        api_version: str,
        kind: str,
        metadata: ObjectMetaArgs,
        body: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``body`` holds every field but `apiVersion`, `kind` and `metadata`."""
        sdk = pulumi.ResourceOptions(version=importlib.metadata.version("pulumi-kubernetes"))
        super().__init__(
            f"kubernetes:{api_version}:{kind}",
            name,
            {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body},
            pulumi.ResourceOptions.merge(sdk, opts),
        )
