"""``make retained``: what the stores keep of tenants that are gone, as they themselves last reported it."""

from __future__ import annotations

import json
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from modules.kit.labels import RETAINED


def kept(listed: str) -> list[tuple[str, str, str]]:
    """Store, thing and what is said of it, from ConfigMaps as kubectl lists them in JSON, sorted."""
    return sorted(
        (item["metadata"]["labels"][RETAINED], thing, said)
        for item in json.loads(listed)["items"]
        for thing, said in (item.get("data") or {}).items()
    )


def main() -> int:
    """Print the list of the cluster that the kubeconfig names; the exit code is 1 where it can't be asked."""
    command = ["kubectl", "get", "configmaps", "--all-namespaces", f"--selector={RETAINED}", "--output=json"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        print("kubectl is missing: install it, it asks the cluster", file=sys.stderr)
        return 1
    if done.returncode != 0:
        print(f"the cluster gave no list: {done.stderr.strip()}", file=sys.stderr)
        return 1
    found = kept(done.stdout)
    if not found:
        print("No store keeps anything of a tenant that is gone.")
        return 0
    table = Table("store", "kept", "of whom")
    for row in found:
        table.add_row(*row)
    Console().print(
        table, "To let it be deleted, name the tenant under `departed:` in the profile.", sep="\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
