"""Whether a node can serve: it is a normal member of the ring, and answers on its client port by TLS.

A probe, so it is the standard library only and costs a tenth of a second; nodetool would start a JVM each time. The mode comes from
the metrics (``cassandra_operation_mode``); that the port answers is asked with CQL's OPTIONS, which needs no password
(https://cassandra.apache.org/doc/latest/cassandra/reference/native-protocol.html, "OPTIONS").
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from typing import Final

NORMAL: Final = 'cassandra_operation_mode{mode="NORMAL"} 1.0'
_OPTIONS: Final = bytes([0x04, 0, 0, 0, 0x05, 0, 0, 0, 0])
_SUPPORTED: Final = 0x06
_SECONDS: Final = 5.0


def is_normal(metrics: str) -> bool:
    """Whether the node's own metrics say that it is neither joining, leaving, drained nor broken."""
    return NORMAL in metrics.splitlines()


def _metrics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    connection.request("GET", "/metrics?name[]=cassandra_operation_mode")
    return connection.getresponse().read().decode()


def _answers(port: int, authority: str, name: str) -> bool:
    trust = ssl.create_default_context(cafile=authority)
    with (
        socket.create_connection((socket.gethostname(), port), _SECONDS) as plain,
        trust.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(_OPTIONS)
        answer = connection.recv(9)
    return len(answer) >= 5 and answer[4] == _SUPPORTED


def main(metrics_port: int, cql_port: int, authority: str, name: str) -> int:
    """0 when the node can serve."""
    try:
        if not is_normal(_metrics(metrics_port)):
            print("not a normal member of the ring")
            return 1
        return 0 if _answers(cql_port, authority, name) else 1
    except OSError as error:
        print(error)
        return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
