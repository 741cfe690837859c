"""What the API server does with requests that break a rule."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modules.kit.cluster import WebhookFailure
from modules.kit.model import Model
from modules.kit.names import DnsLabel


class Enforcement(StrEnum):
    """What happens to a request that breaks a rule whose violation is an error."""

    DENY = "Deny"
    WARN = "Warn"
    AUDIT = "Audit"


class Admission(Model):
    """How requests are admitted to the cluster."""

    webhooks: WebhookFailure = WebhookFailure.FAIL
    """What happens to a request when an operator's webhook does not answer: `Fail` refuses it; `Ignore` lets it through unchecked, for clusters where no operator's pod can run."""

    enforcement: Enforcement = Enforcement.DENY
    """What the API server does with a request that breaks a rule: `Deny` refuses it; `Warn` tells who asks; `Audit` only writes it to the audit log. Rules that only warn never refuse. Needs Kubernetes 1.32 or newer."""

    namespaces_left_alone: tuple[DnsLabel, ...] = ("kube-system", "kube-public", "kube-node-lease")
    """Namespaces in which the API server enforces no rule: those of Kubernetes itself."""

    users_left_alone: tuple[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^\S+$")], ...] = (
        "system:apiserver",
    )
    """Users whose requests the API server does not judge: the API server itself, which makes Kubernetes' own roles, and a cloud's manager of add-ons where it needs to be."""
