"""Settings of the cache that follow from the profile: how much it keeps, and which store it asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from modules.data.dataset_cache.config import DatasetCache
from modules.data.object_store.config import HTTPS, ObjectStore
from modules.kit import quantities

SETTINGS: Final = "/etc/dataset-cache"
CERTIFICATE: Final = "/etc/dataset-cache-tls"
DISK: Final = "/cache"

FILES: Final = Path(__file__).parent / "files"
_TRUSTED: Final = "ca.crt"
_PUBLIC: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Authorities that Debian trusts."""

_CLUSTER_DOMAIN: Final = "cluster.local"
"""nginx asks for whole names only. `cluster.local` is what every installer gives a cluster unless told otherwise."""

_FILLED: Final = 0.85
"""Part of the volume that copies may take: nginx takes the oldest away after it has written, and a file system is slow when it is full."""

_MIN_FREE: Final = 0.05
_KEYS_MIB: Final = 64
"""Memory of the list of copies: 500,000 of 8 MiB each (nginx, `proxy_cache_path`: 8,000 keys a megabyte)."""


@dataclass(frozen=True)
class Store:
    """The store: the address that is called, what the request says that it is (its signature covers that), and the name on its certificate.

    ``trusted`` is the file of the authorities that vouch for it.
    """

    address: str
    host: str
    certificate: str
    trusted: str


def store(config: ObjectStore) -> Store:
    """As the cache calls it."""
    endpoint = urlsplit(config.endpoint)
    name = endpoint.hostname or ""
    port = endpoint.port or HTTPS
    # A client leaves the port out of what it signs where it is the usual one.
    said = name if port == HTTPS else f"{name}:{port}"
    if config.given:
        return Store(f"{name}:{port}", said, name, _PUBLIC)
    return Store(f"{name}.{_CLUSTER_DOMAIN}:{port}", said, name, f"{CERTIFICATE}/{_TRUSTED}")


def settings(config: DatasetCache, store: Store, disk: str = DISK) -> str:
    """nginx's settings that are not the same everywhere."""
    size = quantities.bytes_of(config.size)
    kept, free = int(size * _FILLED) // 2**20, int(size * _MIN_FREE) // 2**20
    known = {
        "store": store.address,
        "store_host": store.host,
        "store_certificate": store.certificate,
    }
    return "\n".join(
        [
            f"proxy_cache_path {disk}/objects levels=1:2 use_temp_path=off keys_zone=objects:{_KEYS_MIB}m "
            f"max_size={kept}m min_free={free}m inactive={config.unread_days}d;",
            f"proxy_ssl_trusted_certificate {store.trusted};",
            *(f'map "" ${name} {{ default {value}; }}' for name, value in known.items()),
            "",
        ]
    )


def files(config: DatasetCache, store: Store) -> dict[str, str]:
    """All that stands in ``SETTINGS``."""
    return {
        "nginx.conf": (FILES / "nginx.conf").read_text(),
        "settings.conf": settings(config, store),
        "start.sh": (FILES / "start.sh").read_text(),
    }
