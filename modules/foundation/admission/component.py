"""Declares the rules that the API server enforces."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from modules.foundation.admission import config, policy
from modules.foundation.admission.policy import API_VERSION, PREFIX, Policy
from modules.kit.component import Component
from modules.kit.custom_object import CustomObject


class Admission(Component):
    """A ValidatingAdmissionPolicy for each family of rules, or two where some only warn, and what binds it."""

    AREA = "foundation"
    COMPONENT = "admission"

    def __init__(
        self,
        name: str,
        config: config.Admission,
        policies: Iterable[Policy],
        *,
        owner: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(name, owner=owner, opts=opts)
        for each in policies:
            named = PREFIX + each.name
            declared = CustomObject(
                named,
                API_VERSION,
                "ValidatingAdmissionPolicy",
                self.meta(named),
                {"spec": policy.policy_spec(each, config)},
                opts=self.child(),
            )
            CustomObject(
                f"{named}-binding",
                API_VERSION,
                "ValidatingAdmissionPolicyBinding",
                self.meta(named),
                {"spec": policy.binding_spec(each, config)},
                opts=self.child(pulumi.ResourceOptions(depends_on=[declared])),
            )
        self.register_outputs({})
