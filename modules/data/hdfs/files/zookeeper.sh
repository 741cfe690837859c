#!/bin/bash
# Starts a ZooKeeper server under the number that follows from its name.
# zookeeper.sh FOLDER COMMAND...
set -eu
mkdir -p "$1"
echo "$((${HOSTNAME##*-} + 1))" >"$1/myid"
shift
exec "$@"
