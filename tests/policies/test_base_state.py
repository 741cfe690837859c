"""What is kept of the commits that changes are compared with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policies import base_state
from policies.base_state import DONE, KEPT, BaseError


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _made(number: int) -> Path:
    folder = base_state.folder(f"{number:040}", "onprem", whole=True)
    (folder / "state" / ".pulumi" / "history").mkdir(parents=True)
    (folder / "state" / ".pulumi" / "stacks").mkdir()
    base_state.complete(folder)
    os.utime(folder / DONE, (number, number))
    return folder


def test_a_state_is_kept_by_commit_and_stack_and_by_what_could_be_had() -> None:
    one = base_state.folder("0" * 40, "onprem", whole=True)
    others = {
        base_state.folder("1" * 40, "onprem", whole=True),
        base_state.folder("0" * 40, "cloud", whole=True),
        base_state.folder("0" * 40, "onprem", whole=False),
    }
    assert len(others - {one}) == 3


def test_the_oldest_states_go_and_so_does_the_engines_history() -> None:
    made = [_made(number) for number in range(1, KEPT + 3)]
    base_state.complete(made[-1])
    assert [each.exists() for each in made] == [False, False, *[True] * KEPT]
    assert not (made[-1] / "state" / ".pulumi" / "history").exists()
    assert (made[-1] / "state" / ".pulumi" / "stacks").exists()


def test_a_commit_that_is_not_here_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="there is no commit origin/gone here to compare with: fetch it"):
        base_state.commit("origin/gone", tmp_path)


def test_an_option_is_no_commit(tmp_path: Path) -> None:
    with pytest.raises(BaseError):
        base_state.commit("--git-dir=/", tmp_path)
