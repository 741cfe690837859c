"""The servers' and clients' own settings, rendered once for every shape and environment."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final
from xml.etree import ElementTree

from modules.data.hdfs import places, sizing
from modules.data.hdfs.config import (
    DATANODE_PORT,
    DATANODE_RPC_PORT,
    DATANODE_WEB_PORT,
    NAMENODE_PORT,
    NAMENODE_WEB_PORT,
    NAMESERVICE,
    SUPERUSER,
    Hdfs,
)
from modules.data.hdfs.keytab import ENCRYPTION
from modules.kit import quantities

Properties = Mapping[str, str]

SETTINGS_PATH: Final = "/etc/longhouse/hdfs"
SECRETS_PATH: Final = "/etc/longhouse/hdfs-secrets"
STORES_PATH: Final = "/run/longhouse"
DATA_PATH: Final = "/data"

KEYTAB_PATH: Final = "/etc/longhouse/hdfs-keytab"
KEYTAB: Final = f"{KEYTAB_PATH}/hdfs.keytab"

ZOOKEEPER_AUTH: Final = "zookeeper-auth"
ZOOKEEPER_ACL: Final = "zookeeper-acl"
ZOOKEEPER_FOLDER: Final = f"{DATA_PATH}/zookeeper"

NO_GROUPS: Final = "org.apache.hadoop.security.NullGroupsMapping"


def xml(properties: Properties) -> str:
    """A Hadoop configuration file."""
    root = ElementTree.Element("configuration")
    for name, value in properties.items():
        entry = ElementTree.SubElement(root, "property")
        ElementTree.SubElement(entry, "name").text = name
        ElementTree.SubElement(entry, "value").text = value
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def krb5(realm: str, kdcs: Iterable[str]) -> str:
    """Kerberos' own settings, for Java and MIT alike.

    TCP only: one protocol to open in network policies, and tickets of Active Directory do not fit into a datagram. Names are taken
    as they are written: nothing that DNS says makes a client trust another server.
    """
    lines = [
        "[libdefaults]",
        f" default_realm = {realm}",
        " dns_lookup_kdc = false",
        " dns_lookup_realm = false",
        " dns_canonicalize_hostname = false",
        " rdns = false",
        " udp_preference_limit = 1",
        " ticket_lifetime = 10h",
        " renew_lifetime = 7d",
        "[realms]",
        f" {realm} = {{",
        *(f"  kdc = {address}" for address in kdcs),
        " }",
    ]
    return "\n".join(lines) + "\n"


def kdc_conf(realm: str, port: int, folder: str) -> str:
    """The KDC's own settings: one protocol, one port, one kind of key, nobody who may administer from afar."""
    lines = [
        "[kdcdefaults]",
        ' kdc_listen = ""',
        f" kdc_tcp_listen = {port}",
        "[realms]",
        f" {realm} = {{",
        f"  database_name = {folder}/principal",
        f"  key_stash_file = {folder}/stash",
        f"  master_key_type = {ENCRYPTION}",
        f"  supported_enctypes = {ENCRYPTION}:normal",
        "  default_principal_flags = +preauth",
        "  max_life = 10h",
        "  max_renewable_life = 7d",
        " }",
        "[logging]",
        " kdc = STDERR",
    ]
    return "\n".join(lines) + "\n"


def _common(config: Hdfs) -> dict[str, str]:
    """What servers and clients have to agree on."""
    realm = config.kerberos.realm
    return {
        "fs.defaultFS": places.uri(),
        "hadoop.security.authentication": "kerberos",
        # Calls are encrypted like the data is: paths and block tokens are worth as much as what they open.
        "hadoop.rpc.protection": "privacy",
        # A principal of one part is the user of that name, a service's is the superuser; nobody of another realm is anybody.
        "hadoop.security.auth_to_local": "\n".join(
            (
                f"RULE:[1:$1@$0](^[a-z][-a-z0-9]*@{_quoted(realm)}$)s/@.*//",
                f"RULE:[2:$1@$0](^{SUPERUSER}@{_quoted(realm)}$)s/@.*//",
            )
        ),
        "fs.trash.interval": str(config.trash_hours * 60),
    }


