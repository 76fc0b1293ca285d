#!/bin/bash
# SPDX-License-Identifier: MIT
# What queries promises: right answers, as many at once as there are connections, the server's words when something is wrong,
# and an end in good order, on the server, too.
. "$(dirname "$0")/common.bash"
. "$here/descriptors.bash"
. "$here/postgres.bash"

coproc SOCKETS { exec "$helpers/sockets"; }
read -r silent refusing <&"${SOCKETS[0]}" || { echo "# no sockets"; exit 2; }

# Schemas that a connection string may prefer to the system's: in `meeting` pg_sleep returns once N sessions have called it, and
# notes who did; see_off calls it and stays until the others have left. In `broken` it fails.
sql 'create schema meeting;
create table meeting.call (pid int);
create function meeting.present() returns int language sql as $$
    select count(distinct pid) from pg_locks where locktype = $q$advisory$q$
$$;
create function meeting.pg_sleep(n float8) returns void language plpgsql as $$
begin
    perform pg_advisory_lock_shared(1);
    for i in 1..3000 loop
        exit when meeting.present() >= n;
        perform pg_catalog.pg_sleep(0.02);
    end loop;
    if meeting.present() < n then
        raise $q$fewer than % at once$q$, n;
    end if;
    insert into meeting.call values (pg_backend_pid());
end $$;
create function meeting.see_off(n float8) returns void language plpgsql as $$
begin
    perform meeting.pg_sleep(n);
    for i in 1..3000 loop
        exit when meeting.present() = 1;
        perform pg_catalog.pg_sleep(0.02);
    end loop;
end $$;
create schema broken;
create function broken.pg_sleep(n float8) returns void language plpgsql as $$ begin perform 1 / 0; end $$;' ||
    { echo "# cannot set up the database"; exit 2; }
meeting="$database options=-csearch_path=meeting,pg_catalog"
broken="$database options=-csearch_path=broken,pg_catalog"

others="from pg_stat_activity where backend_type = 'client backend' and application_name <> 'test'"
asleep() { [[ $(sql "select count(*) $others and wait_event = 'PgSleep'") -eq $1 ]]; }
present() { [[ $(sql "select meeting.present()") -eq $1 ]]; }
no_sessions() { [[ $(sql "select count(*) $others") -eq 0 ]]; }
connected() { grep "connection authorized" postgres.out | grep -vc "application_name=test"; }
has_connected() { [[ $(connected) -ge $1 ]]; }

# sums QUERIES CONNECTIONS SUM SECONDS
sums() {
    [[ $status -eq 0 && ! -s err ]] &&
        grep -qE "^$1 queries over $2 connections: the sum is $3; [0-9.]+ s, one after the other at least $4 s\$" out
}

# says REASON: why it failed.
says() { [[ $status -eq 1 && ! -s out ]] && grep -qE "^queries: $1" err; }

test_good() { # MANNER
    run "$1" "$database"
    check "$1: 100 queries" sums 100 8 10100 2.00
    echo "# $(<out)"
    sql "truncate meeting.call"
    check "$1: nobody is there yet" poll present 0
    run "$1" -c 8 -s 8 "$meeting"
    check "$1: eight at once" sums 100 8 10100 800.00
    check "$1: … all over eight connections" test "$(sql "select count(*), count(distinct pid) from meeting.call")" = "100|8"
    run "$1" -c 1 -n 3 -s 0 "$database"
    check "$1: a single connection" sums 3 1 12 0.00
}

test_bad() { # MANNER
    run "$1" "host=127.0.0.1 port=$refusing"
    check "$1: a connection that is refused" says 'connection to server at "127.0.0.1", port [0-9]+ failed: Connection refused$'
    run "$1" "$database dbname=missing"
    check "$1: a database that is none" says '.*FATAL:  database "missing" does not exist$'
    run "$1" nonsense
    check "$1: a connection string that is none" says 'missing "=" after "nonsense"'
    run "$1" -s 3600 "$database options=-cstatement_timeout=100"
    check "$1: queries that fail" says 'query [0-9]+: ERROR:  canceling statement due to statement timeout$'
    run "$1" -n 10000 -c 1 -s 0 "$broken"
    check "$1: … the first ends all" says 'query [0-9]+: ERROR:  division by zero$'
    check "$1: no session is left on the server" poll no_sessions
}

test_end() { # MANNER
    local before
    before=$(connected)
    start_held "$1" -n 10 -s 0 "$database"
    check "$1: ten queries" poll has_connected $((before + 8))
    check "$1: … when they have been answered no socket is left" poll has_no_sockets
    check "$1: … nor a session on the server" poll no_sessions
    let_go
    check "$1: … and the sum is said" sums 10 8 110 0.00
}

test_ends_of_async() {
    start_held --async -s 3600 "$database"
    check "--async: eight long queries" poll asleep 8
    check "--async: SIGINT is waited for" poll takes_interrupts
    kill -INT "$held"
    check "--async: … it ends them on the server" poll asleep 0
    check "--async: … and no socket is left" poll has_no_sockets
    let_go
    check "--async: … with status 130" gives 130 "queries: Interrupted" ""
    run --async -t 0.5 "host=127.0.0.1 port=$silent"
    check "--async: a server that never answers: the time limit" gives 1 "" "queries: The deadline passed"
    run --async -t 0.5 -s 3600 "$database"
    check "--async: queries that take long: the time limit" gives 1 "" "queries: The deadline passed"
    check "--async: … ends them on the server" poll asleep 0
}

# The test says when the queries that run may end: they wait for a ninth session.
test_ends_of_blocking() {
    check "--blocking: nobody is there yet" poll present 0
    start_held --blocking -n 100000 -s 9 "$meeting"
    check "--blocking: eight queries" poll present 8
    check "--blocking: SIGINT is waited for" poll takes_interrupts
    kill -INT "$held"
    check "--blocking: … and comes" poll has_been_interrupted
    check "--blocking: … the queries go on to their ends" sql "select meeting.see_off(9)"
    check "--blocking: … and when they have ended no socket is left" poll has_no_sockets
    let_go
    check "--blocking: … with status 130" gives 130 "queries: Interrupted" ""
    run --blocking "host=127.0.0.1 port=$silent connect_timeout=2"
    check "--blocking: a server that never answers: libpq's time limit" \
        says 'connection to server at "127.0.0.1", .* failed: timeout expired$'
}

has_been_interrupted() { ! takes_interrupts; }

test_command_line() {
    local value
    for value in 0 -1 1001 two 2x ""; do
        run -c "$value"
        check "-c '$value'" refuses "$value: not a number of connections"
    done
    run a b
    check "two connection strings" refuses "Too many arguments"
    run --help
    check "--help names the options" grep -q -e --blocking out
}

test_all() {
    for manner in --async --blocking; do
        test_good $manner
        test_bad $manner
        test_end $manner
    done
    test_ends_of_async
    test_ends_of_blocking
}

workers 1 8 -- test_all
test_command_line
conclude
