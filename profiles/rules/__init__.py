"""What must hold between values that are each fine by themselves.

A rule is a pure function of the typed profile, named for what it holds true. It yields a finding per contradiction, at the key that has to change. A
finding names the other keys it hangs on (`involves`), so that it is not told when one of those is wrong by itself.
"""

from __future__ import annotations

from typing import Final

from profiles.rules import (
    cassandra,
    cluster,
    dataset_cache,
    departed,
    flink,
    hdfs,
    kafka,
    mysql,
    network,
    object_store,
    people,
    pools,
    quota,
    residency,
    spark,
    stacks,
    tensorboard,
    tracking,
    training,
    tuning,
)
from profiles.rules.finding import Rule

RULES: Final[tuple[Rule, ...]] = (
    *pools.RULES,
    *cluster.RULES,
    *people.RULES,
    *quota.RULES,
    *residency.RULES,
    *network.RULES,
    *departed.RULES,
    *object_store.RULES,
    *dataset_cache.RULES,
    *mysql.RULES,
    *cassandra.RULES,
    *kafka.RULES,
    *hdfs.RULES,
    *spark.RULES,
    *flink.RULES,
    *training.RULES,
    *tensorboard.RULES,
    *tuning.RULES,
    *tracking.RULES,
    *stacks.RULES,
)
"""Every rule, in the order in which a profile is read."""
