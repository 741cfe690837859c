"""Who has an account: tenants, the platform's own services, and what keeps the server going."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from modules.data.mysql import exporter, settings
from modules.data.mysql.config import MySqlEngine, MySqlShare, ServiceSchema
from modules.data.mysql.inside.access import Desired, Helper, Owner
from modules.data.store import BINDING_PATH
from modules.kit.credentials import Credentials

BACKUP: Final = "platform_backup"
BACKUP_CONNECTIONS: Final = 3
BACKUP_PRIVILEGES: Final = (
    "SELECT",
    "SHOW VIEW",
    "TRIGGER",
    "EVENT",
    "LOCK TABLES",
    "PROCESS",
    "REPLICATION CLIENT",
)
"""What a dump reads (https://mariadb.com/kb/en/mariadb-dump/), of every schema; it writes nothing."""

SERVICE_PREFIX: Final = "longhouse_"
"""First part of a service's schema. No tenant's name holds a `_`, and none is `longhouse`, so it is nobody else's."""

PUBLIC: Final = "/etc/ssl/certs"
"""Where Debian, and most others, keep the public authorities."""

PROVIDERS: Final = {
    MySqlEngine.PLAIN: "mariadb",
    MySqlEngine.OPERATOR: "percona",
    MySqlEngine.EXTERNAL: "mysql",
}


def tenant_password(credentials: Credentials, tenant: str) -> str:
    """Password of a tenant's account."""
    return credentials.password(f"mysql/tenants/{tenant}")


def service_password(credentials: Credentials, service: str) -> str:
    """Password of a service's account."""
    return credentials.password(f"mysql/services/{service}")


def backup_password(credentials: Credentials) -> str:
    """Password of the account that backups are made with."""
    return credentials.password("mysql/backup")


def metrics_password(credentials: Credentials) -> str:
    """Password of the exporter's account."""
    return credentials.password("mysql/metrics")


def schema_of(service: ServiceSchema) -> str:
    """Schema and account of a service of the platform."""
    return f"{SERVICE_PREFIX}{service.name.replace('-', '_')}"


def desired(
    credentials: Credentials,
    *,
    hosts: Sequence[str],
    port: int,
    shares: Mapping[str, MySqlShare],
    services: Sequence[ServiceSchema] = (),
    delete_data: frozenset[str] = frozenset(),
) -> Desired:
    """Everything that the access program shall make true."""
    tenants = [
        Owner(tenant, tenant_password(credentials, tenant), share.connections, share.statement_seconds)
        for tenant, share in sorted(shares.items())
    ]
    own = [
        Owner(schema_of(each), service_password(credentials, each.name), each.connections, family=False)
        for each in sorted(services, key=lambda each: each.name)
    ]
    return Desired(
        hosts=tuple(hosts),
        port=port,
        owners=(*tenants, *own),
        helpers=(
            Helper(BACKUP, backup_password(credentials), BACKUP_PRIVILEGES, BACKUP_CONNECTIONS),
            exporter.account(metrics_password(credentials)),
        ),
        delete_data=tuple(sorted(delete_data)),
    )


def binding(
    engine: MySqlEngine, *, host: str, port: int, account: str, password: str, ca: str | None
) -> dict[str, str]:
    """What a client needs: the well-known keys, and ready-made settings for the usual clients, which check the server's name.

    Paths in it are below ``/bindings/mysql``, where the Secret is expected to be mounted. The schema has the account's name.
    """
    folder = f"{BINDING_PATH}/mysql"
    at = f"{quote(account)}:{quote(password)}@{host}:{port}/{quote(account)}"
    trust = {"ssl-ca": f"{folder}/ca.crt"} if ca else {}
    client = {
        "host": host,
        "port": str(port),
        "user": account,
        "password": password,
        "ssl-verify-server-cert": "1",
    }
    facts = {
        "provider": PROVIDERS[engine],
        "host": host,
        "port": str(port),
        "database": account,
        "username": account,
        "password": password,
        "uri": f"mysql://{at}",
        # SQLAlchemy takes `ssl_ca` out of a URL and leaves `ssl_verify_identity` in, for which PyMySQL then trusts the public authorities alone.
        "sqlalchemy-url": f"mysql+pymysql://{at}?charset=utf8mb4&ssl_check_hostname=true"
        + (f"&ssl_ca={folder}/ca.crt" if ca else f"&ssl_capath={PUBLIC}"),
        "jdbc-url": f"jdbc:mysql://{host}:{port}/{account}?sslMode=VERIFY_IDENTITY"
        "&fallbackToSystemTrustStore=" + ("false" if ca else "true"),
        "client.cnf": settings.ini({"client": {**client, **trust}, "mysql": {"database": account}}),
    }
    return {**facts, **({"ca.crt": ca} if ca else {})}
