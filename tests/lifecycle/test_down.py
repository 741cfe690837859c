"""A converged platform stays as it is, goes when it is told to, and leaves nothing behind."""

from __future__ import annotations

import re

from tests.lifecycle.journey import CORE, Journey, machine_state


def test_a_second_pulumi_up_changes_nothing(journey: Journey) -> None:
    said = journey.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert re.search(r"\d+ unchanged", said), said


def test_pulumi_refresh_finds_nothing(journey: Journey) -> None:
    said = journey.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert re.search(r"\d+ unchanged", said), said


def test_pulumi_destroy_leaves_nothing_of_ours_in_the_cluster(journey: Journey) -> None:
    journey.pulumi("destroy", "--yes", "--skip-preview")
    left = journey.objects() - journey.empty
    assert not left, f"still there: {sorted(left)}"
    lost = journey.empty - journey.objects()
    assert not lost, f"taken away though not ours: {sorted(lost)}"


def test_what_a_killed_deployment_came_to_is_what_an_undisturbed_one_comes_to(journey: Journey) -> None:
    assert journey.sandbox("up", f"--profile={CORE}") == 0
    assert frozenset(journey.ids()) == journey.resources


def test_down_leaves_nothing_behind_on_the_machine(journey: Journey) -> None:
    assert journey.sandbox("down") == 0
    left = {
        what: [each for each in now if each not in journey.machine_before[what]]
        for what, now in machine_state().items()
    }
    assert not any(left.values()), left


def test_down_can_be_run_again(journey: Journey) -> None:
    assert journey.sandbox("down") == 0
