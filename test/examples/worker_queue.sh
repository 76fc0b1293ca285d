#!/bin/bash
# SPDX-License-Identifier: MIT
# What worker_queue promises: the lines of xargs wc -l, in any order, and an end at the first error although more would come.
. "$(dirname "$0")/common.bash"

for i in {1..300}; do seq 1 "$i" >"file$i"; done
: >"empty  name"
printf 'no newline' >rest
ls -d file* empty* rest >names
want=$(while read -r name; do echo "$(wc -l <"$name") $name"; done <names | sort)

endless() { while echo missing; do :; done 2>/dev/null; }

test_names() {
    local j
    for j in 1 2 100; do
        run -j $j -q 0 <names
        check "$j at a time, no queue" gives_sorted 0 "$want" ""
        run -j $j -q 20 <names
        check "$j at a time, a queue of 20" gives_sorted 0 "$want" ""
    done
    run </dev/null
    check "no names" gives 0 "" ""
    { echo rest; echo missing; cat names; } >more
    run <more
    check "a missing file: exit 1" exits 1
    check "… and its name" grep -qx "worker_queue: missing: No such file or directory" err
    run -j 1 -q 1 < <(endless)
    check "an error ends it, although there are names without end" gives 1 "" "worker_queue: missing: No such file or directory"
}

workers 1 2 8 -- test_names
for value in -1 x "" 1000001; do
    run -q "$value" <names
    check "-q '$value'" refuses "$value: not a number from 0 to 1000000"
    run -j "$value" <names
    check "-j '$value'" refuses "$value: not a number from 1 to 1000000"
done
run -j 0 <names
check "-j 0" refuses "0: not a number from 1"
"$program" <names >/dev/full 2>err
status=$?
check "a full disk" grep -q "standard output: No space left on device" err
run <.
check "standard input that cannot be read" gives 1 "" "worker_queue: standard input cannot be read"
run --help
check "--help names the options" grep -q -e --queue out
conclude
