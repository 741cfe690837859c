"""The rules for images."""

from __future__ import annotations

from typing import Any

import pytest

from policies.resource import UNKNOWN
from tests.policies.objects import DROP, Case, Edit, allowed, edited, expected, found, refused

_WEB = "Deployment tenant-atlas/web: "
_DIGEST = "@sha256:" + "0" * 64


def _image(value: Any = DROP, containers: str = "containers") -> Edit:
    return Edit("web", f"spec/template/spec/{containers}/0/image", value)


def _volume(reference: str) -> Edit:
    return Edit("web", "spec/template/spec/volumes/0", {"name": "model", "image": {"reference": reference}})


CASES = (
    refused("LH-I-001", "no image", _WEB + "container app names no image", _image()),
    refused("LH-I-001", "no tag", _WEB + "container app names the image app without a tag", _image("app")),
    refused(
        "LH-I-001",
        "a port is no tag",
        _WEB + "container app names the image registry.example:5000/app without a tag",
        _image("registry.example:5000/app"),
    ),
    refused(
        "LH-I-001",
        "latest",
        _WEB + "container app names the image app:latest by the tag latest",
        _image("app:latest"),
    ),
    refused(
        "LH-I-001",
        "latest in an init container",
        _WEB + "init container setup names the image app:latest by the tag latest",
        _image("app:latest", "initContainers"),
    ),
    refused(
        "LH-I-001",
        "not known yet",
        _WEB + f"container app names the image {UNKNOWN} without a tag",
        _image(UNKNOWN),
    ),
    refused(
        "LH-I-001",
        "image volume",
        _WEB + "volume model names the image model without a tag",
        _volume("model"),
    ),
    refused(
        "LH-I-002",
        "a branch",
        _WEB + "container app names the image team/app:main by a tag that moves",
        _image("team/app:main"),
    ),
    refused(
        "LH-I-002",
        "the last build, in an image volume",
        _WEB + "volume model names the image model:nightly by a tag that moves",
        _volume("model:nightly"),
    ),
    allowed("a branch beside a digest", _image("team/app:main" + _DIGEST)),
    allowed("a release whose name begins like a branch", _image("team/app:main-4")),
    refused(
        "LH-I-003",
        "a digest cut short",
        _WEB + "container app names the image app@sha256:00 by what is no SHA-256 digest",
        _image("app@sha256:00"),
    ),
    refused(
        "LH-I-003",
        "a digest of another sort",
        _WEB + "init container setup names the image app@md5:00 by what is no SHA-256 digest",
        _image("app@md5:00", "initContainers"),
    ),
    refused(
        "LH-I-004",
        "an image of the node's",
        _WEB + "container app is never pulled (imagePullPolicy Never)",
        Edit("web", "spec/template/spec/containers/0/imagePullPolicy", "Never"),
    ),
    allowed(
        "an image that the node may have",
        Edit("web", "spec/template/spec/containers/0/imagePullPolicy", "IfNotPresent"),
    ),
    allowed("a digest without a tag", _image("registry.example:5000/app" + _DIGEST)),
    allowed("a digest beside latest", _image("app:latest" + _DIGEST)),
    allowed("a tag after a port", _image("registry.example:5000/app:1")),
    allowed("an image volume with a version", _volume("model:3")),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_image_is_named_by_a_version(case: Case) -> None:
    assert found(edited(case.edits)) == expected(case)
