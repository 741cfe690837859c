"""Certificates and secrets: that they stay secret, and that who answers is who was called."""

from __future__ import annotations

from typing import Final

from policies.claim import CONTAINERS, each, each_entry, forbid, over, over_pods
from policies.expression import BODY, IN_TENANT, OBJECT, SPEC, WHERE, Name
from policies.rule import Family, ResourceRule, Severity

_CIS: Final = "CIS Kubernetes Benchmark: 5.4 Secrets Management"
_NSA: Final = "NSA/CISA Kubernetes Hardening Guide"
_SECRET_NAMES: Final = "(^|_)(PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIALS|(SECRET|API|ACCESS|PRIVATE)_?KEY)$"
"""Names of environment variables that hold a secret. What ends otherwise (_FILE, _PATH, _ID) says where one is."""
_MONITORS: Final = ("monitoring.coreos.com/PodMonitor", "monitoring.coreos.com/ServiceMonitor")
_WEBHOOKS: Final = tuple(
    f"admissionregistration.k8s.io/{kind}WebhookConfiguration" for kind in ("Mutating", "Validating")
)

_ENV: Final = Name("env")
_ENVS: Final = [CONTAINERS, each(_ENV, BODY["env"])]
_SOURCE: Final = Name("source")
_KEY: Final = Name("key")
_VALUE: Final = Name("value")
_WEBHOOK: Final = Name("webhook")
_ENDPOINT: Final = Name("endpoint")
_ENDPOINTS: Final = {field: each(_ENDPOINT, SPEC[field]) for field in ("podMetricsEndpoints", "endpoints")}

_WRITTEN: Final = over_pods(
    forbid(
        _ENV["name"].matches(_SECRET_NAMES) & _ENV["value"].filled,
        WHERE, " has the secret ", _ENV["name"], " written into it",
        over=_ENVS,
    )
)  # fmt: skip

_IN_ENVIRONMENT: Final = over_pods(
    forbid(
        _ENV["valueFrom", "secretKeyRef"].present,
        WHERE, " has a secret in its environment (", _ENV["name"], ")",
        over=_ENVS,
    ),
    forbid(
        _SOURCE["secretRef"].present,
        WHERE, " has all of the secret ", _SOURCE["secretRef", "name"], " in its environment",
        over=[CONTAINERS, each(_SOURCE, BODY["envFrom"])],
    ),
)  # fmt: skip

