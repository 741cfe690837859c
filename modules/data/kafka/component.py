"""Declares Kafka: its servers or Strimzi's objects, what each tenant has of it, and its backups."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi

from modules.data import store
from modules.data.kafka import config, plain, settings, shares
from modules.data.kafka.config import CLIENT_PORT, CLIENT_PORTS, NAMESPACE
from modules.data.kafka.plain import HOST, METRICS_PORT
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.tenants.config import Tenant
from modules.kit import server, task
from modules.kit.component import Component
from modules.kit.pods import SecretFiles
from modules.kit.task import Program, Run

MOUNT = "/longhouse-kafka"


class Kafka(Component):
    """One Kafka for all tenants, a user and a prefix of names for each of them."""

    AREA = "data"
    COMPONENT = "kafka"

    def __init__(
        self,
        name: str,
        config: config.Kafka,
        *,
        context: StoreContext,
        tenants: Sequence[Tenant],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are all of the environment; those that have a share say so."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context = config, context
        self._shares = {each.name: each.data.kafka for each in tenants if each.data.kafka is not None}
        home = StoreNamespace(
            NAMESPACE,
            context=context,
            client_ports=CLIENT_PORTS,
            metrics_ports=(METRICS_PORT,),
            tenants=sorted(self._shares),
            backups=context.backups(NAMESPACE),
            opts=self.child(),
        )
        brokers = server.declare(
            self,
            plain.brokers(
                config,
                credentials=context.credentials,
                pair=context.authority.server("kafka/server", plain.NAMES),
                authority=context.authority.bundle,
                image=context.image,
                storage_class=context.cluster.storage_class,
            ),
            [home, context.monitors],
        )
        access = task.task(self, self._access(), [home, brokers])
        self._declare_backup([home, access])
        for tenant in self._shares:
            facts = shares.binding(tenant, context.credentials, context.authority.bundle)
            store.binding(self, tenant, NAMESPACE, facts, context)
        self.register_outputs({})

    def _access(self) -> Run:
        wanted = shares.wanted(
            self._config, self._shares, self._context.credentials, self._context.delete_data
        )
        return Run(
            "access",
            NAMESPACE,
            Program("modules.data.kafka.inside.access"),
            self._context.image,
            secrets=(self._mount(settings.ADMIN, wanted),),
            service_account=store.ACCESS_ACCOUNT,
        )

    def _declare_backup(self, depends_on: list[pulumi.Resource]) -> None:
        """By the clock all topics; a Job made from it with other arguments restores one."""
        bucket = self._context.backups(NAMESPACE)
        if bucket is None:
            return
        wanted: dict[str, object] = {"whole_days": self._config.whole_backup_days}
        run = Run(
            "backup",
            NAMESPACE,
            Program("modules.data.kafka.inside.backup"),
            self._context.image,
            secrets=(self._mount(settings.BACKUP, wanted), bucket.files()),
            memory="256Mi",
        )
        task.schedule(self, run, self._config.backup, depends_on)

    def _mount(self, user: str, wanted: dict[str, object]) -> SecretFiles:
        """What a program is given: where to log in as whom, and what to do."""
        place = {
            "servers": f"{plain.SERVER}-0.{plain.DOMAIN}:{settings.PORTS[settings.INTERNAL]}",
            "clients": f"{HOST}:{CLIENT_PORT}",
            "username": user,
            "password": plain.password(self._context.credentials, user),
            "mechanism": "PLAIN",
        }
        document = json.dumps({"place": place, **wanted}, sort_keys=True)
        return SecretFiles(
            "wanted", MOUNT, {"wanted.json": document, "ca.crt": self._context.authority.bundle}
        )
