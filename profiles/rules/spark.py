"""What must hold of what tenants have of Spark beside their applications."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from modules.compute.spark.config import Connect, History, SparkShare, quantity
from modules.kit import quantities
from profiles.model import Profile
from profiles.rules.finding import TENANTS, Finding, Rule

HERE: Final = "spark"


def history_is_read_from_a_bucket(profile: Profile) -> Iterator[Finding]:
    """A history server shows what applications wrote into the tenant's bucket; without one they write nothing. Where the environment has no
    buckets there is none."""
    for name, tenant in profile.tenants.items() if profile.spark and profile.object_store else ():
        if tenant.spark.history and not tenant.data.object_store:
            yield Finding(
                (TENANTS, name, HERE, "history"),
                "shows what stands in the tenant's bucket, and it has none",
                "write data.object_store into its record, or spark.history: null",
                ((TENANTS, name, "data", "object_store"),),
            )


def servers_that_always_run_fit_the_quota(profile: Profile) -> Iterator[Finding]:
    """A server that is larger than the quota waits for ever, or runs on borrowed room and is pushed out again and again. One of Spark Connect does
    nothing without an executor."""
    for name, tenant in profile.tenants.items() if profile.spark else ():
        asked = _asked(tenant.spark)
        cpu, memory = sum((each for each, _ in asked), Decimal(0)), sum(size for _, size in asked)
        if cpu > quantities.cores(tenant.quota.cpu) or memory > quantities.bytes_of(tenant.quota.memory):
            yield Finding(
                (TENANTS, name, HERE),
                f"asks for {quantities.cpu(cpu)} cores and {quantities.memory(memory)} that are always taken, more than the tenant's quota "
                f"({tenant.quota.cpu}, {tenant.quota.memory})",
                "ask for less, or raise its quota",
                ((TENANTS, name, "quota"),),
            )


def _asked(share: SparkShare) -> list[tuple[Decimal, int]]:
    """Cores and bytes of each pod."""
    pods: list[History | Connect] = [share.history] if share.history else []
    if share.connect:
        pods += [share.connect] * 2
    return [(quantities.cores(each.cpu), quantities.bytes_of(quantity(each.memory))) for each in pods]


RULES: Final[tuple[Rule, ...]] = (history_is_read_from_a_bucket, servers_that_always_run_fit_the_quota)
