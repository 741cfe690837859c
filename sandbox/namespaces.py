"""The embedded node's own namespaces: what makes it leave nothing behind.

The whole cluster runs in mount, network, process, host-name and IPC namespaces of its own, as a node of kind does in
its container. So its mounts, devices, firewall rules, ports and sockets never meet those of the machine or of a Docker
beside it, and the end of the namespaces' first process is the end of everything in them.
"""

from __future__ import annotations

import ipaddress
import json
import signal
from collections.abc import Mapping
from pathlib import Path

from sandbox.places import INSTANCE
from sandbox.process import Process
from sandbox.shell import SandboxError, run, succeeds, wait_until

LINK = INSTANCE
"""The network device on the machine that leads to the node."""
FIRST = Process("node")
"""Process 1 of the node, as the machine sees it."""
_PREPARED = "/run/prepared"
"""There once the namespaces are fit for use: a start that was cut off in between is begun anew."""


class Namespaces:
    """A node's namespaces, held open by one process; ``address`` is the node's own, in a /30 with the machine's."""

    def __init__(self, address: ipaddress.IPv4Address) -> None:
        self.address = address
        network = ipaddress.ip_network(f"{address}/30", strict=False)
        self.network = ipaddress.IPv4Network(network)
        self.machine_address = next(host for host in self.network.hosts() if host != address)

    @property
    def pid(self) -> int | None:
        """The first process, seen from the machine; None when it does not run."""
        return FIRST.pid

    def enter(self, *command: str | Path) -> tuple[str, ...]:
        """The command that runs ``command`` inside."""
        if self.pid is None:
            raise SandboxError("the embedded node is not running: `make up` starts it")
        inside = ("nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--uts", "--ipc", "--")
        return (*inside, *(str(word) for word in command))

    def run(
        self, *command: str | Path, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """Run ``command`` inside, to its end."""
        return run(*self.enter(*command), stdin=stdin, env=env)

    def open(self, first_process: Path) -> None:
        """Make the namespaces, unless they are there, with ``first_process`` (which must reap orphans) as process 1.

        Raises SandboxError when this machine does not allow it or already uses the addresses.
        """
        if self.pid is not None and succeeds(*self.enter("test", "-e", _PREPARED)):
            return
        close()
        self._refuse_taken_addresses()
        holder = FIRST.start(
            ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "slave", "--", first_process],
        )  # fmt: skip
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        wait_until(
            "the namespaces of the embedded node are open",
            lambda: holder.poll() is not None or bool(children.read_text().split()),
            10,
            FIRST.log,
        )
        if holder.poll() is not None:
            raise SandboxError(f"this machine does not let us make namespaces: see {FIRST.log}")
        pid = int(children.read_text().split()[0])
        FIRST.remember(pid)
        wait_until(
            "process 1 of the node runs", lambda: Path(f"/proc/{pid}/exe").readlink() == first_process, 10
        )
        self._prepare()

    def _prepare(self) -> None:
        self.run("hostname", LINK)
        self.run("mount", "--make-rshared", "/")
        self.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
        run("ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        run("ip", "address", "add", f"{self.machine_address}/{self.network.prefixlen}", "dev", LINK)
        run("ip", "link", "set", LINK, "up")
        self.run("ip", "address", "add", f"{self.address}/{self.network.prefixlen}", "dev", "eth0")
        for device in ("lo", "eth0"):
            self.run("ip", "link", "set", device, "up")
        self.run("ip", "route", "add", "default", "via", str(self.machine_address))
        self.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.route_localnet=1")
        self.run("touch", _PREPARED)

    def _refuse_taken_addresses(self) -> None:
        for route in json.loads(run("ip", "-json", "route", "show", "table", "main")):
            taken = route["dst"]
            if taken != "default" and ipaddress.ip_network(taken).overlaps(self.network):
                raise SandboxError(
                    f"this machine already uses {taken} (device {route.get('dev')}), which overlaps the embedded node's "
                    f"{self.network}: give the profile another cluster.api_server address"
                )


def close() -> None:
    """End everything inside, and wait until it has gone."""
    FIRST.stop(signal.SIGKILL)
    succeeds("ip", "link", "delete", LINK)
