"""Which stacks a deployment is at work on, or was when it was cut off: a Lease for each, in the cluster that is deployed to.

A state is written when a run ends (docs/decisions/no-checkpoints.md), so one that is killed leaves what was there before it began. The cluster knows
that it began: the next run, whoever's and on whatever machine, sees it there.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modules.kit.labels import PREFIX

Kubectl = Callable[..., str]
"""Runs kubectl with words and ``stdin``, gives what it prints, and raises when it fails."""

_STACK: Final = PREFIX + "stack"
_HOME: Final = "--namespace=kube-system"


@dataclass(frozen=True)
class Lease:
    """A run that has begun."""

    stack: str
    holder: str
    """Who is at work, or was last."""

    since: str
    """When the first run began that has not ended, by the cluster's own clock (RFC 3339)."""


def found(kubectl: Kubectl) -> dict[str, Lease]:
    """All that the cluster knows, by stack."""
    said = kubectl("get", "leases", _HOME, f"--selector={_STACK}", "--output=json")
    leases = (
        Lease(
            each["metadata"]["labels"][_STACK],
            each["spec"]["holderIdentity"],
            each["metadata"]["creationTimestamp"],
        )
        for each in json.loads(said)["items"]
    )
    return {each.stack: each for each in leases}


def holder() -> str:
    """This process, as others see it."""
    return f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}"


def begin(stack: str, kubectl: Kubectl) -> None:
    """Let the cluster know that a run begins. Where another was cut off, it has begun when that did."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": _name(stack), "labels": {_STACK: stack}},
        "spec": {"holderIdentity": holder()},
    }
    kubectl("apply", "--server-side", "--force-conflicts", _HOME, "--filename=-", stdin=json.dumps(lease))


def end(stack: str, kubectl: Kubectl) -> None:
    """Let it know that nothing of a run is left."""
    kubectl("delete", "lease", _name(stack), _HOME, "--ignore-not-found")


def _name(stack: str) -> str:
    return f"longhouse-{stack}"
