"""GPUs are shared by weight while all want more: the bench, small, on simulated nodes before API servers of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.fairness import TOLERANCE
from sandbox import tools
from stacks.deploy import CHECKOUT

_SMALL = ("--nodes=20", "--tenants=4", "--jobs=80", "--seconds=5")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the bench found, once for all tests."""
    folder = tmp_path_factory.mktemp("shares")
    tools.link((tools.PULUMI, tools.LANGUAGE_HOST, tools.KUBERNETES, tools.ETCD), folder / "bin")
    env = {**os.environ, "PATH": os.pathsep.join((str(folder / "bin"), os.environ["PATH"]))}
    file = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpus", *_SMALL, f"--json={file}"],
        check=False, capture_output=True, text=True, cwd=CHECKOUT, env=env, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert file.exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(Path(file).read_text())
    assert done.returncode == bool(found["faults"]), done.stdout + done.stderr
    return found


def _off(figures: dict[str, Any], how: str) -> dict[str, float]:
    return {name: abs(figures[how]["shares"][name] / part - 1) for name, part in figures["entitled"].items()}


def test_every_tenant_has_what_its_quota_and_its_weight_entitle_it_to(figures: dict[str, Any]) -> None:
    assert sorted(figures["entitled"].values()) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert max(_off(figures, "queued").values()) <= TOLERANCE, figures


def test_the_queues_leave_no_gpu_ungiven_that_somebody_waits_for(figures: dict[str, Any]) -> None:
    assert not figures["faults"]


def test_without_queues_the_same_jobs_are_not_shared_so(figures: dict[str, Any]) -> None:
    """Else the jobs, and not the queues, would be what shares."""
    assert max(_off(figures, "plain").values()) > TOLERANCE, figures
