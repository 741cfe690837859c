"""Who uses the object store, by name and key, from the profile and the stack's credentials: pure, so that every store knows its
place for backups before anything is deployed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from modules.data.object_store.config import BACKUPS, NAME, NAMESPACE, ObjectStore
from modules.data.object_store.inside.desired import Backups, Desired, Folder, Tenant, Writer
from modules.data.store import Bucket
from modules.foundation.certificates.authority import Authority
from modules.foundation.tenants import config as tenant_config
from modules.kit import names, quantities
from modules.kit.credentials import Credentials

GIVEN_BUCKET: Final = "backups-bucket"
"""Secret in each store's namespace with its place for backups, made by whoever answers for a given S3: its keys are not the
platform's to choose, and no deployment can know them."""


def desired(
    store: ObjectStore,
    credentials: Credentials,
    tenants: Sequence[tenant_config.Tenant],
    writers: Iterable[str],
    delete: Iterable[str],
    folders: Iterable[str] = (),
) -> Desired:
    """All buckets, users and what they may do."""
    return Desired(
        endpoint=store.endpoint,
        region=store.region,
        accounts=store.given.accounts.value if store.given else "minio",
        prefix=store.bucket_prefix,
        backups=Backups(
            store.bucket(BACKUPS),
            store.backups.keep_days,
            quantities.bytes_of(store.backups.quota) if store.backups.quota else 0,
        ),
        tenants=tuple(_tenant(store, credentials, each) for each in tenants if each.data.object_store),
        writers=tuple(_writer(store, credentials, each) for each in writers),
        folders=tuple(folder(store, credentials, each) for each in folders),
        metrics=None if store.given else metrics(store, credentials),
        copier=copier(store, credentials) if store.copy_to and not store.given else None,
        delete=tuple(sorted(delete)),
    )


def folder(store: ObjectStore, credentials: Credentials, name: str) -> Folder:
    """The user of a service that keeps something in a folder of each tenant's bucket."""
    return Folder(name, store.bucket(f"folder-{name}"), _key(store, credentials, f"folders/{name}"))


def metrics(store: ObjectStore, credentials: Credentials) -> Writer:
    """The user that reads metrics."""
    return Writer("", store.bucket("metrics"), _key(store, credentials, "metrics"))


def copier(store: ObjectStore, credentials: Credentials) -> Writer:
    """The user that copies all buckets elsewhere."""
    return Writer("", store.bucket("copy"), _key(store, credentials, "copy"))


def backup_bucket(store: ObjectStore, credentials: Credentials, authority: Authority, writer: str) -> Bucket:
    """Where one store's backups go: its own prefix of the bucket of backups, and a key that opens nothing else."""
    user = _writer(store, credentials, writer)
    return Bucket(
        endpoint=store.endpoint,
        region=store.region,
        name=store.bucket(BACKUPS),
        prefix=f"{writer}/",
        access_key=user.user,
        secret_key=user.secret_key,
        ca=None if store.given else authority.bundle,
        namespace=None if store.given else NAMESPACE,
        port=store.port,
        cidrs=store.given.cidrs if store.given else (),
        existing=GIVEN_BUCKET if store.given else None,
    )


def _tenant(store: ObjectStore, credentials: Credentials, tenant: tenant_config.Tenant) -> Tenant:
    share = tenant.data.object_store
    assert share is not None, "asked for tenants that have the store only"
    return Tenant(
        name=tenant.name,
        namespace=names.namespace(tenant.name),
        bucket=store.bucket(tenant.name),
        user=store.bucket(f"tenant-{tenant.name}"),
        quota=quantities.bytes_of(share.quota),
        keep_versions_days=share.keep_versions_days,
        secret_key=_key(store, credentials, f"tenants/{tenant.name}"),
    )


def _writer(store: ObjectStore, credentials: Credentials, writer: str) -> Writer:
    return Writer(writer, store.bucket(f"backup-{writer}"), _key(store, credentials, f"backups/{writer}"))


def _key(store: ObjectStore, credentials: Credentials, purpose: str) -> str:
    """Derived where the platform may choose keys; a cloud draws its own."""
    return "" if store.given else credentials.password(f"{NAME}/{purpose}")
