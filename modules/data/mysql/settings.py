"""The server's own settings, rendered once for every engine.

Most variables have the same name and meaning in MariaDB 10.11 and in Percona XtraDB Cluster 8.4, and so the server that runs here
proves what production uses. Where they differ, the two stand side by side in ``DIFFERENT``.
"""

from __future__ import annotations

import configparser
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modules.data.mysql.config import MySql
from modules.data.mysql.inside.sql import CHARACTER_SET, COLLATION
from modules.data.mysql.sizing import GIB, MIB, Flavour, Sizes, flavour, sizes
from modules.kit import quantities

SECTION: Final = "mysqld"

DURABLE: Final = {
    # https://dev.mysql.com/doc/refman/8.4/en/innodb-parameters.html#sysvar_innodb_flush_log_at_trx_commit: with 0 or 2 the last second of
    # acknowledged transactions can be lost in a crash.
    "innodb_flush_log_at_trx_commit": "1",
    # https://dev.mysql.com/doc/refman/8.4/en/replication-options-binary-log.html#sysvar_sync_binlog: with any other value acknowledged
    # transactions can be missing from the binary log, so from recovery to a point in time too.
    "sync_binlog": "1",
    # https://dev.mysql.com/doc/refman/8.4/en/innodb-doublewrite-buffer.html: a page torn by a crash is restored from here.
    "innodb_doublewrite": "ON",
    "innodb_flush_method": "O_DIRECT",
    "log_bin": "binlog",
    "binlog_format": "ROW",
}
"""An acknowledged commit is on disk, in the redo log and in the binary log."""

SAFE: Final = {
    "require_secure_transport": "ON",
    "tls_version": "TLSv1.2,TLSv1.3",
    # A server can ask a client for any file that the client may read
    # (https://dev.mysql.com/doc/refman/8.4/en/load-data-local-security.html).
    "local_infile": "OFF",
    "event_scheduler": "OFF",
    # Accounts go by name, not by host. Without look-ups no account may name a host, and DNS is not waited for.
    "skip_name_resolve": "ON",
    # A host is shut out after so many broken handshakes; behind a Service many clients can have one address.
    "max_connect_errors": "1000000",
}

SAME: Final = {
    "character_set_server": CHARACTER_SET,
    "collation_server": COLLATION,
    # MySQL 8.4's own default, stated so that MariaDB judges statements as MySQL does.
    "sql_mode": (
        "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
        "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
    ),
    "max_allowed_packet": str(64 * MIB),
    # Rows are logged, never statements, so that nobody's trigger or function can make copies of the data differ. Without this only who has
    # SUPER may make any, whatever is granted (https://dev.mysql.com/doc/refman/8.4/en/stored-programs-logging.html).
    "log_bin_trust_function_creators": "ON",
    # What each tenant uses, for the metrics: rows, bytes, processor time by account.
    "userstat": "ON",
    # With the defaults one busy connection takes 7 MiB (measured); with these 2.
    "sort_buffer_size": str(512 * 1024),
    "join_buffer_size": str(256 * 1024),
    "tmp_table_size": str(2 * MIB),
    "max_heap_table_size": str(2 * MIB),
}


@dataclass(frozen=True)
class Difference:
    """One purpose for which the two servers have different variables."""

    purpose: str
    mariadb: Mapping[str, str]
    pxc: Mapping[str, str]

    def of(self, which: Flavour) -> Mapping[str, str]:
        """The variables of one of them."""
        return self.mariadb if which is Flavour.MARIADB else self.pxc


def different(config: MySql, found: Sizes) -> tuple[Difference, ...]:
    """Where MariaDB and Percona XtraDB Cluster part ways."""
    return (
        Difference(
            "size of the redo log",
            {"innodb_log_file_size": str(found.redo_log)},
            {"innodb_redo_log_capacity": str(found.redo_log)},
        ),
        Difference(
            "tables of engines that lose data in a crash are refused",
            {"enforce_storage_engine": "InnoDB"},
            {"pxc_strict_mode": "ENFORCING"},
        ),
        Difference(
            "memory for what is not InnoDB",
            {
                "key_buffer_size": str(MIB),
                "aria_pagecache_buffer_size": str(16 * MIB),
                "query_cache_size": "0",
            },
            {"temptable_max_ram": str(64 * MIB)},
        ),
        Difference(
            # https://galeracluster.com/library/documentation/galera-parameters.html#gcache-size: a node that was away gets what it
            # missed from here; if that is gone, it copies everything.
            "what a node that was away gets from the others",
            {},
            {"wsrep_provider_options": f"gcache.size={_gcache(config) // MIB}M"},
        ),
    )


