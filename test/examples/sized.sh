#!/bin/bash
# SPDX-License-Identifier: MIT
# What sized promises: every command runs once, never more than so many at a time, and discarding discards.
. "$(dirname "$0")/common.bash"

# Each command counts those that run while it does. What they count is no more than the size, however slow the machine is.
mkdir running
for i in {1..40}; do
    echo "mkdir running/$i; ls running | wc -l; rmdir running/$i"
done >commands

most() { [[ $status -eq 0 && $(wc -l <out) -eq 40 && $(sort -n out | tail -n 1) -le $1 ]]; }

test_sizes() {
    local how n
    for how in queue wait; do
        for n in 1 3; do
            run -n $n -f $how <commands
            check "40 commands, $n at a time, $how" most $n
        done
    done
    printf '%s\n' 'echo good' 'exit 3' 'kill -9 $$' 'echo fine' >failing
    run <failing
    check "failures are reported and stop nothing" gives_sorted 1 $'fine\ngood' \
        $'sized: exit 3: exit status 3\nsized: kill -9 $$: Killed'
}

# Two commands that cannot end before the gates are opened hold both places. Only when everything after them has been discarded,
# the gates are.
test_discard() {
    rm -f gate1 gate2
    mkfifo gate1 gate2
    printf '%s\n' 'read x <gate1; echo $x' 'read x <gate2; echo $x' 'echo three' 'echo four' >commands2
    "$program" -n 2 -f discard <commands2 >out 2>err &
    poll grep -q "discarded: echo four" err
    echo one >gate1 &
    echo two >gate2 &
    wait
    status=0
    check "what finds no place is discarded" gives_sorted 0 $'one\ntwo' \
        $'sized: discarded: echo four\nsized: discarded: echo three'
}

workers 1 2 8 -- test_sizes test_discard
for value in 0 -1 x "" 10001; do
    run -n "$value" <commands
    check "-n '$value'" refuses "$value: not a number from 1 to 10000"
done
run -f away <commands
check "-f away" refuses "away: not one of queue, wait, discard"
run --help
check "--help names the options" grep -q -e --when-full out
conclude
