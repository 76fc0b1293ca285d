#!/bin/bash
# SPDX-License-Identifier: MIT
# What just_errors promises: all or the first error, and no waiting for the others.
. "$(dirname "$0")/common.bash"
. "$here/web.bash"

for i in {1..20}; do head -c $((i * 10000)) /dev/zero >"$work/www/file$i"; done

test_fetch() {
    local began
    run "$web"/file{1..20}
    check "20 URLs that are there" gives 0 "Successfully fetched all URLs." ""
    run "$web"/file{1..9} "$web/nothing" "$web"/file{10..20}
    check "one that is not" gives 1 "" "just_errors: $web/nothing: The requested URL returned error: 404"
    run "http://127.0.0.1:$refusing/"
    check "a connection that is refused" exits 1
    check "… is named with the reason" grep -qE "^just_errors: http://127.0.0.1:$refusing/: Failed to connect .*" err
    run "http://name.invalid/x"
    check "a name that is none" gives 1 "" "just_errors: http://name.invalid/x: Could not resolve host: name.invalid"
    run "nonsense://x"
    check "a protocol that is none" grep -q '^just_errors: nonsense://x: Protocol "nonsense" not supported' err
    run -t 1 "http://127.0.0.1:$silent/"
    check "a server that never answers: the time limit" exits 1
    check "… is the reason" gives 1 "" "just_errors: The deadline passed"
    began=$SECONDS
    run -t 80 "http://127.0.0.1:$silent/" "$web/nothing"
    check "the first error ends the others" gives 1 "" "just_errors: $web/nothing: The requested URL returned error: 404"
    check "… at once" test $((SECONDS - began)) -lt 60
}

test_command_line() {
    local value
    run
    check "no URL" refuses "no URL given"
    for value in 0 -1 two 2x "" nan inf; do
        run -t "$value" "$web/file1"
        check "-t '$value'" refuses "$value: not a number of seconds"
    done
    run --help
    check "--help names the option" grep -q -e --timeout out
}

workers 1 2 8 -- test_fetch
test_command_line
conclude