def _names(config: Hdfs) -> dict[str, str]:
    """Where the NameNodes are, as everybody needs it."""
    ids = places.namenode_ids(config)
    found = {
        "dfs.nameservices": NAMESERVICE,
        f"dfs.ha.namenodes.{NAMESERVICE}": ",".join(ids),
        f"dfs.client.failover.proxy.provider.{NAMESERVICE}": "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider",
        "dfs.namenode.kerberos.principal": f"{SUPERUSER}/_HOST@{config.kerberos.realm}",
        "dfs.data.transfer.protection": "privacy",
        # What goes between client and DataNode is encrypted with a cipher of its own: SASL's privacy alone is RC4 or 3DES.
        "dfs.encrypt.data.transfer.cipher.suites": "AES/CTR/NoPadding",
        # Java's own, which the processor does; Hadoop's default first tries a native library that need not be there.
        "hadoop.security.crypto.codec.classes.aes.ctr.nopadding": "org.apache.hadoop.crypto.JceAesCtrCryptoCodec",
        "dfs.http.policy": "HTTPS_ONLY",
        # Where a path begins that begins nowhere, and where the trash is: in the tenant's own home.
        "dfs.user.home.dir.prefix": "/tenants",
        "dfs.replication": str(config.replication),
        "dfs.blocksize": str(quantities.bytes_of(config.block_size)),
    }
    for name, address in ids.items():
        found[f"dfs.namenode.rpc-address.{NAMESERVICE}.{name}"] = f"{address}:{NAMENODE_PORT}"
        found[f"dfs.namenode.https-address.{NAMESERVICE}.{name}"] = f"{address}:{NAMENODE_WEB_PORT}"
    return found


def client_core(config: Hdfs) -> Properties:
    """core-site.xml of a client."""
    return {**_common(config), "fs.permissions.umask-mode": "077"}


def client_hdfs(config: Hdfs) -> Properties:
    """hdfs-site.xml of a client."""
    return {
        **_names(config),
        # A writer that loses a DataNode goes on with the others where there is none to replace it with.
        "dfs.client.block.write.replace-datanode-on-failure.best-effort": "true",
        # A NameNode that restarts alone is away for a while: 15 tries with growing waits are about two minutes.
        "dfs.client.failover.max.attempts": "15",
        "dfs.client.failover.sleep.max.millis": "10000",
    }


def core(config: Hdfs) -> Properties:
    """core-site.xml of every server."""
    return {
        **_common(config),
        "hadoop.security.authorization": "true",
        # Nobody is in any group: a directory's group is a label here, and what a tenant may enter is its own. Groups would be looked
        # up in the servers' pods, where no tenant has an account.
        "hadoop.security.group.mapping": NO_GROUPS,
        "hadoop.http.authentication.type": "kerberos",
        "hadoop.http.authentication.kerberos.principal": f"HTTP/_HOST@{config.kerberos.realm}",
        "hadoop.http.authentication.kerberos.keytab": KEYTAB,
        "hadoop.http.authentication.signature.secret.file": f"{SECRETS_PATH}/http-secret",
        "hadoop.http.authentication.simple.anonymous.allowed": "false",
        "hadoop.http.filter.initializers": "org.apache.hadoop.security.AuthenticationFilterInitializer",
        "hadoop.security.instrumentation.requires.admin": "true",
    }


def _server(config: Hdfs) -> dict[str, str]:
    return {
        **_names(config),
        "dfs.block.access.token.enable": "true",
        # How long somebody who lost access can go on reading the blocks that it was just reading; minutes, of ten hours by default.
        "dfs.block.access.token.lifetime": "60",
        "dfs.block.access.key.update.interval": "60",
        "dfs.cluster.administrators": f"{SUPERUSER} ",
        "dfs.permissions.superusergroup": SUPERUSER,
        "dfs.web.authentication.kerberos.principal": f"HTTP/_HOST@{config.kerberos.realm}",
        "dfs.web.authentication.kerberos.keytab": KEYTAB,
    }


