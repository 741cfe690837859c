"""Who may use tracking, and what a tenant is told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from modules.data.store import BINDING_PATH
from modules.kit.credentials import Credentials
from modules.ml.tracking.config import NAME, PORT
from modules.ml.tracking.inside.desired import Desired
from modules.ml.tracking.inside.gate import digest
from modules.ml.tracking.settings import HOST

URI: Final = f"https://{HOST}:{PORT}"


def tenant_password(credentials: Credentials, tenant: str) -> str:
    """Password of a tenant."""
    return credentials.password(f"{NAME}/tenants/{tenant}")


def desired(credentials: Credentials, tenants: Iterable[str], delete: Iterable[str]) -> Desired:
    """Everything that the access program shall make true."""
    return Desired(
        {each: digest(tenant_password(credentials, each)) for each in sorted(tenants)}, tuple(sorted(delete))
    )


def binding(tenant: str, password: str, ca: str) -> dict[str, str]:
    """What a client needs: the well-known keys, and `netrc`, in which MLflow's clients, as all that are made with Requests, find name and
    password by the variable NETRC. They read it anew for each call, so that a job outlives a rotation."""
    return {
        "provider": "mlflow",
        "host": HOST,
        "port": str(PORT),
        "uri": URI,
        "username": tenant,
        "password": password,
        "netrc": f"machine {HOST} login {tenant} password {password}\n",
        "ca.crt": ca,
    }


def environment() -> dict[str, str]:
    """Variables by which MLflow's clients find the binding."""
    folder = f"{BINDING_PATH}/{NAME}"
    return {
        "MLFLOW_TRACKING_URI": URI,
        "MLFLOW_TRACKING_SERVER_CERT_PATH": f"{folder}/ca.crt",
        "NETRC": f"{folder}/netrc",
    }
