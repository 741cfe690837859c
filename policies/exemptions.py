"""The objects for which a rule does not hold, each with its reason: one rule, one kind, one name, one namespace at a time."""

from __future__ import annotations

from typing import Final

from policies.rule import Exemption

_ROLE: Final = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
_DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
_HOOKS: Final = "kubernetes:admissionregistration.k8s.io/v1:{}WebhookConfiguration"

EXEMPTIONS: Final[tuple[Exemption, ...]] = (
    Exemption(
        "LH-A-004",
        _ROLE,
        None,
        "longhouse:tenant-admin",
        "It is bound in a tenant's own namespace only, where admins answer for its secrets.",
    ),
    *(
        Exemption(
            "LH-A-004",
            _ROLE,
            None,
            f"cert-manager-{part}",
            "cert-manager keeps certificates in Secrets of any namespace; upstream's chart grants it all of them.",
        )
        for part in (
            "cainjector",
            "controller-certificates",
            "controller-challenges",
            "controller-clusterissuers",
            "controller-issuers",
            "controller-orders",
        )
    ),
    *(
        Exemption(
            "LH-A-004",
            _ROLE,
            None,
            name,
            "It makes the keys by which the workers of a job over SSH know each other, and watches all Secrets for its own: it has no way to watch fewer.",
        )
        for name in ("trainer-system", "mpi-operator")
    ),
    *(
        Exemption(
            "LH-A-004",
            _ROLE,
            None,
            f"strimzi-{part}",
            "Upstream's chart binds it in Kafka's own namespace only, where Strimzi keeps its users' passwords and keys.",
        )
        for part in ("cluster-operator-namespaced", "entity-operator")
    ),
    Exemption(
        "LH-A-007",
        _ROLE,
        None,
        "cert-manager-cainjector",
        "It writes the authority's certificate into webhooks, which is what it is for.",
    ),
    Exemption(
        "LH-A-007",
        _ROLE,
        None,
        "kueue-manager-role",
        "Upstream's chart grants it for certificates that Kueue would make itself; here it makes none.",
    ),
    Exemption(
        "LH-A-007",
        _ROLE,
        "spark-operator",
        "spark-operator-webhook",
        "It makes its own certificate, since it reads RSA keys only, and may write who is trusted into the webhooks of its own name alone.",
    ),
    Exemption(
        "LH-A-007",
        _ROLE,
        None,
        "training-operator",
        "It always makes its own certificate, and may write who is trusted into the webhooks of its own name alone.",
    ),
    *(
        Exemption(
            "LH-K-007",
            _HOOKS.format(kind),
            "kueue-system",
            f"kueue-{kind.lower()}-webhook-configuration",
            "Upstream lets Deployments and StatefulSets pass; their pods meet a webhook that fails closed.",
        )
        for kind in ("Mutating", "Validating")
    ),
    *(
        Exemption(
            "LH-W-012",
            _DEPLOYMENT,
            "cert-manager",
            name,
            "It serves nobody: it works through the API server, and upstream gives it no endpoint for readiness.",
        )
        for name in ("cert-manager", "cert-manager-cainjector")
    ),
)