def namenode(config: Hdfs) -> Properties:
    """hdfs-site.xml of a NameNode and of the failover controller beside it."""
    small = config.datanodes.count <= sizing.SMALL_CLUSTER
    found = {
        **_server(config),
        "dfs.namenode.name.dir": f"file://{DATA_PATH}/name",
        "dfs.namenode.keytab.file": KEYTAB,
        "dfs.namenode.rpc-bind-host": "0.0.0.0",
        "dfs.namenode.servicerpc-bind-host": "0.0.0.0",
        "dfs.namenode.https-bind-host": "0.0.0.0",
        "dfs.namenode.handler.count": str(sizing.handlers(config.datanodes.count)),
        "dfs.namenode.service.handler.count": str(sizing.handlers(config.datanodes.count)),
        # DataNodes prove themselves by their keys; a pod's address is not in DNS the moment that it starts.
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.namenode.avoid.read.stale.datanode": "true",
        "dfs.namenode.avoid.write.stale.datanode": "true",
        "dfs.namenode.safemode.extension": "0" if small else "30000",
        "dfs.namenode.snapshot.capture.openfiles": "true",
        "dfs.namenode.acls.enabled": "true",
    }
    for name, address in places.namenode_ids(config).items():
        found[f"dfs.namenode.servicerpc-address.{NAMESERVICE}.{name}"] = f"{address}:{places.SERVICE_PORT}"
    if config.datanodes.racks:
        found |= {
            "net.topology.script.file.name": f"{STORES_PATH}/rack.sh",
            "dfs.namenode.reject-unresolved-dn-topology-mapping": "true",
        }
    if not config.high_availability:
        return found
    return {
        **found,
        "dfs.namenode.shared.edits.dir": _journal(config),
        "dfs.journalnode.kerberos.principal": f"{SUPERUSER}/_HOST@{config.kerberos.realm}",
        "dfs.ha.automatic-failover.enabled": "true",
        # The journal itself lets one writer in only (QJM's epochs), so nothing has to be shot; the guide asks for a method all the same.
        "dfs.ha.fencing.methods": "shell(/bin/true)",
        "dfs.ha.nn.not-become-active-in-safemode": "true",
        "dfs.ha.tail-edits.in-progress": "true",
        "dfs.ha.tail-edits.period": "1s",
        # A JournalNode that was away takes part again when the next segment begins, and is not ready before.
        "dfs.ha.log-roll.period": "30s",
        "dfs.ha.zkfc.port": str(places.FAILOVER_PORT),
        "ha.zookeeper.quorum": ",".join(
            f"{name}:{places.ZOOKEEPER_PORT}" for name in places.zookeepers(config)
        ),
        "ha.zookeeper.auth": f"@{SECRETS_PATH}/{ZOOKEEPER_AUTH}",
        "ha.zookeeper.acl": f"@{SECRETS_PATH}/{ZOOKEEPER_ACL}",
    }


def _journal(config: Hdfs) -> str:
    hosts = ";".join(f"{name}:{places.JOURNAL_PORT}" for name in places.journalnodes(config))
    return f"qjournal://{hosts}/{NAMESERVICE}"


def datanode(config: Hdfs) -> Properties:
    """hdfs-site.xml of a DataNode."""
    found = {
        **_server(config),
        "dfs.datanode.data.dir": f"file://{DATA_PATH}/blocks",
        "dfs.datanode.kerberos.principal": f"{SUPERUSER}/_HOST@{config.kerberos.realm}",
        "dfs.datanode.keytab.file": KEYTAB,
        "dfs.datanode.address": f"0.0.0.0:{DATANODE_PORT}",
        "dfs.datanode.https.address": f"0.0.0.0:{DATANODE_WEB_PORT}",
        "dfs.datanode.ipc.address": f"0.0.0.0:{DATANODE_RPC_PORT}",
        "dfs.datanode.du.reserved": str(sizing.reserved(config.datanodes.disk)),
        # A file that was closed is on disk, not in a page cache that goes with the node.
        "dfs.datanode.synconclose": "true",
    }
    for name, address in places.namenode_ids(config).items():
        found[f"dfs.namenode.servicerpc-address.{NAMESERVICE}.{name}"] = f"{address}:{places.SERVICE_PORT}"
    return found


def journalnode(config: Hdfs) -> Properties:
    """hdfs-site.xml of a JournalNode."""
    return {
        **_server(config),
        "dfs.journalnode.edits.dir": f"{DATA_PATH}/journal",
        # Where its peers are.
        "dfs.namenode.shared.edits.dir": _journal(config),
        "dfs.journalnode.kerberos.principal": f"{SUPERUSER}/_HOST@{config.kerberos.realm}",
        "dfs.journalnode.kerberos.internal.spnego.principal": f"HTTP/_HOST@{config.kerberos.realm}",
        "dfs.journalnode.keytab.file": KEYTAB,
        "dfs.journalnode.rpc-address": f"0.0.0.0:{places.JOURNAL_PORT}",
        "dfs.journalnode.https-address": f"0.0.0.0:{places.JOURNAL_WEB_PORT}",
        # One that lost its disk fetches what the others have, instead of leaving the quorum with no room to fail.
        "dfs.journalnode.enable.sync.format": "true",
    }


