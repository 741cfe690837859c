#!/bin/bash
# The rack of each DataNode, by address: its name in the cluster's DNS begins with its StatefulSet, which is called after its rack.
# A DataNode that DNS does not know yet is no answer, so the NameNode turns it away and it comes again.
for address; do
    name=$(getent hosts "$address" | awk '{print $2}') || true
    [[ $name =~ ^datanode-(.+)-[0-9]+\.datanode- ]] || exit 1
    echo "/${BASH_REMATCH[1]}"
done
