"""The programs that the sandbox runs: built from the pins in this folder, or found on PATH at the pinned version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sandbox.golang import GoProgram
from sandbox.places import BIN
from sandbox.progress import Progress

PINS = Path(__file__).parent
_KUBERNETES_VERSION = "k8s.io/component-base/version"
_PULUMI = "github.com/pulumi/pulumi"
_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
KUBERNETES_MINOR = "36"
PROVIDER_VERSION = "4.25.0"
"""The release that the provider's pinned commit stands for; pyproject.toml pins the same for Python."""


@dataclass(frozen=True)
class Tool:
    """A program, the names it answers to, and how a copy on PATH tells its version (None: never taken from PATH)."""

    program: GoProgram
    names: tuple[str, ...]
    version_command: tuple[str, ...] | None = None

    def on_path(self) -> Path | None:
        """The copy on PATH, if there is one at the pinned version."""
        found = shutil.which(self.program.name, path=_path_without_ours())
        if found is None or self.version_command is None:
            return None
        try:
            said = subprocess.run(
                [found, *self.version_command], capture_output=True, text=True, timeout=10, check=False
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return None
        wanted = re.escape(self.program.version.removeprefix("v"))
        return Path(found) if re.search(rf"(?<![\d.]){wanted}(?![\w.-])", said) else None


def _tool(
    name: str,
    module: str,
    package: str = ".",
    *,
    folder: str | None = None,
    defines: dict[str, str] | None = None,
    files: dict[str, tuple[str, ...]] | None = None,
    seconds: float,
    names: tuple[str, ...] | None = None,
    version_command: tuple[str, ...] | None = None,
) -> Tool:
    program = GoProgram(name, PINS / (folder or name), module, package, defines or {}, files or {}, seconds)
    return Tool(program, (name,) if names is None else names, version_command)


PULUMI = _tool(
    "pulumi", f"{_PULUMI}/pkg/v3", f"{_PULUMI}/pkg/v3/cmd/pulumi",
    defines={f"{_PULUMI}/sdk/v3/go/common/version.Version": "{version}"},
    files={f"{_PULUMI}/sdk/v3": (
        "python/cmd/pulumi-language-python-exec",
        "python/dist/pulumi-analyzer-policy-python",
        "python/dist/pulumi-resource-pulumi-python",
    )},
    names=("pulumi", "pulumi-language-python-exec", "pulumi-analyzer-policy-python", "pulumi-resource-pulumi-python"),
    seconds=80, version_command=("version",),
)  # fmt: skip
LANGUAGE_HOST = _tool(
    "pulumi-language-python",
    f"{_PULUMI}/sdk/v3",
    f"{_PULUMI}/sdk/v3/python/cmd/pulumi-language-python",
    seconds=20,
)
PROVIDER = _tool(
    "pulumi-resource-kubernetes", _PROVIDER,
    defines={
        "main.Version": PROVIDER_VERSION,
        # What charts are told where no cluster can be asked; Helm's own build sets it too, else it is 1.20.
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": KUBERNETES_MINOR,
    },
    files={_PROVIDER: tuple(f"cmd/pulumi-resource-kubernetes/{name}" for name in ("schema.json", "terraform-mapping.json"))},
    names=(),  # Pulumi warns of a provider on PATH: it goes into Pulumi's home
    seconds=250,
)  # fmt: skip
KUBERNETES = _tool(
    "kubernetes", "k8s.io/kubernetes",
    defines={
        f"{_KUBERNETES_VERSION}.gitVersion": "{version}",
        f"{_KUBERNETES_VERSION}.gitMajor": "1",
        f"{_KUBERNETES_VERSION}.gitMinor": KUBERNETES_MINOR,
    },
    names=("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet",
           "local-storage"),
    seconds=240,
)  # fmt: skip
ETCD = _tool(
    "etcd",
    "go.etcd.io/etcd/server/v3",
    "go.etcd.io/etcd/server/v3",
    seconds=20,
    version_command=("--version",),
)
KWOKCTL = _tool(
    "kwokctl", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwokctl", folder="kwok",
    defines={"sigs.k8s.io/kwok/pkg/consts.Version": "{version}"}, seconds=45, version_command=("--version",),
)  # fmt: skip
KWOK = _tool("kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwok", seconds=20)
CONTAINERD = _tool(
    "containerd", "github.com/containerd/containerd/v2", "github.com/containerd/containerd/v2/cmd/containerd",
    seconds=40,
)  # fmt: skip
CONTAINERD_SHIM = _tool(
    "containerd-shim-runc-v2", "github.com/containerd/containerd/v2",
    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", folder="containerd", seconds=5,
)  # fmt: skip
CTR = _tool(
    "ctr", "github.com/containerd/containerd/v2", "github.com/containerd/containerd/v2/cmd/ctr", folder="containerd",
    seconds=5,
)  # fmt: skip
KUBE_ROUTER = _tool(
    "kube-router", "github.com/cloudnativelabs/kube-router/v2", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    seconds=75,
)  # fmt: skip
PAUSE = Tool(GoProgram("pause", PINS / "pause", "", seconds=2), ("pause",))

CONTROL_PLANE = (PULUMI, LANGUAGE_HOST, PROVIDER, KUBERNETES, ETCD, KWOKCTL, KWOK)
"""Enough for a control plane with simulated nodes."""
REAL_NODE = (CONTAINERD, CONTAINERD_SHIM, CTR, KUBE_ROUTER, PAUSE)
"""What a real node needs beside it."""


def missing(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Those that must be built: neither on PATH at the pinned version nor in the cache."""
    return tuple(tool for tool in tools if not tool.program.built and tool.on_path() is None)


def workers() -> int:
    """How many builds run side by side: one for two cores, which a build keeps busy by itself, and for 4 GiB, which the
    largest link step needs."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min((os.cpu_count() or 1) // 2, int(memory_gib // 4)))


def build(programs: tuple[GoProgram, ...], progress: Progress) -> None:
    """Build all of them, largest first, side by side where cores and memory allow."""

    def one(program: GoProgram) -> None:
        with progress.task(f"build {program.name}"):
            program.build()

    with ThreadPoolExecutor(workers()) as pool:
        futures = [pool.submit(one, program) for program in sorted(programs, key=lambda each: -each.seconds)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def link(tools: tuple[Tool, ...], into: Path = BIN) -> None:
    """Put the tools in use into one folder, by default the instance's ``bin/``, each under all its names.

    Files, not symbolic links: Pulumi and its language host look for each other beside the file that they run from.
    """
    into.mkdir(parents=True, exist_ok=True)
    for tool in tools:
        program = tool.on_path() or tool.program.path
        for name in tool.names:
            beside = program.parent / name
            place(beside if beside.exists() else program, into / name)


def place(source: Path, target: Path) -> None:
    """Make ``target`` the very file ``source`` (a copy where they are on two file systems)."""
    if target.exists() and not target.is_symlink() and source.samefile(target):
        return
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        partial.hardlink_to(source)
    except OSError:  # another file system
        shutil.copy(source, partial)
    partial.replace(target)


def _path_without_ours() -> str:
    return os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if Path(part) != BIN)
