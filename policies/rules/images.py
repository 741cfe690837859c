"""Images: that a name means the same content tomorrow."""

from __future__ import annotations

from typing import Final

from policies.claim import CONTAINERS, Clause, Each, each, forbid, over_pods
from policies.expression import BODY, POD_SPEC, WHERE, Condition, Name, Term, Text, either
from policies.rule import Family, ResourceRule, Severity

_VOLUME: Final = Name("volume")
_VOLUMES: Final = each(_VOLUME, POD_SPEC["volumes"])
_IMAGES: Final[tuple[tuple[Term, Text, Each], ...]] = (
    (BODY["image"], Text((WHERE,)), CONTAINERS),
    (_VOLUME["image", "reference"], Text(("volume ", either(_VOLUME["name"], _VOLUMES.key))), _VOLUMES),
)
"""Where a pod names images: the name, who names it, and the list of those."""

_MOVING: Final = (
    "canary",
    "dev",
    "develop",
    "edge",
    "head",
    "main",
    "master",
    "nightly",
    "snapshot",
    "stable",
    "trunk",
)
"""Tags that projects move with each build or release."""


def _digest(image: Term) -> Condition:
    return image.matches("@.")


def _named(tags: str, says: str) -> tuple[Clause, ...]:
    """That no image is named by such a tag; a digest beside it says what the image is."""
    return tuple(
        forbid(
            image.known & image.matches(f":({tags})$") & ~_digest(image),
            who, " names the image ", image, f" by {says}",
            over=[all_],
        )
        for image, who, all_ in _IMAGES
    )  # fmt: skip


_TAGS: Final = over_pods(
    forbid(BODY["image"].known & BODY["image"].absent, WHERE, " names no image", over=[CONTAINERS]),
    *(
        forbid(
            image.present & ~_digest(image) & ~image.matches(":[^/]+$"),
            who, " names the image ", image, " without a tag",
            over=[all_],
        )
        for image, who, all_ in _IMAGES
    ),
    *_named("latest", "the tag latest"),
)  # fmt: skip

_MOVES: Final = over_pods(*_named("|".join(_MOVING), "a tag that moves"))

_DIGESTS: Final = over_pods(
    *(
        forbid(
            image.known & _digest(image) & ~image.matches("@sha256:[0-9a-f]{64}$"),
            who, " names the image ", image, " by what is no SHA-256 digest",
            over=[all_],
        )
        for image, who, all_ in _IMAGES
    )
)  # fmt: skip

_PULLED: Final = over_pods(
    forbid(
        BODY["imagePullPolicy"].eq("Never"),
        WHERE,
        " is never pulled (imagePullPolicy Never)",
        over=[CONTAINERS],
    )
)

RULES: Final = (
    ResourceRule(
        id="LH-I-001",
        title="Every image is named by a version",
        reason="A missing tag means latest, and latest is another image on each node and each day: nothing can be rolled back to it.",
        fix="Name the image by the tag of a release, or by its digest.",
        severity=Severity.ERROR,
        family=Family.IMAGES,
        references=("Kubernetes, Configuration Good Practices: container images",),
        check=_TAGS,
    ),
    ResourceRule(
        id="LH-I-002",
        title="No image is named by a tag that moves",
        reason="A tag like main or nightly names another image with each build; what was tested is not what runs.",
        fix="Name the image by the tag of a release, or by its digest.",
        severity=Severity.ERROR,
        family=Family.IMAGES,
        references=("Kubernetes, Configuration Good Practices: container images",),
        check=_MOVES,
    ),
    ResourceRule(
        id="LH-I-003",
        title="Every digest is a whole SHA-256",
        reason="A digest that was cut short or mistyped is found out when a node pulls it: at the next restart, not in review.",
        fix="Copy the digest whole: sha256: and 64 hexadecimal digits.",
        severity=Severity.ERROR,
        family=Family.IMAGES,
        check=_DIGESTS,
    ),
    ResourceRule(
        id="LH-I-004",
        title="No container depends on what lies on its node",
        reason="An image that is never pulled is whatever somebody put on that node under its name, and on the next node it is missing.",
        fix="Take imagePullPolicy away, or write IfNotPresent.",
        severity=Severity.ERROR,
        family=Family.IMAGES,
        references=("CIS Kubernetes Benchmark: 5.5 Extensible Admission Control (image provenance)",),
        check=_PULLED,
    ),
)
