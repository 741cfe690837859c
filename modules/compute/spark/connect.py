"""A tenant's Spark Connect server: an elastic application of its own that runs until it is taken away.

So it waits in the tenant's queue, and so does each executor that its sessions need. The operator's
kind SparkConnect makes a pod and executors that belong to it, and those no queue would count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modules.compute.spark import defaults, elastic, image
from modules.compute.spark.config import Connect
from modules.compute.spark.defaults import Stores
from modules.kit.quantities import cores

API_VERSION: Final = "sparkoperator.k8s.io/v1beta2"
NAME: Final = "spark-connect"
PORT: Final = 15002
"""Spark's usual one: clients call `sc://spark-connect`."""

_RETRY_SECONDS: Final = 10


def selector(name: str = NAME) -> dict[str, str]:
    """Labels of its driver."""
    return {"sparkoperator.k8s.io/app-name": name, "spark-role": "driver"}


def spec(config: Connect, stores: Stores, registry: str | None = None) -> Mapping[str, Any]:
    """`spec` of its SparkApplication. Defaults stand in it too: an application gets them when it is made, and this one outlives them.

    Its program starts the service in the driver: Spark starts its own main class in no cluster (`SparkSubmit`: "Cluster deploy mode is not
    applicable to Spark Connect server").
    """
    size = {
        "cores": max(1, int(cores(config.cpu))),
        "coreRequest": config.cpu,
        "coreLimit": max(config.cpu, "1", key=cores),
        "memory": config.memory,
        "memoryLimit": config.memory,
        "memoryOverhead": "0",
    }
    return {
        "type": "Python",
        "sparkVersion": image.version(),
        "image": image.image(registry),
        "mainApplicationFile": f"local://{image.CONNECT}",
        "restartPolicy": {
            "type": "Always",
            "onFailureRetryInterval": _RETRY_SECONDS,
            "onSubmissionFailureRetryInterval": _RETRY_SECONDS,
        },
        "sparkConf": {
            **defaults.settings(stores),
            **elastic.settings(config.executors),
            "spark.connect.grpc.binding.port": str(PORT),
        },
        "driver": size,
        "executor": size,
    }
