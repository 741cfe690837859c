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
from typing import Final

from modules.kit.labels import PREFIX
from stacks.backend import Lock

Kubectl = Callable[..., str]
"""Runs kubectl with words and ``stdin``, gives what it prints, and raises when it fails."""

_STACK: Final = PREFIX + "stack"
_HOME: Final = "--namespace=kube-system"


def found(kubectl: Kubectl) -> dict[str, Lock]:
    """By stack, who is at work or was last, and since when a run has not ended, by the cluster's own clock."""
    said = kubectl("get", "leases", _HOME, f"--selector={_STACK}", "--output=json")
    return {
        each["metadata"]["labels"][_STACK]: _lock(
            each["spec"]["holderIdentity"], each["metadata"]["creationTimestamp"]
        )
        for each in json.loads(said)["items"]
    }


def begin(stack: str, kubectl: Kubectl) -> None:
    """Let the cluster know that a run begins. Where another was cut off, it has begun when that did."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": _name(stack), "labels": {_STACK: stack}},
        "spec": {"holderIdentity": f"{getpass.getuser()}@{socket.gethostname()}/{os.getpid()}"},
    }
    kubectl("apply", "--server-side", "--force-conflicts", _HOME, "--filename=-", stdin=json.dumps(lease))


def end(stack: str, kubectl: Kubectl) -> None:
    """Let it know that nothing of a run is left."""
    kubectl("delete", "lease", _name(stack), _HOME, "--ignore-not-found")


def _lock(identity: str, since: str) -> Lock:
    who, _, process = identity.rpartition("/")
    user, _, host = who.rpartition("@")
    return Lock(user, host, int(process), since)


def _name(stack: str) -> str:
    return f"longhouse-{stack}"
