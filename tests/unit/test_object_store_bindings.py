"""Keys that somebody else draws, and the tenants' bindings that hold them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from modules.data.object_store.inside.bindings import Bindings
from modules.kit.inside.api_server import ApiServer

PATH = "/api/v1/namespaces/tenant-atlas/secrets/object-store"


class OneSecret(ApiServer):
    """An API server that has one Secret, and keeps what is applied to it."""

    def __init__(self, data: Mapping[str, str]) -> None:
        self.data = dict(data)

    def call(self, method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", PATH)
        return {"data": self.data}

    def apply(self, path: str, body: Mapping[str, Any]) -> None:
        assert path == PATH
        self.data |= body["data"]


def test_a_binding_without_a_key_has_none() -> None:
    assert Bindings(OneSecret({"bucket": "YQ=="})).key("tenant-atlas") is None


def test_a_key_that_is_put_in_is_found_again_and_the_rest_stays() -> None:
    server = OneSecret({"bucket": "YQ=="})
    Bindings(server).put("tenant-atlas", "AKIDATLAS", "not-a-secret")
    assert Bindings(server).key("tenant-atlas") == ("AKIDATLAS", "not-a-secret")
    assert server.data["bucket"] == "YQ=="
    assert "aws_access_key_id = AKIDATLAS" in base64.b64decode(server.data["credentials"]).decode()
