"""Users, their policies and quotas of MinIO, through its own admin API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

from modules.data.object_store.inside import policies

_ATTEMPTS: Final = 8


class MinioAccounts:
    """What the platform made here has its prefix; nothing else is touched. A user's policy has the user's name."""

    def __init__(
        self, endpoint: str, region: str, admin: tuple[str, str], ca: Path | None, say: Callable[[str], None]
    ) -> None:
        self._say = say
        http = urllib3.PoolManager(
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(ca) if ca else None,
            timeout=urllib3.Timeout(connect=5, read=60),
            retries=urllib3.Retry(
                total=_ATTEMPTS, backoff_factor=0.5, status_forcelist=[503], allowed_methods=None
            ),
        )

        def client(access_key: str, secret_key: str) -> Any:
            return MinioAdmin(
                endpoint=urlsplit(endpoint).netloc,
                credentials=StaticProvider(access_key, secret_key),
                region=region,
                secure=True,
                http_client=http,
            )

        self._client, self._admin = client, client(*admin)

    def own(self, prefix: str) -> set[str]:
        """Users that the platform made."""
        return {user for user in json.loads(self._admin.user_list() or "{}") if user.startswith(prefix)}

    def ensure(self, user: str, secret_key: str, policy: policies.Policy) -> None:
        """Make the user with its key and exactly that policy, or bring it there."""
        self._ensure_policy(user, policy)
        if not self._may_log_in(user, secret_key):
            self._admin.user_add(user, secret_key)
            self._say(f"user {user}: key set")
        attached = self._user(user).get("policyName", "")
        if attached != user:
            others = [name for name in attached.split(",") if name and name != user]
            if others:
                self._admin.detach_policy(others, user=user)
            if user not in attached.split(","):
                self._admin.attach_policy([user], user=user)
            self._say(f"user {user}: policy attached")

    def remove(self, user: str) -> None:
        """Take the user away, and with it every key and session that derives from it; then its policy."""
        self._admin.user_remove(user)
        if user in json.loads(self._admin.policy_list()):
            self._admin.policy_remove(user)
        self._say(f"user {user}: removed, with all its keys and sessions")

    def ensure_quota(self, bucket: str, size: int) -> None:
        """The most that the bucket may hold; 0 for no bound."""
        if json.loads(self._admin.bucket_quota_get(bucket)).get("quota", 0) != size:
            if size:
                self._admin.bucket_quota_set(bucket, size)
            else:
                self._admin.bucket_quota_clear(bucket)
            self._say(f"bucket {bucket}: quota of {size:,} bytes")

    def _ensure_policy(self, name: str, policy: policies.Policy) -> None:
        found = json.loads(self._admin.policy_list()).get(name)
        if found is None or not policies.same(found, policy):
            self._admin.policy_add(name, policy=policy)
            self._say(f"policy {name}: set")

    def _user(self, user: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._admin.user_info(user))
        return found

    def _may_log_in(self, user: str, secret_key: str) -> bool:
        """Whether the user is there with that key: keys can't be read back, so it is tried."""
        try:
            self._client(user, secret_key).account_info()
        except MinioAdminException as error:
            if any(code in str(error) for code in ("InvalidAccessKeyId", "SignatureDoesNotMatch")):
                return False
            if "AccessDenied" in str(error):
                return True
            raise
        return True
