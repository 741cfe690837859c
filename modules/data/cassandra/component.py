"""Declares Cassandra: its servers, who may use them, and their backups."""

from __future__ import annotations

import configparser
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.rbac.v1 import ClusterRole, ClusterRoleBinding, RoleRefArgs

from modules.data import store, store_operator
from modules.data.cassandra import config, operator, plain, settings
from modules.data.cassandra.config import CLIENT_PORTS, CQL_PORT, DATACENTER, NAMESPACE, Engine
from modules.data.cassandra.settings import ADMIN, ADMIN_PATH
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.certificates.authority import KeyPair
from modules.foundation.tenants.config import Tenant
from modules.kit import accounts, server, task
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject
from modules.kit.pods import SecretFiles
from modules.kit.server import Scrape
from modules.kit.task import Program, Run


class Cassandra(Component):
    """One ring of nodes for all tenants, a keyspace and a role for each of them.

    In the stack of a group of tenants it declares their bindings and nothing else.
    """

    AREA = "data"
    COMPONENT = "cassandra"

    def __init__(
        self,
        name: str,
        config: config.Cassandra,
        *,
        context: StoreContext,
        tenants: Sequence[Tenant],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are all of the environment; those that have a keyspace say so."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context = config, context
        self._shares = {each.name: each.data.cassandra for each in tenants if each.data.cassandra is not None}
        self._host = operator.HOST if config.engine is Engine.OPERATOR else plain.HOST
        self._place: dict[str, Any] = {
            "host": self._host,
            "port": CQL_PORT,
            "server_name": self._host,
            "datacenter": DATACENTER,
            "username": ADMIN,
            "passwords": _passwords(context),
        }
        if context.shared:
            self._declare_shared()
        for tenant in context.here(self._shares):
            store.binding(self, tenant, NAMESPACE, self._binding(tenant), context)
        self.register_outputs({})

    def _declare_shared(self) -> None:
        """The servers, who may use them, and their backups."""
        plain_engine = self._config.engine is Engine.PLAIN
        home = StoreNamespace(
            NAMESPACE,
            context=self._context,
            client_ports=CLIENT_PORTS,
            metrics_ports=(plain.METRICS_PORT,)
            if plain_engine
            else (operator.METRICS_PORT, operator.NODE_METRICS_PORT),
            tenants=sorted(self._shares),
            backups=self._context.backups(NAMESPACE),
            opts=self.child(),
        )
        runs = self._plain(home) if plain_engine else self._operator(home)
        ready = task.task(self, self._access(), [home, runs])
        self._backup([home, ready])

    def _plain(self, home: StoreNamespace) -> pulumi.Resource:
        pair = self._context.authority.server("cassandra/server", plain.names(), calls=True)
        node = plain.node(
            self._config,
            self._context,
            tls=SecretFiles("tls", settings.TLS_PATH, self._tls(pair)),
            admin=SecretFiles("admin", ADMIN_PATH, self._admin),
        )
        return server.declare(self, node, self._context.after(home))

    def _operator(self, home: StoreNamespace) -> pulumi.Resource:
        """The operator, what its resource names, and the resource, which is ready when the whole ring is."""
        images = ConfigMap(
            f"{NAMESPACE}-images",
            metadata=self.meta("images", namespace=NAMESPACE, extra_labels={"k8ssandra.io/config": "image"}),
            data={"image_config.yaml": operator.image_config()},
            opts=self.child(pulumi.ResourceOptions(depends_on=[home])),
        )
        runs = store_operator.declare(
            self, operator.operator(), self._context, [home, images, self._storage_classes()]
        )
        pair = self._context.authority.server("cassandra/server", operator.names(), calls=True)
        management = self._context.authority.server(
            "cassandra/management", (f"management.{NAMESPACE}.svc",), calls=True
        )
        files = {
            operator.TLS: self._tls(pair),
            operator.ADMIN: self._admin,
            operator.CONFIG: operator.node_config(self._config),
        }
        authority = self._context.authority.bundle
        named = [
            *(store.named_secret(self, home, name, each) for name, each in files.items()),
            store.named_key_pair(self, home, operator.MANAGEMENT, management, authority),
        ]
        server.monitor(
            self,
            NAMESPACE,
            "nodes",
            {"cassandra.datastax.com/datacenter": DATACENTER},
            Scrape(port=operator.NODE_METRICS),
            self.child(pulumi.ResourceOptions(depends_on=self._context.after(home))),
        )
        return CustomObject(
            f"{NAMESPACE}-{DATACENTER}",
            operator.API_VERSION,
            operator.KIND,
            self.meta(DATACENTER, namespace=NAMESPACE, annotations=operator.KEEP_VOLUMES),
            {"spec": operator.datacenter(self._config, storage_class=self._context.cluster.storage_class)},
            opts=self.child(pulumi.ResourceOptions(depends_on=[*runs, *named])),
        )

    def _storage_classes(self) -> ClusterRoleBinding:
        """Storage classes belong to no namespace: what the operator may see of them is upstream's own ClusterRole."""
        role = ClusterRole(
            operator.STORAGE_CLASSES,
            metadata=self.meta(operator.STORAGE_CLASSES),
            rules=accounts.rules(operator.operator().rules("ClusterRole")),
            opts=self.child(),
        )
        return ClusterRoleBinding(
            operator.STORAGE_CLASSES,
            metadata=self.meta(operator.STORAGE_CLASSES),
            role_ref=RoleRefArgs(api_group=accounts.RBAC, kind="ClusterRole", name=operator.STORAGE_CLASSES),
            subjects=[accounts.subject(NAMESPACE, store_operator.NAME)],
            opts=self.child(pulumi.ResourceOptions(depends_on=[role])),
        )

    def _tls(self, pair: KeyPair) -> dict[str, str]:
        """A node's certificate as Cassandra's PEM factory reads it: the key first, in the same file."""
        return {
            settings.PEM: pair.private_key + pair.certificate,
            settings.AUTHORITY: self._context.authority.bundle,
        }

    @property
    def _admin(self) -> dict[str, str]:
        return {"username": ADMIN, "password": _passwords(self._context)[0]}

    def _access(self) -> Run:
        passwords = {tenant: tenant_password(self._context, tenant) for tenant in self._shares}
        desired = {
            "datacenter": DATACENTER,
            "replication": self._config.replication,
            "tenants": passwords,
            "delete_data": sorted(self._context.delete_data),
        }
        return Run(
            "access",
            NAMESPACE,
            Program("modules.data.cassandra.inside.access"),
            self._context.image,
            secrets=(self._wanted({"access": desired}),),
            service_account=store.ACCESS_ACCOUNT,
        )

    def _backup(self, depends_on: Sequence[pulumi.Resource]) -> None:
        """By the clock all keyspaces; the same program with other arguments restores one."""
        bucket = self._context.backups(NAMESPACE)
        if bucket is None:
            return
        run = Run(
            "backup",
            NAMESPACE,
            Program("modules.data.cassandra.inside.backup"),
            self._context.image,
            secrets=(self._wanted({}), bucket.files()),
            memory="256Mi",
        )
        task.schedule(self, run, self._config.backup, depends_on)

    def _wanted(self, more: Mapping[str, Any]) -> SecretFiles:
        facts = json.dumps({"place": self._place, **more}, sort_keys=True)
        return SecretFiles(
            "wanted", "/longhouse-cassandra", {"wanted.json": facts, "ca.crt": self._context.authority.bundle}
        )

    def _binding(self, tenant: str) -> dict[str, str]:
        """What a client needs; nodes go by address, so it has to be told the name that their certificate has."""
        keyspace = keyspace_of(tenant)
        return {
            "provider": "apache",
            "host": self._host,
            "port": str(CQL_PORT),
            "server_name": self._host,
            "datacenter": DATACENTER,
            "username": keyspace,
            "password": tenant_password(self._context, tenant),
            "keyspace": keyspace,
            "consistency": "LOCAL_QUORUM",
            "ca.crt": self._context.authority.bundle,
            "cqlshrc": _cqlshrc(keyspace, self._host),
        }


def keyspace_of(tenant: str) -> str:
    """The tenant's keyspace and role: a tenant's name has no underscore, so no two tenants share one."""
    return tenant.replace("-", "_")


def tenant_password(context: StoreContext, tenant: str) -> str:
    """The password of a tenant's role."""
    return context.credentials.password(f"cassandra/tenants/{tenant}")


def _passwords(context: StoreContext) -> list[str]:
    """The superuser's password, and the one that a rotation replaces."""
    epochs = [context.credentials, context.credentials.previous()]
    return [each.password("cassandra/admin") for each in epochs if each is not None]


def _cqlshrc(keyspace: str, host: str) -> str:
    """For cqlsh, where the binding is mounted at its place; it asks for the password."""
    found = configparser.ConfigParser()
    found["authentication"] = {"username": keyspace, "keyspace": keyspace}
    found["connection"] = {"hostname": host, "port": str(CQL_PORT), "ssl": "true"}
    found["ssl"] = {"certfile": f"{store.BINDING_PATH}/{NAMESPACE}/ca.crt", "validate": "true"}
    text = io.StringIO()
    found.write(text)
    return text.getvalue()
