"""Images wherever objects name them, the lock that lists them, and that what renders uses its digests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes.core.v1 import ConfigMap, Pod, PodSpecArgs
from pulumi_kubernetes.core.v1 import ContainerArgs as Container

from modules.kit import clients, image_lock
from modules.kit.image_lock import LockError, parse, pinned
from policies.images import images, lock_text, outside
from policies.resource import UNKNOWN
from policies.rule import Op, Step
from profiles.load import load
from sandbox import images as built
from stacks.platform import pin_images
from tests.conftest import Recording
from tests.policies.objects import resource

_DIGEST = "sha256:" + "0f" * 32
_OTHER = "sha256:" + "a1" * 32


def _object(kind: str, **body: Any) -> dict[str, Any]:
    api = {"Pod": "v1", "ConfigMap": "v1", "Secret": "v1"}.get(kind, "example.org/v1")
    if kind == "CustomResourceDefinition":
        api = "apiextensions.k8s.io/v1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "it", "namespace": "there"}, **body}


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        (
            _object(
                "Pod",
                spec={
                    "initContainers": [{"image": "quay.io/a/init:1"}],
                    "containers": [{"image": "app"}],
                    "ephemeralContainers": [{"image": "debug:2"}],
                    "volumes": [{"image": {"reference": "models/bert:3", "pullPolicy": "Always"}}],
                },
            ),
            ["app", "debug:2", "models/bert:3", "quay.io/a/init:1"],
        ),
        (
            _object(
                "Pod",
                spec={
                    "containers": [
                        {"args": ["--solver-image=solver:1", "--image", "side:2", "--x=https://quay.io/a:1", "quay.io/a/b:3"]}
                    ]
                },
            ),
            ["quay.io/a/b:3", "side:2", "solver:1"],
        ),
        (
            _object(
                "Pod",
                spec={
                    "containers": [
                        {
                            "env": [
                                {"name": "RELATED_IMAGE_proxy", "value": "proxy:4"},
                                {"name": "STRIMZI_KAFKA_IMAGES", "value": "4.0.0=quay.io/strimzi/kafka:1\n4.1.0=quay.io/strimzi/kafka:2\n"},
                                {"name": "IMAGE_PULL_POLICY", "value": "Always"},
                                {"name": "ADDRESS", "value": "store.example.com:9000"},
                            ]
                        }
                    ]
                },
            ),
            ["proxy:4", "quay.io/strimzi/kafka:1", "quay.io/strimzi/kafka:2"],
        ),
        (
            _object("ConfigMap", data={"config.yaml": 'sidecar:\n  image: "envoy:1.2"\n', "x.json": '{"gitImage":"git:9"}'}),
            ["envoy:1.2", "git:9"],
        ),
        (
            _object("ConfigMap", data={"notes": "pulled from registry:5000/team/tool:v3. Then run."}),
            ["registry:5000/team/tool:v3"],
        ),
        (
            _object("ConfigMap", data={"notes": "pulled from registry.example.com:5000/team/tool:v3. Then run."}),
            ["registry.example.com:5000/team/tool:v3"],
        ),
        (_object("Kafka", spec={"kafka": {"image": "quay.io/strimzi/kafka:3"}}), ["quay.io/strimzi/kafka:3"]),
        (
            _object(
                "CassandraDatacenter",
                spec={"serverImage": "k8ssandra/cass:5", "configBuilderImage": "datastax/builder:1"},
            ),
            ["datastax/builder:1", "k8ssandra/cass:5"],
        ),
        (
            _object(
                "PerconaXtraDBCluster",
                spec={"pxc": {"image": "percona/pxc:8"}, "backup": {"image": "percona/backup:8"}, "logcollector": {"image": ""}},
            ),
            ["percona/backup:8", "percona/pxc:8"],
        ),
        (
            _object("Thing", spec={"image": {"registry": "ghcr.io", "repository": "a/b", "tag": "1", "digest": _DIGEST}}),
            [f"ghcr.io/a/b:1@{_DIGEST}"],
        ),
        (_object("Thing", spec={"template": {"spec": {"containers": [{"image": UNKNOWN}]}}}), [UNKNOWN]),
        (_object("CustomResourceDefinition", spec={"description": "image: nginx:1, say quay.io/a/b:1"}), []),
        (_object("Secret", data={"image": "[secret]"}), []),
        (_object("ConfigMap", data={"u": "https://quay.io/a/b:1 mail me@quay.io/a:b 10.0.0.1:80 java:comp/env"}), []),
    ],
    ids=[
        "containers", "arguments", "environment", "configuration", "a host that has no dot", "prose", "Strimzi", "cass-operator",
        "Percona", "in parts", "not known yet", "a schema", "a secret", "no images",
    ],
)  # fmt: skip
def test_an_image_is_found_wherever_it_is_named(manifest: dict[str, Any], found: list[str]) -> None:
    assert sorted(each.image for each in images(resource(manifest))) == found


def _outside(image: str, lock: image_lock.Lock, digests: bool = True) -> list[tuple[str, str]]:
    pod = resource(_object("Pod", spec={"containers": [{"image": image}]}))
    faults = outside([Step(Op.CREATE, None, pod), Step(Op.DELETE, pod, None)], lock, digests=digests)
    return [(each.subject, each.message) for each in faults]


@pytest.mark.parametrize(
    ("image", "lock", "fault"),
    [
        ("a:1", {}, "a:1, which is not in the lock"),
        ("a:2", {"a:1": None}, "a:2, which is not in the lock"),
        (f"a:1@{_OTHER}", {"a:1": _DIGEST}, f"a:1@{_OTHER}, for which the lock gives {_DIGEST}"),
        (f"a:1@{_OTHER}", {"a:1": None}, f"a:1@{_OTHER}, for which the lock gives no digest"),
        ("a:1", {"a:1": _DIGEST}, "a:1 without the digest that the lock gives"),
    ],
)
def test_what_the_lock_does_not_say_is_refused(image: str, lock: image_lock.Lock, fault: str) -> None:
    assert _outside(image, lock) == [("Pod there/it", f"spec.containers[0].image names the image {fault}")]


def test_what_the_lock_says_may_run() -> None:
    assert _outside("a:1", {"a:1": None}) == []
    assert _outside(f"a:1@{_DIGEST}", {"a:1": _DIGEST}) == []
    assert _outside("a:1", {"a:1": _DIGEST}, digests=False) == []


def test_the_lock_is_read_line_by_line() -> None:
    text = f"# all\n\na:1\nquay.io/b/c:2 {_DIGEST}  # from the release's page\n"
    assert parse(text) == {"a:1": None, "quay.io/b/c:2": _DIGEST}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:1 sha256:12\n", "images.lock:1: 'a:1 sha256:12' is no image"),
        (f"a:1\nb@{_DIGEST}\n", "images.lock:2"),
        ("a:1\n\na:1\n", "images.lock:3: a:1 stands twice"),
    ],
    ids=["half a digest", "no tag", "twice"],
)
def test_a_line_that_is_no_image_is_refused(text: str, said: str) -> None:
    with pytest.raises(LockError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_writing_the_lock_keeps_the_digests_and_changes_one_line_for_a_bump() -> None:
    before = lock_text(["b:1", "a:1", "a:1"], {"a:1": _DIGEST})
    assert parse(before) == {"a:1": _DIGEST, "b:1": None}
    after = lock_text(["b:2", "a:1"], parse(before))
    assert set(before.splitlines()) ^ set(after.splitlines()) == {"b:1", "b:2"}
    assert lock_text(parse(after), parse(after)) == after


def test_a_digest_is_put_wherever_the_image_stands_and_nowhere_else() -> None:
    lock = {"q.io/a:1": _DIGEST, "q.io/b:1": None}
    given = {
        "image": "q.io/a:1",
        "args": ["--x=q.io/a:1", "q.io/a:1.2", "xq.io/a:1", f"q.io/a:1@{_OTHER}"],
        "n": 3,
        "b": "q.io/b:1",
    }
    wanted = {
        "image": f"q.io/a:1@{_DIGEST}",
        "args": [f"--x=q.io/a:1@{_DIGEST}", "q.io/a:1.2", "xq.io/a:1", f"q.io/a:1@{_OTHER}"],
        "n": 3,
        "b": "q.io/b:1",
    }
    assert pinned(given, lock) == wanted
    assert pinned(pinned(given, lock), lock) == wanted


def test_what_is_declared_carries_the_locks_digests(
    recorded: Callable[[Callable[[], object]], Recording],
) -> None:
    def program() -> None:
        pin_images({"app:1": _DIGEST})
        Pod("it", spec=PodSpecArgs(containers=[Container(name="app", image="app:1")]))
        ConfigMap("text", data={"run": pulumi.Output.secret("app:1")})

    recording = recorded(program)
    (transform,) = recording.transforms
    pod = recording.one("core/v1:Pod", None)
    result = transform(
        pulumi.ResourceTransformArgs(True, pod.type, pod.name, dict(pod.inputs), pulumi.ResourceOptions())
    )
    assert result is not None
    (found,) = images(resource({**_object("Pod"), **result.props}))
    assert found.image == f"app:1@{_DIGEST}"


def test_without_digests_nothing_is_touched(recorded: Callable[[Callable[[], object]], Recording]) -> None:
    assert recorded(lambda: pin_images({"app:1": None})).transforms == []


def test_an_image_of_the_platforms_own_stands_in_the_lock_under_the_hash_of_what_is_in_it() -> None:
    made = {each.reference for each in (*built.PLATFORM_IMAGES, *built.wanted(load("local-full")))}
    own = {each.rpartition("/")[2] for each in made if f"/{clients.REPOSITORY}/" in each}
    locked = {
        each.rpartition("/")[2]
        for each in parse(image_lock.FILE.read_text())
        if f"{clients.REPOSITORY}/" in each
    }
    assert {each.partition(":")[0] for each in locked} >= {"clients", "spark", "flink", "training"}
    assert locked <= own, "run `python -m policies images --write`"
