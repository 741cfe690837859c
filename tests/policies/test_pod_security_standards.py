"""The rules for pods against the manifests that Kubernetes' own Pod Security admission is tested with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from policies.catalogue import RULES
from policies.rule import violations
from tests.policies.objects import resource
from upstream import module_directory

_MODULE = "k8s.io/pod-security-admission"
_PINS = Path(__file__).parents[2] / "sandbox/tools/kubernetes"


def _of_the_standards(reference: str) -> bool:
    return reference.startswith("Pod Security Standards")


_RULES = [
    rule for rule in RULES if rule.id.startswith("LH-W-") and any(map(_of_the_standards, rule.references))
]
"""All that the standards ask for; they do not ask for requests and limits."""


def manifests(level: str, verdict: str) -> list[Path]:
    """The manifests of the newest version of a level that Kubernetes' own admission has to `pass` or to `fail`."""
    versions = (module_directory(_PINS, _MODULE) / "test/testdata" / level).iterdir()
    newest = max(versions, key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.name)])
    found = sorted((newest / verdict).glob("*.yaml"))
    assert found, f"{_MODULE} has no {verdict} manifests of level {level}"
    return found


def _faults(manifest: Path) -> list[str]:
    return [found.text for found in violations(_RULES, [resource(yaml.safe_load(manifest.read_text()))])]


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_every_pod_that_the_standards_refuse_is_refused(level: str) -> None:
    missed = [manifest.name for manifest in manifests(level, "fail") if not _faults(manifest)]
    assert missed == []


def test_every_pod_that_the_restricted_standard_admits_is_allowed() -> None:
    faults = {manifest.name: _faults(manifest) for manifest in manifests("restricted", "pass")}
    assert {name: found for name, found in faults.items() if found} == {}
