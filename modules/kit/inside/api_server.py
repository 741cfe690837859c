"""The API server as a program in a pod calls it: with its service account, in its own namespace."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
URL: Final = "https://kubernetes.default.svc"
MANAGER: Final = "longhouse-access"
"""Field manager of what programs apply."""


class ApiServer:
    """One account's view of it. ``account`` is the folder of its token."""

    def __init__(self, account: Path = ACCOUNT, url: str = URL) -> None:
        self._account, self._url = account, url
        self.namespace = (account / "namespace").read_text()

    def call(self, method: str, path: str) -> dict[str, Any]:
        """The answer to one request. Raises OSError (urllib.error.HTTPError, which has the status) when it is refused."""
        return self._send(urllib.request.Request(f"{self._url}{path}", method=method))

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new object, in the collection at ``path``. Raises OSError when it is refused, HTTPError 409 where its name is taken."""
        request = urllib.request.Request(f"{self._url}{path}", method="POST", data=json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        return self._send(request)

    def lines(self, path: str) -> Iterator[str]:
        """What is plain text there, such as a pod's log, line by line. Raises OSError when it is refused."""
        with self._open(urllib.request.Request(f"{self._url}{path}")) as answer:
            for line in answer:
                yield line.decode(errors="replace")

    def apply(self, path: str, body: Mapping[str, Any]) -> None:
        """Server-side apply of a part of one object: what these programs applied before and do not any more is taken off. Raises
        OSError when it is refused."""
        request = urllib.request.Request(
            f"{self._url}{path}?fieldManager={MANAGER}&force=true",
            method="PATCH",
            data=json.dumps(body).encode(),
        )
        request.add_header("Content-Type", "application/apply-patch+yaml")  # JSON is YAML
        self._send(request)

    def _send(self, request: urllib.request.Request) -> dict[str, Any]:
        with self._open(request) as answer:
            found: dict[str, Any] = json.loads(answer.read() or "{}")
        return found

    def _open(self, request: urllib.request.Request) -> HTTPResponse:
        request.add_header("Authorization", f"Bearer {(self._account / 'token').read_text()}")
        trust = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        try:
            answer: HTTPResponse = urllib.request.urlopen(request, context=trust, timeout=30)
        except urllib.error.HTTPError as refusal:
            refusal.close()  # it is a connection too
            raise
        return answer
