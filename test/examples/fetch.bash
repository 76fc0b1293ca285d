# SPDX-License-Identifier: MIT
# What fetch_easy and fetch_multi both promise: a line for each URL, all failures in libcurl's words, so many at a time, and an
# end to all at a signal, at the time limit or at the first failure.
. "$(dirname "$0")/common.bash"
. "$here/web.bash"
. "$here/descriptors.bash"

me=$(basename "$program")
for i in {1..50}; do head -c $((i * 1000)) /dev/zero >"www/file$i"; done

# meet.sh/N answers once N requests are there; noted.sh notes each, and counts those under way.
cat >www/meet.sh <<'END'
mkdir "$STATE/met/$$"
for i in $(seq 3000); do
    [ "$(ls "$STATE/met" | wc -l)" -lt "${PATH_INFO#/}" ] || break
    sleep 0.02
done
[ "$(ls "$STATE/met" | wc -l)" -ge "${PATH_INFO#/}" ] && printf 'Content-Type: text/plain\r\n\r\nmet\n'
END
cat >www/noted.sh <<'END'
mkdir "$STATE/running/$$"
echo >>"$STATE/noted"
ls "$STATE/running" | wc -l >>"$STATE/under-way"
printf 'Content-Type: text/plain\r\n\r\n%s\n' "$PATH_INFO"
rmdir "$STATE/running/$$"
END

begin() {
    rm -rf state/*
    mkdir -m 777 state/met state/running
}

urls() { printf "$web/%s\n" "$@"; }
noted() { [[ -f state/noted && $(wc -l <state/noted) -ge $1 ]]; }
at_most() { [[ $(sort -n state/under-way | tail -n 1) -le $1 ]]; }
lines() { [[ $(wc -l <out) -eq $1 ]]; }

# without_times: the output's code, size and URL.
without_times() { sed -E 's/^ *([0-9]+) +([0-9]+) +[0-9]+\.[0-9]{3} s  /\1 \2 /' out | sort; }
has_files() { [[ $(without_times) == "$(for i; do echo "200 $((i * 1000)) $web/file$i"; done | sort)" ]]; }

test_good() {
    run $(urls file{1..50})
    check "50 files" exits 0
    check "… each has its code, size and time" has_files {1..50}
    check "… and there is nothing to complain of" test ! -s err
    run -j 100 < <(urls file{1..50}; echo; urls file{1..50})
    check "100 URLs on standard input, all at once" exits 0
    check "… each has its line" has_files {1..50} {1..50}
    begin
    run -j 8 $(urls meet.sh/8{,,,,,,,})
    check "-j 8: eight are under way at once" exits 0
    begin
    run -j 3 $(urls noted.sh/{1..12})
    check "-j 3: twelve are fetched" lines 12
    check "… never more than three at a time" at_most 3
}

test_bad() {
    run "http://127.0.0.1:$refusing/" "$web/file1" nonsense://x "$web/nothing" http://name.invalid/ "$web/file2"
    check "failures do not keep the others from being fetched" has_files 1 2
    check "… and are named, in the order of the URLs" exits 1
    check "… a connection that is refused" grep -qE "^$me: http://127.0.0.1:$refusing/: Failed to connect to" <(sed -n 1p err)
    check "… a protocol that is none" grep -q "^$me: nonsense://x: Protocol \"nonsense\" not supported" <(sed -n 2p err)
    check "… a file that is not there" \
        test "$(sed -n 3p err)" = "$me: $web/nothing: The requested URL returned error: 404"
    check "… a name that is none" test "$(sed -n '4,$p' err)" = "$me: http://name.invalid/: Could not resolve host: name.invalid"
    run -f "http://127.0.0.1:$silent/" "$web/nothing"
    check "-f: a failure ends all" gives 1 "" "$me: $web/nothing: The requested URL returned error: 404
$me: Stopped at the first failure: 1 of 2 not fetched"
    run -t 0.5 "http://127.0.0.1:$silent/"{1..20}
    check "servers that never answer: the time limit" gives 1 "" "$me: The deadline passed: 20 of 20 not fetched"
}

test_interrupt() {
    start_held -j 4 "http://127.0.0.1:$silent/"{1..20}
    check "20 servers that never answer" poll has_sockets
    check "… SIGINT is waited for" poll takes_interrupts
    kill -INT "$held"
    check "… it ends all: no socket is left" poll has_no_sockets
    let_go
    check "… and says how many were not fetched" gives 130 "$me: Interrupted: 20 of 20 not fetched" ""
}

test_end() {
    begin
    start_held $(urls file{1..12} noted.sh/{1..12})
    check "24 files" poll noted 12
    check "… no socket is left" poll has_no_sockets
    let_go
    check "… when all is said" exits 0
    check "… and done" lines 24
}

test_command_line() {
    local value
    run </dev/null
    check "no URL" refuses "no URL given"
    for value in 0 -1 1025 two 2x ""; do
        run -j "$value" "$web/file1"
        check "-j '$value'" refuses "$value: not a number of transfers"
    done
    for value in 0 -1 two 2x "" nan inf; do
        run -t "$value" "$web/file1"
        check "-t '$value'" refuses "$value: not a number of seconds"
    done
    run --help
    check "--help names the options" grep -q -e --fail-fast out
}

workers 1 2 8 -- test_good test_bad test_interrupt test_end
test_command_line
conclude
