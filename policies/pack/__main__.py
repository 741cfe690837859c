"""The policy pack, as Pulumi runs it: `pulumi preview --policy-pack policies/pack`. The constructor serves the engine and never returns."""

from __future__ import annotations

from pulumi_policy import EnforcementLevel, PolicyPack

from policies.crossguard import PACK, policies

PolicyPack(name=PACK, policies=policies(), enforcement_level=EnforcementLevel.MANDATORY)
