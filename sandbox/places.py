"""Where the sandbox keeps things on this machine: nothing in the checkout, nothing outside these folders.

A machine can hold several embedded clusters side by side, told apart by the variable ``LONGHOUSE_INSTANCE``.
"""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def _base(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default) / "longhouse"


CACHE = _base("XDG_CACHE_HOME", ".cache")
"""What can be built again: tools and images, each in a folder named by a hash of its pins."""

INSTANCE = os.environ.get("LONGHOUSE_INSTANCE", "longhouse")
"""The embedded cluster that is meant; its network device, control group and kubeconfig context bear this name."""
STATE = _base("XDG_STATE_HOME", ".local/state") / INSTANCE
"""What the running cluster is made of: taken away by ``make down``."""

BIN = STATE / "bin"
LOGS = STATE / "logs"
KUBECONFIG = STATE / "kubeconfig"
PULUMI_HOME = STATE / "pulumi"
"""Pulumi's own home: plugins, and the file backend with the state of the embedded cluster's stack."""