_KEY_IN_CONFIG: Final = over(
    "core/ConfigMap",
    forbid(
        _VALUE.matches("-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        "holds a private key (", _KEY, ")",
        over=[each_entry(_KEY, _VALUE, OBJECT["data"])],
    ),
)  # fmt: skip

_FOR_EVER: Final = over(
    "core/Secret",
    forbid(
        OBJECT["type"].known & OBJECT["type"].eq("kubernetes.io/service-account-token"),
        "is a service account's token that never expires",
    ),
)

_AUTHORITY: Final = over(
    "cert-manager.io/Certificate",
    forbid(SPEC["isCA"].eq(True), "is an authority of its own"),
    where=IN_TENANT,
)
_SAME_KEY: Final = over(
    "cert-manager.io/Certificate",
    forbid(SPEC["privateKey", "rotationPolicy"].eq("Never"), "keeps its key when it is renewed"),
)

_PASSES: Final = over(
    _WEBHOOKS,
    forbid(
        _WEBHOOK["failurePolicy"].eq("Ignore"),
        "lets requests pass when ", _WEBHOOK["name"], " does not answer",
        over=[each(_WEBHOOK, OBJECT["webhooks"])],
    ),
)  # fmt: skip

_UNVERIFIED_API: Final = over(
    "apiregistration.k8s.io/APIService",
    forbid(SPEC["insecureSkipTLSVerify"].eq(True), "does not verify who serves the API"),
)
_UNVERIFIED_METRICS: Final = over(
    _MONITORS,
    *(
        forbid(
            _ENDPOINT["tlsConfig", "insecureSkipVerify"].eq(True),
            f"{field}[", all_.key, "] does not verify whose metrics it reads",
            over=[all_],
        )
        for field, all_ in _ENDPOINTS.items()
    ),
)  # fmt: skip
_IN_THE_CLEAR: Final = over(
    _MONITORS,
    *(
        forbid(
            ~_ENDPOINT["scheme"].among(("https", "HTTPS"))
            & (
                _ENDPOINT["authorization"].present
                | _ENDPOINT["basicAuth"].present
                | _ENDPOINT["oauth2"].present
                | _ENDPOINT["bearerTokenSecret"].present
            ),
            f"{field}[", all_.key, "] sends credentials in the clear",
            over=[all_],
        )
        for field, all_ in _ENDPOINTS.items()
    ),
)  # fmt: skip

RULES: Final = (
    ResourceRule(
        id="LH-K-001",
        title="No secret is written into a pod",
        reason="Who may look at pods, and whoever reads the repository or the plan, has it.",
        fix="Keep it in a Secret and mount that as a file.",
        severity=Severity.ERROR,
        family=Family.SECRETS,
        references=(
            f"{_CIS} (external secret storage, secrets as files)",
            f"{_NSA}: Secrets",
        ),
        check=_WRITTEN,
    ),
    ResourceRule(
        id="LH-K-002",
        title="Secrets are files, not environment",
        reason="The environment is inherited by every child process, printed by crash reports, and never renewed.",
        fix="Mount the Secret as a file and name that file in the environment.",
        severity=Severity.WARNING,
        family=Family.SECRETS,
        references=(f"{_CIS} (secrets as files over secrets as environment variables)",),
        check=_IN_ENVIRONMENT,
    ),
    ResourceRule(
        id="LH-K-003",
        title="No private key stands in a ConfigMap",
        reason="ConfigMaps are read by viewers, shown in plans, and not encrypted where Secrets are.",
        fix="Keep it in a Secret.",
        severity=Severity.ERROR,
        family=Family.SECRETS,
        references=(f"{_NSA}: Secrets",),
        check=_KEY_IN_CONFIG,
    ),
    ResourceRule(
        id="LH-K-004",
        title="No token of a service account is for ever",
        reason="A token in a Secret never expires, names no pod and stays valid wherever it is copied to.",
        fix="Let pods have their projected tokens; ask for one that expires (TokenRequest) elsewhere.",
        severity=Severity.ERROR,
        family=Family.SECRETS,
        references=("Kubernetes, Managing Service Accounts: long-lived tokens",),
        check=_FOR_EVER,
    ),
    ResourceRule(
        id="LH-K-005",
        title="No tenant is an authority",
        reason="A certificate that may sign others makes names of any server, which all who trust the platform's authority believe.",
        fix="Take isCA away.",
        severity=Severity.ERROR,
        family=Family.SECRETS,
        references=(f"{_NSA}: Network separation and hardening (TLS)",),
        check=_AUTHORITY,
    ),
    ResourceRule(
        id="LH-K-006",
        title="A key is renewed with its certificate",
        reason="A key that was read once is good for as long as it is kept.",
        fix="Set privateKey.rotationPolicy to Always.",
        severity=Severity.ERROR,
        family=Family.SECRETS,
        references=("cert-manager, documentation: rotation of the private key",),
        check=_SAME_KEY,
    ),
    ResourceRule(
        id="LH-K-007",
        title="No webhook lets requests pass when it does not answer",
        reason="Whoever can stop the operator, or wait for its restart, gets past what it checks.",
        fix="Set failurePolicy to Fail.",
        severity=Severity.WARNING,
        family=Family.SECRETS,
        references=("Kubernetes, Admission Webhook Good Practices: failure policy",),
        check=_PASSES,
    ),
    ResourceRule(
        id="LH-K-008",
        title="The API server knows whose API it serves",
        reason="Without a check anybody in between answers for that API, and reads what it is sent.",
        fix="Give caBundle and take insecureSkipTLSVerify away.",
        severity=Severity.ERROR,
        family=Family.SECRETS,
        references=(f"{_NSA}: Network separation and hardening (TLS)",),
        check=_UNVERIFIED_API,
    ),
    ResourceRule(
        id="LH-K-009",
        title="Metrics are read from the server that they are of",
        reason="Unverified, any pod that takes the address gets the credentials and gives the numbers.",
        fix="Give tlsConfig.ca and serverName, and take insecureSkipVerify away.",
        severity=Severity.ERROR,
        family=Family.SECRETS,
        references=(f"{_NSA}: Network separation and hardening (TLS)",),
        check=_UNVERIFIED_METRICS,
    ),
    ResourceRule(
        id="LH-K-010",
        title="No credentials for metrics go in the clear",
        reason="Who hears them on the way reads the metrics of all tenants, or more.",
        fix="Set scheme to https.",
        severity=Severity.ERROR,
        family=Family.SECRETS,
        references=(f"{_NSA}: Network separation and hardening (TLS)",),
        check=_IN_THE_CLEAR,
    ),
)
