"""``python -m stacks.tensorboard``: look at what a tenant's training jobs log.

``open TENANT`` has the tenant's TensorBoard started, on the kubeconfig's current context (or the profile's own), and is the way to it until
it is interrupted. It ends by itself when nobody has looked for a while; ``close TENANT`` ends it at once. It takes an editor of the tenant, and nothing of
the platform's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from modules.kit import names
from modules.ml.tensorboard.config import NAME, PORT
from profiles.load import load
from profiles.model import Profile
from profiles.problems import ProfileError

DEPLOYMENT = f"deployment/{NAME}"
MINUTES = 10
"""How long it is waited for: it is queued as all work of the tenant is."""


def fault(profile: Profile, tenant: str) -> str | None:
    """Why the tenant has no TensorBoard; None where it has one."""
    if tenant not in profile.tenants:
        return f"profile {profile.name} has no tenant {tenant}; there are: {', '.join(profile.tenants)}"
    if tenant not in profile.logged:
        if profile.tensorboard is None:
            return f"profile {profile.name} has no TensorBoard: write tensorboard: {{}} into it"
        return f"tenant {tenant} has no bucket, where jobs log: write data.object_store into its record"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 1 where there is nothing to open or the cluster refused."""
    parser = argparse.ArgumentParser(
        prog="python -m stacks.tensorboard", description="A tenant's TensorBoard."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, what in (("open", "start it and lead to it"), ("close", "end it now")):
        known = verbs.add_parser(verb, help=what)
        known.add_argument("tenant")
        known.add_argument("--profile", default="local", help="environment that it is in (default: local)")
        if verb == "open":
            known.add_argument(
                "--port",
                type=int,
                default=PORT,
                help=f"port of this machine to reach it at (default: {PORT})",
            )
    chosen = parser.parse_args(arguments)
    try:
        profile = load(chosen.profile)
    except ProfileError as error:
        print(error, file=sys.stderr)
        return 1
    if problem := fault(profile, chosen.tenant):
        print(problem, file=sys.stderr)
        return 1
    try:
        if chosen.verb == "close":
            return _kubectl(profile, chosen.tenant, "scale", DEPLOYMENT, "--replicas=0")
        return _open(profile, chosen.tenant, chosen.port)
    except FileNotFoundError:
        print("kubectl is missing: install it, it asks the cluster", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nit stays for {_minutes(profile)} minutes without a look", file=sys.stderr)
        return 0


def _open(profile: Profile, tenant: str, port: int) -> int:
    if code := _kubectl(profile, tenant, "scale", DEPLOYMENT, "--replicas=1"):
        print(f"    → check that you are an editor of tenant {tenant}", file=sys.stderr)
        return code
    if code := _kubectl(profile, tenant, "rollout", "status", DEPLOYMENT, f"--timeout={MINUTES}m"):
        where = f"--namespace={names.namespace(tenant)}"
        print(
            f"    → it waits in the tenant's queue: kubectl get workloads {where} says for what",
            file=sys.stderr,
        )
        return code
    print(f"http://localhost:{port} until you press Ctrl-C", flush=True)
    return _kubectl(profile, tenant, "port-forward", DEPLOYMENT, f"{port}:{PORT}")


def _kubectl(profile: Profile, tenant: str, *words: str) -> int:
    where = ["--context", profile.cluster.context] if profile.cluster.context else []
    return subprocess.run(command(where, tenant, words), check=False).returncode


def command(where: Sequence[str], tenant: str, words: Sequence[str]) -> list[str]:
    """kubectl's words for the tenant's namespace."""
    return ["kubectl", *where, *words, f"--namespace={names.namespace(tenant)}"]


def _minutes(profile: Profile) -> int:
    assert profile.tensorboard is not None
    return profile.tensorboard.idle_minutes


if __name__ == "__main__":
    sys.exit(main())
