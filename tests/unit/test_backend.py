"""What is read of a backend of files without Pulumi."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stacks import backend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two stacks of ours as Pulumi writes them, and what else it writes."""
    states = tmp_path / ".pulumi" / "stacks" / "longhouse"
    states.mkdir(parents=True)
    for name in ("onprem.json", "onprem-tenants-1.json.gz", "onprem.json.bak", "onprem.json.attrs"):
        (states / name).write_text("{}")
    other = tmp_path / ".pulumi" / "stacks" / "another"
    other.mkdir()
    (other / "onprem-tenants-2.json").write_text("{}")
    return tmp_path


def test_a_folders_stacks_are_the_projects_states_and_nothing_beside_them(folder: Path) -> None:
    found = backend.states(f"file://{folder}", "longhouse")
    assert found is not None
    assert set(found) == {"onprem", "onprem-tenants-1"}


@pytest.mark.parametrize("again", ["written over", "put in its place"])
def test_a_state_that_is_written_again_is_another_version_and_the_others_stay(
    folder: Path, again: str
) -> None:
    before = backend.states(f"file://{folder}", "longhouse")
    state = folder / ".pulumi" / "stacks" / "longhouse" / "onprem.json"
    if again == "written over":
        state.write_text("[]")
        os.utime(state, ns=(1, 1))
    else:
        fresh = state.with_suffix(".new")
        fresh.write_text("{}")
        times = state.stat()
        os.utime(fresh, ns=(times.st_atime_ns, times.st_mtime_ns))
        fresh.replace(state)
    after = backend.states(f"file://{folder}", "longhouse")
    assert before
    assert after
    assert {name for name in before if before[name] != after[name]} == {"onprem"}


def test_a_lock_is_read_and_what_lies_beside_it_is_not(folder: Path) -> None:
    locks = folder / ".pulumi" / "locks" / "organization" / "longhouse" / "onprem"
    locks.mkdir(parents=True)
    held = {"username": "ada", "hostname": "desk", "pid": 7, "timestamp": "2026-01-01T00:00:00Z"}
    (locks / "one.json").write_text(json.dumps(held))
    (locks / "one.json.attrs").write_text("{}")
    found = backend.locks(f"file://{folder}", "longhouse", "onprem")
    assert found == (backend.Lock("ada", "desk", 7, "2026-01-01T00:00:00Z"),)


def test_an_empty_folder_has_no_stacks(tmp_path: Path) -> None:
    assert backend.states(f"file://{tmp_path}", "longhouse") == {}


@pytest.mark.parametrize("elsewhere", ["https://app.example.com", "gs://states"])
def test_of_any_other_backend_pulumi_has_to_be_asked(elsewhere: str) -> None:
    assert backend.states(elsewhere, "longhouse") is None
    assert backend.locks(elsewhere, "longhouse", "onprem") == ()
