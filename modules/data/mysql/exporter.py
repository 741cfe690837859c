"""Metrics: Prometheus' own exporter, in a pod of its own, so that it holds its own password and nothing else."""

from __future__ import annotations

from typing import Final

from modules.data.mysql import settings
from modules.data.mysql.config import NAMESPACE
from modules.data.mysql.inside.access import Helper
from modules.kit.pods import Container, Pod, Probe, SecretFiles
from modules.kit.server import METRICS, Server

ACCOUNT: Final = "platform_metrics"
PORT: Final = 9104
CONNECTIONS: Final = 3

COLLECTORS: Final = (
    "collect.global_status",
    "collect.global_variables",
    "collect.info_schema.innodb_metrics",
    "collect.info_schema.userstats",
)
NOT_COLLECTED: Final = (
    "collect.slave_status",
    "collect.info_schema.innodb_cmp",
    "collect.info_schema.innodb_cmpmem",
    "collect.info_schema.query_response_time",
)
"""On by default, and about replication, compressed tables and a plug-in that there are none of."""

_FOLDER: Final = "/etc/mysqld-exporter"


def image(version: str) -> str:
    """Upstream's image of a version; the pin names it."""
    return f"docker.io/prom/mysqld-exporter:{version}"


def account(password: str) -> Helper:
    """Its account: it may see the server's state, not what is in any schema. PROCESS is what the statistics by account ask for."""
    return Helper(ACCOUNT, password, ("PROCESS", "REPLICATION CLIENT"), CONNECTIONS)


def command() -> tuple[str, ...]:
    """How it is started, in the path that upstream documents."""
    return (
        "/bin/mysqld_exporter",
        f"--config.my-cnf={_FOLDER}/exporter.cnf",
        f"--web.listen-address=:{PORT}",
        *(f"--{each}" for each in COLLECTORS),
        *(f"--no-{each}" for each in NOT_COLLECTED),
    )


def server(version: str, *, name: str, host: str, port: int, password: str, ca: str | None) -> Server:
    """The exporter for one server. Ready means that it answers; `mysql_up` says whether the server does."""
    client = {"user": ACCOUNT, "password": password, "host": host, "port": str(port)}
    trust = {"ssl-ca": f"{_FOLDER}/ca.crt"} if ca else {"tls": "true"}
    files = {"exporter.cnf": settings.ini({"client": {**client, **trust}}), **({"ca.crt": ca} if ca else {})}
    return Server(
        name=name,
        namespace=NAMESPACE,
        pod=Pod(
            containers=(
                Container(
                    "exporter",
                    image(version),
                    command(),
                    cpu="10m",
                    memory="48Mi",
                    ports={METRICS: PORT},
                    readiness=Probe(path="/", port=PORT),
                ),
            ),
            secrets=(SecretFiles("client", _FOLDER, files),),
            user=65532,
        ),
    )
