"""What can be said without a preview of the edits that test_edits.py previews: that each has a hold, and what its profile alone is refused for."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from policies.preview import CHECKOUT
from policies.stays import FIXED, KEPT, broken, exports
from profiles.load import load
from profiles.model import Profile
from profiles.problems import ProfileError
from tests.policies.checkout import Edit, write
from tests.policies.edits import DESTRUCTIVE, HARMLESS, PROFILE, RENDERED, SWITCHED, UNSOUND

_GROUPS = {**DESTRUCTIVE, **RENDERED, **HARMLESS}


def _edited(folder: Path, edits: Iterable[Edit]) -> Profile:
    profiles = folder / "profiles"
    shutil.copytree(CHECKOUT / "profiles", profiles)
    for edit in edits:
        write(profiles / f"{PROFILE}.yaml", edit.profile)
    return load(PROFILE, profiles)


@pytest.mark.parametrize(
    "edit", [edit for edits in _GROUPS.values() for edit in edits if edit not in SWITCHED], ids=str
)
def test_the_text_that_an_edit_changes_stands_once(edit: Edit) -> None:
    for text in edit.program:
        assert (CHECKOUT / text.file).read_text().count(text.old) == 1, text.file


@pytest.mark.parametrize("name", _GROUPS)
def test_a_profile_with_a_groups_edits_is_sound_and_refused_for_what_does_not_stay(
    name: str, tmp_path: Path
) -> None:
    edits = [edit for edit in _GROUPS[name] if edit.profile]
    found = broken(exports(load(PROFILE)), exports(_edited(tmp_path, edits)))
    assert {(each.rule, each.subject) for each in found} == {
        (each.rule, each.subject)
        for edit in edits
        for each in edit.refused
        if each.rule in (FIXED.id, KEPT.id)
    }


def test_what_is_unsound_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as refusal:
        _edited(tmp_path, UNSOUND.values())
    assert {problem.key for problem in refusal.value.problems} >= UNSOUND.keys()
