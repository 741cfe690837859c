"""Declares who signs, and offers the authority that other components take certificates from."""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from modules.foundation.certificates import cert_manager, config
from modules.foundation.certificates.authority import Authority
from modules.foundation.certificates.config import Issuer
from modules.kit import charts
from modules.kit.cluster import ApiServer
from modules.kit.component import Component, secret
from modules.kit.credentials import Credentials
from modules.kit.custom_object import CustomObject
from modules.kit.operator_namespace import OperatorNamespace
from upstream import part

NAMESPACE: Final = cert_manager.NAMESPACE
ISSUER: Final = "longhouse"
"""ClusterIssuer that signs in the name of the stack's own authority."""

AUTHORITY_SECRET: Final = "longhouse-authority"


class Certificates(Component):
    """Who signs certificates in the cluster.

    The authority is the stack's own in either case. With issuer `derived` nothing stands in the cluster:
    components take finished certificates from ``authority``. With `cert-manager` that operator runs as
    well, and a ClusterIssuer signs in the authority's name what people and tenants ask for. Operators'
    webhooks use finished certificates always: admission must not wait for another operator.
    """

    AREA = "foundation"
    COMPONENT = "certificates"

    def __init__(
        self,
        name: str,
        config: config.Certificates,
        *,
        owner: str,
        credentials: Credentials,
        api_server: ApiServer,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, owner=owner, opts=opts)
        self.authority = Authority(credentials)
        if config.issuer is Issuer.CERT_MANAGER:
            self._declare_cert_manager(api_server)
        self.register_outputs({"issuer": config.issuer.value})

    def _declare_cert_manager(self, api_server: ApiServer) -> None:
        namespace = OperatorNamespace(
            NAMESPACE,
            NAMESPACE,
            owner=self.owner,
            api_server=api_server,
            ports=[cert_manager.WEBHOOK_PORT],
            opts=self.child(),
        )
        pin = part(cert_manager.PART)
        operator = charts.layered(
            self,
            cert_manager.RELEASE,
            pin.chart(cert_manager.CHART),
            namespace,
            cert_manager.values(pin.version),
        )
        pair = self.authority.key_pair
        key = Secret(
            AUTHORITY_SECRET,
            metadata=self.meta(AUTHORITY_SECRET, namespace=NAMESPACE),
            type="kubernetes.io/tls",
            string_data={"tls.crt": secret(pair.certificate), "tls.key": secret(pair.private_key)},
            opts=self.child(pulumi.ResourceOptions(depends_on=[namespace])),
        )
        CustomObject(
            ISSUER,
            "cert-manager.io/v1",
            "ClusterIssuer",
            self.meta(ISSUER),
            {"spec": {"ca": {"secretName": AUTHORITY_SECRET}}},
            opts=self.child(pulumi.ResourceOptions(depends_on=[operator, key])),
        )
