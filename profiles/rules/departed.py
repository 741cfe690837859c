"""What must hold of tenants that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from profiles.model import Profile
from profiles.rules.finding import Finding, Rule


def nobody_is_both_here_and_gone(profile: Profile) -> Iterator[Finding]:
    """Data of a tenant that is here would be deleted under its hands."""
    for name in profile.departed:
        if name in profile.tenants:
            yield Finding(
                ("departed", name),
                "is a tenant of this environment, whose data would be deleted",
                f"remove it here, or remove {name} from tenants first",
                (("tenants", name),),
            )


RULES: Final[tuple[Rule, ...]] = (nobody_is_both_here_and_gone,)
