#!/bin/bash
# SPDX-License-Identifier: MIT
# What runner promises: every rule once and after what it needs, an end at the first error or, with -k, after all that can be done, and
# nothing left behind, whatever ends it.
#
#     runner.sh RUNNER [long]        long: 5,000 commands rather than 500
. "$(dirname "$0")/common.bash"
many=500
[[ ${2:-} == long ]] && many=5000

# rule TARGET DEPENDENCIES [COMMAND…]
rule() {
    echo "$1: $2"
    [[ $# -lt 3 ]] || printf '\t%s\n' "${@:3}"
}

last() { [[ $status -eq $1 && $(tail -n 1 err) == "runner: $2, "*" s, "*" commands/s" ]]; }
done_by() { [[ $(sort log 2>/dev/null | tr '\n' ' ') == "$1" ]]; } # the log's lines, sorted
ordered() { awk '{ at[$1] = NR } END { exit !(at["c"] < at["b1"] && at["c"] < at["b2"] && at["b1"] < at["a"] && at["b2"] < at["a"]) }' log; }
message() { [[ $(<err) == "runner: $1" ]]; }

# ---- order ----

{
    echo '# a diamond, with lines and dependencies in any place'
    rule a 'b1 b2 log' 'echo a >>log'
    rule b1 c 'echo b1 >>log'
    echo
    rule b2 c 'sleep 0.02' 'echo b2 >>log'
    rule c '' 'echo c >>log'
    rule alone '' 'echo alone >>log'
    rule both 'a alone'
    echo 'both: c'
} >diamond

# A chain next to each of ten others; each command looks whether the one before has been.
for i in {1..10}; do
    rule all "chain$i.30"
    rule "chain$i.0" '' ": >chain$i.0"
    for j in {1..30}; do rule "chain$i.$j" "chain$i.$((j - 1))" "test -e chain$i.$((j - 1)) && : >chain$i.$j"; done
done >chains

test_order() {
    local j
    for j in 1 2 64; do
        : >log
        run -j $j diamond
        check "a diamond, -j $j" last 0 "5 commands, 0 failed, 0 left out"
        check "… in order" ordered
        check "… and nothing else" done_by 'a b1 b2 c '
    done
    : >log
    run diamond both alone
    check "goals by name" done_by 'a alone b1 b2 c '
    rm -f chain[0-9]*
    run -j 8 chains
    check "chains side by side" last 0 "310 commands, 0 failed, 0 left out"
}

# ---- errors ----

{
    rule all 'good bad after later'
    rule good '' 'echo good >>log'
    rule bad '' 'echo first >>log' 'echo what went wrong >&2; exit 3' 'echo second >>log'
    rule after bad 'echo after >>log'
    rule further after 'echo further >>log'
    rule later 'good further' 'echo later >>log'
    rule other good 'echo other >>log'
    rule every 'all other'
} >broken

printf 'all: a\na:\n\t/bin/false\nb:\n\t/no/such/program -x\nc:\n\tkill -9 $$\nd:\n\tprintf unfinished >&2; exit 1\n' >kinds

test_errors() {
    : >log
    run -j 1 broken every
    check "the first error ends it" last 1 "3 commands, 1 failed, 0 left out"
    check "… with its stderr and its place" test "$(head -n 2 err)" = \
        $'what went wrong\nrunner: bad: echo what went wrong >&2; exit 3: exit status 3'
    check "… and nothing that needs it" done_by 'first good '
    : >log
    run -j 4 -k broken every
    check "-k goes on" last 1 "4 commands, 1 failed, 3 left out"
    check "… with what does not need it" done_by 'first good other '
    run kinds
    check "a command without a shell that fails" test "$(head -n 1 err)" = "runner: a: /bin/false: exit status 1"
    run kinds b
    check "a program that is not there" test "$(head -n 1 err)" = "runner: b: /no/such/program -x: No such file or directory"
    run kinds c
    check "a command that is killed" test "$(head -n 1 err)" = 'runner: c: kill -9 $$: Killed'
    run -k kinds a b c d
    check "all of them" last 1 "4 commands, 4 failed, 0 left out"
    check "… and a last line without its end" grep -qx unfinished err
}

test_wrong_files() {
    printf 'a: b\nb: c\nc: a\n' >wrong; run wrong
    check "a circle" message "wrong:1: a target that depends on itself"
    printf 'a: nothing\n' >wrong; run wrong
    check "a dependency that is nowhere" message "no rule for 'nothing', needed by a"
    run wrong no
    check "a target that is nowhere" message "no rule for 'no'"
    printf '\n\ttrue\n' >wrong; run wrong
    check "a command without a rule" message "wrong:2: a command without a rule"
    printf 'a:\n\ttrue\nsomething\n' >wrong; run wrong
    check "a line that is neither" message "wrong:3: neither a rule nor a command"
    run missing
    check "a file that is not there" message "missing: No such file or directory"
    printf 'a: wrong\n\t/bin/true\n' >wrong; run wrong
    check "a dependency that is a file" last 0 "1 commands, 0 failed, 0 left out"
    "$program" - <wrong >out 2>err; status=$?
    check "standard input" last 0 "1 commands, 0 failed, 0 left out"
}

# ---- signals ----

# Commands with children of their own, one of which has no ear for SIGTERM.
{
    rule all 'a b c d'
    for name in a b c; do rule $name '' "sleep 4242 & echo \$\$ >>pids; sleep 4243; echo $name >>log"; done
    rule d '' "echo \$\$ >>pids; trap '' TERM; sleep 4244"
} >lasting

started() { [[ $(wc -l <pids) -eq 4 ]]; }

# Does a process run whose group is in pids? After the name: state, parent, group.
sleeping() {
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' |
        awk 'NR == FNR { group[$1]; next } $3 in group && $1 !~ /[ZX]/ { found = 1 } END { exit !found }' pids -
}
no_sleeper() { ! sleeping; }
ended() { ! kill -0 "$child" 2>/dev/null; }

test_signal() { # test_signal SIGNAL STATUS
    : >log; : >pids
    # A child of bash ignores SIGINT in the background, unless it has job control.
    set -m
    "$program" -j 4 lasting >out 2>err &
    child=$!
    set +m
    check "$1: the commands begin" poll started
    check "… and run" sleeping
    kill -"$1" "$child"
    check "… it ends" poll ended
    wait "$child"; status=$?
    check "… with status $2" exits "$2"
    check "… and no process is left" poll no_sleeper
    check "… nor has a command ended well" done_by ''
}

# ---- many ----

# The last command sees what the program has left by then: its descriptors, and children that have ended.
{
    rule all "$(seq -s ' ' -f 't%g' "$many")" 'ls /proc/$PPID/fd | wc -l >descriptors' \
        'cat /proc/[0-9]*/stat 2>/dev/null | sed "s/.*) //" | grep -c "^Z $PPID " >zombies; :'
    seq -f $'t%g:\n\t/bin/true' "$many"
} >many

test_many() {
    run -j 64 many
    check "$many commands, 64 at a time" last 0 "$((many + 2)) commands, 0 failed, 0 left out"
    check "… no descriptor is left" test "$(<descriptors)" -lt 20
    check "… and no zombie" test "$(<zombies)" -eq 0
}

workers 1 2 8 -- test_order test_errors
test_wrong_files
workers 1 2 8 -- test_many
test_signal INT 130
test_signal TERM 143
run -j 0 diamond
check "-j 0" refuses "0: not a number of commands from 1 to 4096"
run
check "no file" refuses "no file given"
conclude
