"""What each stack was last made from, as the cluster was told: a ConfigMap of the cluster that is deployed to, a line for each stack.

A line names the inputs and the version of the state that came of them. It holds as long as that is the state: whoever writes another, by whatever
command, has it looked at again, and so has a cluster that was made anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

Kubectl = Callable[..., str]
"""Runs kubectl with words and ``stdin``, gives what it prints, and raises when it fails."""

_NAME: Final = "longhouse-stacks"
_HOME: Final = "--namespace=kube-system"


def line(inputs: str, version: str) -> str:
    """What is told of a stack made from the ``inputs``, whose state has that ``version``."""
    return f"{inputs} {version}"


def found(kubectl: Kubectl) -> Mapping[str, str]:
    """Every stack's line."""
    said = kubectl("get", "configmap", _NAME, _HOME, "--ignore-not-found", "--output=json")
    return (json.loads(said).get("data") or {}) if said.strip() else {}


def tell(lines: Mapping[str, str], kubectl: Kubectl) -> None:
    """Write the lines of some stacks. The others' stay."""
    empty = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _NAME}}
    if lines:
        kubectl("apply", "--server-side", _HOME, "--filename=-", stdin=json.dumps(empty))
        kubectl("patch", "configmap", _NAME, _HOME, "--type=merge", "--patch", json.dumps({"data": lines}))


def forget(stacks: set[str], kubectl: Kubectl) -> None:
    """Take the lines of stacks away that are gone, and the ConfigMap with the last of them."""
    there = found(kubectl).keys()
    if gone := there & stacks:
        patch = json.dumps({"data": dict.fromkeys(sorted(gone))})
        kubectl("patch", "configmap", _NAME, _HOME, "--type=merge", "--patch", patch)
    if there and not there - stacks:
        kubectl("delete", "configmap", _NAME, _HOME, "--ignore-not-found")
