#!/bin/bash
# SPDX-License-Identifier: MIT
# What multi_error promises: every port and every failure.
. "$(dirname "$0")/common.bash"
. "$here/web.bash"

port=${web##*:}

test_ports() {
    local ports=() want= i refused="probes: group: Connection refused [ECONNREFUSED, released]"
    run 127.0.0.1 "$port" "$silent"
    check "ports that are open" gives 0 "$port open"$'\n'"$silent open" ""
    run 127.0.0.1 "$refusing" "$port" "$refusing"
    check "one that is closed, twice" gives 1 \
        "$refusing Connection refused"$'\n'"$port open"$'\n'"$refusing Connection refused" \
        "$refused"$'\n'"$refused"$'\n'"2 errors"
    run 127.0.0.1 nonsense
    check "a port that is none" gives 1 "nonsense Cannot assign requested address" \
        "probes: group: Cannot assign requested address [EADDRNOTAVAIL, released]"$'\n'"1 error"
    for ((i = 0; i < 500; i++)); do ports+=("$refusing" "$port"); done
    run 127.0.0.1 "${ports[@]}"
    check "1,000 at once" test "$status $(grep -c open out) $(grep -cxF "$refused" err) $(tail -n 1 err)" = "1 500 500 500 errors"
}

workers 1 2 8 -- test_ports
run
check "no arguments" refuses "Usage: multi_error ADDRESS PORT..."
conclude
