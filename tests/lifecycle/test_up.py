"""From nothing to a converged platform, with a kill on the way at each stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from modules.foundation.gpu_pools import placement
from modules.kit import labels
from profiles.load import load
from sandbox.node import NAME
from tests.lifecycle.journey import CORE, PROFILE, Journey
from tests.live import TIMEOUT


def _descendant(pid: int, program: str) -> int | None:
    """The id of the first process below ``pid`` that runs ``program``."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            name = Path(f"/proc/{child}/comm").read_text().strip()
            found = int(child) if name == program else _descendant(int(child), program)
            if found is not None:
                return found
    return None


def test_a_start_that_was_killed_goes_on_when_it_is_run_again(journey: Journey) -> None:
    code = journey.sandbox_killing(
        "up",
        "--cluster-only",
        when=lambda: journey.has("namespaces"),
        whom=lambda pid: pid,
    )
    assert code < 0, "the run was to be killed"
    assert journey.sandbox("up", "--cluster-only", f"--profile={CORE}") == 0
    ready = journey.kubectl("wait", "--for=condition=Ready", "nodes", "--all", TIMEOUT)
    assert ready.returncode == 0, ready.stderr
    journey.empty = journey.objects()


def test_a_deployment_whose_pulumi_was_killed_half_way_converges_when_it_is_run_again(
    journey: Journey,
) -> None:
    """Also when the profile has lost a tenant in between, of which the state never knew."""
    with _one_tenant_more(journey, "leaver"):
        code = journey.sandbox_killing(
            "up",
            f"--profile={CORE}",
            when=lambda: journey.has("namespaces", "--selector=longhouse.dev/tenant=leaver"),
            whom=lambda pid: _descendant(pid, "pulumi"),
        )
        assert code == 1, "a deployment that was killed must say that it failed"
    assert journey.sandbox("up", f"--profile={CORE}") == 0
    state = journey.state()
    assert not state.get("pending_operations")
    journey.resources = frozenset(journey.ids())
    assert len(journey.resources) == len(journey.ids()), "an object stands twice in the state"
    gone = journey.kubectl("wait", "--for=delete", "namespace/tenant-leaver", TIMEOUT)
    assert gone.returncode == 0, gone.stderr
    assert not journey.has("clusterqueues.kueue.x-k8s.io", "--selector=longhouse.dev/tenant=leaver")


def test_the_stores_join_a_platform_that_runs(journey: Journey) -> None:
    """And the node, whose pool may have changed since, has its pool's labels."""
    words = ("label", "node", NAME, f"{labels.SITE}-", f"{labels.LOCAL_SSD}-", f"{labels.REGION}=elsewhere")
    assert journey.kubectl(*words).returncode == 0
    assert journey.sandbox("up", f"--profile={PROFILE}") == 0
    node = json.loads(journey.kubectl("get", "node", NAME, "--output=json").stdout)["metadata"]
    ours = {key: value for key, value in node["labels"].items() if key.startswith(labels.PREFIX)}
    assert ours == placement.labels(load(PROFILE).node_pools["general"])
    missing = journey.resources - frozenset(journey.ids())
    assert not missing, f"what was there is gone: {sorted(missing)}"


@contextmanager
def _one_tenant_more(journey: Journey, name: str) -> Iterator[None]:
    """The profile has one tenant more for as long as the body runs."""
    record, profile = (journey.profiles / path for path in (f"tenants/{name}.yaml", f"{CORE}.yaml"))
    text = profile.read_text()
    quota = {"cpu": "300m", "memory": "512Mi", "storage": "1Gi", "pods": 5}
    groups = {"admin": ["leavers"]}
    record.write_text(
        yaml.safe_dump({"owner": "leavers", "data_class": "internal", "groups": groups, "quota": quota})
    )
    profile.write_text(yaml.safe_dump({**yaml.safe_load(text), "tenants": {name: {}}}))
    try:
        yield
    finally:
        profile.write_text(text)
        record.unlink()