def variables(config: MySql) -> dict[str, str]:
    """Every variable that the platform sets for the engine, without ``config.settings``."""
    found = sizes(config)
    which = flavour(config.engine)
    own = {
        **DURABLE,
        **SAFE,
        **SAME,
        "innodb_buffer_pool_size": str(found.buffer_pool),
        "innodb_log_buffer_size": str(8 * MIB),
        "max_connections": str(found.connections),
        "binlog_expire_logs_seconds": str(config.binlog_hours * 3600),
        "max_binlog_size": str(found.binlog),
    }
    for each in different(config, found):
        own |= each.of(which)
    return own


def option_file(config: MySql, places: Mapping[str, str] | None = None) -> str:
    """The option file; ``places`` are paths and the like that only one engine has.

    Raises ValueError for a setting that is refused: the profile's check says so earlier and better.
    """
    for name in config.settings:
        if problem := refusal(name, config):
            raise ValueError(f"mysql.settings.{name} {problem[0]}: {problem[1]}")
    return ini({SECTION: {**variables(config), **(places or {}), **config.settings}})


def ini(sections: Mapping[str, Mapping[str, str]]) -> str:
    """An option file from its sections. Raises ValueError for a value of more than one line, which could be read as another option."""
    writer = configparser.RawConfigParser()
    for section, values in sections.items():
        for name, value in values.items():
            if "\n" in value or "\r" in value:
                raise ValueError(f"option {name} would break its line")
        writer[section] = dict(values)
    text = io.StringIO()
    writer.write(text)
    return text.getvalue()


NEVER: Final = {
    "skip_grant_tables": "lets everybody in as anybody",
    "innodb_force_recovery": "is for the rescue of a broken server by hand",
    "innodb_fast_shutdown": "at 2 it skips what a clean stop writes",
    "innodb_checksum_algorithm": "decides whether damaged pages are noticed",
    "unsafe_option": "is called so for a reason",
    "disable_log_bin": "loses recovery to a point in time",
    "init_file": "runs statements as root at each start",
    "init_connect": "runs statements in tenants' names",
    "secure_file_priv": "decides which files statements may read",
    "plugin_load": "loads code into the server",
    "plugin_load_add": "loads code into the server",
    "datadir": "is where the volume is",
    "ssl_cert": "is the platform's own",
    "ssl_key": "is the platform's own",
    "ssl_ca": "is the platform's own",
    "old_passwords": "weakens how passwords are kept",
    "symbolic_links": "lets tables lie outside the data directory",
    "gtid_strict_mode": "is the operator's to set",
    "gtid_mode": "is the operator's to set",
    "server_id": "is the operator's to set",
    "wsrep_on": "takes the node out of its cluster",
    "wsrep_cluster_address": "is the operator's to set",
    "read_only": "would keep every pod from being ready",
    "max_user_connections": "is each tenant's own: mysql.connections of its record",
}
"""Variables that no profile may set, and what they would do."""

_MODIFIERS: Final = ("loose_", "skip_", "disable_", "enable_", "maximum_")
"""Prefixes that a server takes off an option's name
(https://dev.mysql.com/doc/refman/8.4/en/option-modifiers.html)."""


def refusal(name: str, config: MySql) -> tuple[str, str] | None:
    """Why a profile may not set a variable, and the way out; None when it may.

    An option may be abbreviated as long as it is unambiguous (https://dev.mysql.com/doc/refman/8.4/en/command-line-options.html), so the
    beginning of a refused name is refused too.
    """
    stem = name
    while stem not in NEVER and (found := next((each for each in _MODIFIERS if stem.startswith(each)), None)):
        stem = stem.removeprefix(found)

    def means(other: str) -> bool:
        return other.startswith(stem)

    if kept := next(filter(means, DURABLE), None):
        return f"sets {kept}, without which acknowledged writes can be lost", "leave it out"
    if kept := next(filter(means, SAFE), None):
        return f"sets {kept}, which keeps connections safe", "leave it out"
    if forbidden := next(filter(means, NEVER), None):
        return f"sets {forbidden}, which {NEVER[forbidden]}", "leave it out"
    if derived := next(filter(means, variables(config)), None):
        return f"sets {derived}, which follows from memory, disk and binlog_hours", "change those"
    return None


def _gcache(config: MySql) -> int:
    return min(max(quantities.bytes_of(config.disk) // 50, 128 * MIB), 4 * GIB)
