"""Declares MySQL: a server where the platform runs one, accounts, backups, metrics, and how tenants get in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from modules.data import store, store_operator
from modules.data.mysql import accounts, config, exporter, operator, plain
from modules.data.mysql.config import CLIENT_PORTS, NAMESPACE, PORT, MySqlEngine, ServiceSchema
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.tenants.config import Tenant
from modules.kit import network_policies, server, task
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject
from modules.kit.pods import SecretFiles
from modules.kit.task import Program, Run
from upstream import part

NAME: Final = "mysql"
"""Name of the bindings."""


class MySql(Component):
    """MySQL for tenants and for the platform's own services. In the stack of a group of tenants it declares their bindings and nothing else."""

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
        if context.shared:
            self._declare_shared()
        self._declare_bindings()
        self.register_outputs({})

    def _declare_shared(self) -> None:
        """A server where the platform runs one, accounts, backups, metrics, and how the platform's own services get in."""
        config, context = self._config, self._context
        home = StoreNamespace(
            NAMESPACE,
            context=context,
            client_ports=() if config.engine is MySqlEngine.EXTERNAL else CLIENT_PORTS,
            metrics_ports=(exporter.PORT, operator.METRICS_PORT),
            tenants=sorted(self._shares),
            callers=sorted({each.namespace for each in self._services}),
            backups=context.backups(NAME),
            opts=self.child(),
        )
        running = {
            MySqlEngine.PLAIN: self._plain,
            MySqlEngine.OPERATOR: self._operator,
            MySqlEngine.EXTERNAL: self._external,
        }[config.engine](home)
        ready = task.task(self, self._access(), [home, *running])
        if config.engine is not MySqlEngine.OPERATOR:
            self._declare_backup([home, ready])
        self._declare_metrics([home, ready])
        self._declare_service_bindings()

    def _plain(self, home: StoreNamespace) -> list[pulumi.Resource]:
        declared = plain.server(
            self._config,
            pair=self._context.authority.server("mysql/server", plain.NAMES),
            authority=self._context.authority.bundle,
            admin_password=self._credentials.password("mysql/admin"),
            probe_password=self._credentials.password("mysql/probe"),
            storage_class=self._context.cluster.storage_class,
        )
        return [server.declare(self, declared, self._context.after(home))]

    def _operator(self, home: StoreNamespace) -> list[pulumi.Resource]:
        """The operator first, with its kinds; then what the cluster's resource names; then the resource."""
        runs = store_operator.declare(self, operator.operator(), self._context, [home])
        pair = self._context.authority.server("mysql/cluster", operator.names(), calls=True)
        passwords = {each: self._credentials.password(f"mysql/{each}") for each in operator.ACCOUNTS}
        bucket = self._context.backups(NAME)
        files = {
            operator.PASSWORDS: passwords,
            **({operator.BUCKET_KEY: operator.bucket_key(bucket)} if bucket else {}),
        }
        named = [
            store.named_key_pair(self, home, operator.TLS, pair, self._context.authority.bundle),
            *(store.named_secret(self, home, name, each) for name, each in files.items()),
        ]
        spec = operator.cluster(
            self._config, storage_class=self._context.cluster.storage_class, bucket=bucket
        )
        cluster = CustomObject(
            f"{NAMESPACE}-{operator.CLUSTER}",
            operator.API_VERSION,
            "PerconaXtraDBCluster",
            self.meta(operator.CLUSTER, namespace=NAMESPACE),
            {"spec": spec},
            opts=self.child(pulumi.ResourceOptions(depends_on=[*runs, *named])),
        )
        return [cluster]

    def _external(self, home: StoreNamespace) -> list[pulumi.Resource]:
        """Nothing but the way there, for the programs and the exporter; tenants have theirs from the profile's `reaches`."""
        return [
            NetworkPolicy(
                f"{NAMESPACE}-allow-endpoint",
                metadata=self.meta("allow-endpoint", namespace=NAMESPACE),
                spec=network_policies.allow_reach(self._config.reach, self._context.cluster),
                opts=self.child(pulumi.ResourceOptions(depends_on=[home])),
            )
        ]

    @property
    def _place(self) -> tuple[str, int]:
        """Host and port that clients connect to."""
        if self._config.external is not None:
            return self._config.external.host, self._config.external.port
        return (operator.HOST if self._config.engine is MySqlEngine.OPERATOR else plain.HOST), PORT

    @property
    def _servers(self) -> tuple[str, ...]:
        """Every server that holds sessions; the first is where statements go."""
        if self._config.engine is MySqlEngine.OPERATOR:
            return (operator.HOST, *map(operator.node, range(self._config.nodes)))
        return (self._place[0],)

    @property
    def _authority(self) -> str | None:
        """Who signs the server's certificate; None where public authorities do."""
        return self._config.external.ca if self._config.external else self._context.authority.bundle

    def _admin(self) -> SecretFiles:
        path = "/longhouse-admin"
        if self._config.external is not None:
            return SecretFiles("admin", path, existing=self._config.external.admin_secret)
        name = operator.ADMIN if self._config.engine is MySqlEngine.OPERATOR else plain.ADMIN
        purpose = f"mysql/{operator.ADMIN}" if self._config.engine is MySqlEngine.OPERATOR else "mysql/admin"
        return SecretFiles("admin", path, {"username": name, "password": self._credentials.password(purpose)})

    def _desired(self) -> SecretFiles:
        desired = accounts.desired(
            self._credentials,
            hosts=self._servers,
            port=self._place[1],
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

    def _trust(self) -> tuple[SecretFiles, ...]:
        ca = self._authority
        return (SecretFiles("authority", "/longhouse-ca", {"ca.crt": ca}),) if ca else ()

    def _declare_backup(self, depends_on: list[pulumi.Resource]) -> None:
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
        task.schedule(self, run, self._config.backup, depends_on)

    def _declare_metrics(self, depends_on: list[pulumi.Resource]) -> None:
        """An exporter for each server."""
        nodes = self._servers[1:] or self._servers
        for number, host in enumerate(nodes):
            declared = exporter.server(
                part("mysqld-exporter").version,
                name="exporter" if len(nodes) == 1 else f"exporter-{number}",
                host=host,
                port=self._place[1],
                password=accounts.metrics_password(self._credentials),
                ca=self._authority,
            )
            server.declare(self, declared, self._context.after(*depends_on))

    def _declare_bindings(self) -> None:
        for tenant in self._context.here(self._shares):
            password = accounts.tenant_password(self._credentials, tenant)
            store.binding(self, tenant, NAME, self._facts(tenant, password), self._context)

    def _declare_service_bindings(self) -> None:
        for service, namespace in self._services.items():
            facts = self._facts(
                accounts.schema_of(service), accounts.service_password(self._credentials, service.name)
            )
            store.service_binding(self, service.name, service.namespace, NAME, facts, namespace)

    def _facts(self, account: str, password: str) -> dict[str, str]:
        host, port = self._place
        return accounts.binding(
            self._config.engine,
            host=host,
            port=port,
            account=account,
            password=password,
            ca=self._authority,
        )
