"""Declares the object store: its servers where the platform runs them, what each tenant has of it, and its own copy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from modules.data import store
from modules.data.object_store import accounts, bindings, config, settings
from modules.data.object_store.config import NAME, NAMESPACE, Accounts
from modules.data.object_store.inside import desired
from modules.data.store import StoreContext, StoreNamespace
from modules.foundation.tenants.config import Tenant
from modules.kit import labels, network_policies, server, task
from modules.kit.component import Component, secret
from modules.kit.pods import Container, Pod, Probe, SecretFiles
from modules.kit.server import Disk, Scrape, Server
from modules.kit.task import Program, Run
from upstream import part

METRICS_SECRET: Final = "minio-metrics"
"""Secret with what whoever reads metrics needs: the bearer token, and whom to trust."""


KEYS: Final = "object-store-keys"
"""Role in a tenant's namespace: to put a key into its binding."""

QUOTAS: Final = "17 * * * *"
"""When buckets are counted where no server counts them."""


class ObjectStore(Component):
    """S3 for every tenant that has it, and for the backups of the other stores.

    In the stack of a group of tenants it declares their bindings and nothing else.
    """

    AREA = "data"
    COMPONENT = "object-store"

    def __init__(
        self,
        name: str,
        config: config.ObjectStore,
        *,
        context: StoreContext,
        tenants: Sequence[Tenant],
        writers: Mapping[str, str],
        folders: Mapping[str, str] | None = None,
        callers: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``writers`` are the stores whose backups go here, and their namespaces; ``folders`` those of tenants' buckets that a service of the
        platform keeps something in, and its namespace; ``callers`` other namespaces that may call it, with others' keys."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context = config, context
        having = [tenant for tenant in tenants if tenant.data.object_store]
        folders = folders or {}
        wanted = accounts.desired(config, context.credentials, having, writers, context.delete_data, folders)
        here = [tenant for tenant in wanted.tenants if tenant.name in context.homes]
        bound: list[pulumi.Resource] = [
            store.binding(
                self, each.name, NAME, bindings.facts(config, each, context.authority.bundle), context
            )
            for each in here
        ]
        if context.shared:
            self._declare_shared(wanted, [*writers.values(), *folders.values(), *callers], here, bound)
        self.register_outputs({"endpoint": config.endpoint})

    def _declare_shared(
        self,
        wanted: desired.Desired,
        callers: Sequence[str],
        here: Sequence[desired.Tenant],
        bound: Sequence[pulumi.Resource],
    ) -> None:
        """The servers, who may use them, and the copy. ``callers`` are namespaces beside tenants', ``here`` are the tenants whose homes are in this stack, ``bound`` their bindings."""
        config, context = self._config, self._context
        home = StoreNamespace(
            NAMESPACE,
            context=context,
            client_ports=() if config.given else (config.port,),
            metrics_ports=() if config.given else (config.port,),
            tenants=[tenant.name for tenant in wanted.tenants],
            callers=callers,
            opts=self.child(),
        )
        self._declare_ways_out(home)
        needed: list[pulumi.Resource] = (
            [home, *bound] if config.given else [home, self._servers(home), *bound]
        )
        if config.given:
            needed += [self._may_put_key(tenant, home) for tenant in here]
        access = task.task(self, self._access(wanted), needed)
        if config.given and config.given.accounts is Accounts.IAM:
            task.schedule(self, replace(self._access(wanted), name="quotas"), QUOTAS, [access])
        if config.copy_to:
            task.schedule(self, self._copy(config.copy_to, wanted), config.copy_to.schedule, [access])

    def _may_put_key(self, tenant: desired.Tenant, home: StoreNamespace) -> pulumi.Resource:
        """That the program may put a key which it did not choose into the tenant's binding."""
        metadata = self.meta(KEYS, namespace=tenant.namespace, extra_labels={labels.TENANT: tenant.name})
        role = Role(
            f"{tenant.name}-{KEYS}",
            metadata=metadata,
            rules=[
                PolicyRuleArgs(
                    api_groups=[""], resources=["secrets"], resource_names=[NAME], verbs=["get", "patch"]
                )
            ],
            opts=self.child(pulumi.ResourceOptions(depends_on=[home, self._context.homes[tenant.name]])),
        )
        return RoleBinding(
            f"{tenant.name}-{KEYS}",
            metadata=metadata,
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=KEYS),
            subjects=[SubjectArgs(kind="ServiceAccount", name=store.ACCESS_ACCOUNT, namespace=NAMESPACE)],
            opts=self.child(pulumi.ResourceOptions(depends_on=[role])),
        )

    def _declare_ways_out(self, home: StoreNamespace) -> None:
        """Programs, and they only, may call the S3 that was given and the one that holds the copy."""
        cluster = self._context.cluster
        given, copy = self._config.given, self._config.copy_to
        places = {
            "external": (given.cidrs, given.port) if given else None,
            "iam": (given.iam_cidrs, config.HTTPS) if given and given.iam_cidrs else None,
            "copy": (copy.cidrs, copy.port) if copy else None,
        }
        for name, place in places.items():
            if place is not None:
                cidrs, port = place
                spec = network_policies.together(
                    *(network_policies.allow_to(cidr, [port], "TCP", cluster) for cidr in cidrs)
                )
                NetworkPolicy(
                    f"{NAMESPACE}-programs-to-{name}",
                    metadata=self.meta(f"programs-to-{name}", namespace=NAMESPACE),
                    spec=store.programs_only(spec),
                    opts=self.child(pulumi.ResourceOptions(depends_on=[home])),
                )

    def _servers(self, home: StoreNamespace) -> pulumi.Resource:
        """MinIO's servers.

        Ready means that writes have a quorum, seen from that server. All restart at once when settings or the program change: a
        server that is told otherwise than its peers waits for them (cmd/bootstrap-peer-server.go, verifyServerSystemConfig), so
        one at a time would stop at the first. Upstream's own guide to upgrades says the same.
        """
        own, credentials = self._config, self._context.credentials
        pair = self._context.authority.server("object-store/server", settings.SERVER_NAMES)
        reader = accounts.metrics(own, credentials)
        token = Secret(
            f"{NAMESPACE}-{METRICS_SECRET}",
            metadata=self.meta(METRICS_SECRET, namespace=NAMESPACE),
            string_data={
                "token": secret(settings.metrics_token(reader.user, reader.secret_key)),
                "ca.crt": self._context.authority.bundle,
            },
            opts=self.child(pulumi.ResourceOptions(depends_on=[home])),
        )
        minio = Container(
            name="minio",
            image=settings.image(part(settings.PART).version, self._context.cluster.images),
            command=settings.command(own),
            cpu=own.cpu,
            memory=own.memory,
            ports={"https": config.PORT},
            environment={
                "MINIO_CONFIG_ENV_FILE": f"{settings.SETTINGS}/config.env",
                "SSL_CERT_FILE": f"{settings.CERTIFICATES}/ca.crt",
                "GOMEMLIMIT": settings.go_memory_limit(own),
            },
            startup=Probe(
                path="/minio/health/live", port=config.PORT, scheme="HTTPS", period_seconds=1, failures=120
            ),
            readiness=Probe(
                path="/minio/health/cluster", port=config.PORT, scheme="HTTPS", period_seconds=5, failures=2
            ),
            liveness=Probe(
                path="/minio/health/live", port=config.PORT, scheme="HTTPS", period_seconds=15, failures=4
            ),
        )
        return server.declare(
            self,
            Server(
                name=settings.SERVER,
                namespace=NAMESPACE,
                pod=Pod(
                    containers=(minio,),
                    secrets=(
                        SecretFiles(
                            "settings",
                            settings.SETTINGS,
                            {"config.env": settings.settings(own, self._root())},
                        ),
                        SecretFiles(
                            "certificates",
                            settings.CERTIFICATES,
                            {
                                "public.crt": pair.certificate,
                                "private.key": pair.private_key,
                                "ca.crt": self._context.authority.bundle,
                            },
                        ),
                    ),
                ),
                replicas=own.servers,
                disk=Disk(own.disk, settings.DATA, self._context.cluster.storage_class),
                service=NAME,
                service_ports={"https": config.PORT},
                names_before_ready=True,
                together=True,
                update_at_once=True,
                spread=("kubernetes.io/hostname", "topology.kubernetes.io/zone") if own.servers > 1 else (),
                scrape=Scrape(
                    settings.METRICS_PATH,
                    "https",
                    port="https",
                    token=(METRICS_SECRET, "token"),
                    ca=(METRICS_SECRET, "ca.crt"),
                    server_name=settings.SERVER_NAMES[0],
                ),
            ),
            self._context.after(home, token),
        )

    def _access(self, wanted: desired.Desired) -> Run:
        return Run(
            name="access",
            namespace=NAMESPACE,
            program=Program("modules.data.object_store.inside.access"),
            image=self._context.image,
            secrets=(
                SecretFiles("desired", str(desired.MOUNT), {desired.FILE: wanted.as_json()}),
                self._admin(),
            ),
            service_account=store.ACCESS_ACCOUNT,
        )

    def _copy(self, to: config.Copy, wanted: desired.Desired) -> Run:
        """The copy of all buckets. Of its desired state it is given what says which are the platform's, and no key but its own."""
        place = {"endpoint": to.endpoint, "region": to.region, "bucket": to.bucket}
        own = replace(wanted, tenants=(), writers=(), folders=(), metrics=None, copier=None)
        return Run(
            name="copy",
            namespace=NAMESPACE,
            program=Program("modules.data.object_store.inside.backup"),
            image=self._context.image,
            secrets=(
                SecretFiles("desired", str(desired.MOUNT), {desired.FILE: own.as_json()}),
                SecretFiles("place", str(desired.COPY_PLACE), {desired.PLACE_FILE: json.dumps(place)}),
                SecretFiles("key", str(desired.COPY_KEY), existing=to.secret),
                self._copier(wanted),
            ),
            cpu="100m",
            memory="256Mi",
        )

    def _copier(self, wanted: desired.Desired) -> SecretFiles:
        if wanted.copier is None:
            return self._admin()
        return SecretFiles(
            "source",
            str(desired.ADMIN),
            {
                "access_key": wanted.copier.user,
                "secret_key": wanted.copier.secret_key,
                "ca.crt": self._context.authority.bundle,
            },
        )

    def _admin(self) -> SecretFiles:
        """The account that may do everything: the servers' own root, or the one that was given."""
        if self._config.given:
            return SecretFiles("admin", str(desired.ADMIN), existing=self._config.given.admin_secret)
        return SecretFiles(
            "admin",
            str(desired.ADMIN),
            {
                "access_key": settings.ROOT_USER,
                "secret_key": self._root(),
                "ca.crt": self._context.authority.bundle,
            },
        )

    def _root(self) -> str:
        return self._context.credentials.password(f"{NAME}/root")
