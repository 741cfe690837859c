"""Declares MySQL: a server where the platform runs one, accounts, backups, metrics, and how tenants get in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from modules.data import store
from modules.data.mysql import accounts, config, exporter, plain
from modules.data.mysql.config import CLIENT_PORTS, NAMESPACE, PORT, ServiceSchema
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.tenants.config import Tenant
from modules.kit import server, task
from modules.kit.component import Component, secret
from modules.kit.pods import SecretFiles
from modules.kit.task import Program, Run
from upstream import part

NAME: Final = "mysql"
"""Name of the bindings."""


class MySql(Component):
    """MySQL for tenants and for the platform's own services. Offers ``ready``: the accounts are there when it is."""

    AREA = "data"
    COMPONENT = "mysql"

    def __init__(
        self,
        name: str,
        config: config.MySql,
        *,
        context: StoreContext,
        tenants: Sequence[Tenant],
        services: Mapping[ServiceSchema, pulumi.Resource] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are all of the environment; those that have a schema say so. ``services`` are the platform's own, each with
        its namespace as a resource."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context = config, context
        self._services = services or {}
        self._shares = {each.name: each.data.mysql for each in tenants if each.data.mysql is not None}
        self._credentials = context.credentials
        home = StoreNamespace(
            NAMESPACE,
            context=context,
            client_ports=CLIENT_PORTS,
            metrics_ports=(exporter.PORT,),
            tenants=sorted(self._shares),
            callers=sorted({each.namespace for each in self._services}),
            backups=context.backups(NAME),
            opts=self.child(),
        )
        running = self._plain(home)
        self.ready = task.task(self, self._access(), running)
        self._declare_backup(home)
        self._declare_metrics(home)
        self._declare_bindings()
        self.register_outputs({})

    @property
    def _host(self) -> str:
        return plain.HOST

    @property
    def _port(self) -> int:
        return PORT

    @property
    def _authority(self) -> str | None:
        """Who signs the server's certificate; None where public authorities do."""
        return self._context.authority.bundle

    def _plain(self, home: StoreNamespace) -> list[pulumi.Resource]:
        declared = plain.server(
            self._config,
            pair=self._context.authority.server("mysql/server", plain.NAMES),
            authority=self._context.authority.bundle,
            admin_password=self._credentials.password("mysql/admin"),
            probe_password=self._credentials.password("mysql/probe"),
            storage_class=self._context.cluster.storage_class,
        )
        return [home, server.declare(self, declared, [home, self._context.monitors])]

    def _admin(self) -> SecretFiles:
        facts = {"username": plain.ADMIN, "password": self._credentials.password("mysql/admin")}
        return SecretFiles("admin", "/longhouse-admin", facts)

    def _desired(self) -> SecretFiles:
        desired = accounts.desired(
            self._credentials,
            hosts=[self._host],
            port=self._port,
            shares=self._shares,
            services=list(self._services),
            delete_data=self._context.delete_data,
        )
        return SecretFiles("desired", "/longhouse-access", {"desired.json": desired.as_json()})

    def _access(self) -> Run:
        return Run(
            "access",
            NAMESPACE,
            Program("modules.data.mysql.inside.access"),
            self._context.image,
            secrets=(self._desired(), self._admin(), *self._trust()),
            service_account=store.ACCESS_ACCOUNT,
        )

    def _declare_backup(self, home: StoreNamespace) -> None:
        """By the clock all schemas; a Job made from it with other arguments restores one."""
        bucket = self._context.backups(NAME)
        if bucket is None:
            return
        own = {"username": accounts.BACKUP, "password": accounts.backup_password(self._credentials)}
        run = Run(
            "backup",
            NAMESPACE,
            Program("modules.data.mysql.inside.backup"),
            self._context.image,
            secrets=(
                self._desired(),
                SecretFiles("account", "/longhouse-backup", own),
                *self._trust(),
                bucket.files(),
            ),
            memory="256Mi",
        )
        task.schedule(self, run, self._config.backup_schedule, [home, self.ready])

    def _trust(self) -> tuple[SecretFiles, ...]:
        ca = self._authority
        return (SecretFiles("authority", "/longhouse-ca", {"ca.crt": ca}),) if ca else ()

    def _declare_metrics(self, home: StoreNamespace) -> None:
        declared = exporter.server(
            part("mysqld-exporter").version,
            host=self._host,
            port=self._port,
            password=accounts.metrics_password(self._credentials),
            ca=self._authority,
        )
        server.declare(self, declared, [home, self._context.monitors, self.ready])

    def _declare_bindings(self) -> None:
        for tenant in self._shares:
            password = accounts.tenant_password(self._credentials, tenant)
            store.binding(self, tenant, NAME, self._facts(tenant, password), self._context)
        for service, namespace in self._services.items():
            facts = self._facts(
                accounts.schema_of(service), accounts.service_password(self._credentials, service.name)
            )
            Secret(
                f"{service.name}-{NAME}-binding",
                metadata=self.meta(NAME, namespace=service.namespace),
                type=f"servicebinding.io/{NAME}",
                string_data={key: secret(value) for key, value in {"type": NAME, **facts}.items()},
                opts=self.child(pulumi.ResourceOptions(depends_on=[namespace])),
            )

    def _facts(self, account: str, password: str) -> dict[str, str]:
        return accounts.binding(
            self._config.engine,
            host=self._host,
            port=self._port,
            account=account,
            password=password,
            ca=self._authority,
        )
