"""Charts that only a registry of images has, and what stands for them where it does not answer."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from modules.kit import image_lock
from policies.throwaway.charts import PUBLISHED, Published, out_of_reach, stand_in
from profiles.load import names
from tests.shipped import declared


def _published(folder: Path) -> Published:
    folder.mkdir()
    (folder / "thing.yaml").write_text("kind: CustomResourceDefinition\n")
    return Published(
        "oci://registry.example.com/charts/thing-operator", "registry.example.com/", lambda: folder
    )


@pytest.mark.parametrize(
    ("answer", "reached"),
    [
        (urllib.error.HTTPError("https://registry.example.com/v2/", 401, "who?", Message(), None), True),
        (urllib.error.URLError("no such host"), False),
        (TimeoutError(), False),
    ],
    ids=["it wants a login", "no such host", "no answer"],
)
def test_a_registry_that_says_anything_at_all_is_in_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Exception, reached: bool
) -> None:
    asked: list[str] = []

    def urlopen(url: str, **_: Any) -> None:
        asked.append(url)
        raise answer

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    chart = _published(tmp_path / "kinds")
    assert out_of_reach([chart]) == (() if reached else (chart,))
    assert asked == ["https://registry.example.com/v2/"]


def test_what_stands_for_a_chart_has_its_name_its_version_and_its_kinds(tmp_path: Path) -> None:
    chart = stand_in(_published(tmp_path / "kinds"), "1.2.0", tmp_path)
    assert json.loads((chart / "Chart.yaml").read_text()) == {
        "apiVersion": "v2",
        "name": "thing-operator",
        "version": "1.2.0",
    }
    assert (chart / "crds" / "thing.yaml").read_text() == "kind: CustomResourceDefinition\n"


def test_it_is_made_once_for_all_layers_of_a_chart(tmp_path: Path) -> None:
    published = _published(tmp_path / "kinds")
    chart = stand_in(published, "1.2.0", tmp_path)
    (tmp_path / "kinds" / "thing.yaml").unlink()
    assert stand_in(published, "1.2.0", tmp_path) == chart
    assert (chart / "crds" / "thing.yaml").exists()


def test_something_can_stand_for_every_chart_that_a_profile_takes_from_a_registry() -> None:
    taken = {
        str(each.inputs.chart)
        for profile in names()
        for each in declared(profile).of("helm.sh/v4:Chart")
        if "://" in str(each.inputs.chart)
    }
    assert taken == {each.chart for each in PUBLISHED}


def test_the_lock_has_images_of_every_such_chart() -> None:
    locked = image_lock.read()
    assert all(any(name.startswith(each.images) for name in locked) for each in PUBLISHED)
