"""The realm: who is in it, with which password, and which keytab each server and tenant gets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modules.data.hdfs import places
from modules.data.hdfs.config import SUPERUSER, Hdfs
from modules.data.hdfs.keytab import Principal, keytab
from modules.kit.credentials import Credentials

_PLAIN: Final = re.compile(r"[-A-Za-z0-9./_]+")


@dataclass(frozen=True)
class Realm:
    """One realm, all of whose passwords are derived."""

    config: Hdfs
    credentials: Credentials

    @property
    def name(self) -> str:
        """Its name."""
        return self.config.kerberos.realm

    def principal(self, name: str) -> Principal:
        """Somebody of the realm, with the password."""
        return Principal(name, self.name, self.credentials.password(f"hdfs/principals/{name.lower()}"))

    def servers(self, hosts: Iterable[str]) -> bytes:
        """The keytab of the servers on these hosts."""
        return keytab(map(self.principal, places.principals(tuple(hosts))))

    def user(self, name: str) -> bytes:
        """The keytab of a tenant, or of the superuser."""
        return keytab([self.principal(name)])

    def commands(self, tenants: Iterable[str]) -> str:
        """What the KDC's own administration program is told: the ticket-granting service's key, so that KDCs take each other's
        tickets, then everybody else."""
        servers = (
            places.namenodes(self.config) + places.datanodes(self.config) + places.journalnodes(self.config)
        )
        own = self.principal(f"krbtgt/{self.name}")
        others = [*places.principals(servers), SUPERUSER, *sorted(tenants)]
        lines = [
            _command("change_password", own),
            *(_command("add_principal", self.principal(each)) for each in others),
        ]
        return "".join(f"{line}\n" for line in lines)


def _command(verb: str, principal: Principal) -> str:
    """A line of kadmin. Raises ValueError for what would have to be quoted: nothing that is derived or declared does."""
    words = (verb, "-pw", principal.password, principal.name)
    for word in words:
        if not _PLAIN.fullmatch(word) or (word.startswith("-") and word != "-pw"):
            raise ValueError(f"principal {principal.name!r} cannot be written for kadmin")
    return " ".join(words)
