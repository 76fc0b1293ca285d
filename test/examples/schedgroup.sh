#!/bin/bash
# SPDX-License-Identifier: MIT
# What schedgroup promises: every reminder once, in the order of the times, and at the time limit no more.
. "$(dirname "$0")/common.bash"

printf '%s\n' '0.3 last' '0.1 first' '0.2 second' '0.1 of the same time' '-5 long ago' '0' >list
for i in {1..500}; do echo "0.$((100 + i * 7 % 400)) $((100 + i * 7 % 400))"; done >many
printf '%s\n' '0.01 soon' '3600 in an hour' '7200 in two hours' >long
printf '%s\n' '0.01 good' 'bad line' >wrong
: >empty

# Those in the past come when they are read, before all others, because reading takes less than the tenth of a second. Only that
# they come is certain.
test_lists() {
    local began=${EPOCHREALTIME/./}
    run list
    check "all come" gives_sorted 0 $'\nfirst\nlast\nlong ago\nof the same time\nsecond' ""
    check "not before their time" test $((${EPOCHREALTIME/./} - began)) -ge 300000
    check "those of the same time in the order of the file" test "$(grep -n -A1 -x first out | tail -n 1)" = "$(
        grep -n -x "of the same time" out | sed 's/:/-/')"
    run many
    check "500 of them" test "$status $(sort -n out | uniq -c | wc -l) $(wc -l <out)" = "0 $(sort -un many | wc -l) 500"
    run empty
    check "none" gives 0 "" ""
}

test_ends() {
    run -t 2 long
    check "the time limit drops what is to come" gives 1 "soon" \
        $'schedgroup: missed: in an hour\nschedgroup: missed: in two hours\nschedgroup: The deadline passed'
    run wrong
    check "a line that is none" exits 1
    check "… is named" grep -qx "schedgroup: wrong:2: Invalid argument" err
    run missing
    check "a file that is not there" gives 1 "" "schedgroup: missing: No such file or directory"
}

workers 1 2 8 -- test_lists test_ends
for value in 0 -1 x "" nan; do
    run -t "$value" list
    check "-t '$value'" refuses "$value: not a number of seconds"
done
run
check "no file" refuses "no file given"
run --help
check "--help names the option" grep -q -e --timeout out
conclude
