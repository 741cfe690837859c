#!/bin/bash
# A KDC whose database is made from passwords at each start, in memory. Two of them with the same passwords are one realm.
# kdc.sh REALM PRINCIPALS FOLDER
set -eu
umask 077
# The folder outlives a container that is started again, and the database must not.
rm -rf "${3:?}"/*
admin() { kadmin.local -r "$1" -p "kadmin/admin@$1" "${@:2}"; }
# The database's own key need not outlive it.
kdb5_util create -r "$1" -s -P "$(head -c 32 /dev/urandom | base64)" >/dev/null
# It repeats what it reads, passwords and all.
admin "$1" <"$2" >/dev/null 2>&1
made=$(admin "$1" list_principals 2>/dev/null)
while read -r _ _ _ name; do
    grep -Fqx -- "$name@$1" <<<"$made" || { echo "principal $name was not made" >&2 && exit 1; }
done <"$2"
echo "$(wc -l <"$2") principals of realm $1"
exec krb5kdc -n -r "$1"
