"""Keys that somebody else draws, put into the tenants' bindings: the one part of them that a deployment cannot know."""

from __future__ import annotations

import base64
import configparser
import io
from typing import Final

from modules.kit.inside.api_server import ApiServer

BINDING: Final = "object-store"


def keys(access_key: str, secret_key: str) -> dict[str, str]:
    """What in a binding is the key, each way that clients ask for it."""
    parser = configparser.ConfigParser(interpolation=None)
    parser["default"] = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    file = io.StringIO()
    parser.write(file)
    return {
        "access_key": access_key,
        "secret_key": secret_key,
        "username": access_key,
        "password": secret_key,
        "credentials": file.getvalue(),
    }


class Bindings:
    """The bindings of tenants, by their namespaces. The account may read and change those, and no other Secret."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def key(self, namespace: str) -> tuple[str, str] | None:
        """The key that the binding holds; None when it has none yet."""
        data = self._server.call("GET", _path(namespace))["data"]
        if "access_key" not in data or "secret_key" not in data:
            return None
        access_key, secret_key = (
            base64.b64decode(data[name]).decode() for name in ("access_key", "secret_key")
        )
        return access_key, secret_key

    def put(self, namespace: str, access_key: str, secret_key: str) -> None:
        """Put a key into the binding; the rest of it, which the deployment declared, stays."""
        data = {
            name: base64.b64encode(value.encode()).decode()
            for name, value in keys(access_key, secret_key).items()
        }
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": BINDING}, "data": data}
        self._server.apply(_path(namespace), body)


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/{BINDING}"
