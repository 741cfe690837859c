"""The rules for certificates and secrets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policies.objects import DROP, Case, Edit, allowed, edited, expected, found, refused

_WEB = "Deployment tenant-atlas/web: "
_CERTIFICATE = "Certificate tenant-atlas/web: "
_MONITOR = "PodMonitor stores/db: podMetricsEndpoints[0] "
_KEY = "-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----\n"
_CREDENTIALS = {"credentials": {"name": "db", "key": "token"}}


def _env(**variable: Any) -> Edit:
    return Edit("web", "spec/template/spec/containers/0/env", [variable])


def _endpoint(path: str, value: Any = DROP) -> Edit:
    return Edit("monitor", f"spec/podMetricsEndpoints/0/{path}", value)


CASES = (
    refused("LH-K-001", "password", _WEB + "container app has the secret DB_PASSWORD written into it", _env(name="DB_PASSWORD", value="x")),
    refused("LH-K-001", "key", _WEB + "container app has the secret AWS_SECRET_ACCESS_KEY written into it", _env(name="AWS_SECRET_ACCESS_KEY", value="x")),
    allowed("where the password is", _env(name="DB_PASSWORD_FILE", value="/secrets/password")),
    allowed("no password", _env(name="DB_PASSWORD", value="")),
    refused(
        "LH-K-002", "secret in the environment", _WEB + "container app has a secret in its environment (DB)",
        _env(name="DB", valueFrom={"secretKeyRef": {"name": "credentials", "key": "password"}}),
    ),
    refused(
        "LH-K-002", "whole secret in the environment", _WEB + "container app has all of the secret credentials in its environment",
        Edit("web", "spec/template/spec/containers/0/envFrom", [{"secretRef": {"name": "credentials"}}]),
    ),
    allowed("settings in the environment", _env(name="LEVEL", valueFrom={"configMapKeyRef": {"name": "settings", "key": "level"}})),
    refused("LH-K-003", "private key", "ConfigMap tenant-atlas/settings: holds a private key (tls.pem)", Edit("config", "data/tls.pem", _KEY)),
    allowed("certificate", Edit("config", "data/ca.crt", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")),
    refused(
        "LH-K-004", "token for ever", "Secret tenant-atlas/credentials: is a service account's token that never expires",
        Edit("secret", "type", "kubernetes.io/service-account-token"),
        Edit("secret", "metadata/annotations", {"kubernetes.io/service-account.name": "workload"}),
    ),
    refused("LH-K-005", "a tenant's authority", _CERTIFICATE + "is an authority of its own", Edit("certificate", "spec/isCA", True)),
    allowed("the platform's authority", Edit("certificate", "spec/isCA", True), Edit("certificate", "metadata/namespace", "stores")),
    refused("LH-K-006", "the same key for ever", _CERTIFICATE + "keeps its key when it is renewed", Edit("certificate", "spec/privateKey/rotationPolicy", "Never")),
    allowed("key left to cert-manager, which renews it", Edit("certificate", "spec/privateKey")),
    refused(
        "LH-K-007", "a check that may be missing", "ValidatingWebhookConfiguration hook: lets requests pass when check.example.com does not answer",
        Edit("hook", "webhooks/0/failurePolicy", "Ignore"),
    ),
    allowed("failure left to Kubernetes, which refuses", Edit("hook", "webhooks/0/failurePolicy")),
    refused("LH-K-008", "anybody's API", "APIService v1.example.com: does not verify who serves the API", Edit("api", "spec/insecureSkipTLSVerify", True)),
    refused("LH-K-009", "anybody's metrics", _MONITOR + "does not verify whose metrics it reads", _endpoint("tlsConfig", {"insecureSkipVerify": True})),
    refused(
        "LH-K-009", "anybody's metrics of a service", "ServiceMonitor stores/db: endpoints[0] does not verify whose metrics it reads",
        Edit("service_monitor", "", {
            "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "db", "namespace": "stores"},
            "spec": {"selector": {}, "endpoints": [{"port": "metrics", "tlsConfig": {"insecureSkipVerify": True}}]},
        }),
    ),
    refused("LH-K-010", "a token in the clear", _MONITOR + "sends credentials in the clear", _endpoint("scheme", "http"), _endpoint("authorization", _CREDENTIALS)),
    refused("LH-K-010", "a token by the default scheme", _MONITOR + "sends credentials in the clear", _endpoint("scheme"), _endpoint("authorization", _CREDENTIALS)),
    allowed("a token over TLS", _endpoint("authorization", _CREDENTIALS)),
    allowed("no token in the clear", _endpoint("scheme", "http")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_secrets_stay_secret_and_servers_are_known(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)
