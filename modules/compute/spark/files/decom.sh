#!/bin/bash
# Before an executor is stopped: it sends what it has worked out to others, and is given until then.
# The contract is that of upstream's resource-managers/kubernetes/docker/src/main/dockerfiles/spark/decom.sh (Spark 4.0): Spark has it run before
# the pod ends, and SIGPWR is what an executor takes for the news. The pod's grace period bounds it.
worker=$(pgrep --full --newest KubernetesExecutorBackend)
kill -PWR "$worker"
exec tail --pid="$worker" --follow /dev/null
