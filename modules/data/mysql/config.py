"""MySQL: which server, how large, and what a tenant may use of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modules.kit.clock import Cron
from modules.kit.model import IMMUTABLE, FrozenMap, Model
from modules.kit.names import DnsLabel
from modules.kit.network import Cidr, Port, Reach
from modules.kit.quantities import Cpu, Memory

NAMESPACE: Final = "mysql"
PORT: Final = 3306
CLIENT_PORTS: Final = (PORT,)

SERVER_SCHEMAS: Final = frozenset({"mysql", "sys", "information", "performance", "ndbinfo"})
"""Names whose schema, or whose schemas `<name>_...`, are the server's own (`mysql`, `sys`, `information_schema`,
`performance_schema`): a tenant of that name would be granted them."""

SERVER_ACCOUNTS: Final = frozenset(
    {
        "root",
        "mysql",
        "monitor",
        "operator",
        "replication",
        "xtrabackup",
        "proxyadmin",
        "pmmserver",
        "clustercheck",
    }
)
"""Accounts that a server or Percona's operator keeps for itself
(https://docs.percona.com/percona-operator-for-mysql/pxc/users.html#system-users)."""


class MySqlEngine(StrEnum):
    """Who runs the server."""

    PLAIN = "plain"
    OPERATOR = "operator"
    EXTERNAL = "external"


PemCertificates = Annotated[
    str,
    Field(
        pattern=r"^(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]+\n)+-----END CERTIFICATE-----\n*)+$",
        max_length=200_000,
        json_schema_extra={"remedy": "write the certificates line by line below `ca: |`"},
    ),
]
"""Certificates as PEM text."""


class MySqlEndpoint(Model):
    """A MySQL that somebody else runs, such as a cloud's."""

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
    """Name of the endpoint, as its certificate has it."""

    port: Port = PORT
    """Port of the endpoint."""

    cidrs: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    """Addresses of the endpoint: tenants that have the store, and the platform's programs, may reach these and no others."""

    admin_secret: DnsLabel = "mysql-admin"
    """Secret in namespace `mysql` with `username` and `password` of an account that may make accounts, schemas and grants, and end others' sessions."""

    ca: PemCertificates | None = None
    """Certificates, as PEM text, of the authority that signs the endpoint's; null trusts the public ones."""


SettingName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,63}$")]
"""A server variable, with underscores."""

SettingValue = Annotated[
    str, Field(pattern=r"^[-A-Za-z0-9_.,:/%+]+( [-A-Za-z0-9_.,:/%+]+)*$", max_length=200)
]
"""A server variable's value as the option file has it."""


class MySql(Model):
    """The MySQL of the environment."""

    engine: Annotated[MySqlEngine, Field(json_schema_extra=IMMUTABLE)] = MySqlEngine.PLAIN
    """Who runs the server: `plain` is one MariaDB 10.11, the local stand-in for MySQL (the two are not the same server: no JSON column type, another optimiser, other authentication plug-ins); `operator` is Percona XtraDB Cluster, MySQL 8.4 on three nodes; `external` is an endpoint that is given."""

    nodes: Annotated[int, Field(ge=1, le=7)] = 1
    """Servers that hold the same data. One for `plain`; three, five or seven for `operator`, a majority of which has to be up."""

    cpu: Cpu = "1"
    """Cores that each server asks for."""

    memory: Memory = "4Gi"
    """Memory of each server. Its buffer pool and the number of connections follow from it."""

    disk: Annotated[Memory, Field(json_schema_extra=IMMUTABLE)] = "50Gi"
    """Volume of each server. Its redo log and binary logs are bounded by it."""

    binlog_hours: Annotated[int, Field(ge=1, le=720)] = 72
    """Hours of changes that the server keeps in its binary log: how far back from now any moment can be recovered."""

    backup: Cron = "15 1 * * *"
    """When every schema is backed up to the object store: five fields of cron, UTC."""

    backups: Annotated[int, Field(ge=1, le=90)] = 14
    """Backups that Percona's operator keeps. Those of the other engines go by the bucket's own lifecycle."""

    settings: FrozenMap[SettingName, SettingValue] = Field(default_factory=dict)
    """Further variables of the server. What the platform sets itself, or what would lose acknowledged writes, is refused."""

    external: MySqlEndpoint | None = None
    """The endpoint, for engine `external`."""

    @property
    def reach(self) -> Reach:
        """Where tenants call it."""
        if self.engine is MySqlEngine.EXTERNAL and self.external:
            return Reach("mysql", (self.external.port,), cidrs=self.external.cidrs)
        return Reach("mysql", CLIENT_PORTS, namespace=NAMESPACE)


@dataclass(frozen=True)
class ServiceSchema:
    """A schema for a service of the platform itself. It is `longhouse_<name>`, and so is its account, whose binding is the Secret `mysql` in the service's namespace."""

    name: str
    namespace: str
    connections: int = 10


class MySqlShare(Model):
    """What a tenant may use of MySQL: the schema of its name, and schemas `<name>_...` that it makes itself. A schema has no size limit: neither MySQL nor MariaDB knows one."""

    connections: Annotated[int, Field(ge=1, le=5000)] = 10
    """Connections at one time, per server; one more is refused with error 1226."""

    statement_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = 3600
    """Seconds after which a statement is ended, unless its session asks for more; null for never. MariaDB only: MySQL has no such limit of an account."""
