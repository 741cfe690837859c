"""Founds a node of its own: gives an empty disk a superuser that is ours, and takes Cassandra's away, before anybody can connect.

Cassandra makes the superuser ``cassandra`` with the password ``cassandra`` on an empty disk, and offers its port at the same time.
So the server's first start is here, with the port on loopback: this makes the real superuser, locks the other one for good, and
stops the server. The settings of all later starts never let Cassandra make it (``superuser_setup_delay_ms``), so that not even a
lost disk brings it back. Locked, not dropped: a row that is there is never made again.

Runs before the server in the same image, whose Python cqlsh needs, with the driver of the clients image beside it. Whatever is
cut off in the middle is finished by the next run.
"""

from __future__ import annotations

import secrets
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable

MARK: Final = "founded"
"""File on the disk that says it is done."""

DEFAULT: Final = "cassandra"
_PATIENCE_SECONDS: Final = 300.0
_LOOPBACK: Final = "127.0.0.1"

Login = Callable[[str, str], Any]
"""Opens a session as a role with a password; NoHostAvailable when it is refused."""


def secure(login: Login, admin: str, password: str) -> None:
    """Make ``admin`` the superuser and lock Cassandra's own. Finished or not before, it ends the same."""
    try:
        session = login(admin, password)
    except NoHostAvailable:
        session = login(DEFAULT, DEFAULT)
        session.execute(
            f"CREATE ROLE IF NOT EXISTS {admin} WITH PASSWORD = %s AND LOGIN = true AND SUPERUSER = true",
            (password,),
        )
        session = login(admin, password)
    session.execute(
        f"ALTER ROLE {DEFAULT} WITH PASSWORD = %s AND LOGIN = false AND SUPERUSER = false",
        (secrets.token_urlsafe(32),),
    )


def main(disk: Path, authority: Path, name: str, credentials: Path, command: Sequence[str]) -> int:
    """Found the node on ``disk`` with the server that ``command`` starts; ``name`` is what its certificate says."""
    if (disk / MARK).exists():
        print("founded before")
        return 0
    started = time.monotonic()
    server = subprocess.Popen(command)
    try:
        trust = ssl.create_default_context(cafile=str(authority))
        login = _login(trust, name, server)
        secure(login, (credentials / "username").read_text(), (credentials / "password").read_text())
    finally:
        server.send_signal(signal.SIGTERM)
        ended = server.wait()
    (disk / MARK).touch()
    print(f"founded in {time.monotonic() - started:.0f} s; the server ended with {ended}")
    return 0


def _login(trust: ssl.SSLContext, name: str, server: subprocess.Popen[bytes]) -> Login:
    def login(role: str, password: str) -> Any:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            cluster = Cluster(
                [_LOOPBACK],
                ssl_context=trust,
                ssl_options={"server_hostname": name},
                auth_provider=PlainTextAuthProvider(role, password),
                protocol_version=5,
                execution_profiles={
                    EXEC_PROFILE_DEFAULT: ExecutionProfile(
                        consistency_level=ConsistencyLevel.ONE, request_timeout=60
                    )
                },
            )
            try:
                return cluster.connect()
            except NoHostAvailable as error:
                cluster.shutdown()
                refused = "Bad credentials" in str(error)
                if refused or server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    return login


if __name__ == "__main__":
    where, trusted, certified, account = sys.argv[1:5]
    sys.exit(main(Path(where), Path(trusted), certified, Path(account), sys.argv[5:]))
