"""This machine: what it lets us do, and what it still needs from its package manager."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from sandbox.places import INSTANCE, STATE
from sandbox.shell import SandboxError, run, succeeds, wait_until

CNI_PLUGINS = Path("/usr/lib/cni")
"""Where Debian and Ubuntu put the plugins of containernetworking-plugins."""
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Package:
    """A package of the machine's distribution, and the file that shows it is there."""

    name: str
    program: str


PACKAGES = (
    Package("runc", "runc"),
    Package("iptables", "iptables"),
    Package("ipset", "ipset"),
    Package("conntrack", "conntrack"),
    Package("iproute2", "ip"),
    Package("util-linux", "nsenter"),
    Package("procps", "sysctl"),
    Package("containernetworking-plugins", str(CNI_PLUGINS / "bridge")),
    Package("buildah", "buildah"),
    Package("mmdebstrap", "mmdebstrap"),
    Package("maven", "mvn"),
)


def missing_packages() -> tuple[Package, ...]:
    """Those of PACKAGES that this machine lacks."""
    return tuple(package for package in PACKAGES if _which(package.program) is None)


def install(packages: tuple[Package, ...]) -> None:
    """Install packages with apt.

    Raises SandboxError naming the packages where apt cannot.
    """
    names = [package.name for package in packages]
    if _which("apt-get") is None:
        raise SandboxError(f"install these programs with this machine's package manager: {' '.join(names)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", env=env)
    run("apt-get", "install", "--yes", "--no-install-recommends", *names, env=env)


def why_no_container() -> str | None:
    """Why no container can run here, in words for a person; None when one can.

    It tries what a node needs instead of asking who we are: namespaces, a mount, a cgroup, packages.
    """
    if platform.system() != "Linux":
        return f"containers need Linux, and this is {platform.system()}"
    if not succeeds(
        "unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "true"
    ):
        return "this machine does not let us make namespaces (unshare is refused)"
    if not succeeds("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"):
        return "this machine does not let us mount a file system"
    try:
        make_cgroup(f"{INSTANCE}-probe")
        remove_cgroup(f"{INSTANCE}-probe")
    except OSError as refusal:
        return f"this machine does not let us make control groups ({refusal})"
    needed = missing_packages()
    if needed and os.geteuid() != 0:
        return f"these packages are missing and only root can install them: {' '.join(each.name for each in needed)}"
    return None


@cache
def snapshotter() -> str:
    """containerd's way to lay image layers on this machine's file system: overlayfs, or plain copies without it."""
    STATE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE) as scratch:
        lower, upper, work, merged = (Path(scratch) / name for name in ("lower", "upper", "work", "merged"))
        for folder in (lower, upper, work, merged):
            folder.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        works = succeeds("unshare", "--mount", "mount", "-t", "overlay", "-o", options, "overlay", merged)
    return "overlayfs" if works else "native"


def codename() -> str:
    """The distribution's release, such as ``bookworm``: images take their packages from the same."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def find(program: str) -> Path:
    """The full path of a program.

    Raises SandboxError when the machine lacks it.
    """
    found = _which(program)
    if found is None:
        raise SandboxError(f"the program {program!r} is missing on this machine")
    return Path(found)


def make_cgroup(name: str) -> None:
    """Make a control group at the top, in every hierarchy that there is (one in version 2).

    Raises OSError when that is not allowed.
    """
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
        cpus = hierarchy / name / "cpuset.cpus"
        if (hierarchy / "cpuset.mems").exists() and cpus.exists() and not cpus.read_text().strip():
            # Version 1 gives a new group no processor and no memory bank: hand it the parent's.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (hierarchy / name / setting).write_text((hierarchy / setting).read_text())


def remove_cgroup(name: str) -> None:
    """Take a control group and all below it away; its processes are killed or ending, and a group is busy until the last is gone.

    Raises SandboxError when it stays busy.
    """
    for hierarchy in _hierarchies():
        wait_until(f"control group {hierarchy / name} is empty", partial(_removed, hierarchy / name), 60)


def _removed(top: Path) -> bool:
    """Take away what can be of a group and all below it; whether that was all."""
    groups = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
    try:
        for group in (*groups, top):
            if group.exists():
                group.rmdir()
    except OSError:
        return False
    return True


def _hierarchies() -> list[Path]:
    if (_CGROUPS / "cgroup.controllers").exists():
        for controller in (_CGROUPS / "cgroup.controllers").read_text().split():
            # One that this machine keeps for itself is refused; the kubelet says which it misses.
            if os.access(_CGROUPS / "cgroup.subtree_control", os.W_OK):
                succeeds("sh", "-c", f"echo +{controller} > {_CGROUPS}/cgroup.subtree_control")
        return [_CGROUPS]
    mounted = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(fields[1]) for fields in mounted if fields[2] in ("cgroup", "cgroup2")]


def _which(program: str) -> str | None:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)
