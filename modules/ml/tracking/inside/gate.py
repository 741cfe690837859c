"""Who is asking, and for what: the way to MLflow's server, and the only one.

A tenant is known by its name and password. Its workspace is set here and nowhere else, so that MLflow's stores, which look at one workspace at
a time, never see another tenant's. What is not named below as a tenant's does not exist: MLflow also has routes that run jobs, call other
servers or hand out ways around it, and gets new ones with each version.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

Environment = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]

HEALTH: Final = "/health"
WORKSPACE: Final = "HTTP_X_MLFLOW_WORKSPACE"
"""How WSGI has the header that names a workspace."""

LARGEST: Final = 16 * 2**20
"""Bytes of a request that is no artifact: MLflow holds it in memory, more than once. Its own limit of a batch is 1 MiB."""

_OPEN: Final = (
    r"/(?:ajax-)?api/2\.0/mlflow/(?:experiments|runs|metrics|registered-models|model-versions|logged-models|traces)(?:/.*)?",
    r"/(?:ajax-)?api/2\.0/mlflow/artifacts/list",
    r"/(?:ajax-)?api/3\.0/mlflow/(?:traces|datasets)(?:/.*)?",
    r"/(?:ajax-)?api/3\.0/mlflow/server-info",
    r"/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts(?:/.*)?",
    r"/ajax-api/[23]\.0/mlflow/get-trace-artifact",
    r"/graphql",
    r"/get-artifact",
    r"/model-versions/get-artifact",
    r"/version",
    r"/static-files/.*",
    r"/",
)
"""What a tenant may ask for: experiments and runs, models, traces and data sets, artifacts by way of the server, and MLflow's pages."""

_CLOSED: Final = (r"/ajax-api/2\.0/mlflow/runs/create-promptlab-run",)
"""What would be among those and is not: it has the server call others."""

_WORKSPACES: Final = re.compile(r"/(?:ajax-)?api/3\.0/mlflow/workspaces(?:/(?P<name>[^/]+))?")
_ARTIFACTS: Final = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts/.*", re.DOTALL)
_MAY: Final = re.compile("|".join(_OPEN))
_MAY_NOT: Final = re.compile("|".join(_CLOSED))

Digests = Mapping[str, str]
"""SHA-256 of each tenant's password, in hexadecimal digits. The passwords are derived, of 190 bits: their hash tells nothing."""


class AwayError(Exception):
    """Who may come in cannot be found out at the moment."""


@dataclass(eq=False)
class RefusalError(Exception):
    """An answer without asking MLflow."""

    status: HTTPStatus
    message: str
    code: str
    """MLflow's own name for it, which its clients read."""

    headers: tuple[tuple[str, str], ...] = ()


def digest(password: str) -> str:
    """What is kept of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


@dataclass(frozen=True)
class Gate:
    """MLflow, for tenants. ``digests`` gives what is kept of their passwords, and raises AwayError when it cannot."""

    mlflow: Application
    digests: Callable[[], Digests]

    def __call__(self, environment: Environment, start: StartResponse) -> Iterable[bytes]:
        """One request."""
        try:
            if environment["PATH_INFO"] == HEALTH and environment["REQUEST_METHOD"] in ("GET", "HEAD"):
                environment.pop(WORKSPACE, None)
                return self.mlflow(environment, start)
            tenant = self._tenant(environment)
            if answer := _answer(environment, tenant):
                start("200 OK", [("Content-Type", "application/json")])
                return [json.dumps(answer).encode()]
        except RefusalError as refusal:
            return _refuse(refusal, start)
        environment[WORKSPACE] = tenant
        environment["REMOTE_USER"] = tenant
        return self.mlflow(environment, start)

    def _tenant(self, environment: Environment) -> str:
        """Whose request it is. Raises RefusalError for nobody's."""
        name, password = _credentials(environment.get("HTTP_AUTHORIZATION", ""))
        try:
            kept = self.digests().get(name, "")
        except AwayError:
            raise RefusalError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the database is away: try again",
                "TEMPORARILY_UNAVAILABLE",
                (("Retry-After", "5"),),
            ) from None
        if not hmac.compare_digest(digest(password), kept):
            raise RefusalError(
                HTTPStatus.UNAUTHORIZED,
                "give the name and password of a tenant (its binding, the Secret tracking)",
                "UNAUTHENTICATED",
                (("WWW-Authenticate", 'Basic realm="mlflow", charset="UTF-8"'),),
            )
        return name


def _answer(environment: Environment, tenant: str) -> object | None:
    """What is answered here. None is for MLflow to answer, and no more than the tenant's. Raises RefusalError."""
    path, method = str(environment["PATH_INFO"]), environment["REQUEST_METHOD"]
    if (named := environment.get(WORKSPACE, "").strip()) and named != tenant:
        raise RefusalError(
            HTTPStatus.FORBIDDEN, f"{tenant} has the workspace {tenant} and no other", "PERMISSION_DENIED"
        )
    if found := _WORKSPACES.fullmatch(path):
        if method == "GET" and found["name"] in (None, tenant):
            own = {"name": tenant}
            return {"workspace": own} if found["name"] else {"workspaces": [own]}
        raise RefusalError(HTTPStatus.FORBIDDEN, "workspaces are the platform's to keep", "PERMISSION_DENIED")
    if not _MAY.fullmatch(path) or _MAY_NOT.fullmatch(path):
        raise RefusalError(HTTPStatus.NOT_FOUND, f"{path} is not offered here", "ENDPOINT_NOT_FOUND")
    if not _ARTIFACTS.fullmatch(path):
        _bounded(environment)
    return None


def _bounded(environment: Environment) -> None:
    """That the request says how long it is, and is no longer than may be. Raises RefusalError."""
    if "HTTP_TRANSFER_ENCODING" in environment:
        raise RefusalError(HTTPStatus.LENGTH_REQUIRED, "say how long the request is", "BAD_REQUEST")
    if int(environment.get("CONTENT_LENGTH") or 0) > LARGEST:
        raise RefusalError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"a request may have {LARGEST} bytes: send it in parts",
            "BAD_REQUEST",
        )


def _credentials(header: str) -> tuple[str, str]:
    """Name and password, as RFC 7617 has them; empty where there are none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def _refuse(refusal: RefusalError, start: StartResponse) -> Iterable[bytes]:
    start(
        f"{refusal.status.value} {refusal.status.phrase}",
        [("Content-Type", "application/json"), *refusal.headers],
    )
    return [json.dumps({"error_code": refusal.code, "message": refusal.message}).encode()]
