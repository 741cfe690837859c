"""Who may do what, in the policy language that AWS and MinIO share. What is not named is not granted."""

from __future__ import annotations

import json
from typing import Any, Final

Policy = dict[str, Any]

_VERSION: Final = "2012-10-17"
_S3: Final = "arn:aws:s3:::"

_LOOK: Final = (
    "s3:GetBucketLocation",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
)
_OBJECTS: Final = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionTagging",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectTagging",
)
_WRITE: Final = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject")


def tenant(bucket: str) -> Policy:
    """All of a tenant's own objects, old versions too, so that a full bucket can be emptied. Nothing about the bucket itself:
    its policy (which could make it public), versioning, lifecycle and quota are the platform's. No other bucket's name."""
    return _policy(_allow(_LOOK, bucket), _allow(_OBJECTS, f"{bucket}/*"))


def writer(bucket: str, store: str) -> Policy:
    """Put, get and list below the store's own prefix. No delete, and no version but the newest: who writes backups cannot
    destroy them, since what is overwritten stays as an older version until it expires."""
    within = {"StringLike": {"s3:prefix": [f"{store}/*"]}}
    return _policy(
        _allow(("s3:GetBucketLocation",), bucket),
        {**_allow(("s3:ListBucket",), bucket), "Condition": within},
        _allow(_WRITE, f"{bucket}/{store}/*"),
    )


def folder(prefix: str, name: str) -> Policy:
    """All objects below a folder of every tenant's bucket, and their list; no older versions, so that what was overwritten or deleted can be
    brought back. Where a version is named AWS asks for other actions; MinIO asks for the same ones, with the condition that tells it, and where
    many are deleted at once it looks only for what is denied."""
    within = {"StringLike": {"s3:prefix": [f"{name}/*"]}}
    newest = {"ForAllValues:StringEquals": {"s3:versionid": [""]}}
    objects = f"{prefix}*/{name}/*"
    return _policy(
        {**_allow(("s3:ListBucket",), f"{prefix}*"), "Condition": within},
        _allow(("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"), objects),
        {**_allow(("s3:DeleteObject", "s3:GetObject"), objects), "Condition": newest},
        {**_allow(("s3:DeleteObjectVersion",), objects), "Effect": "Deny"},
    )


def copier(prefix: str) -> Policy:
    """Read every bucket of the platform, for the copy of them, and put objects back. No delete: what is put back over something
    stays undoable, since the buckets keep versions."""
    return _policy(
        _allow(("s3:GetBucketLocation", "s3:GetBucketTagging", "s3:ListBucket"), f"{prefix}*"),
        _allow(_WRITE, f"{prefix}*/*"),
    )


def metrics() -> Policy:
    """Read MinIO's metrics and nothing else."""
    return {"Version": _VERSION, "Statement": [{"Effect": "Allow", "Action": ["admin:Prometheus"]}]}


def without_put(policy: Policy) -> Policy:
    """The policy of a tenant that is over its quota."""
    return {
        **policy,
        "Statement": [
            {**each, "Action": [action for action in each["Action"] if action != "s3:PutObject"]}
            for each in policy["Statement"]
        ],
    }


def names(policy: Policy, bucket: str) -> bool:
    """Whether the policy is on the bucket."""
    return any(_S3 + bucket in each.get("Resource", ()) for each in policy["Statement"])


def text(policy: Policy) -> str:
    """The policy as a server takes it."""
    return json.dumps(policy)


def same(one: Any, other: Any) -> bool:
    """Whether two policies say the same: a server gives lists back in another order."""
    return bool(_ordered(one) == _ordered(other))


def _policy(*statements: dict[str, Any]) -> Policy:
    return {"Version": _VERSION, "Statement": list(statements)}


def _allow(actions: tuple[str, ...], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": [_S3 + resource]}


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _ordered(each)) for key, each in value.items())
    if isinstance(value, list):
        return sorted((_ordered(each) for each in value), key=repr)
    return value
