# Ready is: lets an account in, answers a query, and takes writes.
test "$(mariadb --defaults-file=/etc/mysql/accounts/probe.cnf --batch --skip-column-names --execute='SELECT @@GLOBAL.read_only')" = 0
