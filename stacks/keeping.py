"""A stack never lets go of a tenant that the profile still names.

A tenant's stack follows from the profile. Where that has been changed and the state has not, a plain `pulumi up` would delete
the tenant's namespace here, whatever is in it, because another stack is to declare it. So the program looks at its own stack's state first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pulumi

from modules.kit import names
from modules.kit.parts import Part

_READ: Final = "pulumi:pulumi:readStackResourceOutputs"
"""The engine's own function behind `pulumi.StackReference`. It gives what a run that was cut off left, too, where outputs are those of the last that ended."""

_NAMESPACE: Final = "kubernetes:core/v1:Namespace"


class LetGoError(Exception):
    """The stack would delete what another is to declare; the message names the way out."""


def keep_tenants(part: Part, tenants: Iterable[str]) -> None:
    """Raise LetGoError where the stack holds one of the ``tenants`` that are not of its part."""
    elsewhere = frozenset(tenants) - part.tenants
    if not elsewhere:
        return
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    found = pulumi.runtime.invoke(_READ, {"stackName": stack}).value or {}
    if lost := sorted(elsewhere & held(found.get("outputs", {}))):
        raise LetGoError(
            f"this stack holds {', '.join(lost)}, which the profile puts in another: it would be deleted here. "
            "`python -m stacks.fleet up` moves tenants between stacks and touches nothing that they have"
        )


def held(resources: Mapping[str, Any]) -> frozenset[str]:
    """Tenants whose namespaces are among the resources of a state: URN -> type and outputs."""
    return frozenset(
        str(each["outputs"]["metadata"]["name"]).removeprefix(names.NAMESPACE_PREFIX)
        for each in resources.values()
        if each["type"] == _NAMESPACE
        and str(each["outputs"]["metadata"]["name"]).startswith(names.NAMESPACE_PREFIX)
    )
