"""What must hold of the object store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modules.data.object_store import sizing
from modules.data.object_store.config import BACKUPS, Accounts, Engine, ObjectStore
from modules.foundation.gpu_pools import placement
from modules.foundation.gpu_pools.config import Site
from modules.foundation.tenants.config import DataClass
from modules.kit import quantities
from profiles.model import Profile
from profiles.problems import Key
from profiles.rules.finding import POOLS, TENANTS, Finding, Rule

STORE: Final = "object_store"


def a_given_s3_is_described(profile: Profile) -> Iterator[Finding]:
    """Without it there is nothing to call."""
    if (
        profile.object_store
        and profile.object_store.engine is Engine.EXTERNAL
        and not profile.object_store.external
    ):
        yield Finding(
            (STORE, "external"), "is missing, and engine external needs it", "describe the S3, or write engine: minio", ((STORE, "engine"),)
        )  # fmt: skip


def who_makes_users_in_iam_can_call_it(profile: Profile) -> Iterator[Finding]:
    """IAM is another service than S3, at other addresses; nothing that is not named is reached."""
    given = profile.object_store.given if profile.object_store else None
    if given and given.accounts is Accounts.IAM and not given.iam_cidrs:
        yield Finding(
            (STORE, "external", "iam_cidrs"),
            "is empty, and accounts iam calls AWS's IAM",
            "name the addresses of IAM or of its endpoint in your network",
            ((STORE, "external", "accounts"),),
        )


def minio_keeps_what_it_acknowledged(profile: Profile) -> Iterator[Finding]:
    """Layouts in which one lost volume loses objects, no server may restart while writes go on, or MinIO does not start (sizing.py has
    the sources)."""
    store = _minio(profile)
    fault = sizing.layout_fault(store.servers, store.parity) if store else None
    if fault:
        yield Finding((STORE, fault.key), fault.what, fault.remedy, ((STORE, "engine"), (STORE, "servers")))


def minio_outside_local_has_more_than_one_server(profile: Profile) -> Iterator[Finding]:
    """One server has one volume and no parity (docs/distributed/SIZING.md, first row: tolerates nothing): its loss is the loss of every
    object, and of every store's backups."""
    store = _minio(profile)
    if store and store.servers == 1 and not profile.is_local:
        yield Finding(
            (STORE, "servers"), "is 1, whose volume is the only one that objects are on", "write 4 or more", ((STORE, "engine"),)
        )  # fmt: skip


def minio_servers_stand_apart(profile: Profile) -> Iterator[Finding]:
    """Parity counts servers: two on one machine are lost together. Their pods are spread strictly, so one too many would wait for ever."""
    store = _sound(profile)
    machines = sum(pool.nodes for pool in placement.general(profile.node_pools.values()))
    if store and machines and store.servers > machines:
        yield Finding(
            (STORE, "servers"),
            f"is more than the {machines} nodes without GPUs, and no two servers may share one",
            f"write {machines} or less, or add nodes",
            ((POOLS,), (STORE, "engine")),
        )


def object_quotas_fit_the_volumes(profile: Profile) -> Iterator[Finding]:
    """A promise that the volumes cannot hold ends for all tenants at once, with XMinioStorageFull, not for the one that is over its
    quota. MinIO's count for quotas lags its writes by a scan of all objects, so the sum leaves it room."""
    store = _sound(profile)
    if store is None:
        return
    promised = {
        name: quantities.bytes_of(tenant.data.object_store.quota)
        for name, tenant in profile.tenants.items()
        if tenant.data.object_store
    }
    if store.backups.quota:
        promised[BACKUPS] = quantities.bytes_of(store.backups.quota)
    elif profile.backed_up:
        yield Finding(
            (STORE, BACKUPS, "quota"),
            f"is missing, and backups of {', '.join(profile.backed_up)} would take what tenants are promised",
            "write the most that all backups together may hold",
            ((STORE, "engine"),),
        )
    total = sum(promised.values())
    if total > store.capacity:
        parts = " + ".join(f"{name} {quantities.memory(size)}" for name, size in promised.items())
        yield Finding(
            (STORE, "disk"),
            f"gives {quantities.memory(store.capacity)} after parity, less than is promised: {parts} = {quantities.memory(total)}",
            "have larger disks or more servers, or promise less",
            tuple((TENANTS, name, "data", STORE, "quota") for name in promised if name != BACKUPS),
        )


def no_tenants_bucket_is_that_of_the_backups(profile: Profile) -> Iterator[Finding]:
    """A tenant's bucket is called after it, and so is that of the backups."""
    tenant = profile.tenants.get(BACKUPS)
    if profile.object_store and tenant and tenant.data.object_store:
        yield Finding(
            (TENANTS, BACKUPS, "data", STORE),
            "would be the bucket that all stores' backups go to",
            "give the tenant another name, or no bucket",
        )


def objects_go_where_their_tenant_may(profile: Profile) -> Iterator[Finding]:
    """Restricted data never leaves home, and other data goes to the regions that its tenant allows; that holds of a copy too."""
    store = profile.object_store
    if store is None:
        return
    places: list[tuple[Key, Site, str]] = []
    if store.given:
        places.append(((STORE, "external"), store.given.site, store.given.region))
    if store.copy_to:
        places.append(((STORE, "copy_to"), store.copy_to.site, store.copy_to.region))
    for key, site, region in places:
        for name, tenant in profile.tenants.items():
            if site is Site.HOME or tenant.data.object_store is None:
                continue
            if tenant.data_class is DataClass.RESTRICTED or region not in tenant.burst.regions:
                why = (
                    "is restricted"
                    if tenant.data_class is DataClass.RESTRICTED
                    else f"may not go to {region}"
                )
                yield Finding(
                    (*key, "region"),
                    f"would hold the objects of {name}, whose data {why}",
                    f"take the bucket from {name} (data: {{object_store: null}}), or choose another place",
                    ((*key, "site"), (TENANTS, name, "data_class"), (TENANTS, name, "burst")),
                )


def _minio(profile: Profile) -> ObjectStore | None:
    store = profile.object_store
    return store if store and store.engine is Engine.MINIO else None


def _sound(profile: Profile) -> ObjectStore | None:
    """MinIO, where its layout is one that can be reckoned with."""
    store = _minio(profile)
    return None if store is None or sizing.layout_fault(store.servers, store.parity) else store


RULES: Final[tuple[Rule, ...]] = (
    a_given_s3_is_described,
    who_makes_users_in_iam_can_call_it,
    minio_keeps_what_it_acknowledged,
    minio_outside_local_has_more_than_one_server,
    minio_servers_stand_apart,
    object_quotas_fit_the_volumes,
    no_tenants_bucket_is_that_of_the_backups,
    objects_go_where_their_tenant_may,
)
