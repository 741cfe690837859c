"""What must hold of tuning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.ml.tuning.config import Engine
from profiles.model import Profile
from profiles.rules.finding import Finding, Rule


def studies_have_somewhere_to_be_kept(profile: Profile) -> Iterator[Finding]:
    """Optuna's trials stand in a schema of the tenant's, so that a study outlives whatever runs it. Katib has a database of its own."""
    if profile.tuning and profile.tuning.engine is Engine.OPTUNA and profile.mysql is None:
        yield Finding(
            ("tuning", "engine"),
            "keeps studies in MySQL, and there is none",
            "give the environment mysql, or write tuning: null",
            (("mysql",),),
        )


RULES: Final[tuple[Rule, ...]] = (studies_have_somewhere_to_be_kept,)
