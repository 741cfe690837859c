"""The engine ``plain``: one MariaDB, the local stand-in for MySQL, as a pod that keeps its data directory on a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from modules.data.mysql import settings
from modules.data.mysql.config import NAMESPACE, PORT, MySql
from modules.data.mysql.inside.sql import literal, native_hash
from modules.foundation.certificates.authority import KeyPair
from modules.kit.pods import Container, Pod, Probe, SecretFiles
from modules.kit.server import Disk, Server

IMAGE: Final = "docker.io/library/mariadb:10.11.19"
SERVER: Final = "mariadb"
SERVICE: Final = "mysql"
HOST: Final = f"{SERVICE}.{NAMESPACE}.svc"

NAMES: Final = (HOST, f"{HOST}.cluster.local", f"{SERVER}-0.{SERVER}.{NAMESPACE}.svc")
"""What the server's certificate says. Clients check it."""

ADMIN: Final = "platform_admin"
PROBE: Final = "platform_probe"

ADMIN_PRIVILEGES: Final = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES, CREATE VIEW, "
    "SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, TRIGGER, EVENT, PROCESS, RELOAD, SHOW DATABASES, CREATE USER, "
    "CONNECTION ADMIN, BINLOG MONITOR"
)
"""What the administrator may do: all that it grants to others, accounts, and ending sessions. Not files, not the server's own
variables, not its shutdown, nothing in others' names: there is no such account."""

USER: Final = 999
"""The user `mysql` of upstream's image."""

_DATA: Final = "/var/lib/mysql"
_RUN: Final = "/run/mysqld"
_SOCKET: Final = f"{_RUN}/mysqld.sock"
_SETTINGS: Final = "/etc/mysql/settings"
_TLS: Final = "/etc/mysql/tls"
_ACCOUNTS: Final = "/etc/mysql/accounts"
_FILES: Final = Path(__file__).parent / "files"
_STOP_SECONDS: Final = 120


def accounts(admin_password: str, probe_password: str) -> str:
    """Statements that the server runs at each start before it accepts a connection: its own accounts, and no others.

    Passwords are hashes already. At each start, so that a rotated password is taken over by the restart that its Secret causes.
    """
    own = ((ADMIN, "%", admin_password, "REQUIRE SSL"), (PROBE, "localhost", probe_password, "REQUIRE NONE"))
    lines = [
        "SET SESSION sql_log_bin = 0",
        "DELETE FROM mysql.global_priv WHERE User IN ('root', '')",
        "DELETE FROM mysql.proxies_priv",
        "FLUSH PRIVILEGES",
    ]
    for name, host, password, tls in own:
        account = f"{literal(name)}@{literal(host)}"
        identified = f"IDENTIFIED VIA mysql_native_password USING {literal(native_hash(password))} {tls}"
        lines += [f"CREATE USER IF NOT EXISTS {account} {identified}", f"ALTER USER {account} {identified}"]
    lines.append(f"GRANT {ADMIN_PRIVILEGES} ON *.* TO {literal(ADMIN)}@{literal('%')} WITH GRANT OPTION")
    return "".join(f"{line};\n" for line in lines)


def places() -> dict[str, str]:
    """Where this engine's server finds its files."""
    return {
        "datadir": f"{_DATA}/data",
        "socket": _SOCKET,
        "pid_file": f"{_RUN}/mysqld.pid",
        "port": str(PORT),
        "server_id": "1",
        "ssl_cert": f"{_TLS}/tls.crt",
        "ssl_key": f"{_TLS}/tls.key",
        "ssl_ca": f"{_TLS}/ca.crt",
        "init_file": f"{_ACCOUNTS}/init.sql",
    }


def server(
    config: MySql,
    *,
    pair: KeyPair,
    authority: str,
    admin_password: str,
    probe_password: str,
    storage_class: str | None,
) -> Server:
    """The server. There is no liveness probe: a server that hangs ends itself (innodb_fatal_semaphore_wait_threshold), and one that
    recovers from a crash must not be killed for taking long."""
    probe = settings.ini({"client": {"user": PROBE, "password": probe_password, "socket": _SOCKET}})
    return Server(
        name=SERVER,
        namespace=NAMESPACE,
        pod=Pod(
            prepare=(
                Container(
                    "initialise",
                    IMAGE,
                    ("sh", f"{_SETTINGS}/initialise.sh"),
                    cpu=config.cpu,
                    memory=config.memory,
                ),
            ),
            containers=(
                Container(
                    "mariadb",
                    IMAGE,
                    ("mariadbd", f"--defaults-file={_SETTINGS}/my.cnf"),
                    cpu=config.cpu,
                    memory=config.memory,
                    ports={"mysql": PORT},
                    readiness=Probe(command=("sh", f"{_SETTINGS}/ready.sh"), period_seconds=5, failures=2),
                ),
            ),
            files={
                "my.cnf": settings.option_file(config, places()),
                **{name: (_FILES / name).read_text() for name in ("initialise.sh", "ready.sh")},
            },
            files_path=_SETTINGS,
            secrets=(
                SecretFiles(
                    "tls",
                    _TLS,
                    {"tls.crt": pair.certificate, "tls.key": pair.private_key, "ca.crt": authority},
                ),
                SecretFiles(
                    "accounts",
                    _ACCOUNTS,
                    {"init.sql": accounts(admin_password, probe_password), "probe.cnf": probe},
                ),
            ),
            scratch={_RUN: "16Mi"},
            user=USER,
            grace_seconds=_STOP_SECONDS,
        ),
        disk=Disk(config.disk, _DATA, storage_class),
        service=SERVICE,
        service_ports={"mysql": PORT},
    )
