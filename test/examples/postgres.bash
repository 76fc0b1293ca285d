# SPDX-License-Identifier: MIT
# A PostgreSQL server of the test's own, in $work/pg, listening on a socket there and nowhere else. Sets $database (a connection
# string) and defines sql. Source it after common.bash.

skip_all() { echo "1..0 # SKIP $1"; exit 77; }

bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1) # where Debian has it, out of the way
[[ -x $bin/initdb ]] || bin=$(dirname "$(command -v initdb || echo /none)")
[[ -x $bin/initdb && -x $bin/postgres && -x $bin/psql ]] || skip_all "PostgreSQL's server is not installed"
[[ ${#work} -le 80 ]] || skip_all "$work is too long a name for a socket's folder"

# It refuses to be root.
as_user=()
if [[ $(id -u) -eq 0 ]]; then
    as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    "${as_user[@]}" true 2>/dev/null || skip_all "PostgreSQL refuses to be root, and setpriv cannot become nobody"
    chmod 755 .
fi
mkdir -m 700 pg
[[ ${#as_user[@]} -eq 0 ]] || chown 65534:65534 pg
database="host=$work/pg user=tester dbname=postgres"
unset "${!PG@}"

# sql STATEMENT: its rows.
sql() { "$bin/psql" "$database application_name=test" -X -A -t -q -c "$1"; }

answers_or_ended() { sql 'select 1' >/dev/null 2>&1 || ! kill -0 "$postgres" 2>/dev/null; }

# The server ends with the test, whatever ends that.
start_postgres() {
    cd pg || exit 2
    "${as_user[@]}" "$bin/initdb" -D data -U tester -A trust -E UTF8 --no-locale -N >../initdb.out 2>&1 ||
        { echo "# no cluster: $(tail -n 3 ../initdb.out)"; exit 2; }
    "${as_user[@]}" setpriv --pdeathsig QUIT "$bin/postgres" -D data -k "$work/pg" \
        -c listen_addresses= -c fsync=off -c log_connections=on -c max_connections=100 >../postgres.out 2>&1 &
    postgres=$!
    cd ..
    poll answers_or_ended
    kill -0 "$postgres" 2>/dev/null || { echo "# no server: $(tail -n 3 postgres.out)"; exit 2; }
}

stop_postgres() {
    kill -INT "$postgres" 2>/dev/null # which it calls a fast shutdown
    wait "$postgres" 2>/dev/null
}

at_exit+=(stop_postgres)
start_postgres
