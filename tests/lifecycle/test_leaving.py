"""A tenant that leaves loses its access to every store at once; its data stays until somebody answers for its end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from sandbox.places import CHECKOUT
from sandbox.platform import target
from tests.lifecycle.journey import PROFILE, Journey
from tests.lifecycle.leaver import PROGRAMS, WORD
from tests.live import Live, Pod, Tenant

STAYS, LEAVES = Tenant("atlas", "tenant-atlas"), Tenant("borealis", "tenant-borealis")
SAID = f"said {WORD}"


@pytest.fixture(scope="module")
def credentials(live: Live) -> dict[str, dict[str, str]]:
    """Every binding of the tenant that leaves, as somebody kept it."""
    return {
        store: dict(live.get("secret", store, f"--namespace={LEAVES.namespace}")["data"])
        for store in PROGRAMS
    }


def profile(journey: Journey, changes: Mapping[str, Any]) -> None:
    """Deploy the profile with changes to it; they stay until the next."""
    path = journey.profiles / f"{PROFILE}.yaml"
    shipped = CHECKOUT / "profiles" / f"{PROFILE}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(shipped.read_text()), **changes}))
    assert journey.sandbox("up", f"--profile={PROFILE}") == 0


def asked(pod: Pod, verb: str) -> dict[str, str]:
    """What each store answered to whoever holds the bindings of a pod."""
    return {store: pod.python(program, verb).splitlines()[-1] for store, program in PROGRAMS.items()}


@contextmanager
def holder(live: Live, where: Tenant, bindings: Mapping[str, Mapping[str, str]]) -> Iterator[Pod]:
    """A pod of one tenant that holds another's bindings."""
    kept = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"kept-{store}", "namespace": where.namespace},
            "data": data,
        }
        for store, data in bindings.items()
    ]
    names = {store: f"kept-{store}" for store in bindings}
    with live.objects(*kept), live.client(where, *names, secrets=names) as pod:
        yield pod


def retained(live: Live) -> dict[str, list[str]]:
    """What each store says that it keeps."""
    lists = live.items("configmaps", "--all-namespaces", "--selector=longhouse.dev/retained")
    return {each["metadata"]["namespace"]: sorted(each.get("data") or {}) for each in lists}


def test_a_tenant_has_data_in_every_store(live: Live, credentials: dict[str, dict[str, str]]) -> None:
    for tenant in (STAYS, LEAVES):
        with live.client(tenant, *PROGRAMS) as pod:
            assert asked(pod, "write") == dict.fromkeys(PROGRAMS, SAID)


def test_a_tenant_that_left_is_refused_by_every_store_and_others_notice_nothing(
    journey: Journey, live: Live, credentials: dict[str, dict[str, str]]
) -> None:
    profile(journey, {"tenants": {LEAVES.name: None}})
    with holder(live, STAYS, credentials) as pod:
        answers = asked(pod, "read")
    assert all(each.startswith("refused") for each in answers.values()), answers
    with live.client(STAYS, *PROGRAMS) as pod:
        assert asked(pod, "read") == dict.fromkeys(PROGRAMS, SAID)


def test_what_it_left_is_listed_as_retained(live: Live) -> None:
    kept = retained(live)
    assert kept.keys() >= PROGRAMS.keys()
    assert all(kept[store] for store in PROGRAMS), kept
    env = target().environment
    done = subprocess.run(
        [sys.executable, "-m", "stacks.retained"],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        cwd=CHECKOUT,
    )
    assert done.returncode == 0, done.stderr
    for store in PROGRAMS:
        assert store in done.stdout


def test_a_tenant_that_comes_back_finds_its_data(journey: Journey, live: Live) -> None:
    profile(journey, {})
    assert not any(retained(live).values())
    with live.client(LEAVES, *PROGRAMS) as pod:
        assert asked(pod, "read") == dict.fromkeys(PROGRAMS, SAID)


def test_the_data_of_a_tenant_that_is_gone_for_good_is_deleted(journey: Journey, live: Live) -> None:
    approval = {"approved_by": "tests", "reason": "the test has ended"}
    profile(journey, {"tenants": {LEAVES.name: None}, "departed": {LEAVES.name: approval}})
    assert not any(retained(live).values())
    profile(journey, {})
    with live.client(LEAVES, *PROGRAMS) as pod:
        assert asked(pod, "read") == dict.fromkeys(PROGRAMS, "absent")


def test_its_bindings_are_the_same_as_before(live: Live, credentials: dict[str, dict[str, str]]) -> None:
    """Credentials are derived: who comes back has the old ones, until the epoch is counted up."""
    for store, before in credentials.items():
        now = live.get("secret", store, f"--namespace={LEAVES.namespace}")["data"]
        assert json.dumps(now, sort_keys=True) == json.dumps(before, sort_keys=True), store
