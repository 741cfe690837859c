"""Where no container can run: a control plane with simulated nodes, to the same converged platform."""

from __future__ import annotations

import re

from tests.lifecycle.journey import Journey, machine_state


def test_a_machine_without_containers_gets_a_simulated_platform_and_is_told_so(journey: Journey) -> None:
    code, said = journey.sandbox_confined("up", "--profile=local")
    assert code == 0, said
    assert "No container can run here: this machine does not let us make namespaces" in said
    assert "local-simulated, not local" in said
    assert journey.has("namespaces", "--selector=longhouse.dev/tenant")
    assert journey.has("clusterqueues.kueue.x-k8s.io")
    nodes = journey.kubectl("get", "nodes", "--output=jsonpath={.items[*].status.nodeInfo.kubeletVersion}")
    assert nodes.stdout, nodes.stderr
    assert all(version.startswith("kwok") for version in nodes.stdout.split()), "a node that is not simulated"


def test_a_simulated_platform_stays_as_it_is(journey: Journey) -> None:
    said = journey.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert re.search(r"\d+ unchanged", said), said


def test_a_simulated_platform_leaves_no_process_behind(journey: Journey) -> None:
    code, said = journey.sandbox_confined("down")
    assert code == 0, said
    assert not machine_state()["processes"]
