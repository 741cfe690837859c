"""What a deployment declares: the stack's configuration names a profile, its name the part of it that the stack stands for."""

from __future__ import annotations

from functools import cache

import pulumi

from modules.kit.credentials import FIRST_EPOCH, Credentials
from modules.kit.parts import StackName
from profiles import fixed, kept
from profiles.load import load
from stacks.keeping import keep_tenants
from stacks.platform import platform

_profile = cache(load)
"""Programs of one process are of one moment: a thousand tenants are read once, not once for each stack."""


def program() -> None:
    """Declare it, to the engine that runs this. Raises ProfileError and LetGoError."""
    config = pulumi.Config()
    profile = _profile(config.require("profile"))
    part = profile.part(StackName.of(pulumi.get_stack()).group)
    keep_tenants(part, profile.tenants)
    deployed = platform(
        profile,
        Credentials.of(config.require("masterSecret"), config.get_int("credentialEpoch") or FIRST_EPOCH),
        part,
    )
    pulumi.export("profile", deployed.profile)
    if part.shared:
        pulumi.export(fixed.OUTPUT, fixed.record(profile))
        pulumi.export(kept.OUTPUT, kept.record(profile))
    pulumi.export("namespaces", dict(deployed.namespaces))
