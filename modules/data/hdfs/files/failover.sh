#!/bin/bash
# Makes the place in ZooKeeper where NameNodes compete, unless it is there (2 says so), and joins the competition.
# failover.sh JAVA...
set -eu
controller=("$@" org.apache.hadoop.hdfs.tools.DFSZKFailoverController)
"${controller[@]}" -formatZK -nonInteractive || [ $? -eq 2 ]
exec "${controller[@]}"
