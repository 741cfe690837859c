"""What a deployment declares: the stack's configuration names a profile, its name the part of it that the stack stands for."""

from __future__ import annotations

import asyncio

import pulumi
from pulumi.runtime.settings import SETTINGS

from modules.kit.credentials import FIRST_EPOCH, Credentials
from modules.kit.parts import Part, StackName
from profiles import fixed, kept
from profiles.model import Profile
from stacks.inputs import profile_of
from stacks.platform import platform


def wanted() -> tuple[Profile, Part]:
    """The profile, and the stack's part of it. Raises ProfileError."""
    profile = profile_of(pulumi.Config().require("profile"))
    return profile, profile.part(StackName.of(pulumi.get_stack()).group)


async def program() -> None:
    """Declare it, to the engine that runs this, and wait until that has it all. Raises ProfileError."""
    declare()
    await _settled()


def declare() -> None:
    """Declare it. Raises ProfileError."""
    config = pulumi.Config()
    profile, part = wanted()
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


async def _settled() -> None:
    """Wait for what the program has declared.

    Pulumi does so too, but looks at all that is left again whenever one of it is ready: the square, a tenth of the time of 400 resources.
    What has failed is left to it.
    """
    while left := [each for each in tuple(SETTINGS.outputs) if not each.done()]:
        ready, _ = await asyncio.wait(left, return_when=asyncio.FIRST_EXCEPTION)
        if any(each.cancelled() or each.exception() for each in ready):
            return
