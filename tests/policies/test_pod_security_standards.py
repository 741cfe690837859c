"""The rules for pods against the manifests that Kubernetes' own Pod Security admission is tested with."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from policies.catalogue import RULES
from policies.rule import violations
from tests.policies.objects import resource

_MODULE = "k8s.io/pod-security-admission"
_PINS = Path(__file__).parents[2] / "sandbox/tools/kubernetes"
_RULES = [rule for rule in RULES if rule.id.startswith("LH-W-") and rule.id != "LH-W-001"]
"""All that the standards ask for; they do not ask for requests and limits."""


def _module() -> Path | None:
    """Where the module that belongs to the pinned Kubernetes lies on this machine; None when it was never downloaded."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", _MODULE]
    try:
        said = subprocess.run(command, cwd=_PINS, capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(said) if said else None


def _manifests(level: str, verdict: str) -> list[Path]:
    module = _module()
    if module is None:
        return []
    versions = (module / "test/testdata" / level).iterdir()
    newest = max(versions, key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.name)])
    return sorted((newest / verdict).glob("*.yaml"))


def _faults(manifest: Path) -> list[str]:
    return [found.text for found in violations(_RULES, [resource(yaml.safe_load(manifest.read_text()))])]


def _needed(manifests: list[Path]) -> list[Path]:
    if not manifests:
        pytest.skip(f"{_MODULE} is not on this machine: building the sandbox's Kubernetes brings it")
    return manifests


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_every_pod_that_the_standards_refuse_is_refused(level: str) -> None:
    missed = [manifest.name for manifest in _needed(_manifests(level, "fail")) if not _faults(manifest)]
    assert missed == []


def test_every_pod_that_the_restricted_standard_admits_is_allowed() -> None:
    faults = {manifest.name: _faults(manifest) for manifest in _needed(_manifests("restricted", "pass"))}
    assert {name: found for name, found in faults.items() if found} == {}
