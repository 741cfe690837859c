"""What must hold of MySQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.data.mysql import settings, sizing
from modules.data.mysql.config import SERVER_ACCOUNTS, SERVER_SCHEMAS, MySqlEngine
from modules.foundation.gpu_pools import placement
from modules.kit import quantities
from profiles.model import Profile
from profiles.rules.finding import POOLS, TENANTS, Finding, Rule

MYSQL: Final = "mysql"
LEAST_QUORUM: Final = 3
LEAST_DISK: Final = 1 << 30


def mysql_nodes_can_form_a_majority(profile: Profile) -> Iterator[Finding]:
    """A cluster goes on while a majority of its nodes see each other, so two halves of an even one would both stop
    (https://galeracluster.com/library/documentation/weighted-quorum.html); the operator itself wants three or more
    (`unsafeFlags.pxcSize`). The plain engine has no second server that a first could hand over to."""
    if profile.mysql is None:
        return
    engine, nodes = profile.mysql.engine, profile.mysql.nodes
    if engine is MySqlEngine.OPERATOR and (nodes < LEAST_QUORUM or nodes % 2 == 0):
        yield Finding(
            (MYSQL, "nodes"),
            f"is {nodes}, of which no majority survives a lost node",
            "write 3, 5 or 7",
            ((MYSQL, "engine"),),
        )
    if engine is MySqlEngine.PLAIN and nodes != 1:
        yield Finding(
            (MYSQL, "nodes"),
            "is more than the one server that engine plain runs",
            "leave it out, or write engine: operator",
            ((MYSQL, "engine"),),
        )


def mysql_outside_local_survives_a_node(profile: Profile) -> Iterator[Finding]:
    """The plain engine is one server and a stand-in for MySQL: when its node is gone, so are all tenants' schemas until the node is back."""
    if profile.mysql is not None and profile.mysql.engine is MySqlEngine.PLAIN and not profile.is_local:
        yield Finding(
            (MYSQL, "engine"),
            "runs one server, a stand-in that is for local profiles",
            "write operator with nodes: 3, or external",
        )


def mysql_nodes_stand_apart(profile: Profile) -> Iterator[Finding]:
    """Two nodes on one machine are lost together, and with them the majority."""
    if profile.mysql is None or profile.mysql.engine is not MySqlEngine.OPERATOR:
        return
    machines = sum(pool.nodes for pool in placement.general(profile.node_pools.values()))
    if machines < profile.mysql.nodes:
        yield Finding(
            (MYSQL, "nodes"),
            f"needs as many machines without GPUs, and there are {machines}",
            "add nodes to a pool without gpu",
            ((POOLS,),),
        )


def mysql_endpoint_is_given_where_it_is_used(profile: Profile) -> Iterator[Finding]:
    """An endpoint is what engine external means, and what no other engine looks at."""
    if profile.mysql is None:
        return
    if profile.mysql.engine is MySqlEngine.EXTERNAL and profile.mysql.external is None:
        yield Finding(
            (MYSQL, "external"),
            "is missing, and engine external needs it",
            "add host and cidrs",
            ((MYSQL, "engine"),),
        )
    if profile.mysql.engine is not MySqlEngine.EXTERNAL and profile.mysql.external is not None:
        yield Finding(
            (MYSQL, "external"),
            f"is for engine external, and this one is {profile.mysql.engine.value}",
            "remove it, or write engine: external",
            ((MYSQL, "engine"),),
        )


def mysql_has_room_to_run(profile: Profile) -> Iterator[Finding]:
    """Below these the server has no buffer pool to speak of, or no disk for its logs (modules/data/mysql/sizing.py)."""
    if profile.mysql is None or profile.mysql.engine is MySqlEngine.EXTERNAL:
        return
    flavour = sizing.flavour(profile.mysql.engine)
    least = sizing.least_memory(flavour)
    if quantities.bytes_of(profile.mysql.memory) < least:
        yield Finding(
            (MYSQL, "memory"),
            f"is too little for {flavour.value}",
            f"write {quantities.memory(least)} or more",
            ((MYSQL, "engine"),),
        )
    if quantities.bytes_of(profile.mysql.disk) < LEAST_DISK:
        yield Finding(
            (MYSQL, "disk"), "is too little for the server's own files and logs", "write 1Gi or more"
        )


def mysql_connections_fit(profile: Profile) -> Iterator[Finding]:
    """What is promised to tenants can be had by all of them at once, with room for the platform's own: else one tenant's crowd is
    another's error 1040, and the probe's too."""
    mysql = profile.mysql
    if mysql is None or mysql.engine is MySqlEngine.EXTERNAL:
        return
    if quantities.bytes_of(mysql.memory) < sizing.least_memory(sizing.flavour(mysql.engine)):
        return  # said already
    shares = {name: tenant.data.mysql for name, tenant in profile.tenants.items() if tenant.data.mysql}
    promised = sum(share.connections for share in shares.values())
    room = sizing.sizes(mysql).connections - sizing.PLATFORM_CONNECTIONS
    if profile.tracking and profile.tracked:
        room -= profile.tracking.database.connections
    if promised > room:
        yield Finding(
            (MYSQL, "memory"),
            f"has room for {room} connections of tenants, and they are promised {promised}",
            "write more memory, or fewer connections for the tenants",
            (("tracking",), *((TENANTS, name, "data", "mysql", "connections") for name in shares)),
        )


def mysql_tenants_are_nobody_else(profile: Profile) -> Iterator[Finding]:
    """A tenant's name is the name of its schema and account; those of the server are taken (modules/data/mysql/config.py)."""
    for name, tenant in profile.tenants.items():
        if tenant.data.mysql is not None and name in SERVER_SCHEMAS | SERVER_ACCOUNTS:
            yield Finding(
                (TENANTS, name, "data", "mysql"),
                f"would give the tenant the server's own {name}",
                "rename the tenant's file, or leave mysql out",
            )


def mysql_settings_keep_what_was_acknowledged(profile: Profile) -> Iterator[Finding]:
    """What decides whether an acknowledged commit survives, and what follows from other keys, is not to be set by hand
    (modules/data/mysql/settings.py has the sources)."""
    if profile.mysql is None:
        return
    for name in profile.mysql.settings:
        if problem := settings.refusal(name, profile.mysql):
            yield Finding((MYSQL, "settings", name), *problem)


RULES: Final[tuple[Rule, ...]] = (
    mysql_nodes_can_form_a_majority,
    mysql_outside_local_survives_a_node,
    mysql_nodes_stand_apart,
    mysql_endpoint_is_given_where_it_is_used,
    mysql_has_room_to_run,
    mysql_connections_fit,
    mysql_tenants_are_nobody_else,
    mysql_settings_keep_what_was_acknowledged,
)
