"""What the platform has to know of the cluster that it is deployed to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modules.kit.model import IMMUTABLE, Model
from modules.kit.names import DnsLabel
from modules.kit.network import Cidr, Port


class ApiServer(Model):
    """Where tenants' pods reach the API server."""

    cidrs: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    """Addresses of the API server as a pod's packets carry them after service translation: network policies see those, not the service's address."""

    port: Port = 6443
    """Port of the API server at those addresses."""


class Cluster(Model):
    """The cluster's own choices, made when it was created."""

    context: Annotated[str, Field(min_length=1)] | None = None
    """Name of the only kubeconfig context that may be deployed to; null allows the one that is current."""

    pod_cidr: Annotated[Cidr, Field(json_schema_extra=IMMUTABLE)]
    """Range that pods get their addresses from. Fixed when the cluster is created."""

    service_cidr: Annotated[Cidr, Field(json_schema_extra=IMMUTABLE)]
    """Range that services get their addresses from. Fixed when the cluster is created."""

    api_server: ApiServer
    """Where tenants' pods reach the API server."""

    storage_class: DnsLabel | None = None
    """StorageClass of the platform's volumes; null takes the cluster's default."""

    images: (
        Annotated[
            str, Field(min_length=1, max_length=200, pattern=r"^[a-z0-9][-a-z0-9._:]*(/[-a-z0-9._]+)*$")
        ]
        | None
    ) = None
    """Registry, with the path in it, that the platform's own image was pushed to; null where the sandbox builds it."""


class WebhookFailure(StrEnum):
    """What happens to a request when an operator's webhook does not answer."""

    FAIL = "Fail"
    IGNORE = "Ignore"


class Identity(Model):
    """Who people are to the cluster."""

    group_prefix: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^\S+$")] = "oidc:"
    """Prefix that the API server puts before each OIDC group (its flag `--oidc-groups-prefix`), so that no group of the identity provider can pass for one of Kubernetes' own."""
