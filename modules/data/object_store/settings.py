"""How MinIO is run: its program, its settings file, its names. One rendering, whatever the number of servers.

Upstream publishes no more images (its README, "Source-Only Distribution"): the program is built from the pinned source, and the
image is the platform's own, named by the release that upstream's own build would give that commit.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import Final

from modules.data.object_store.config import NAME, NAMESPACE, PORT, ObjectStore
from modules.kit import quantities

PART: Final = "minio"
"""Name of the pin in upstream/."""

SERVER: Final = "minio"
"""Name of the StatefulSet, and of the headless Service that gives each pod a name."""

DATA: Final = "/data"
SETTINGS: Final = "/etc/minio/settings"
CERTIFICATES: Final = "/etc/minio/certs"

ROOT_USER: Final = "longhouse"

METRICS_PATH: Final = "/minio/metrics/v3"

SERVER_NAMES: Final = (
    f"{NAME}.{NAMESPACE}.svc",
    f"{NAME}.{NAMESPACE}.svc.cluster.local",
    f"{NAME}.{NAMESPACE}",
    f"*.{SERVER}.{NAMESPACE}.svc",
)
"""What clients, and the servers among themselves, call it."""

_PSEUDO_VERSION: Final = re.compile(r"v0\.0\.0-(\d{14})-([0-9a-f]{12})")
_VALUE: Final = re.compile(r"[-A-Za-z0-9:._/]*")

_TOKEN_EXPIRES: Final = datetime(2045, 1, 1, tzinfo=UTC)
"""With the certificates' first epoch (certificates/authority.py, YEARS): nothing depends on the clock. A leaked token reads
metrics only, until the next epoch."""


def release(go_version: str) -> str:
    """The release's name of a Go pseudo-version, as buildscripts/gen-ldflags.go makes it of a commit's time."""
    return _committed(go_version).strftime("RELEASE.%Y-%m-%dT%H-%M-%SZ")


def version(go_version: str) -> str:
    """The version that the server tells, made in the same way."""
    return _committed(go_version).strftime("%Y-%m-%dT%H:%M:%SZ")


def _committed(go_version: str) -> datetime:
    match = _PSEUDO_VERSION.fullmatch(go_version)
    if match is None:
        raise ValueError(
            f"MinIO {go_version} is no pseudo-version of a commit: upstream tags none that Go takes"
        )
    return datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def image(go_version: str, registry: str | None = None) -> str:
    """Reference of the image; ``registry`` is where its owner pushed it, with the path."""
    return f"{registry or 'longhouse'}/minio:{release(go_version)}"


def command(config: ObjectStore) -> tuple[str, ...]:
    """The server's command line. With several servers every one of them is told the same names of all."""
    last = config.servers - 1
    drives = (
        DATA
        if config.servers == 1
        else f"https://{SERVER}-{{0...{last}}}.{SERVER}.{NAMESPACE}.svc:{PORT}{DATA}"
    )
    return ("minio", "server", "--certs-dir", CERTIFICATES, "--address", f":{PORT}", drives)


def go_memory_limit(config: ObjectStore) -> str:
    """What Go's collector keeps the heap below: nine tenths of the pod's memory, so that it works harder before the kernel
    kills the server (https://go.dev/doc/gc-guide#Memory_limit: leave 5 to 10 % for what the runtime does not know of)."""
    return str(quantities.bytes_of(config.memory) * 9 // 10)


def settings(config: ObjectStore, root_password: str) -> str:
    """The settings file, which MinIO takes for its environment (MINIO_CONFIG_ENV_FILE): so that the root password is in a file of
    a Secret and not in the pod's environment.

    No browser console: a second way in, with a log-in page. Parity is set where it is wanted otherwise than the server would.
    """
    values = {
        "MINIO_ROOT_USER": ROOT_USER,
        "MINIO_ROOT_PASSWORD": root_password,
        "MINIO_SITE_REGION": config.region,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    if config.parity is not None:
        values["MINIO_STORAGE_CLASS_STANDARD"] = f"EC:{config.parity}"
    for name, value in values.items():
        if _VALUE.fullmatch(value) is None:
            raise ValueError(f"{name} holds a character that MinIO's settings file would need quoted")
    return "".join(f"{name}={value}\n" for name, value in values.items())


def metrics_token(user: str, secret_key: str) -> str:
    """The bearer token that MinIO takes from whoever reads metrics (RFC 7519, HS512), of a user who may do only that.

    Upstream's own tool makes it of the root account's key; the servers use that key among themselves, so such a token would
    open more than metrics.
    """
    claims = {"exp": int(_TOKEN_EXPIRES.timestamp()), "iss": "prometheus", "sub": user}
    signed = b".".join(
        _base64(json.dumps(part).encode()) for part in ({"alg": "HS512", "typ": "JWT"}, claims)
    )
    return b".".join([signed, _base64(hmac.digest(secret_key.encode(), signed, hashlib.sha512))]).decode()


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