def zookeeper(config: Hdfs) -> str:
    """zoo.cfg. Everything goes over TLS: what the NameNodes' controllers say, among them a password, and what the servers say to
    each other. Servers prove themselves to each other by a password of their own, since certificates here vouch for servers only."""
    pem = f"{SECRETS_PATH}/tls.pem"
    ca = f"{SECRETS_PATH}/ca.crt"
    found = {
        "tickTime": "2000",
        "initLimit": "10",
        "syncLimit": "5",
        "dataDir": ZOOKEEPER_FOLDER,
        "autopurge.snapRetainCount": "3",
        "autopurge.purgeInterval": "24",
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "",
        "standaloneEnabled": "false",
        "secureClientPort": str(places.ZOOKEEPER_PORT),
        "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
        "sslQuorum": "true",
        "quorum.auth.enableSasl": "true",
        "quorum.auth.learnerRequireSasl": "true",
        "quorum.auth.serverRequireSasl": "true",
    }
    for prefix in ("ssl", "ssl.quorum"):
        found |= {
            f"{prefix}.keyStore.location": pem,
            f"{prefix}.keyStore.type": "PEM",
            f"{prefix}.trustStore.location": ca,
            f"{prefix}.trustStore.type": "PEM",
            f"{prefix}.clientAuth": "none",
        }
    for number, name in enumerate(places.zookeepers(config), 1):
        found[f"server.{number}"] = f"{name}:{places.ZOOKEEPER_QUORUM_PORT}:{places.ZOOKEEPER_ELECTION_PORT}"
    return "".join(f"{name}={value}\n" for name, value in found.items())


ZOOKEEPER_CLIENT: Final = (
    "-Dzookeeper.client.secure=true",
    "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty",
    f"-Dzookeeper.ssl.trustStore.location={SECRETS_PATH}/ca.crt",
    "-Dzookeeper.ssl.trustStore.type=PEM",
)
"""What makes Java's client of ZooKeeper speak TLS. Hadoop's own keys for it want a key store and its password in a settings file."""


def zookeeper_login(password: str) -> str:
    """JAAS file of a ZooKeeper server: by which password its peers know it. Derived passwords are letters and digits."""
    module = "org.apache.zookeeper.server.auth.DigestLoginModule"
    return (
        f'QuorumServer {{ {module} required user_{SUPERUSER}="{password}"; }};\n'
        f'QuorumLearner {{ {module} required username="{SUPERUSER}" password="{password}"; }};\n'
    )


def zookeeper_account(password: str) -> dict[str, str]:
    """How the NameNodes' controllers log in to ZooKeeper, and that nobody else may touch what they make there."""
    digest = base64.b64encode(hashlib.sha1(f"{SUPERUSER}:{password}".encode()).digest()).decode()
    return {
        ZOOKEEPER_AUTH: f"digest:{SUPERUSER}:{password}",
        ZOOKEEPER_ACL: f"digest:{SUPERUSER}:{digest}:rwcda",
    }


def policy() -> Properties:
    """hadoop-policy.xml: who may speak which protocol. Without it any tenant could pass itself off as a DataNode and be given blocks."""
    servers = (
        "security.datanode.protocol.acl",
        "security.inter.datanode.protocol.acl",
        "security.namenode.protocol.acl",
        "security.qjournal.service.protocol.acl",
        "security.interqjournal.service.protocol.acl",
        "security.zkfc.protocol.acl",
        "security.ha.service.protocol.acl",
        "security.admin.operations.protocol.acl",
        "security.refresh.user.mappings.protocol.acl",
        "security.refresh.policy.protocol.acl",
        "security.refresh.callqueue.protocol.acl",
        "security.refresh.generic.protocol.acl",
        "security.datanode.lifeline.protocol.acl",
        "security.reconfiguration.protocol.acl",
    )
    return {
        **dict.fromkeys(servers, SUPERUSER),
        "security.client.protocol.acl": "*",
        "security.client.datanode.protocol.acl": "*",
        "security.get.user.mappings.protocol.acl": "*",
    }


def ssl_server(password: str) -> Properties:
    """ssl-server.xml. The password guards a file that lives in the pod's own memory; Hadoop wants one."""
    return {
        "ssl.server.keystore.location": f"{STORES_PATH}/server.p12",
        "ssl.server.keystore.type": "PKCS12",
        "ssl.server.keystore.password": password,
        "ssl.server.keystore.keypassword": password,
        "ssl.server.truststore.location": f"{STORES_PATH}/trust.p12",
        "ssl.server.truststore.type": "PKCS12",
        "ssl.server.truststore.password": password,
    }


def ssl_client(password: str) -> Properties:
    """ssl-client.xml of a server that calls another."""
    return {
        "ssl.client.truststore.location": f"{STORES_PATH}/trust.p12",
        "ssl.client.truststore.type": "PKCS12",
        "ssl.client.truststore.password": password,
    }


LOGGING: Final = """\
log4j.rootLogger=INFO,console
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""
"""log4j.properties: to where Kubernetes reads."""


def _quoted(realm: str) -> str:
    return realm.replace(".", "\\.")
