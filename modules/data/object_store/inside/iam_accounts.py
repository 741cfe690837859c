"""Users and their policies in AWS's IAM, and what stands for a quota there.

AWS bounds no bucket. So a bucket's size is counted at each run, by the hour, and a tenant over its quota may read and delete but not
put until it is below: a bound that holds within an hour, not at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from modules.data.object_store.inside import policies

POLICY: Final = "longhouse"
"""Name of the one policy that each user has in itself."""


class Holder(Protocol):
    """Where a user's key is kept, by namespace."""

    def key(self, namespace: str) -> tuple[str, str] | None:
        """The key that is kept."""

    def put(self, namespace: str, access_key: str, secret_key: str) -> None:
        """Keep another."""


class IamAccounts:
    """What the platform made is below its path; nothing else is touched. ``namespaces`` are those of the users whose keys go into a
    binding; other users are made without a key, which whoever needs one draws."""

    def __init__(
        self,
        iam: Any,
        s3: Any,
        prefix: str,
        namespaces: Mapping[str, str],
        holder: Holder,
        say: Callable[[str], None],
    ) -> None:
        self._iam, self._s3, self._say = iam, s3, say
        self._path = f"/longhouse/{prefix}/"
        self._namespaces, self._holder = namespaces, holder
        self._full: set[str] = set()

    def own(self, prefix: str) -> set[str]:
        """Users that the platform made."""
        pages = self._iam.get_paginator("list_users").paginate(PathPrefix=self._path)
        return {
            each["UserName"]
            for page in pages
            for each in page["Users"]
            if each["UserName"].startswith(prefix)
        }

    def ensure_quota(self, bucket: str, size: int) -> None:
        """Count the bucket, if it has a quota: what is over it may not be put to."""
        if size and self._size(bucket) >= size:
            self._full.add(bucket)

    def ensure(self, user: str, secret_key: str, policy: policies.Policy) -> None:
        """Make the user with exactly that policy, or bring it there; then see that its binding has a key that works."""
        self._ensure_user(user)
        full = {bucket for bucket in self._full if policies.names(policy, bucket)}
        wanted = policies.without_put(policy) if full else policy
        if not policies.same(self._policy(user), wanted):
            self._iam.put_user_policy(UserName=user, PolicyName=POLICY, PolicyDocument=policies.text(wanted))
            over = ": over its quota, it may not put" if full else ""
            self._say(f"user {user}: policy set{over}")
        if user in self._namespaces:
            self._ensure_key(user, self._namespaces[user])

    def remove(self, user: str) -> None:
        """Take the user away with its keys. Sessions that derive from it end, since what they may do is what it may."""
        for key in self._keys(user):
            self._iam.delete_access_key(UserName=user, AccessKeyId=key)
        for name in self._iam.list_user_policies(UserName=user)["PolicyNames"]:
            self._iam.delete_user_policy(UserName=user, PolicyName=name)
        self._iam.delete_user(UserName=user)
        self._say(f"user {user}: removed, with all its keys and sessions")

    def _ensure_user(self, user: str) -> None:
        try:
            found = self._iam.get_user(UserName=user)["User"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchEntity":
                raise
            self._iam.create_user(UserName=user, Path=self._path)
            self._say(f"user {user}: made")
            return
        if found["Path"] != self._path:
            raise PermissionError(
                f"user {user} is there, and not the platform's: choose another bucket_prefix"
            )

    def _ensure_key(self, user: str, namespace: str) -> None:
        there, kept = self._keys(user), self._holder.key(namespace)
        if kept and there == [kept[0]]:
            return
        for (
            key
        ) in there:  # Keys can't be read back: one that no binding holds is of no use to anybody but a thief.
            self._iam.delete_access_key(UserName=user, AccessKeyId=key)
        made = self._iam.create_access_key(UserName=user)["AccessKey"]
        self._holder.put(namespace, made["AccessKeyId"], made["SecretAccessKey"])
        self._say(f"user {user}: key drawn, and put into the binding in {namespace}")

    def _keys(self, user: str) -> list[str]:
        return [
            each["AccessKeyId"] for each in self._iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
        ]

    def _policy(self, user: str) -> Any:
        try:
            return self._iam.get_user_policy(UserName=user, PolicyName=POLICY)["PolicyDocument"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchEntity":
                raise
            return None

    def _size(self, bucket: str) -> int:
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        return sum(each["Size"] for page in pages for each in page.get("Versions", ()))


class GivenAccounts:
    """Users of an S3 without an API for them: they are there, and their keys come in a Secret. Only the bindings are seen to; what
    each user may do, and how much its bucket may hold, is for whoever runs the S3."""

    def __init__(
        self,
        keys: Mapping[str, tuple[str, str]],
        namespaces: Mapping[str, str],
        holder: Holder,
        say: Callable[[str], None],
    ) -> None:
        """``keys`` are those of each user."""
        self._given, self._namespaces, self._holder, self._say = keys, namespaces, holder, say

    def own(self, prefix: str) -> set[str]:
        """None: the platform makes no user here, so it takes none away."""
        return set()

    def ensure_quota(self, bucket: str, size: int) -> None:
        """Nothing can be set here."""

    def ensure(self, user: str, secret_key: str, policy: policies.Policy) -> None:
        """Put the given key into the binding. Raises KeyError when none was given."""
        if user not in self._namespaces:
            return
        if user not in self._given:
            raise KeyError(
                f"no key was given of {user}: add it to the Secret that the profile names as admin_secret"
            )
        if self._holder.key(self._namespaces[user]) != self._given[user]:
            self._holder.put(self._namespaces[user], *self._given[user])
            self._say(f"user {user}: the given key put into the binding in {self._namespaces[user]}")

    def remove(self, user: str) -> None:
        """Never asked for: the platform makes no user here."""
        raise LookupError(f"user {user} is not the platform's to remove")
