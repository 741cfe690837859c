"""Keys that somebody else draws, put into the tenants' bindings: the one part of them that a deployment cannot know."""

from __future__ import annotations

import base64
import configparser
import io
import json
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modules.kit.inside.retained import ACCOUNT, MANAGER

BINDING: Final = "object-store"
_API_SERVER: Final = "https://kubernetes.default.svc"


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

    def __init__(self, account: Path = ACCOUNT, api_server: str = _API_SERVER) -> None:
        self._account, self._api_server = account, api_server

    def key(self, namespace: str) -> tuple[str, str] | None:
        """The key that the binding holds; None when it has none yet."""
        data = self._ask("GET", namespace, "")["data"]
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
        self._ask("PATCH", namespace, f"?fieldManager={MANAGER}&force=true", body)

    def _ask(self, method: str, namespace: str, query: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self._api_server}/api/v1/namespaces/{namespace}/secrets/{BINDING}{query}",
            method=method,
            data=json.dumps(body).encode() if body else None,  # JSON is YAML
            headers={
                "Authorization": f"Bearer {(self._account / 'token').read_text()}",
                "Content-Type": "application/apply-patch+yaml",
            },
        )
        trust = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
            return json.load(answer)
