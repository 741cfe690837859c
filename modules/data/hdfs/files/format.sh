#!/bin/bash
# Gives a NameNode its first names: an empty file system where there is none at all, else a copy of the other NameNode's.
# What is there is never touched. Names are made beside and moved, so that an interrupted start leaves nothing half made.
# format.sh single|first|second JAVA...
set -eu
shape=$1
shift
names=/data/name
if [ -e "$names/current/VERSION" ]; then
    echo "the names are there"
    exit 0
fi
make() {
    rm -rf /data/new
    "$@" && mv /data/new "$names"
}
namenode=("$@" org.apache.hadoop.hdfs.server.namenode.NameNode -Ddfs.namenode.name.dir=file:///data/new)
case $shape in
    single) make "${namenode[@]}" -format -nonInteractive ;;
    # Refused where the JournalNodes hold a journal: then this one lost its disk, and the other has the names.
    first) make "${namenode[@]}" -format -nonInteractive || make "${namenode[@]}" -bootstrapStandby -nonInteractive ;;
    second) make "${namenode[@]}" -bootstrapStandby -nonInteractive ;;
esac
