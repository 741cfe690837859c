"""What a tenant is told of its bucket: the facts, and the same as the two files that every client on AWS's SDKs reads unasked."""

from __future__ import annotations

import configparser
import io
from collections.abc import Mapping
from urllib.parse import urlsplit

from modules.data.object_store.config import NAME, ObjectStore
from modules.data.object_store.inside.bindings import keys
from modules.data.object_store.inside.desired import Folder, Tenant
from modules.data.store import BINDING_PATH


def facts(store: ObjectStore, tenant: Tenant, bundle: str) -> dict[str, str]:
    """The keys of the binding. Where a cloud draws the key, `access.py` adds what depends on it."""
    endpoint = urlsplit(store.endpoint)
    found = {
        "provider": "s3" if store.given else "minio",
        "host": endpoint.hostname or "",
        "port": str(store.port),
        "endpoint": store.endpoint,
        "uri": f"s3://{tenant.bucket}",
        "region": store.region,
        "bucket": tenant.bucket,
        "config": config_file(store),
        **({} if store.given else {"ca.crt": bundle}),
    }
    return {**found, **keys(tenant.user, tenant.secret_key)} if tenant.secret_key else found


def folder_files(store: ObjectStore, folder: Folder, bundle: str) -> dict[str, str]:
    """The two files for a service of the platform, to be mounted where a tenant's binding is. The platform has to know the key."""
    files = {"config": config_file(store), "credentials": keys(folder.user, folder.secret_key)["credentials"]}
    return {**files, **({} if store.given else {"ca.crt": bundle})}


def config_file(store: ObjectStore) -> str:
    """For AWS_CONFIG_FILE. Path-style addresses where the certificate names the server and not each of its buckets
    (https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html)."""
    values = {"region": store.region, "endpoint_url": store.endpoint}
    if not store.given:
        values["ca_bundle"] = f"{BINDING_PATH}/{NAME}/ca.crt"
        values["s3"] = "\naddressing_style = path"
    return _ini(values)


def _ini(values: Mapping[str, str]) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser["default"] = values
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
