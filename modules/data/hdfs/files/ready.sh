#!/bin/bash
# Whether every pattern is among the metrics. No Java and no client is started, since this runs every few seconds.
# ready.sh PORT PATTERN...
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
answer=$(cat <&3)
shift
for pattern; do
    grep -Eq -- "$pattern" <<<"$answer" || { echo "no metric is $pattern" && exit 1; }
done
