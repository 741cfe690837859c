"""What of a broker's hundreds of thousands of values is offered as metrics, and under which names.

Beans are those of https://kafka.apache.org/43/operations/monitoring/. Readiness is decided by the first five.
"""

from __future__ import annotations

from typing import Any, Final

_BEANS: Final = (
    "kafka.server:type=KafkaServer,name=BrokerState",
    "kafka.server:type=ReplicaManager,name=*",
    "kafka.server:type=raft-metrics",
    "kafka.server:type=FetcherLagMetrics,*",
    "kafka.server:type=broker-metadata-metrics",
    "kafka.controller:type=KafkaController,name=*",
    "kafka.server:type=BrokerTopicMetrics,*",
    "kafka.server:type=Produce,user=*",
    "kafka.server:type=Fetch,user=*",
    "kafka.server:type=Request,user=*",
    "kafka.server:type=ControllerMutation,user=*",
    "kafka.server:type=KafkaRequestHandlerPool,name=*",
    "kafka.network:type=SocketServer,name=*",
    "kafka.log:type=LogManager,name=*",
    "kafka.log:type=Log,name=Size,*",
)


def configuration() -> dict[str, Any]:
    """The JMX exporter's configuration."""
    return {
        "lowercaseOutputName": True,
        "lowercaseOutputLabelNames": True,
        "includeObjectNames": list(_BEANS),
        "rules": [
            _rule(r"kafka.server<type=KafkaServer, name=BrokerState><>Value", "kafka_broker_state"),
            _rule(
                r"kafka.server<type=ReplicaManager, name=UnderMinIsrPartitionCount><>Value",
                "kafka_under_min_isr_partitions",
            ),
            _rule(
                r"kafka.server<type=raft-metrics><>current-state: (.+)",
                "kafka_raft_state",
                {"state": "$1"},
                value=1,
            ),
            _rule(
                r"kafka.server<type=FetcherLagMetrics, name=ConsumerLag, clientId=.+, topic=(.+), partition=(.+)><>Value",
                "kafka_replica_lag",
                {"topic": "$1", "partition": "$2"},
            ),
            _rule(
                r"kafka.server<type=broker-metadata-metrics><>(.+): (.+)",
                "kafka_broker_metadata_$1",
                value="$2",
            ),
            _rule(r"kafka.server<type=ReplicaManager, name=(.+)><>(Value|Count)", "kafka_replica_manager_$1"),
            _rule(r"kafka.controller<type=KafkaController, name=(.+)><>(Value|Count)", "kafka_controller_$1"),
            _rule(
                r"kafka.server<type=BrokerTopicMetrics, name=(.+), topic=(.+)><>Count",
                "kafka_topic_$1_total",
                {"topic": "$2"},
            ),
            _rule(
                r"kafka.server<type=(Produce|Fetch|Request|ControllerMutation), user=(.+)><>(.+): (.+)",
                "kafka_user_$1_$3",
                {"user": "$2"},
                value="$4",
            ),
            _rule(
                r"kafka.server<type=KafkaRequestHandlerPool, name=(.+)><>OneMinuteRate",
                "kafka_request_handlers_$1",
            ),
            _rule(r"kafka.network<type=SocketServer, name=(.+)><>Value", "kafka_network_$1"),
            _rule(
                r"kafka.log<type=Log, name=Size, topic=(.+), partition=(.+)><>Value",
                "kafka_log_size_bytes",
                {"topic": "$1", "partition": "$2"},
            ),
            _rule(r"kafka.log<type=LogManager, name=(.+)><>Value", "kafka_log_manager_$1"),
        ],
    }


def _rule(
    pattern: str, name: str, labels: dict[str, str] | None = None, value: int | str | None = None
) -> dict[str, Any]:
    rule: dict[str, Any] = {"pattern": pattern, "name": name, "type": "GAUGE"}
    if labels:
        rule["labels"] = labels
    if value is not None:
        rule["value"] = value
    return rule
