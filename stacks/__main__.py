"""What `pulumi up` runs: the stack's configuration names a profile, and the profile says what is declared."""

from __future__ import annotations

import pulumi

from modules.kit.credentials import FIRST_EPOCH, Credentials
from profiles import fixed, kept
from profiles.load import load
from stacks.deploy import FIXED, KEPT
from stacks.platform import platform

config = pulumi.Config()
profile = load(config.require("profile"))
deployed = platform(
    profile,
    Credentials.of(config.require("masterSecret"), config.get_int("credentialEpoch") or FIRST_EPOCH),
)
pulumi.export("profile", deployed.profile)
pulumi.export(FIXED, fixed.record(profile))
pulumi.export(KEPT, kept.record(profile))
pulumi.export("namespaces", dict(deployed.namespaces))
