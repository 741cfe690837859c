"""The object store: who serves it, how much each tenant may keep, and where backups go."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field

from modules.data.object_store import sizing
from modules.foundation.gpu_pools.config import Site
from modules.kit import quantities
from modules.kit.clock import Cron
from modules.kit.model import IMMUTABLE, Model
from modules.kit.names import DnsLabel
from modules.kit.network import Cidr, Reach
from modules.kit.quantities import Cpu, Memory

NAME: Final = "object-store"
"""Name of the store: of its binding in a tenant's namespace, and first part of its credentials' purposes."""

NAMESPACE: Final = "object-store"
PORT: Final = 9000
HTTPS: Final = 443
CLIENT_PORTS: Final = (PORT,)

BACKUPS: Final = "backups"
"""Stem of the bucket that the other stores' backups go to."""

BucketPrefix = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,18}-)?$", max_length=20, json_schema_extra=IMMUTABLE),
]
"""First part of a bucket's name. With a tenant's name of 32 characters it stays below the 63 that S3 allows
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html)."""

HttpsUrl = Annotated[
    str,
    Field(
        pattern=r"^https://[a-z0-9]([-.a-z0-9]*[a-z0-9])?(:[1-9][0-9]{1,4})?$",
        max_length=200,
        json_schema_extra={
            "examples": ["https://s3.example.com"],
            "remedy": "write https://, a host, and a port where it is not 443, like https://s3.example.com:9000",
        },
    ),
]
"""An endpoint: https, a host, a port where it is not 443. Never plain http: keys' signatures and data would be readable on the way."""

Region = Annotated[
    str, Field(pattern=r"^[a-z]{2}[-a-z0-9]{0,30}$", json_schema_extra={"examples": ["eu-central-1"]})
]
"""A region as S3 names it: part of every request's signature."""


class Engine(StrEnum):
    """Who serves the object store."""

    MINIO = "minio"
    EXTERNAL = "external"


class Accounts(StrEnum):
    """Who makes the users of an S3 that is given by its endpoint."""

    IAM = "iam"
    GIVEN = "given"


class External(Model):
    """An S3 that others run: a cloud's, or an appliance's."""

    endpoint: HttpsUrl
    """Where it answers. A certificate of a public authority is expected."""

    region: Region
    """Its region, as requests are signed for."""

    site: Site
    """Where its disks stand: `home`, or `cloud`, where restricted data never goes."""

    cidrs: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    """Addresses of the endpoint: the only ones outside the cluster that tenants get to reach for it."""

    iam_cidrs: tuple[Cidr, ...] = ()
    """With `iam`: addresses of AWS's IAM, which the platform's program calls and no tenant does."""

    accounts: Accounts
    """Who makes the users: `iam` has the platform make them and their policies through AWS's IAM; `given` expects them to be there, for an S3 without that API."""

    admin_secret: DnsLabel = "object-store-admin"
    """Secret in the namespace `object-store`, made by whoever answers for the S3: `access_key` and `secret_key` of an account that may make buckets (and users, with `iam`); with `given` also `<tenant>.access_key` and `<tenant>.secret_key` of each tenant."""

    @property
    def port(self) -> int:
        """Port of the endpoint."""
        return urlsplit(self.endpoint).port or HTTPS


class Backups(Model):
    """The bucket that the other stores' backups go to."""

    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days after which a backup expires."""

    quota: Memory | None = None
    """The most that all backups together may hold. It is a part of MinIO's capacity, so there it has to be set; a given S3 may go without."""


class Copy(Model):
    """A second S3, to which the tenants' buckets are copied: the backup of the object store itself."""

    endpoint: HttpsUrl
    """Where it answers; another machine, better another building, than what it is the copy of."""

    region: Region
    """Its region."""

    site: Site
    """Where its disks stand: `home`, or `cloud`, where restricted data never goes."""

    cidrs: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    """Addresses of the endpoint."""

    bucket: Annotated[
        str,
        Field(pattern=r"^[a-z0-9][-a-z0-9]{1,61}[a-z0-9]$", json_schema_extra={"examples": ["store-copy"]}),
    ]
    """Bucket there, which exists and keeps versions; each tenant's objects go below its name."""

    secret: DnsLabel = "object-store-copy"
    """Secret in the namespace `object-store` with `access_key` and `secret_key` of an account that may list, get and put in that bucket."""

    schedule: Cron = "30 1 * * *"
    """When it is brought up to date."""

    @property
    def port(self) -> int:
        """Port of the endpoint."""
        return urlsplit(self.endpoint).port or HTTPS


class ObjectStore(Model):
    """The object store of the environment."""

    engine: Annotated[Engine, Field(json_schema_extra=IMMUTABLE)] = Engine.MINIO
    """Who serves it: `minio` has the platform run MinIO; `external` is an S3 that is there already, a cloud's or an appliance's."""

    servers: Annotated[int, Field(ge=1, le=16, json_schema_extra=IMMUTABLE)] = 4
    """MinIO's servers, each a pod with one volume: one for a trial, or 4 to 16 that keep each object in parts on all of them. Together they are one erasure set, whose size can never change."""

    disk: Annotated[Memory, Field(json_schema_extra=IMMUTABLE)] = "100Gi"
    """Size of each server's volume."""

    parity: Annotated[int, Field(ge=0, le=8)] | None = None
    """Volumes that may be lost without losing an object; null takes MinIO's own choice for the number of servers (2 of 4, 3 of 6, 4 of 8 or more)."""

    cpu: Cpu = "1"
    """Cores that each server asks for."""

    memory: Memory = "4Gi"
    """Memory of each server."""

    external: External | None = None
    """The S3 that is there already, for engine `external`."""

    bucket_prefix: BucketPrefix = "longhouse-"
    """First part of every bucket's name, before the tenant's. In a cloud bucket names are everybody's: choose one that nobody else has."""

    backups: Backups = Backups()
    """The bucket that the other stores' backups go to."""

    copy_to: Copy | None = None
    """A second S3 that tenants' buckets are copied to; null keeps no copy, and then nothing brings objects back that are deleted for good or lost with their volumes."""

    @property
    def given(self) -> External | None:
        """The S3 that is there already; None where the platform runs MinIO."""
        return self.external if self.engine is Engine.EXTERNAL else None

    @property
    def capacity(self) -> int:
        """Bytes of objects that fit into MinIO's volumes, after parity."""
        return sizing.capacity(self.servers, self.parity, quantities.bytes_of(self.disk))

    @property
    def region(self) -> str:
        """Region that requests are signed for. MinIO has none of its own: the one that clients take unasked."""
        return self.given.region if self.given else "us-east-1"

    @property
    def endpoint(self) -> str:
        """Where it is called from inside the cluster."""
        return self.given.endpoint if self.given else f"https://{NAME}.{NAMESPACE}.svc:{PORT}"

    @property
    def port(self) -> int:
        """Port of the endpoint."""
        return self.given.port if self.given else PORT

    @property
    def reach(self) -> Reach:
        """Where tenants' pods call it."""
        if self.given:
            return Reach(NAME, (self.given.port,), cidrs=self.given.cidrs)
        return Reach(NAME, (PORT,), namespace=NAMESPACE)

    def bucket(self, name: str) -> str:
        """The bucket of a tenant, or that of the backups."""
        return f"{self.bucket_prefix}{name}"


class ObjectStoreShare(Model):
    """A tenant's part of the object store: one bucket, and a key that opens it and no other."""

    quota: Memory
    """The most that the bucket may hold, old versions included."""

    keep_versions_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days for which what was overwritten or deleted can be brought back."""
