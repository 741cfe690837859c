#!/bin/bash
# Gives a NameNode its first names: an empty file system where there is none at all, else a copy of the other NameNode's.
# What is there is never touched. Names are made beside and moved, so that an interrupted start leaves nothing half made.
# A NameNode that was alone gives its journal to the JournalNodes once, when a second one comes.
# format.sh single|first|second JAVA...
set -eu
shape=$1
shift
names=/data/name
shared=/data/journal-is-shared
namenode=("$@" org.apache.hadoop.hdfs.server.namenode.NameNode)
make() {
    rm -rf /data/new
    "${namenode[@]}" -Ddfs.namenode.name.dir=file:///data/new "$@" -nonInteractive && mv /data/new "$names"
}
if [ -e "$names/current/VERSION" ]; then
    echo "the names are there"
    if [ "$shape" = first ] && [ ! -e "$shared" ]; then
        "${namenode[@]}" -initializeSharedEdits -nonInteractive
        touch "$shared"
    fi
    exit 0
fi
touch "$shared"
case $shape in
    single)
        rm "$shared"
        make -format
        ;;
    # Refused where the JournalNodes hold a journal: then this one lost its disk, and the other has the names.
    first) make -format || make -bootstrapStandby ;;
    second) make -bootstrapStandby ;;
esac
