#!/bin/sh
# nginx takes no name server from the system's own settings.
set -eu
awk '$1 == "nameserver" { print "resolver " ($2 ~ /:/ ? "[" $2 "]" : $2) " valid=30s;"; exit }' /etc/resolv.conf >/tmp/resolver.conf
exec nginx -c /etc/dataset-cache/nginx.conf -e stderr
