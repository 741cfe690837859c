"""What `pulumi up` runs: the stack's configuration names a profile, and the profile says what is declared."""

from __future__ import annotations

import pulumi

from modules.kit.credentials import FIRST_EPOCH, Credentials
from profiles.load import load
from stacks.platform import platform

config = pulumi.Config()
deployed = platform(
    load(config.require("profile")),
    Credentials.of(config.require("masterSecret"), config.get_int("credentialEpoch") or FIRST_EPOCH),
)
pulumi.export("profile", deployed.profile)
pulumi.export("namespaces", dict(deployed.namespaces))
