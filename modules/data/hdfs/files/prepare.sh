#!/bin/bash
# Makes what Java cannot read as it is mounted: a key store, and copies of the metrics agent, which is in another image, and of
# the script that Hadoop runs, since settings are mounted as what cannot be run.
# prepare.sh SECRETS SETTINGS INTO
set -eu
umask 077
openssl pkcs12 -export -in "$1/tls.crt" -inkey "$1/tls.key" -name server -passout "file:$1/store-password" -out "$3/server.p12"
cp /opt/longhouse/java/jmx_prometheus_javaagent-*.jar "$3/metrics-agent.jar"
if [ -e "$2/rack.sh" ]; then
    install -m 0500 "$2/rack.sh" "$3/rack.sh"
fi
