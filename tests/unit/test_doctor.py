"""What the doctor calls wrong, and what it leaves to people."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stacks.backend import Lock
from stacks.deploy import Target
from stacks.doctor import Held, faults
from stacks.orphans import Labelled

_CONFIG_MAP = {"urn": "u::a", "type": "kubernetes:core/v1:ConfigMap", "id": "here/a"}


def _held(state: Mapping[str, Any], *locks: Lock) -> Held:
    return Held(Target("s", Path("k"), "", Path("h"), "file:///b", Path("p")), locks, state)


def _labelled(kind: str, name: str, *, passing: bool = False) -> Labelled:
    return Labelled(kind, "core", "here", name, "2026-01-01T00:00:00Z", passing)


def _lock(process: int, host: str = "") -> Lock:
    return Lock("ann", host or socket.gethostname(), process, "2026-01-01T00:00:00Z")


def _never(*words: str) -> str:
    pytest.fail(f"kubectl {words}")


def test_what_a_state_knows_and_the_cluster_has_is_right() -> None:
    assert not list(faults([_held({"resources": [_CONFIG_MAP]})], {}, [_labelled("ConfigMap", "a")], _never))


def test_what_another_stack_declares_is_no_orphan() -> None:
    other = {"resources": [{**_CONFIG_MAP, "id": "here/b"}]}
    there = [_labelled("ConfigMap", "a"), _labelled("ConfigMap", "b")]
    assert not list(faults([_held({"resources": [_CONFIG_MAP]}), _held(other)], {}, there, _never))


def test_an_orphan_is_deleted_only_where_no_data_goes_with_it() -> None:
    there = [_labelled("ConfigMap", "a"), _labelled("Secret", "b"), _labelled("PersistentVolumeClaim", "c")]
    secret, claim = faults([_held({"resources": [_CONFIG_MAP]})], {}, there, _never)
    assert secret.what == "Secret.core here/b: no state knows of it"
    assert secret.mend is not None
    assert claim.what == "PersistentVolumeClaim.core here/c: no state knows of it"
    assert claim.mend is None


def test_what_another_object_owns_or_is_going_is_no_orphan() -> None:
    there = [_labelled("ConfigMap", "a"), _labelled("Secret", "b", passing=True)]
    assert not list(faults([_held({"resources": [_CONFIG_MAP]})], {}, there, _never))


def test_where_every_state_is_lost_nothing_is_an_orphan() -> None:
    (found,) = faults([_held({})], {}, [_labelled("ConfigMap", "a")], _never)
    assert found.what == "no stack has a state"
    assert found.mend is None


def test_nothing_is_an_orphan_while_somebody_may_be_at_work() -> None:
    """What a run makes is in no state before it ends."""
    there = [_labelled("ConfigMap", "a"), _labelled("Secret", "b")]
    dead, alive, foreign = _lock(2**22 + 1), _lock(os.getpid()), _lock(2**22 + 1, "elsewhere")
    for lock in (alive, foreign):
        _, found = faults([_held({"resources": [_CONFIG_MAP]})], {"s": dead, "t": lock}, there, _never)
        assert found.what == f"t: a run by {lock} has not ended"
        assert found.mend is None
    cut_off, orphan = faults([_held({"resources": [_CONFIG_MAP]})], {"s": dead}, there, _never)
    assert cut_off.what == f"s: a run by {dead} has not ended"
    assert orphan.what == "Secret.core here/b: no state knows of it"


def test_whoever_was_killed_is_gone_also_before_it_is_buried_and_where_another_has_its_number() -> None:
    """A container's first process may leave the dead unburied for seconds, or for good."""
    waits = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert not _lock(holder.pid).stale
        holder.kill()
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{holder.pid}").exists()
        assert _lock(holder.pid).stale
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as another:
        assert _lock(another.pid).stale


def test_a_lock_is_given_back_only_where_its_holder_is_surely_gone() -> None:
    state = {"resources": [_CONFIG_MAP]}
    dead, alive, foreign = _lock(2**22 + 1), _lock(os.getpid()), _lock(2**22 + 1, "elsewhere")
    found = list(faults([_held(state, dead, alive, foreign)], {}, [_labelled("ConfigMap", "a")], _never))
    assert [each.mend is not None for each in found] == [True, False, False]


def test_an_operation_that_was_cut_off_is_told_by_name() -> None:
    pending = [
        {"type": "creating", "resource": {"urn": "urn:pulumi:s::longhouse::kubernetes:core/v1:Secret::b"}}
    ]
    state = {"resources": [_CONFIG_MAP], "pending_operations": pending}
    (found,) = faults([_held(state)], {}, [_labelled("ConfigMap", "a")], _never)
    assert found.what == "s: creating b was cut off"
    assert found.mend is not None
