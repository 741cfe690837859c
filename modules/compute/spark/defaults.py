"""What a tenant's applications get unasked: Spark's settings for its part of the stores, as its ConfigMap ``spark-defaults`` has them.

Settings are those of https://spark.apache.org/docs/4.0.0/running-on-kubernetes.html and of hadoop-aws 3.4. Secrets are mounted, and
never stand among the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modules.compute.spark import image
from modules.compute.spark.config import EVENT_LOGS

BINDINGS = "/bindings"
"""Where the image expects a tenant's bindings (`files/entrypoint.sh`)."""


@dataclass(frozen=True)
class Bucket:
    """A tenant's bucket, and where it is."""

    name: str
    endpoint: str
    region: str
    path_style: bool

    @property
    def event_logs(self) -> str:
        """Where in it applications log what they do."""
        return f"s3a://{self.name}/{EVENT_LOGS}"

    @property
    def access(self) -> dict[str, str]:
        """How Hadoop's client reaches it; the image's entry point finds the keys."""
        return {
            "spark.hadoop.fs.s3a.endpoint": self.endpoint,
            "spark.hadoop.fs.s3a.endpoint.region": self.region,
            "spark.hadoop.fs.s3a.path.style.access": str(self.path_style).lower(),
            "spark.hadoop.fs.s3a.aws.credentials.provider": "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
        }


@dataclass(frozen=True)
class Principal:
    """Who a tenant is to HDFS."""

    name: str
    realm: str


@dataclass(frozen=True)
class Stores:
    """The stores of a tenant that Spark is made ready for; None for what it has not."""

    bucket: Bucket | None = None
    hdfs: Principal | None = None


def settings(stores: Stores) -> dict[str, str]:
    """Spark's settings for a tenant with these stores."""
    return {
        # A node that is taken away sends what it has worked out to another before it goes.
        "spark.decommission.enabled": "true",
        "spark.kubernetes.decommission.script": image.DECOMMISSION,
        "spark.storage.decommission.enabled": "true",
        "spark.storage.decommission.rddBlocks.enabled": "true",
        "spark.storage.decommission.shuffleBlocks.enabled": "true",
        **(_bucket(stores.bucket) if stores.bucket else {}),
        **(_hdfs(stores.hdfs) if stores.hdfs else {}),
    }


def _bucket(bucket: Bucket) -> Mapping[str, str]:
    return {
        **_mounted("object-store"),
        **bucket.access,
        # Renaming in S3 is copying, and what a killed application had left half-written made the next one fail.
        "spark.hadoop.fs.s3a.committer.name": "magic",
        "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
        "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
        "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": bucket.event_logs,
        "spark.eventLog.compress": "true",
    }


def _hdfs(principal: Principal) -> Mapping[str, str]:
    """The driver has the key, and gives executors tokens that last a day; it draws new ones in time."""
    return {
        **_mounted("hdfs"),
        "spark.kerberos.principal": f"{principal.name}@{principal.realm}",
        "spark.kerberos.keytab": f"local://{BINDINGS}/hdfs/keytab",
    }


def _mounted(store: str) -> Mapping[str, str]:
    return {
        f"spark.kubernetes.{role}.secrets.{store}": f"{BINDINGS}/{store}" for role in ("driver", "executor")
    }
