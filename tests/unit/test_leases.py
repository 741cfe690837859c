"""A run that was cut off: what the cluster knows of it, what the next one does, and what it takes away."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation

from stacks import deploy, leases, orphans
from stacks.backend import Lock
from stacks.deploy import DeployError, Target
from stacks.orphans import Labelled

_TARGET = Target("s", Path("k"), "", Path("h"), "file:///b", Path("p"))
_BEFORE, _SINCE, _LATER = (f"2026-01-01T00:00:0{second}Z" for second in (1, 2, 3))


@dataclass
class _Cluster:
    """Leases, and objects that carry the platform's label."""

    leases: dict[str, str] = field(default_factory=dict)
    """Since when, by stack."""

    others: set[str] = field(default_factory=set)
    """Stacks that somebody else holds."""

    then: Callable[[], object] = lambda: None
    """What happens while objects are listed."""

    objects: list[Mapping[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def kubectl(self, target: Target, *words: str, stdin: str | None = None) -> str:
        self.asked.append(words)
        match words:
            case ("apply", *_):
                assert stdin is not None
                stack = json.loads(stdin)["metadata"]["labels"]["longhouse.dev/stack"]
                self.leases.setdefault(stack, _SINCE)
                self.others.discard(stack)
            case ("delete", "lease", name, *_):
                del self.leases[name.removeprefix("longhouse-")]
            case ("get", "leases", *_):
                return json.dumps(
                    {
                        "items": [
                            _lease(*each, stack_is_ours=each[0] not in self.others)
                            for each in self.leases.items()
                        ]
                    }
                )
            case ("get", *_):
                self.then()
                return json.dumps({"items": self.objects})
            case ("api-resources", *_):
                return "secrets\nendpoints\nendpointslices.discovery.k8s.io\n"
        return ""

    @property
    def deleted(self) -> list[tuple[str, ...]]:
        return [words[1:] for words in self.asked if words[0] == "delete" and words[1] != "lease"]


def _lease(stack: str, since: str, *, stack_is_ours: bool) -> Mapping[str, Any]:
    labels = {"longhouse.dev/stack": stack}
    whose = f"me@{socket.gethostname()}/{os.getpid()}" if stack_is_ours else "ann@elsewhere/1"
    return {"metadata": {"labels": labels, "creationTimestamp": since}, "spec": {"holderIdentity": whose}}


def _object(
    name: str, since: str = _LATER, kind: str = "Secret", api: str = "v1", **meta: Any
) -> Mapping[str, Any]:
    meta = {"name": name, "namespace": "here", "creationTimestamp": since, **meta}
    return {"apiVersion": api, "kind": kind, "metadata": meta}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> _Cluster:
    found = _Cluster()
    monkeypatch.setattr(deploy, "kubectl", found.kubectl)
    return found


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Operations of the engine, and whether each read the cluster first."""
    done: list[tuple[str, bool]] = []

    class Stack:
        def preview(self, *, refresh: bool, **rest: object) -> None:
            done.append(("preview", refresh))

    def operation(name: str) -> Any:
        def run(stack: object, *, refresh: bool, **rest: object) -> None:
            done.append((name, refresh))

        return run

    for name in ("up", "destroy"):
        monkeypatch.setattr(automation.Stack, name, operation(name))
    monkeypatch.setattr(deploy, "_settled", lambda *given: Stack())
    return done


def _quiet(said: str) -> None:
    """Nobody listens."""


def test_the_cluster_knows_of_a_run_for_as_long_as_it_lasts(
    cluster: _Cluster, ran: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    during: list[set[str]] = []
    monkeypatch.setattr(automation.Stack, "up", lambda *given, **rest: during.append(set(cluster.leases)))
    deploy.up(_TARGET, _quiet)
    deploy.destroy(_TARGET, _quiet)
    assert during == [{"s"}]
    assert cluster.leases == {}
    assert ran == [("destroy", False)]


def test_after_a_run_that_failed_or_was_killed_the_next_ones_read_the_cluster_first(
    cluster: _Cluster, ran: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(automation.Stack, "up", _fails)
        with pytest.raises(DeployError):
            deploy.up(_TARGET, _quiet)
    assert cluster.leases == {"s": _SINCE}
    deploy.preview(_TARGET, _quiet)
    deploy.up(_TARGET, _quiet)
    assert ran == [("preview", True), ("up", True)]
    assert cluster.leases == {"s": _SINCE}, "until it has been looked for what it left"


def _fails(*given: object, **rest: object) -> None:
    raise DeployError("no")


def _known(monkeypatch: pytest.MonkeyPatch, **known: str) -> None:
    monkeypatch.setattr(deploy, "declared", lambda target: frozenset({("Secret.core", known[target.stack])}))


def test_what_a_run_left_and_no_stack_knows_of_is_deleted(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    _known(monkeypatch, s="here/ours", t="here/theirs")
    cluster.leases = {"s": _SINCE}
    cluster.objects = [
        _object("ours"),
        _object("theirs"),
        _object("older", _BEFORE),
        _object("left", _SINCE),
        _object("owned", ownerReferences=[{"kind": "Deployment"}]),
        _object("going", deletionTimestamp=_LATER),
        _object("data", kind="PersistentVolumeClaim"),
    ]
    assert deploy.sweep(_TARGET, ["s", "t"], ["s"]) == ("Secret.core here/left",)
    assert [words[:3] for words in cluster.deleted] == [("Secret", "left", "--namespace=here")]
    assert cluster.leases == {}
    assert all("endpoints" not in words[1] for words in cluster.asked if words[0] == "get")


def test_nothing_is_deleted_while_another_stack_may_not_have_written_down_what_it_made(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    _known(monkeypatch, s="here/ours", t="here/theirs")
    cluster.leases = {"s": _SINCE, "t": _SINCE}
    cluster.objects = [_object("left")]
    assert deploy.sweep(_TARGET, ["s", "t"], ["s"]) == ()
    assert cluster.deleted == []
    assert cluster.leases == {"s": _SINCE, "t": _SINCE}


@pytest.mark.parametrize("stack", ["s", "u"])
def test_nothing_is_deleted_while_somebody_else_is_at_work(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch, stack: str
) -> None:
    """On another stack, or on the same since we were done with it, as late as when objects are being listed."""
    _known(monkeypatch, s="here/ours", u="here/other")
    cluster.leases = {"s": _SINCE}
    cluster.objects = [_object("theirs")]

    def begins() -> None:
        cluster.leases.setdefault(stack, _LATER)
        cluster.others.add(stack)

    cluster.then = begins
    assert deploy.sweep(_TARGET, ["s", "u"], ["s"]) == ()
    assert cluster.deleted == []
    assert "s" in cluster.leases


def test_where_no_run_was_cut_off_nothing_is_looked_for(cluster: _Cluster) -> None:
    assert deploy.sweep(_TARGET, ["s"], ["s"]) == ()
    assert [words[1] for words in cluster.asked] == ["leases"]


def test_what_only_an_operator_lets_go_of_goes_while_there_is_one(cluster: _Cluster) -> None:
    def kubectl(*words: str) -> str:
        return cluster.kubectl(_TARGET, *words)

    def of(group: str, kind: str) -> Labelled:
        return Labelled(kind, group, "", "a", _LATER, passing=False)

    orphans.delete(
        [
            of("apps", "Deployment"),
            of("rbac.authorization.k8s.io", "Role"),
            of("kueue.x-k8s.io", "ClusterQueue"),
        ],
        kubectl,
    )
    assert [(words[0], words[-2]) for words in cluster.deleted] == [
        ("ClusterQueue.kueue.x-k8s.io", "--wait=true"),
        ("Deployment.apps", "--wait=false"),
        ("Role.rbac.authorization.k8s.io", "--wait=false"),
    ]


def test_a_lease_says_whose_it_is_and_since_when(cluster: _Cluster) -> None:
    def kubectl(*words: str, stdin: str | None = None) -> str:
        return cluster.kubectl(_TARGET, *words, stdin=stdin)

    leases.begin("s", kubectl)
    assert leases.found(kubectl)["s"].own
    assert leases.found(kubectl)["s"].since == _SINCE
    cluster.leases, cluster.others = {"s": _BEFORE}, {"s"}
    assert leases.found(kubectl) == {"s": Lock("ann", "elsewhere", 1, _BEFORE)}
    leases.begin("s", kubectl)
    assert leases.found(kubectl)["s"].own
    assert leases.found(kubectl)["s"].since == _BEFORE, "older, and ours now"
    leases.end("s", kubectl)
    assert leases.found(kubectl) == {}
