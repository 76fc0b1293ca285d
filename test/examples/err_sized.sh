#!/bin/bash
# SPDX-License-Identifier: MIT
# What err_sized promises: the verdicts of sha256sum -c, and with -s nothing after the first bad one.
. "$(dirname "$0")/common.bash"

for i in {1..100}; do seq 1 $((i * 100)) >"file$i"; done
: >"empty  name"
sha256sum file* empty* >good
{ head -n 10 good; echo "$(printf '0%.0s' {1..64})  file1"; tail -n +11 good; echo "$(printf 'A%.0s' {1..64}) *missing"; } >bad
{ echo "$(printf '0%.0s' {1..64})  file1"; cat good; } >first

test_lists() {
    local n
    for n in 1 8; do
        run -n $n good
        check "a list that is right, $n at a time" gives_sorted 0 "$(sha256sum -c good | sort)" ""
        run -n $n bad
        sed -i 's/^\[[01]\]/[i]/' err
        check "every error, $n at a time" gives_sorted 1 "$(sha256sum -c good | sort)" \
"2 error(s) occurred:
[i] file1: the digest is another one
[i] missing: No such file or directory"
    done
    run -s -n 1 first
    check "-s stops at the first" gives_sorted 1 "$(sed 's/^[^ ]*  //; s/$/: not checked/' good | sort)" \
        $'1 error(s) occurred:\n[0] file1: the digest is another one'
    run missing
    check "a list that is not there" gives 1 "" "err_sized: missing: No such file or directory"
    run file1
    check "a list that is none" gives 1 "" "err_sized: file1: Bad message"
}

workers 1 2 8 -- test_lists
for value in 0 x ""; do
    run -n "$value" good
    check "-n '$value'" refuses "$value: not a number from 1 to 10000"
done
run
check "no list" refuses "no list given"
run good bad
check "two lists" exits 64
run --help
check "--help names the options" grep -q -e --stop out
conclude
