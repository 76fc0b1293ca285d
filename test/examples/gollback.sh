#!/bin/bash
# SPDX-License-Identifier: MIT
# What gollback promises: every result by its index; one winner and no losers left; as many tries as asked for.
. "$(dirname "$0")/common.bash"

# gone FILE: the process whose number is in it has ended, even if nobody has asked for its end yet.
gone() { [[ -s $1 ]] && ! grep -qs "^State:[[:space:]]*[^ZX]" "/proc/$(<"$1")/status"; }

test_all() {
    run all 'echo a; exit 2' 'echo b' 'kill -15 $$' 'yes | head -c 300000 | tail -c 2'
    check "every result, by its index" gives 1 $'[0] \'echo a; exit 2\': exit status 2\na\n[1] succeeded\nb
[2] \'kill -15 $$\': Terminated\n[3] succeeded\ny' ""
    run all true true
    check "all succeed" gives 0 $'[0] succeeded\n[1] succeeded' ""
}

test_race() {
    rm -f pid
    # The second wins when the first is running and has a child of its own, both of which would go on for an hour.
    run race 'sleep 3600 & echo $! >pid.new; mv pid.new pid; wait' 'until [ -e pid ]; do sleep 0.01; done; echo won' 'exit 1'
    check "the first success wins" gives 0 won ""
    check "the loser and its children are killed" poll gone pid
    run race 'exit 1' 'exit 2'
    check "all fail" gives 1 "" $'gollback: \'exit 1\': exit status 1\ngollback: \'exit 2\': exit status 2'
}

test_retry() {
    rm -rf tries
    mkdir tries
    run retry 5 'echo x >>tries/n; n=$(wc -l <tries/n); echo "try $n"; [ $n -eq 3 ]'
    check "the third try of five succeeds" gives 0 "try 3" ""
    rm tries/n
    run retry 4 'echo x >>tries/n; false'
    check "none of four does" gives 1 "" "gollback: 'echo x >>tries/n; false': no success in 4 tries"
    check "… that were made" test "$(wc -l <tries/n)" = 4
    rm tries/n
    run retry 0 'echo x >>tries/n; [ $(wc -l <tries/n) -eq 20 ]'
    check "no bound" gives 0 "" ""
}

workers 1 2 8 -- test_all test_race test_retry
for arguments in "" all race "retry 3" "retry x true" "retry 3 true true" "other true"; do
    run $arguments
    check "'$arguments'" refuses "Usage: gollback all COMMAND..."
done
conclude
