"""What must hold of tenants' names and groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.foundation.tenants.config import Tenant
from modules.kit import names
from profiles.model import Profile
from profiles.problems import Key
from profiles.rules.finding import TENANTS, Finding, Rule


def tenant_names_are_free(profile: Profile) -> Iterator[Finding]:
    """A tenant's name becomes the stem of names in systems where some are taken (names.RESERVED_NAMES, names.RESERVED_PREFIXES)."""
    for name in profile.tenants:
        if names.is_reserved(name):
            stems = ", ".join(f"{prefix}*" for prefix in names.RESERVED_PREFIXES)
            taken = ", ".join(sorted(names.RESERVED_NAMES))
            yield Finding((TENANTS, name), f"is a reserved name ({stems}, {taken})", "choose another name")


def tenant_names_are_not_queue_names(profile: Profile) -> Iterator[Finding]:
    """ClusterQueues are named `<tenant>-cpu` and `<tenant>-gpu`: a tenant of that name reads as another's queue wherever queues are listed."""
    for name in profile.tenants:
        queues = {names.cpu_cluster_queue(name), names.gpu_cluster_queue(name)}
        for twin in sorted(queues & set(profile.tenants)):
            yield Finding(
                (TENANTS, twin), f"is also the name of a queue of tenant {name}", "choose another name"
            )


def roles(tenant: Tenant) -> dict[str, tuple[str, ...]]:
    """Groups by role, weakest role first."""
    return {"viewer": tenant.groups.viewer, "editor": tenant.groups.editor, "admin": tenant.groups.admin}


def a_group_has_one_role_in_a_tenant(profile: Profile) -> Iterator[Finding]:
    """Each role includes the weaker ones, so a group in two contradicts itself, and whoever takes it out of one leaves it the other."""
    for name, tenant in profile.tenants.items():
        first: dict[str, tuple[str, int]] = {}
        for role, groups in roles(tenant).items():
            for number, group in enumerate(groups):
                if group in first:
                    earlier, at = first[group]
                    yield Finding(
                        (TENANTS, name, "groups", role, number),
                        f"is a group that stands under {earlier} already",
                        "name it once, under the role it is to have",
                        ((TENANTS, name, "groups", earlier, at),),
                    )
                first.setdefault(group, (role, number))


def groups_are_the_identity_providers(profile: Profile) -> Iterator[Finding]:
    """The API server adds the prefix; a group written with it would get it twice and match nobody. `system:` groups are Kubernetes' own."""
    prefix = profile.identity.group_prefix
    for name, tenant in profile.tenants.items():
        for role, groups in roles(tenant).items():
            for number, group in enumerate(groups):
                key: Key = (TENANTS, name, "groups", role, number)
                if group.startswith("system:"):
                    yield Finding(
                        key, "is one of Kubernetes' own groups", "name a group of the identity provider"
                    )
                elif group.startswith(prefix):
                    yield Finding(
                        key,
                        f"begins with {prefix}, which is added to every group",
                        f"write {group.removeprefix(prefix) or 'the group'}",
                        (("identity", "group_prefix"),),
                    )


RULES: Final[tuple[Rule, ...]] = (
    tenant_names_are_free,
    tenant_names_are_not_queue_names,
    a_group_has_one_role_in_a_tenant,
    groups_are_the_identity_providers,
)
