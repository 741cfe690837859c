"""What must hold of Flink."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.kit import quantities
from profiles.model import Profile
from profiles.problems import Key
from profiles.rules.finding import TENANTS, Finding, Rule

LEAST: Final = "1Gi"
"""Flink itself takes 768 MiB of a TaskManager ("Set up TaskManager Memory": overhead 192, metaspace 256, framework 256, network 64)."""


def flinks_pods_have_memory_for_work(profile: Profile) -> Iterator[Finding]:
    """With less a pod does not start, or has no room for a single record."""
    sizes: list[tuple[Key, str]] = (
        [(("flink", "pod_memory"), profile.flink.pod_memory)] if profile.flink else []
    )
    sizes += [
        ((TENANTS, name, "flink", "memory"), tenant.flink.memory)
        for name, tenant in profile.tenants.items()
        if tenant.flink
    ]
    for key, size in sizes:
        if quantities.bytes_of(size) < quantities.bytes_of(LEAST):
            yield Finding(key, f"is {size}, of which Flink itself leaves nothing", f"write {LEAST} or more")


def a_session_cluster_has_a_bucket(profile: Profile) -> Iterator[Finding]:
    """What has to outlive its JobManager stands there. Where the environment has no buckets there is no Flink."""
    for name, tenant in profile.tenants.items() if profile.flink and profile.object_store else ():
        if tenant.flink and not tenant.data.object_store:
            yield Finding(
                (TENANTS, name, "flink"),
                "keeps its state in the tenant's bucket, and the tenant has none",
                "give the tenant data.object_store, or take flink away",
                ((TENANTS, name, "data"),),
            )


def a_session_cluster_fits_its_tenants_quota(profile: Profile) -> Iterator[Finding]:
    """It runs all the time: what has to be borrowed for it can be taken back, and beyond the quota it waits for ever."""
    for name, tenant in profile.tenants.items():
        if not (profile.flink and tenant.flink):
            continue
        pods = tenant.flink.task_managers + 1
        for key, one, quota in (
            ("cpu", tenant.flink.cpu, tenant.quota.cpu),
            ("memory", tenant.flink.memory, tenant.quota.memory),
        ):
            if pods * quantities.amount(one) > quantities.amount(quota):
                yield Finding(
                    (TENANTS, name, "flink", key),
                    f"is more than the tenant has: {pods} pods of {one}, of {quota}",
                    f"lower it or task_managers, or raise quota.{key}",
                    ((TENANTS, name, "quota", key), (TENANTS, name, "flink", "task_managers")),
                )


RULES: Final[tuple[Rule, ...]] = (
    flinks_pods_have_memory_for_work,
    a_session_cluster_has_a_bucket,
    a_session_cluster_fits_its_tenants_quota,
)
