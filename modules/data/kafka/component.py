"""Declares Kafka: its servers or Strimzi's objects, what each tenant has of it, and its backups."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs

from modules.data import store
from modules.data.kafka import config, metrics, operator, plain, settings, shares
from modules.data.kafka.config import CLIENT_PORT, CLIENT_PORTS, NAMESPACE, KafkaEngine
from modules.data.kafka.inside.place import MECHANISM
from modules.data.kafka.plain import HOST, METRICS_PORT
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.tenants.config import Tenant
from modules.kit import accounts, charts, network_policies, server, task
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject
from modules.kit.pods import SecretFiles
from modules.kit.server import Scrape
from modules.kit.task import Program, Run
from upstream import strimzi as upstream

MOUNT = "/longhouse-kafka"


class Kafka(Component):
    """One Kafka for all tenants, a user and a prefix of names for each of them.

    In the stack of a group of tenants it declares their bindings and, with Strimzi, their users and topics.
    """

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
        servers = self._declare_shared() if context.shared else []
        for tenant in context.here(self._shares):
            if config.engine is KafkaEngine.OPERATOR:
                self._declare_tenant(tenant, servers)
            facts = shares.binding(tenant, context.credentials, context.authority.bundle)
            store.binding(self, tenant, NAMESPACE, facts, context)
        self.register_outputs({})

    def _declare_shared(self) -> list[pulumi.Resource]:
        """The servers, who may use them, and their backups."""
        config, context = self._config, self._context
        home = StoreNamespace(
            NAMESPACE,
            context=context,
            client_ports=CLIENT_PORTS,
            metrics_ports=(METRICS_PORT,),
            tenants=sorted(self._shares),
            backups=context.backups(NAMESPACE),
            opts=self.child(),
        )
        runs = self._plain(home) if config.engine is KafkaEngine.PLAIN else self._operator(home)
        self._declare_backup([home, *runs])
        return runs

    def _plain(self, home: StoreNamespace) -> list[pulumi.Resource]:
        """Our own servers, and the program that makes users and topics."""
        context = self._context
        brokers = server.declare(
            self,
            plain.brokers(
                self._config,
                credentials=context.credentials,
                pair=context.authority.server("kafka/server", plain.NAMES),
                authority=context.authority.bundle,
                image=context.image,
                storage_class=context.cluster.storage_class,
            ),
            context.after(home),
        )
        return [task.task(self, self._access(), [home, brokers])]

    def _operator(self, home: StoreNamespace) -> list[pulumi.Resource]:
        """Strimzi, what its resources name, and the resources.

        Topics stay when their tenant goes: the resource is left to Strimzi, and with it the topic. What looks after them lists them
        by itself, so that it need not wait for those that are.
        """
        context = self._context
        strimzi = charts.layered(
            self, operator.RELEASE, operator.CHART, home, operator.values(), version=upstream.version()
        )
        pair = context.authority.server("kafka/server", operator.NAMES)
        named: list[pulumi.Resource] = [
            store.named_secret(
                self, home, operator.TLS, {"tls.crt": pair.certificate, "tls.key": pair.private_key}
            ),
            ConfigMap(
                f"{NAMESPACE}-{operator.METRICS}",
                metadata=self.meta(operator.METRICS, namespace=NAMESPACE),
                data={operator.METRICS_KEY: json.dumps(metrics.configuration(), indent=1)},
                opts=self.child(pulumi.ResourceOptions(depends_on=[home])),
            ),
            *(
                store.named_secret(self, home, operator.password_secret(user), {"password": password})
                for user, password in self._passwords().items()
            ),
            self._calls_api_server(home),
        ]
        server.monitor(
            self,
            NAMESPACE,
            "strimzi",
            {operator.CLUSTER_LABEL: operator.CLUSTER},
            Scrape(port=operator.METRICS_PORT_NAME),
            self.child(pulumi.ResourceOptions(depends_on=context.after(home))),
        )
        found = operator.shared_resources(self._config, context.cluster.storage_class, context.delete_data)
        made = [self._custom(each, [strimzi, *named]) for each in found]
        return [*made, self._departed(home, made)]

    def _departed(self, home: StoreNamespace, made: Sequence[pulumi.Resource]) -> pulumi.Resource:
        """The program that looks after what tenants left, with an account that sees the resources of topics."""
        group = operator.API_VERSION.partition("/")[0]
        topics = PolicyRuleArgs(api_groups=[group], resources=["kafkatopics"], verbs=["list", "delete"])
        rules = [store.may_list_retained(), topics]
        account = accounts.declare(self, NAMESPACE, operator.DEPARTED_ACCOUNT, rules, [home])
        wanted: dict[str, object] = {
            "api_version": operator.API_VERSION,
            "tenants": sorted(self._shares),
            "delete_data": sorted(self._context.delete_data),
        }
        run = Run(
            "departed",
            NAMESPACE,
            Program("modules.data.kafka.inside.departed"),
            self._context.image,
            secrets=(self._mount(operator.DEPARTED, wanted),),
            service_account=operator.DEPARTED_ACCOUNT,
        )
        return task.task(self, run, [home, account, *made])

    def _declare_tenant(self, tenant: str, servers: Sequence[pulumi.Resource]) -> None:
        """A tenant's user and its topics, for Strimzi."""
        password = store.tenant_secret(
            self,
            tenant,
            NAMESPACE,
            operator.password_secret(tenant),
            {"password": shares.password(self._context.credentials, tenant)},
            servers,
        )
        for each in operator.tenant_resources(self._config, tenant, self._shares[tenant]):
            self._custom(each, [*servers, password])

    def _passwords(self) -> dict[str, str]:
        """Those of the platform's own users."""
        credentials = self._context.credentials
        return {each: plain.password(credentials, each) for each in (operator.BACKUP, operator.DEPARTED)}

    def _custom(self, found: operator.Object, depends_on: Sequence[pulumi.Resource]) -> CustomObject:
        metadata = found["metadata"]
        return CustomObject(
            f"{NAMESPACE}-{found['kind'].lower()}-{metadata['name']}",
            found["apiVersion"],
            found["kind"],
            self.meta(metadata["name"], namespace=NAMESPACE, extra_labels=metadata["labels"]),
            {"spec": found["spec"]},
            opts=self.child(
                pulumi.ResourceOptions(
                    depends_on=list(depends_on), retain_on_delete=found["kind"] == operator.TOPIC_KIND
                )
            ),
        )

    def _calls_api_server(self, home: StoreNamespace) -> NetworkPolicy:
        """The operator, what it sets beside the cluster, and brokers that ask for their zone."""
        spec = network_policies.only_having(
            network_policies.allow_api_server(self._context.cluster.api_server), operator.KIND_LABEL
        )
        return NetworkPolicy(
            f"{NAMESPACE}-strimzi-to-api-server",
            metadata=self.meta("strimzi-to-api-server", namespace=NAMESPACE),
            spec=spec,
            opts=self.child(pulumi.ResourceOptions(depends_on=[home])),
        )

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
        user = settings.BACKUP if self._config.engine is KafkaEngine.PLAIN else operator.BACKUP
        wanted: dict[str, object] = {"whole_days": self._config.whole_backup_days}
        run = Run(
            "backup",
            NAMESPACE,
            Program("modules.data.kafka.inside.backup"),
            self._context.image,
            secrets=(self._mount(user, wanted), bucket.files()),
            memory="256Mi",
        )
        task.schedule(self, run, self._config.backup, depends_on)

    def _mount(self, user: str, wanted: dict[str, object]) -> SecretFiles:
        """What a program is given: where to log in as whom, and what to do."""
        own, clients = (
            f"{plain.SERVER}-0.{plain.DOMAIN}:{settings.PORTS[settings.INTERNAL]}",
            f"{HOST}:{CLIENT_PORT}",
        )
        # With Strimzi all users are in the cluster, and there is one listener for them.
        servers, mechanism = (
            (own, "PLAIN") if self._config.engine is KafkaEngine.PLAIN else (clients, MECHANISM)
        )
        place = {
            "servers": servers,
            "clients": clients,
            "username": user,
            "password": plain.password(self._context.credentials, user),
            "mechanism": mechanism,
        }
        document = json.dumps({"place": place, **wanted}, sort_keys=True)
        return SecretFiles(
            "wanted", MOUNT, {"wanted.json": document, "ca.crt": self._context.authority.bundle}
        )
