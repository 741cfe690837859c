"""What each server says of itself: rules of the JMX exporter, and what of it means that the server is ready."""

from __future__ import annotations

import json
from typing import Any, Final

_FSIMAGE: Final = "(CapacityTotal|CapacityUsed|CapacityRemaining|MissingBlocks|UnderReplicatedBlocks|CorruptBlocks|FilesTotal|BlocksTotal|PendingReplicationBlocks|StaleDataNodes|MillisSinceLastLoadedEdits|TransactionsSinceLastCheckpoint|LastCheckpointTime)"

NAMENODE_READY: Final = ("^hdfs_namenode_operational 1", "^hdfs_namenode_state.*(active|standby).* 1")
"""Out of safe mode, and in office or in waiting."""

STANDBY_IN_SYNC: Final = "^hdfs_namenode_millissincelastloadededits [0-9]{1,5}(\\.[0-9]+)?$"
"""A standby that found something new in the journal within the last hundred seconds: it looks every second, and even when nobody
writes a segment begins every half minute. In office it is 0."""

DATANODE_READY: Final = ("^hdfs_datanode_registered 1",)
"""A NameNode knows it and hears from it."""

JOURNALNODE_READY: Final = ("^hdfs_journalnode_currentlagtxns.* 0(\\.0)?$",)
"""It has what NameNodes have agreed on. One that was away lags until the next segment begins: were it counted as ready before, the
next would be restarted, and with two of three behind the NameNode in office could not write and would end itself."""

ZOOKEEPER_READY: Final = ("^zookeeper_serving.* 1",)
"""It leads or follows."""


def _exporter(beans: tuple[str, ...], rules: list[dict[str, Any]]) -> str:
    """Settings of the JMX exporter: only the beans that are named, so that a scrape costs little. JSON is YAML."""
    return json.dumps(
        {"lowercaseOutputName": True, "includeObjectNames": list(beans), "rules": rules}, indent=1
    )


def _flag(pattern: str, name: str, **labels: str) -> dict[str, Any]:
    return {"pattern": pattern, "name": name, "value": 1, "type": "GAUGE", "labels": labels}


def _gauge(pattern: str, name: str, **labels: str) -> dict[str, Any]:
    # The exporter looks for the pattern anywhere: without the colon one name would match those that it begins.
    return {"pattern": f"{pattern}:", "name": name, "type": "GAUGE", "labels": labels}


_JVM: Final = "java.lang:type=Memory"
_HEAP: Final = _gauge("java.lang<type=Memory><HeapMemoryUsage>(used|max)", "jvm_heap_$1_bytes")


def namenode() -> str:
    """Of a NameNode."""
    return _exporter(
        (
            "Hadoop:service=NameNode,name=FSNamesystem",
            "Hadoop:service=NameNode,name=FSNamesystemState",
            "Hadoop:service=NameNode,name=NameNodeStatus",
            "Hadoop:service=NameNode,name=RpcActivityForPort*",
            _JVM,
        ),
        [
            _flag(
                "Hadoop<service=NameNode, name=FSNamesystemState><>FSState: Operational",
                "hdfs_namenode_operational",
            ),
            _flag(
                "Hadoop<service=NameNode, name=NameNodeStatus><>State: (.+)",
                "hdfs_namenode_state",
                state="$1",
            ),
            _gauge(
                "Hadoop<service=NameNode, name=FSNamesystemState><>(NumLiveDataNodes|NumDeadDataNodes)",
                "hdfs_namenode_$1",
            ),
            _gauge(f"Hadoop<service=NameNode, name=FSNamesystem><>{_FSIMAGE}", "hdfs_namenode_$1"),
            _gauge(
                "Hadoop<service=NameNode, name=RpcActivityForPort([0-9]+)><>(CallQueueLength|RpcQueueTimeAvgTime|RpcProcessingTimeAvgTime|NumOpenConnections)",
                "hdfs_rpc_$2",
                port="$1",
            ),
            _HEAP,
        ],
    )


def datanode() -> str:
    """Of a DataNode."""
    return _exporter(
        (
            "Hadoop:service=DataNode,name=DataNodeInfo",
            "Hadoop:service=DataNode,name=FSDatasetState-*",
            "Hadoop:service=DataNode,name=DataNodeActivity*",
            _JVM,
        ),
        [
            _flag(
                'Hadoop<service=DataNode, name=DataNodeInfo><>BPServiceActorInfo: .*"ActorState":"RUNNING".*',
                "hdfs_datanode_registered",
            ),
            _gauge(
                "Hadoop<service=DataNode, name=FSDatasetState-.*><>(Capacity|DfsUsed|Remaining|NumFailedVolumes)",
                "hdfs_datanode_$1",
            ),
            _gauge(
                "Hadoop<service=DataNode, name=DataNodeActivity.*><>(BytesWritten|BytesRead|BlocksWritten|BlocksRead|FsyncCount|VolumeFailures)",
                "hdfs_datanode_$1",
            ),
            _HEAP,
        ],
    )


def journalnode() -> str:
    """Of a JournalNode."""
    return _exporter(
        ("Hadoop:service=JournalNode,name=Journal-*", _JVM),
        [
            _gauge(
                "Hadoop<service=JournalNode, name=Journal-(.+)><>(LastWrittenTxId|CurrentLagTxns|BatchesWritten|LastWriterEpoch)",
                "hdfs_journalnode_$2",
                journal="$1",
            ),
            _HEAP,
        ],
    )


def zookeeper() -> str:
    """Of a ZooKeeper server. Its beans are named after its place in the quorum and after who leads."""
    return _exporter(
        ("org.apache.ZooKeeperService:*", _JVM),
        [
            _flag(
                "org.apache.ZooKeeperService<name0=ReplicatedServer_id[0-9]+, name1=replica.[0-9]+, name2=(Leader|Follower)><>StartTime: .*",
                "zookeeper_serving",
                role="$1",
            ),
            _gauge(
                "org.apache.ZooKeeperService<name0=.*, name1=.*, name2=(Leader|Follower)><>(AvgRequestLatency|OutstandingRequests|NumAliveConnections)",
                "zookeeper_$2",
            ),
            _HEAP,
        ],
    )
