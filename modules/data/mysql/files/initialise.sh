# The data directory, made once. mariadb-install-db runs the server in bootstrap mode, which listens nowhere; the accounts without
# a password that it makes are gone before the first real start accepts a connection (init_file). It is made beside its place
# and then moved, so that one cut off half way is not taken for whole.
set -eu
data=/var/lib/mysql/data
if [ -d "$data" ]; then
    exit 0
fi
rm -rf "$data.new"
mariadb-install-db --no-defaults --force --skip-test-db --auth-root-authentication-method=normal --datadir="$data.new" >/dev/null
mv "$data.new" "$data"
echo "made the data directory"
