"""Brings the object store to what the deployment wants: buckets, users, policies, quotas, and what happens to what is gone.

Reads what is there and changes the difference, a line for each change. A user that is no longer wanted goes first, with every key
and session that derives from it; its bucket stays, and is listed, until the tenant is named as departed. What the platform did
not make (another prefix, no tag) is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import boto3

from modules.data.object_store.inside import buckets, desired, policies
from modules.data.object_store.inside.bindings import Bindings
from modules.data.object_store.inside.buckets import Buckets
from modules.data.object_store.inside.desired import Desired
from modules.data.object_store.inside.iam_accounts import GivenAccounts, IamAccounts
from modules.data.object_store.inside.minio_accounts import MinioAccounts
from modules.kit.inside import retained
from modules.kit.inside.api_server import ApiServer


class Accounts(Protocol):
    """Whoever makes users."""

    def own(self, prefix: str) -> set[str]:
        """Users that the platform made."""

    def ensure(self, user: str, secret_key: str, policy: policies.Policy) -> None:
        """Make the user with exactly that policy, or bring it there."""

    def remove(self, user: str) -> None:
        """Take the user away with all that derives from it."""

    def ensure_quota(self, bucket: str, size: int) -> None:
        """The most that the bucket may hold; 0 for no bound."""


@dataclass
class Said:
    """Counts what is said, so that nothing to do is said too."""

    lines: int = 0

    def __call__(self, line: str) -> None:
        self.lines += 1
        print(line)


def reconcile(wanted: Desired, store: Buckets, accounts: Accounts) -> dict[str, str]:
    """Change what differs. Gives what is retained: bucket to a sentence on it."""
    users = wanted_users(wanted)
    for user in sorted(accounts.own(wanted.prefix) - users.keys()):
        accounts.remove(user)

    backups = wanted.backups
    store.ensure(backups.bucket, buckets.PLATFORM, buckets.backups_expire(backups.keep_days))
    accounts.ensure_quota(backups.bucket, backups.quota)
    for tenant in wanted.tenants:
        store.ensure(tenant.bucket, tenant.name, buckets.versions_expire(tenant.keep_versions_days))
        accounts.ensure_quota(tenant.bucket, tenant.quota)
    for user, (secret_key, policy) in users.items():
        accounts.ensure(user, secret_key, policy)

    kept = {}
    here = {tenant.name for tenant in wanted.tenants}
    for name, tenant_name in sorted(store.own(wanted.prefix).items()):
        if tenant_name in here or tenant_name == buckets.PLATFORM:
            continue
        if tenant_name in wanted.delete:
            store.destroy(name)
        else:
            kept[name] = f"bucket of tenant {tenant_name}, which is gone"
    return kept


def wanted_users(wanted: Desired) -> dict[str, tuple[str, policies.Policy]]:
    """Every user that there shall be: its key and its policy."""
    users = {each.user: (each.secret_key, policies.tenant(each.bucket)) for each in wanted.tenants}
    for each in wanted.writers:
        users[each.user] = (each.secret_key, policies.writer(wanted.backups.bucket, each.store))
    for folder in wanted.folders:
        users[folder.user] = (folder.secret_key, policies.folder(wanted.prefix, folder.folder))
    if wanted.metrics:
        users[wanted.metrics.user] = (wanted.metrics.secret_key, policies.metrics())
    if wanted.copier:
        users[wanted.copier.user] = (wanted.copier.secret_key, policies.copier(wanted.prefix))
    return users


def main(
    mount: Path = desired.MOUNT,
    admin: Path = desired.ADMIN,
    report: Callable[[dict[str, str]], None] = retained.report,
) -> None:
    """Run once."""
    wanted = Desired.of((mount / desired.FILE).read_text())
    said = Said()
    s3 = buckets.client(wanted, admin)
    store = Buckets(s3, wanted.region, cloud=wanted.accounts == "iam", say=said)
    kept = reconcile(wanted, store, _accounts(wanted, admin, s3, said))
    report(kept)
    for name, why in kept.items():
        print(f"retained: {name}: {why}")
    if not said.lines:
        print("no change")


def _accounts(wanted: Desired, admin: Path, s3: Any, say: Callable[[str], None]) -> Accounts:
    """Whoever makes users here."""
    access_key, secret_key = ((admin / name).read_text().strip() for name in ("access_key", "secret_key"))
    namespaces = {each.user: each.namespace for each in wanted.tenants}
    if wanted.accounts == "iam":
        iam = boto3.client(
            "iam", region_name=wanted.region, aws_access_key_id=access_key, aws_secret_access_key=secret_key
        )
        return IamAccounts(iam, s3, wanted.prefix, namespaces, Bindings(ApiServer()), say)
    if wanted.accounts == "given":
        parts = {
            each.user: [admin / f"{each.name}.{part}" for part in ("access_key", "secret_key")]
            for each in wanted.tenants
        }
        given = {
            user: (files[0].read_text().strip(), files[1].read_text().strip())
            for user, files in parts.items()
            if all(file.exists() for file in files)
        }
        return GivenAccounts(given, namespaces, Bindings(ApiServer()), say)
    ca = admin / "ca.crt"
    return MinioAccounts(
        wanted.endpoint, wanted.region, (access_key, secret_key), ca if ca.exists() else None, say
    )


if __name__ == "__main__":
    main()
