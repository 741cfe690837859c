"""Declares MLflow's server, who may use it, and how tenants get in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from modules.data import store
from modules.data.mysql.config import MySql
from modules.data.object_store import accounts as buckets
from modules.data.object_store import bindings
from modules.data.object_store.config import NAME as BUCKETS
from modules.data.object_store.config import ObjectStore
from modules.data.store import BINDING_PATH, StoreContext, StoreNamespace
from modules.kit import network_policies, server, task
from modules.kit.component import Component
from modules.kit.pods import TMP, Container, Pod, Probe, SecretFiles
from modules.kit.server import Server
from modules.kit.task import Program, Run
from modules.ml.tracking import accounts, config, image, settings
from modules.ml.tracking.config import FOLDER, NAME, NAMESPACE, PORT
from modules.ml.tracking.inside import gate
from modules.ml.tracking.inside.desired import FILE, MOUNT

PROGRAM: Final = Program("modules.ml.tracking.inside.server")
USER: Final = 65532
MYSQL: Final = "mysql"
"""Name of MySQL's binding."""


def home(
    context: StoreContext, tenants: Sequence[str], opts: pulumi.ResourceOptions | None = None
) -> StoreNamespace:
    """The namespace, which has to be there before MySQL puts a binding into it."""
    return StoreNamespace(
        NAMESPACE, context=context, client_ports=(PORT,), tenants=sorted(tenants), opts=opts
    )


def pod(
    config: config.Tracking, registry: str | None, mysql: SecretFiles, objects: SecretFiles, tls: SecretFiles, store: ObjectStore
) -> Pod:  # fmt: skip
    """A server. ``mysql`` and ``objects`` are the bindings of its schema and of the tenants' buckets."""
    reference, environment = image.image(registry), settings.environment(store)
    health = Probe(
        path=gate.HEALTH, port=PORT, scheme="HTTPS", period_seconds=10, timeout_seconds=10, failures=6
    )
    return Pod(
        prepare=(
            Container(
                "upgrade",
                reference,
                ("python3", "-m", "modules.ml.tracking.inside.upgrade"),
                cpu=config.cpu,
                memory=config.memory,
                environment=environment,
            ),
        ),
        containers=(
            Container(
                settings.SERVER,
                reference,
                settings.command(config),
                cpu=config.cpu,
                memory=config.memory,
                ports={"https": PORT},
                environment=environment,
                startup=Probe(path=gate.HEALTH, port=PORT, scheme="HTTPS", period_seconds=2, failures=150),
                readiness=health,
                liveness=health,
            ),
        ),
        files=PROGRAM.data,
        files_path=task.MOUNT,
        paths=PROGRAM.paths,
        secrets=(mysql, objects, tls),
        scratch={TMP: config.scratch},
        user=USER,
        grace_seconds=settings.GRACE_SECONDS,
    )


class Tracking(Component):
    """MLflow for tenants. In the stack of a group of tenants it declares their bindings and nothing else."""

    AREA = "ml"
    COMPONENT = "tracking"

    def __init__(
        self,
        name: str,
        config: config.Tracking,
        *,
        context: StoreContext,
        store: ObjectStore,
        mysql: MySql,
        tenants: Sequence[str],
        home: StoreNamespace | None,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``tenants`` are all of the environment that have a bucket. ``home`` is the namespace, None in the stack of a group; ``after`` are the
        stores, which let the server in."""
        super().__init__(name, owner=context.owner, opts=opts)
        self._config, self._context, self._store = config, context, store
        self._tenants = tuple(tenants)
        if home is not None:
            self._declare_shared(home, mysql, after)
        self._declare_bindings()
        self.register_outputs({"uri": accounts.URI})

    def _declare_shared(self, home: StoreNamespace, mysql: MySql, after: Sequence[pulumi.Resource]) -> None:
        """The servers, their ways out, and who may use them: the schema and the workspaces first."""
        for reach in (mysql.reach, self._store.reach):
            NetworkPolicy(
                f"{NAMESPACE}-allow-{reach.name}",
                metadata=self.meta(f"allow-{reach.name}", namespace=NAMESPACE),
                spec=network_policies.allow_reach(reach, self._context.cluster),
                opts=self.child(pulumi.ResourceOptions(depends_on=[home])),
            )
        ready = task.task(self, self._access(), [home, *after])
        declared = Server(
            name=settings.SERVER,
            namespace=NAMESPACE,
            pod=pod(
                self._config,
                self._context.cluster.images,
                self._mysql,
                self._objects,
                self._tls,
                self._store,
            ),
            replicas=self._config.replicas,
            service=NAME,
            service_ports={"https": PORT},
            together=True,
            spread=("kubernetes.io/hostname",) if self._config.replicas > 1 else (),
        )
        server.declare(self, declared, [home, ready])

    @property
    def _mysql(self) -> SecretFiles:
        """What MySQL puts into the namespace. Its password changes with the epoch, and with that the certificate below, so that a pod does too."""
        return SecretFiles(MYSQL, f"{BINDING_PATH}/{MYSQL}", existing=MYSQL)

    @property
    def _objects(self) -> SecretFiles:
        """The way into the tenants' buckets. Of an S3 that is given the platform knows no key: whoever answers for it makes the Secret."""
        path = f"{BINDING_PATH}/{BUCKETS}"
        if self._store.given:
            return SecretFiles(BUCKETS, path, existing=BUCKETS)
        user = buckets.folder(self._store, self._context.credentials, FOLDER)
        return SecretFiles(
            BUCKETS, path, bindings.folder_files(self._store, user, self._context.authority.bundle)
        )

    @property
    def _tls(self) -> SecretFiles:
        pair = self._context.authority.server(f"{NAME}/server", settings.NAMES)
        return SecretFiles("tls", settings.TLS, {"tls.crt": pair.certificate, "tls.key": pair.private_key})

    def _access(self) -> Run:
        wanted = accounts.desired(self._context.credentials, self._tenants, self._context.delete_data)
        return Run(
            "access",
            NAMESPACE,
            Program("modules.ml.tracking.inside.access"),
            image.image(self._context.cluster.images),
            secrets=(SecretFiles("desired", str(MOUNT), {FILE: wanted.as_json()}), self._mysql),
            environment=settings.environment(self._store),
            memory=config.WORKER_MEMORY,
            service_account=store.ACCESS_ACCOUNT,
        )

    def _declare_bindings(self) -> None:
        for tenant in self._context.here(self._tenants):
            password = accounts.tenant_password(self._context.credentials, tenant)
            facts = accounts.binding(tenant, password, self._context.authority.bundle)
            store.binding(self, tenant, NAME, facts, self._context)
