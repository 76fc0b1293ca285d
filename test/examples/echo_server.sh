#!/bin/bash
# SPDX-License-Identifier: MIT
# What echo_server and echo_load promise: 10,000 connections at once, every byte back, and an end by SIGINT that leaves nothing.
. "$(dirname "$0")/common.bash"

load=$(dirname "$program")/echo_load
server=
at_exit+=(kill_server)
kill_server() { [[ -z $server ]] || kill -KILL "$server" 2>/dev/null; }

many=10000
grep -qE '__(asan|tsan)_init' "$program" && many=300
hard=$(ulimit -Hn)
if [[ $hard != unlimited && $many -gt $((hard - 100)) ]]; then
    many=$((hard - 100))
    echo "# this system allows $hard descriptors: only $many connections"
fi

# start ARGUMENTS...: the server, on a port of its own: $server, $port
start() {
    rm -f server.out # the one before it must not answer for it
    "$program" -p 0 "$@" >server.out 2>server.err &
    server=$!
    poll grep -qs '^listening on 127.0.0.1 port [0-9]*$' server.out
    port=$(awk '{ print $5 }' server.out)
}

# stop SIGNAL: and see it end: $ended is its status
stop() {
    kill -s "$1" "$server"
    poll gone
    wait "$server"
    ended=$?
    server=
}
# A zombie is gone.
gone() { [[ ! -e /proc/$server/stat || $(sed "s/.*) //" "/proc/$server/stat" 2>/dev/null) == Z* ]]; }
ends_with() { [[ $ended -eq 0 && $(tail -n 1 server.out) =~ ^$1$ && ! -s server.err ]] || { cat server.out server.err >err; false; }; }
has_connections() { [[ $(find "/proc/$server/fd" -lname 'socket:*' | wc -l) -gt $1 ]]; }
nobody_listens() { ! exec {fd}<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null

# loads ARGUMENTS...: as run, for the load generator
loads() {
    timeout --kill-after=5 90 "$load" "$@" 127.0.0.1 "$port" >out 2>err
    status=$?
}
says() { [[ $status -eq 0 && ! -s err ]] && head -n 1 out | grep -q "^$1 in "; }

test_many() {
    start
    loads -c $many -n 3
    check "$many connections, 3 messages each" says "$many connections, $((3 * many)) messages of 64 bytes"
    check "… and how long they took" grep -qE '^latency: p50 [0-9.]+ ms, p99 [0-9.]+ ms, max [0-9.]+ ms$' out
    loads -c 20 -n 20 -s 65536
    check "large messages" says "20 connections, 400 messages of 65536 bytes"
    stop INT
    check "the server counts all of it" ends_with "$((many + 20)) connections, $((3 * many * 64 + 400 * 65536)) bytes, 0 errors"
}

test_interrupted() {
    start
    "$load" -c 200 -d 1000 127.0.0.1 "$port" >out 2>err &
    local pid=$!
    check "200 connections are busy" poll has_connections 200
    stop INT
    check "SIGINT ends the server in the middle of it" ends_with "[0-9]+ connections, [0-9]+ bytes, [0-9]+ errors"
    check "… and nobody listens any more" nobody_listens
    wait $pid
    status=$?
    check "… which the load generator notices" exits 1
    check "… and says" grep -qE '^echo_load: connection [0-9]+: ' err
}

# Connections that say nothing.
test_idle() {
    local a b c answer
    start -m 2
    exec {a}<>"/dev/tcp/127.0.0.1/$port" {b}<>"/dev/tcp/127.0.0.1/$port" {c}<>"/dev/tcp/127.0.0.1/$port"
    echo one >&"$a"; read -r -t 60 answer <&"$a"
    echo two >&"$b"; read -r -t 60 two <&"$b"
    check "two connections are served" test "$answer$two" = onetwo
    echo three >&"$c"
    check "… with -m 2 a third one waits" eval '! read -r -t 0.3 answer <&"$c"'
    exec {a}>&-
    read -r -t 60 answer <&"$c"
    check "… until one has ended" test "$answer" = three
    stop TERM
    check "SIGTERM ends the server while two say nothing" ends_with "3 connections, 14 bytes, 0 errors"
    check "… and they are closed" eval '! read -r -t 60 answer <&"$b" && ! read -r -t 60 answer <&"$c"'
    exec {b}>&- {c}>&-
}

workers 1 2 -- test_many test_interrupted test_idle

start
run -p "$port"
check "a port that is taken" gives 1 "" "echo_server: 127.0.0.1 port $port: Address already in use"
stop INT
loads -c 2
check "a server that is gone" exits 1
check "… is refused by name" grep -qx 'echo_load: connection [12]: Connection refused' err
for value in 0 x 10000001; do
    run -m "$value"
    check "-m $value" refuses "$value: not a number of connections"
done
program=$load
run -s 65537 127.0.0.1 7
check "a message that is too long" refuses "65537: not a number from 1 to 65536"
run 127.0.0.1
check "no port" refuses "no host and port given"
conclude
