"""Makes workspaces and who may come in what the deployment wants, and says each change.

Level-triggered: it reads what is there and changes the difference. A tenant that is no longer wanted comes in no more; its workspace is kept,
and is listed, until the tenant is named as departed. Artifacts are in the tenant's own bucket, and stay or go with that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from modules.kit.inside import retained
from modules.ml.tracking.inside import database
from modules.ml.tracking.inside.desired import FILE, MOUNT, Desired

DEFAULT = "default"
"""MLflow's own workspace, which is nobody's."""


class Accounts(Protocol):
    """Who may come in."""

    def read(self) -> dict[str, str]:
        """Tenant to what is kept of its password."""

    def put(self, tenant: str, digest: str) -> None:
        """Let a tenant in with that password, and with no other."""

    def remove(self, tenant: str) -> None:
        """Let it in no more."""


class Workspaces(Protocol):
    """MLflow's workspaces."""

    def names(self) -> Iterable[str]:
        """All that there are."""

    def make(self, name: str) -> None:
        """One more."""

    def delete(self, name: str) -> None:
        """One less, with all that is in it."""


def reconcile(
    wanted: Desired, accounts: Accounts, workspaces: Workspaces, say: Callable[[str], None] = print
) -> dict[str, str]:
    """Change what differs. Gives what is retained: workspace to a sentence on it."""
    changes = 0

    def told(change: str) -> None:
        nonlocal changes
        changes += 1
        say(change)

    may = accounts.read()
    for tenant in sorted(may.keys() - wanted.digests.keys()):
        accounts.remove(tenant)
        told(f"{tenant}: comes in no more")
    there = set(workspaces.names()) - {DEFAULT}
    for tenant, digest in sorted(wanted.digests.items()):
        if tenant not in there:
            workspaces.make(tenant)
            told(f"{tenant}: made the workspace")
        if may.get(tenant) != digest:
            accounts.put(tenant, digest)
            told(f"{tenant}: set the password")
    gone = there - wanted.digests.keys()
    for tenant in sorted(gone & set(wanted.delete)):
        workspaces.delete(tenant)
        told(f"{tenant}: deleted the workspace with all that was in it")
    if not changes:
        say("no change")
    return {name: f"workspace of tenant {name}, which is gone" for name in sorted(gone - set(wanted.delete))}


class Stored:
    """The workspaces in MLflow's database."""

    def __init__(self, url: str) -> None:
        from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore

        self._store = SqlAlchemyStore(url)

    def names(self) -> Iterable[str]:
        """All that there are."""
        return [each.name for each in self._store.list_workspaces()]

    def make(self, name: str) -> None:
        """One more."""
        from mlflow.entities import Workspace

        self._store.create_workspace(Workspace(name=name))

    def delete(self, name: str) -> None:
        """One less, with all that is in it."""
        from mlflow.entities.workspace import WorkspaceDeletionMode

        self._store.delete_workspace(name, WorkspaceDeletionMode.CASCADE)


def main(report: Callable[[dict[str, str]], None] = retained.report) -> None:
    """Run once."""
    from modules.ml.tracking.inside.upgrade import upgrade

    wanted = Desired.of((MOUNT / FILE).read_text())
    print(f"the schema is {upgrade()}")
    kept = reconcile(wanted, database.Accounts(), Stored(database.url()))
    report(kept)
    for name, why in kept.items():
        print(f"retained: {name}: {why}")


if __name__ == "__main__":
    main()
