"""The list of what stores keep of tenants that are gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from modules.kit.inside import retained
from modules.kit.inside.api_server import ApiServer
from stacks.retained import kept


def config_map(store: str, data: dict[str, str] | None) -> dict[str, Any]:
    return {"metadata": {"labels": {"longhouse.dev/retained": store}}, "data": data}


def test_it_names_store_thing_and_whose_it_was_in_order() -> None:
    listed = [
        config_map("mysql", {"zephyr": "schema of tenant zephyr"}),
        config_map("kafka", {"b": "2", "a": "1"}),
    ]
    assert kept(json.dumps({"items": listed})) == [
        ("kafka", "a", "1"),
        ("kafka", "b", "2"),
        ("mysql", "zephyr", "schema of tenant zephyr"),
    ]


def test_a_store_that_keeps_nothing_adds_nothing() -> None:
    assert kept(json.dumps({"items": [config_map("kafka", None), config_map("hdfs", {})]})) == []


class _ApiServer(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, dict[str, Any]]]
    status = 200

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def api_server() -> Iterator[tuple[str, type[_ApiServer]]]:
    handler = type("Handler", (_ApiServer,), {"seen": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


def account(folder: Path) -> Path:
    (folder / "namespace").write_text("kafka")
    (folder / "token").write_text("a-token")
    return folder


def test_a_report_replaces_the_list_of_its_own_namespace(
    api_server: tuple[str, type[_ApiServer]], tmp_path: Path
) -> None:
    url, handler = api_server
    with mock.patch("ssl.create_default_context", return_value=None):
        retained.report({"zephyr.events": "topic of tenant zephyr"}, ApiServer(account(tmp_path), url))
    ((path, kind, body),) = handler.seen
    assert path.startswith("/api/v1/namespaces/kafka/configmaps/retained?")
    assert kind == "application/apply-patch+yaml"
    assert body["data"] == {"zephyr.events": "topic of tenant zephyr"}


def test_a_report_that_is_refused_is_an_error(
    api_server: tuple[str, type[_ApiServer]], tmp_path: Path
) -> None:
    url, handler = api_server
    handler.status = 403
    with mock.patch("ssl.create_default_context", return_value=None), pytest.raises(OSError, match="403"):
        retained.report({}, ApiServer(account(tmp_path), url))
