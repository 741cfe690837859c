#!/bin/bash
# Makes the store of whom a server trusts. Only keytool marks a certificate so that Java trusts it.
# trust.sh SECRETS INTO
set -eu
umask 077
rm -f "$2/trust.p12"
keytool -importcert -noprompt -alias authority -file "$1/ca.crt" -keystore "$2/trust.p12" -storetype PKCS12 -storepass:file "$1/store-password"
