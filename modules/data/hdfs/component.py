"""Declares HDFS: its realm, its servers, who may use them, and their backups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pulumi

from modules.data import store
from modules.data.hdfs import config, places, settings, sizing
from modules.data.hdfs.config import (
    CLIENT_PORTS,
    NAMENODE_PORT,
    NAMESPACE,
    RETAINED_GROUP,
    SUPERUSER,
    EmbeddedKdc,
)
from modules.data.hdfs.inside import desired
from modules.data.hdfs.inside.desired import Desired, Home
from modules.data.hdfs.servers import Cast
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.tenants.config import Tenant
from modules.kit import server, task
from modules.kit.component import Component
from modules.kit.pods import SecretFiles
from modules.kit.task import Program, Run

_ENVIRONMENT: Final = {
    "KRB5_CONFIG": str(desired.MOUNT / "krb5.conf"),
    "KRB5_CLIENT_KTNAME": settings.KEYTAB,
    "KRB5CCNAME": "FILE:/tmp/tickets",
}
"""What makes GSSAPI get tickets by itself."""


class Hdfs(Component):
    """One file system for all tenants, and a home directory for each of them that nobody else can enter.

    In the stack of a group of tenants it declares their bindings and nothing else.
    """

    AREA = "data"
    COMPONENT = "hdfs"

    def __init__(
        self,
        name: str,
        config: config.Hdfs,
        *,
        context: StoreContext,
        tenants: Sequence[Tenant],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are all of the environment; those that have a home say so."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context = config, context
        self._shares = {each.name: each.data.hdfs for each in tenants if each.data.hdfs is not None}
        self._cast = Cast(
            config,
            context.credentials,
            context.authority,
            context.image,
            context.cluster.storage_class,
            tuple(sorted(self._shares)),
        )
        if context.shared:
            self._declare_shared()
        for tenant in context.here(self._shares):
            store.binding(self, tenant, NAMESPACE, self._facts(tenant), context, self._keytab(tenant))
        self.register_outputs({"uri": places.uri()})

    def _declare_shared(self) -> None:
        """The realm, the servers, who may use them, and their backups."""
        context = self._context
        home = StoreNamespace(
            NAMESPACE,
            context=context,
            client_ports=CLIENT_PORTS,
            metrics_ports=(places.METRICS_PORT,),
            tenants=sorted(self._shares),
            backups=context.backups(NAMESPACE),
            opts=self.child(),
        )
        first: list[pulumi.Resource] = context.after(home)
        if kdc := self._cast.kdc():
            first.append(server.declare(self, kdc, first))
        running = [server.declare(self, each, first) for each in self._cast.servers]
        ready = task.task(self, self._access(), [*first, *running])
        self._declare_backup([home, ready])

    def _access(self) -> Run:
        return self._run("access", "access", self._desired(), account=store.ACCESS_ACCOUNT)

    def _desired(self) -> Desired:
        config = self._config
        return Desired(
            addresses=places.web_addresses(config),
            superuser=SUPERUSER,
            retained_group=RETAINED_GROUP,
            tenants={
                tenant: Home(share.files, sizing.space_quota(share, config.replication))
                for tenant, share in self._shares.items()
            },
            delete_data=tuple(sorted(self._context.delete_data)),
        )

    def _declare_backup(self, depends_on: list[pulumi.Resource]) -> None:
        """By the clock all homes; a Job made from it with other arguments restores one."""
        bucket = self._context.backups(NAMESPACE)
        if bucket is not None:
            run = replace(
                self._run("backup", "backup", self._desired(), (bucket.files(),)),
                memory="256Mi",
                scratch={"/var/tmp": "16Gi"},
                environment={**_ENVIRONMENT, "TMPDIR": "/var/tmp"},
            )
            task.schedule(self, run, self._config.backup, depends_on)

    def _run(
        self,
        name: str,
        module: str,
        wanted: Desired,
        more: tuple[SecretFiles, ...] = (),
        account: str | None = None,
    ) -> Run:
        """A program that works as the superuser."""
        told = {
            desired.FILE: wanted.text,
            "ca.crt": self._context.authority.bundle,
            "krb5.conf": settings.krb5(self._config.kerberos.realm, places.kdcs(self._config)),
        }
        return Run(
            name,
            NAMESPACE,
            Program(f"modules.data.hdfs.inside.{module}"),
            self._context.image,
            secrets=(SecretFiles("desired", str(desired.MOUNT), told), self._cast.superuser_keytab(), *more),
            environment=_ENVIRONMENT,
            service_account=account,
        )

    def _facts(self, tenant: str) -> dict[str, str]:
        """What a tenant's client needs. The settings are Hadoop's own files: a folder to put on its class path."""
        config = self._config
        return {
            "host": places.namenodes(config)[0],
            "port": str(NAMENODE_PORT),
            "uri": f"{places.uri()}/tenants/{tenant}",
            "username": tenant,
            "principal": f"{tenant}@{config.kerberos.realm}",
            "webhdfs": ",".join(places.web_addresses(config)),
            "ca.crt": self._context.authority.bundle,
            "krb5.conf": settings.krb5(config.kerberos.realm, places.kdcs(config)),
            "core-site.xml": settings.xml(settings.client_core(config)),
            "hdfs-site.xml": settings.xml(settings.client_hdfs(config)),
        }

    def _keytab(self, tenant: str) -> dict[str, bytes]:
        """The tenant's key; where the realm is kept elsewhere its people have tickets of their own."""
        if not isinstance(self._config.kerberos.kdc, EmbeddedKdc):
            return {}
        return {"keytab": self._cast.realm.user(tenant)}
